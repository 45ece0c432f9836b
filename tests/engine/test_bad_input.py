"""Bad input: a row or a clear error, exit code 2 or 3, and no loss of the other packages' results."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from support.command import check, ftaudit
from support.distributions import wheel
from support.index_server import IndexServer, Reply, ServedFile

PLATFORM = "manylinux_2_17_x86_64"
NATIVE = f"cp314-cp314t-{PLATFORM}"


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        running.add_project("good", [wheel("good", "1.0")])
        running.add_project("bad", [wheel("bad", "1.0")])
        yield running


Spoil = Callable[[IndexServer], None]


def _always(reply: Reply) -> Spoil:
    return lambda server: server.always("/simple/bad/", reply)


def _page(body: str, form: str = "html") -> Spoil:
    return lambda server: server.add_page("/simple/bad/", body, form=form)


SPOILED: dict[str, Spoil] = {
    "a 404": _always(Reply(status=404)),
    "a 403": _always(Reply(status=403)),
    "a 500 every time": _always(Reply(status=500)),
    "a connection that is cut": _always(Reply(drops=True)),
    "a truncated body": _always(Reply(body=b"<a href='bad-1.0-py3-none-any.whl'>x</a>" * 9, sends=40)),
    "JSON that ends early": _page('{"meta": {"api-version": "1.0"}, "name": "bad", "files": [{"fil', "json"),
    "JSON of another shape": _page('{"meta": {"api-version": "1.0"}, "files": 7}', "json"),
    "an API version of the future": _page('<meta name="pypi:repository-version" content="9.0"><a href="x">x</a>'),
    "a page without links": _page("<html><body>maintenance</body></html>"),
    "a version that does not exist": lambda server: server.add_project("bad", [wheel("bad", "2.0")]) and None,
    "only files of another project": lambda server: server.add_project("bad", [wheel("other", "1.0")]) and None,
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
def test_a_package_whose_page_is_bad_is_unknown_and_the_other_is_judged(
    spoil: Spoil, server: IndexServer, tmp_path: Path
) -> None:
    spoil(server)
    (tmp_path / "r.txt").write_text("good==1.0\nbad==1.0\n")
    answer = check("--static", "--no-deps", "--index-url", server.simple_url, "r.txt", cwd=tmp_path)
    assert answer.verdicts == {"good": "pure", "bad": "unknown"}
    assert answer.code == 3
    assert answer.rows["bad"]["source"] == {"path": "r.txt", "line": 2}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
def test_the_same_holds_when_dependencies_are_resolved(spoil: Spoil, server: IndexServer, tmp_path: Path) -> None:
    spoil(server)
    (tmp_path / "r.txt").write_text("good==1.0\nbad==1.0\n")
    answer = check("--static", "--index-url", server.simple_url, "r.txt", cwd=tmp_path)
    assert answer.verdicts == {"good": "pure", "bad": "unknown"}
    assert answer.code == 3


def test_a_500_in_the_middle_is_asked_again(server: IndexServer, tmp_path: Path) -> None:
    server.first("/simple/bad/", Reply(status=500), Reply(status=503))
    (tmp_path / "r.txt").write_text("bad==1.0\n")
    answer = check("--static", "--no-deps", "--index-url", server.simple_url, "r.txt", cwd=tmp_path)
    assert answer.verdicts == {"bad": "pure"}
    assert answer.code == 0


def test_an_unreachable_index_calls_nothing_ready(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("good==1.0\nbad==1.0\n")
    answer = check("--index-url", "http://127.0.0.1:9/simple/", "r.txt", cwd=tmp_path)
    assert answer.verdicts == {"good": "unknown", "bad": "unknown"}
    assert answer.code == 3


def test_offline_with_an_empty_cache_calls_nothing_ready(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("good==1.0\n")
    answer = check("--offline", "r.txt", cwd=tmp_path)
    assert answer.verdicts == {"good": "unknown"}
    assert answer.code == 3


def test_offline_answers_from_the_cache_what_was_looked_up_before(server: IndexServer, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("good==1.0\n")
    arguments = ("--static", "--index-url", server.simple_url, "r.txt")
    online = check(*arguments, cwd=tmp_path)
    server.forget()
    offline = check("--offline", *arguments, cwd=tmp_path)
    assert (online.verdicts, online.code) == ({"good": "pure"}, 0)
    assert offline.verdicts == {"good": "pure"}
    assert server.requests == []


def test_a_second_run_fetches_no_page_again(server: IndexServer, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("good==1.0\nbad==1.0\n")
    arguments = ("--static", "--index-url", server.simple_url, "r.txt")
    check(*arguments, cwd=tmp_path)
    server.forget()
    again = check(*arguments, cwd=tmp_path)
    assert again.code == 0
    assert server.requests == []


def test_no_file_of_ours_is_kept_with_no_cache(server: IndexServer, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("good==1.0\n")
    check("--static", "--no-deps", "--no-cache", "--index-url", server.simple_url, "r.txt", cwd=tmp_path)
    assert not [path for path in (tmp_path / ".ftaudit-cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pylock.toml", 'lock-version = "1.0"\ncreated-by = "x"\npackages = 7\n'),
        ("pylock.toml", 'lock-version = "2.0"\ncreated-by = "x"\npackages = []\n'),
        ("uv.lock", 'version = 1\nrequires-python = ">=3.10"\n[[package]]\nname = 7\n'),
        ("uv.lock", "version = 1\n[[package"),
        ("pyproject.toml", "[project]\nname = 'x'\nversion = '1'\ndependencies = 'numpy'\n"),
        ("requirements.txt", "good==\n"),
        ("requirements.txt", "-r requirements.txt\n"),
        ("requirements.txt", "\0\0\0"),
        ("Gemfile.lock", "GEM\n"),
    ],
    ids=lambda value: value[:16].strip(),
)
def test_an_input_that_cannot_be_read_is_an_error_that_names_the_file(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    ran = ftaudit("check", "--static", name, cwd=tmp_path)
    assert ran.returncode == 2, ran.stdout
    assert name in ran.stderr
    assert "Traceback" not in ran.stderr


def _archive(members: dict[str, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return buffer.getvalue()


GOOD = wheel("bad", "1.0", tag=NATIVE).data
HOSTILE = {
    "a wheel whose hash differs": ServedFile(filename=f"bad-1.0-{NATIVE}.whl", data=GOOD, sha256="0" * 64),
    "a wheel that is no archive": ServedFile(filename=f"bad-1.0-{NATIVE}.whl", data=b"not a wheel" * 99),
    "a truncated wheel": ServedFile(filename=f"bad-1.0-{NATIVE}.whl", data=GOOD[: len(GOOD) // 2]),
    "a wheel with a member above it": ServedFile(
        filename=f"bad-1.0-{NATIVE}.whl",
        data=_archive({"../../evil.py": b"", "bad/core.cpython-314t-x86_64-linux-gnu.so": b"\x7fELF"}),
    ),
}


@pytest.mark.interpreter
@pytest.mark.parametrize("static", [True, False], ids=["static", "with imports"])
@pytest.mark.parametrize("served", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_wheel_is_a_row_and_leaves_no_file_outside_the_cache(
    served: ServedFile, static: bool, server: IndexServer, tmp_path: Path
) -> None:
    server.add_project("bad", [served])
    home = tmp_path / "home"
    home.mkdir()
    (home / "r.txt").write_text("good==1.0\nbad==1.0\n")
    arguments = ["--no-deps", "--platform", PLATFORM, "--index-url", server.simple_url, "r.txt"]
    answer = check(*(["--static"] if static else []), *arguments, cwd=home)
    assert answer.verdicts == {"good": "pure", "bad": "unknown"}, answer.reasons("bad")
    assert answer.code == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]
    assert {path.name for path in home.iterdir()} <= {"r.txt", ".ftaudit-cache", ".uv-cache"}


def test_credentials_in_urls_are_used_and_never_shown(server: IndexServer, tmp_path: Path) -> None:
    server.require("ann", "s3cret")
    private = server.simple_url.replace("://", "://ann:s3cret@")
    (tmp_path / "r.txt").write_text(f"--index-url {private}\ngood==1.0\nbad==7.0\n")
    for output in ("json", "table"):
        ran = ftaudit("check", "--static", "--format", output, "r.txt", cwd=tmp_path)
        assert ran.returncode == 3
        assert "good" in ran.stdout
        assert "s3cret" not in ran.stdout + ran.stderr
    kept = [path for path in (tmp_path / ".ftaudit-cache").rglob("*") if path.is_file()]
    assert kept and not any(b"s3cret" in path.read_bytes() for path in kept)


def test_a_relative_cache_folder_is_as_good_as_an_absolute_one(server: IndexServer, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("good==1.0\n")
    answer = check("--no-deps", "--cache-dir", "here", "--index-url", server.simple_url, "r.txt", cwd=tmp_path)
    assert answer.verdicts == {"good": "pure"}
    assert (tmp_path / "here" / "index").is_dir()


def test_hashes_that_leave_a_fitting_wheel_out_are_named_as_the_cause(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("bad", [wheel("bad", "1.0", tag=NATIVE), wheel("bad", "1.0", tag="cp311-cp311-win_amd64")])
    (tmp_path / "r.txt").write_text(f"bad==1.0 --hash=sha256:{'0' * 64}\n")
    arguments = ("--static", "--no-deps", "--platform", PLATFORM, "--index-url", server.simple_url)
    answer = check(*arguments, "r.txt", cwd=tmp_path)
    assert answer.code == 1
    assert "its hash is not in the input" in answer.reasons("bad")
    assert "lock again" in answer.rows["bad"]["next_step"]


def test_requirements_that_exclude_themselves_are_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("good>2,<1\n")
    with IndexServer() as server:
        server.add_project("good", [wheel("good", "1.0")])
        answer = check("--static", "--index-url", server.simple_url, "r.txt", cwd=tmp_path)
    assert answer.verdicts == {"good": "unknown"}
    assert len(answer.reasons("good").rpartition(": ")[2]) > 20, answer.reasons("good")


def test_a_wrong_interpreter_in_the_environment_is_an_error_and_not_passed_over(
    server: IndexServer, tmp_path: Path
) -> None:
    server.add_project("bad", [wheel("bad", "1.0", tag=NATIVE)])
    (tmp_path / "r.txt").write_text("bad==1.0\n")
    arguments = ("check", "--no-deps", "--platform", PLATFORM, "--index-url", server.simple_url, "r.txt")
    ran = ftaudit(*arguments, cwd=tmp_path, env={"FTAUDIT_PYTHON": "/nope/python3.14t"})
    assert ran.returncode == 2
    assert "/nope/python3.14t" in ran.stderr


def test_a_folder_that_is_no_project_is_not_called_pure(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("-e ./lib\n")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "code.py").write_text("x = 1\n")
    answer = check("--static", "--no-deps", "r.txt", cwd=tmp_path)
    assert answer.verdicts == {"lib": "unknown"}
    assert "installers reject it" in answer.reasons("lib")


def test_the_time_for_the_network_ends_the_requests_and_what_it_did_not_reach_is_named(
    server: IndexServer, tmp_path: Path
) -> None:
    server.add_project("good", [wheel("good", "1.0")], cache_control="max-age=0")
    (tmp_path / "r.txt").write_text("good==1.0\n")
    arguments = ("--static", "--index-url", server.simple_url, "r.txt")
    late = check("--network-seconds", "0.000001", *arguments, cwd=tmp_path)
    assert (late.code, server.requests) == (3, [])
    assert "the time limit of --network-seconds was reached" in late.reasons("good")
    in_time = check("--network-seconds", "600", *arguments, cwd=tmp_path)
    assert in_time.verdicts == {"good": "pure"}
    seen = len(server.requests)
    again = check("--network-seconds", "0.000001", *arguments, cwd=tmp_path)
    # The server wants its page to be confirmed each time; for a day, the cache answers anyway.
    assert (again.verdicts, len(server.requests)) == ({"good": "pure"}, seen)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon", "1e9"])
def test_a_time_for_the_network_that_is_not_one_is_an_error(seconds: str, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("good==1.0\n")
    ran = ftaudit("check", f"--network-seconds={seconds}", "r.txt", cwd=tmp_path)
    assert ran.returncode == 2 and "is not a number of seconds" in ran.stderr
