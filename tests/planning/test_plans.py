"""Plans through the command line, on the test's own index: what a plan promises, and what it does not."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.command import check, environment, ftaudit
from support.compiled import BAD, GOOD, OTHER, PLATFORM, UNSURE, release
from support.distributions import wheel
from support.index_server import IndexServer, Reply
from uv import find_uv_bin

from ftaudit import engine
from ftaudit.engine.session import open_session
from ftaudit.errors import InputError
from ftaudit.planning import make_plan
from ftaudit.planning.edit import find_edits
from ftaudit.report.plan import plan_json
from ftaudit.settings import Settings


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


@pytest.fixture(scope="module")
def read_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder for binary facts: every test's wheels hold the same few binaries."""
    return tmp_path_factory.mktemp("binary")


@pytest.fixture(autouse=True)
def _binary_cache(read_once: Path, tmp_path: Path) -> None:
    (tmp_path / ".ftaudit-cache").mkdir()
    (tmp_path / ".ftaudit-cache" / "binary").symlink_to(read_once)


@dataclass(frozen=True, kw_only=True)
class Answer:
    code: int
    document: dict[str, Any]

    @property
    def changes(self) -> dict[str, tuple[str, str]]:
        return {row["name"]: (row["current"], row["proposed"]) for row in self.document["changes"]}

    def way(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(row for row in self.document["ways"] if row["name"] == name)
        return found


def plan(
    server: IndexServer, folder: Path, *arguments: str, source: str = "r.txt", platforms: Sequence[str] = (PLATFORM,)
) -> Answer:
    ran = ftaudit("plan", *base(server, platforms), "--format", "json", *arguments, source, cwd=folder)
    assert "Traceback" not in ran.stderr and ran.stdout, ran.stderr
    document = json.loads(ran.stdout)
    jsonschema.validate(document, plan_json.schema())
    return Answer(code=ran.returncode, document=document)


def base(server: IndexServer, platforms: Sequence[str] = (PLATFORM,)) -> list[str]:
    chosen = [word for name in platforms for word in ("--platform", name)]
    return ["--static", "--index-url", server.simple_url, *chosen]


def test_an_index_that_does_not_answer_is_not_nothing_to_do(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", release("demo", "1.0", BAD))
    server.always("/simple/demo/", Reply(status=503))
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    answer = plan(server, tmp_path)
    assert answer.code == 3 and answer.document["unknown"] == ["demo"]


def test_nothing_is_changed_where_nothing_blocks(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", [*release("demo", "1.0", GOOD), *release("demo", "2.0", GOOD)])
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    answer = plan(server, tmp_path)
    assert answer.code == 0 and answer.changes == {} and answer.document["ways"] == []


@pytest.mark.parametrize(
    ("prefer", "line"),
    [("nearest", "demo==1.4.1"), ("patch", "demo==1.4.3"), ("newest", "demo==3.0")],
)
def test_a_plan_proposes_the_preferred_one_of_the_good_releases(
    prefer: str, line: str, server: IndexServer, tmp_path: Path
) -> None:
    good = ("1.4.1", "1.4.3", "1.5", "3.0")
    files = [*release("demo", "1.0", BAD), *release("demo", "1.4", BAD), *release("demo", "1.4.4", BAD)]
    server.add_project("demo", [*files, *(file for version in good for file in release("demo", version, GOOD))])
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    answer = plan(server, tmp_path, "--prefer", prefer, "--write")
    assert answer.code == 0 and (tmp_path / "r.txt").read_text() == f"{line}\n"
    (change,) = answer.document["changes"]
    told = {"nearest": "the nearest release", "patch": "the last patch of the nearest series", "newest": "the newest"}
    assert change["reason"].startswith(told[prefer])


def test_without_a_good_release_nothing_is_proposed_and_every_release_has_its_reason(
    server: IndexServer, tmp_path: Path
) -> None:
    yanked = [replace(file, yanked="broken") for file in release("demo", "1.2", GOOD)]
    newer = [replace(file, requires_python=">=3.99") for file in release("demo", "1.3", GOOD)]
    files = [*release("demo", "1.0", BAD), *release("demo", "1.1", BAD), *yanked, *newer]
    files += [release("demo", "1.4", GOOD)[0], *release("demo", "2.0rc1", GOOD)]
    server.add_project("demo", files)
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    answer = plan(server, tmp_path, "--write")
    way = answer.way("demo")
    assert answer.code == 1 and answer.changes == {} and way["kind"] == "none" and way["first_good"] is None
    assert [(row["version"], row["fate"]) for row in way["passed_over"]] == [
        ("1.1", "reenables-gil"),
        ("1.2", "yanked"),
        ("1.3", "requires-python"),
        ("1.4", "no-wheel"),
        ("2.0rc1", "pre-release"),
    ]
    assert "broken" in way["passed_over"][1]["reason"] and ">=3.99" in way["passed_over"][2]["reason"]
    assert "leaves the GIL off" in way["passed_over"][4]["reason"], "the newest pre-release is looked into"
    assert (tmp_path / "r.txt").read_text() == "demo==1.0\n"
    text = ftaudit("plan", *base(server), "r.txt", cwd=tmp_path).stdout
    assert text.startswith("PRE-RELEASE ONLY: no final release removes the blocker")
    assert "a pre-release works: demo 2.0rc1" in " ".join(text.split())


def test_the_nearest_good_release_is_taken_and_the_newest_named(server: IndexServer, tmp_path: Path) -> None:
    files = [*release("demo", "1.0", BAD), *release("demo", "1.1", BAD), *release("demo", "1.2", None)]
    files += [*release("demo", "1.3", GOOD), *release("demo", "1.4", GOOD)]
    server.add_project("demo", files)
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    answer = plan(server, tmp_path)
    way = answer.way("demo")
    assert answer.code == 0 and answer.changes == {"demo": ("1.0", "1.3")}
    assert (way["first_good"], way["newest_good"], way["fallback"], way["solved"]) == ("1.3", "1.4", "1.2", True)
    assert "1.2 falls back to pure Python" in way["sentence"]
    (proof,) = answer.document["proofs"]
    assert proof["status"] == "resolved" and proof["resolved"] == {"demo": "1.3"}
    assert [(row["name"], row["verdict"]) for row in proof["checked"]] == [("demo", "ready")]
    assert any("--static" in limit for limit in proof["not_proven"])


def test_a_good_release_before_a_newest_one_that_is_bad_again_is_found(server: IndexServer, tmp_path: Path) -> None:
    cases = {"1.0": BAD, "1.1": BAD, "1.2": GOOD, "1.3": BAD}
    server.add_project("demo", [file for version, case in cases.items() for file in release("demo", version, case)])
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    answer = plan(server, tmp_path)
    assert answer.code == 0 and answer.changes == {"demo": ("1.0", "1.2")}
    assert (answer.way("demo")["newest_good"], answer.way("demo")["newest"]) == ("1.2", "1.3")


def test_beyond_a_long_bad_stretch_the_first_good_release_is_found_and_what_was_not_read_is_said(
    server: IndexServer, tmp_path: Path
) -> None:
    cases = {f"1.{minor}": BAD if minor < 14 else GOOD for minor in range(18)}
    server.add_project("demo", [file for version, case in cases.items() for file in release("demo", version, case)])
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    answer = plan(server, tmp_path)
    assert answer.changes == {"demo": ("1.0", "1.14")}
    fates = {row["version"]: row["fate"] for row in answer.way("demo")["passed_over"]}
    assert fates["1.8"] == fates["1.13"] == "reenables-gil" and fates["1.9"] == "not-looked-into"


def test_where_only_a_pure_release_is_left_it_is_taken_and_called_slower(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", [*release("demo", "1.0", BAD), *release("demo", "1.1", None)])
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    answer = plan(server, tmp_path)
    assert answer.code == 0 and answer.changes == {"demo": ("1.0", "1.1")}
    assert answer.way("demo")["kind"] == "fallback" and "slower" in answer.document["changes"][0]["reason"]


def test_another_pin_moves_the_nearest_version_on(server: IndexServer, tmp_path: Path) -> None:
    files = [file for version in ("1.2", "1.3", "1.4", "1.5") for file in release("demo", version, GOOD)]
    server.add_project("demo", [*release("demo", "1.0", BAD), *files])
    server.add_project("app", [wheel("app", "1.0", requires=["demo!=1.2,!=1.3"])])
    (tmp_path / "r.txt").write_text("app==1.0\ndemo==1.0\n")
    answer = plan(server, tmp_path)
    assert answer.code == 0 and answer.changes == {"demo": ("1.0", "1.4")}


def test_the_fewest_other_pins_move_and_to_the_nearest_version(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", [*release("demo", "1.0", BAD), *release("demo", "2.0", GOOD)])
    bounds = {"1.0": "<2", "1.1": "<2", "1.2": "<3", "1.3": "<3"}
    server.add_project("app", [wheel("app", version, requires=[f"demo{said}"]) for version, said in bounds.items()])
    server.add_project("lib", [wheel("lib", version, requires=["demo"]) for version in ("1.0", "2.0")])
    (tmp_path / "r.txt").write_text("app==1.0\nlib==1.0\ndemo==1.0\n")
    answer = plan(server, tmp_path)
    assert answer.code == 0 and answer.changes == {"app": ("1.0", "1.2"), "demo": ("1.0", "2.0")}
    first = answer.document["changes"][0]
    assert first["name"] == "app" and first["needed_by"] == ["demo"] and first["removes"] == []


def test_what_the_others_exclude_is_given_up_with_uvs_reason_and_the_rest_is_done(
    server: IndexServer, tmp_path: Path
) -> None:
    for name in ("demo", "free"):
        server.add_project(name, [*release(name, "1.0", BAD), *release(name, "2.0", GOOD)])
    server.add_project("app", [wheel("app", "1.0", requires=["demo<2"])])
    (tmp_path / "r.txt").write_text("app==1.0\ndemo==1.0\nfree==1.0\n")
    answer = plan(server, tmp_path)
    assert answer.code == 1 and answer.changes == {"free": ("1.0", "2.0")}
    way = answer.way("demo")
    assert way["solved"] is False and "is compatible with the rest" in way["sentence"] and "demo<2" in way["sentence"]
    assert way["passed_over"][-1]["fate"] == "excluded"


def test_where_good_releases_are_excluded_a_slower_one_that_fits_is_taken(server: IndexServer, tmp_path: Path) -> None:
    files = [*release("demo", "1.0", BAD), *release("demo", "1.1", None), *release("demo", "2.0", GOOD)]
    server.add_project("demo", files)
    server.add_project("app", [wheel("app", "1.0", requires=["demo<2"])])
    (tmp_path / "r.txt").write_text("app==1.0\ndemo==1.0\n")
    answer = plan(server, tmp_path)
    assert answer.code == 0 and answer.changes == {"demo": ("1.0", "1.1")}
    assert answer.way("demo")["kind"] == "fallback"


def test_what_is_given_by_url_stays_and_is_not_promised(server: IndexServer, tmp_path: Path) -> None:
    old = release("demo", "1.0", BAD)
    server.add_project("demo", [*old, *release("demo", "2.0", GOOD)])
    line = f"demo @ {server.file_url(old[1].filename)}\n"
    (tmp_path / "r.txt").write_text(line)
    answer = plan(server, tmp_path, "--write")
    assert answer.code == 1 and answer.changes == {} and answer.document["still_blocked"] == ["demo"]
    assert "specify a version" in answer.way("demo")["sentence"] and (tmp_path / "r.txt").read_text() == line


def test_requirements_that_exclude_each_other_today_prove_nothing(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", [*release("demo", "1.0", BAD), *release("demo", "2.0", GOOD)])
    server.add_project("app", [wheel("app", "1.0", requires=["lib<2"])])
    server.add_project("lib", [wheel("lib", "2.0")])
    (tmp_path / "r.txt").write_text("app==1.0\nlib==2.0\ndemo==1.0\n")
    answer = plan(server, tmp_path)
    (proof,) = answer.document["proofs"]
    assert answer.code == 3 and proof["status"] == "unresolved" and "lib" in proof["reason"]
    assert answer.changes == {"demo": ("1.0", "2.0")}


def test_a_change_that_brings_a_new_blocker_is_not_proposed(server: IndexServer, tmp_path: Path) -> None:
    files = [*release("demo", "1.0", BAD), *release("demo", "1.1", GOOD, requires=["extra"])]
    server.add_project("demo", [*files, *release("demo", "1.2", GOOD)])
    server.add_project("extra", release("extra", "1.0", BAD))
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    answer = plan(server, tmp_path)
    assert answer.code == 0 and answer.changes == {"demo": ("1.0", "1.2")}
    (over,) = answer.way("demo")["passed_over"]
    assert over["version"] == "1.1" and over["fate"] == "blocked-on-import" and "extra 1.0" in over["reason"]


def test_a_version_must_do_on_every_platform_asked_for(server: IndexServer, tmp_path: Path) -> None:
    files = [*release("demo", "1.0", BAD), *release("demo", "1.0", BAD, platform=OTHER)]
    files += [*release("demo", "1.1", GOOD), *release("demo", "1.1", BAD, platform=OTHER)]
    files += [*release("demo", "1.2", GOOD), *release("demo", "1.2", GOOD, platform=OTHER)]
    server.add_project("demo", files)
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    answer = plan(server, tmp_path, platforms=(PLATFORM, OTHER))
    assert answer.code == 0 and answer.changes == {"demo": ("1.0", "1.2")}
    assert {way["platform"]: way["first_good"] for way in answer.document["ways"]} == {PLATFORM: "1.1", OTHER: "1.2"}


def test_a_platform_without_any_good_release_does_not_keep_the_others_from_theirs(
    server: IndexServer, tmp_path: Path
) -> None:
    files = [*release("demo", "1.0", BAD), *release("demo", "1.0", BAD, platform=OTHER)]
    files += [*release("demo", "1.1", GOOD), *release("demo", "1.1", BAD, platform=OTHER)]
    server.add_project("demo", files)
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    answer = plan(server, tmp_path, platforms=(PLATFORM, OTHER))
    assert answer.code == 1 and answer.changes == {"demo": ("1.0", "1.1")}
    assert {way["platform"]: way["solved"] for way in answer.document["ways"]} == {PLATFORM: True, OTHER: False}


def test_what_something_else_pulls_in_gets_a_line_of_its_own(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("child", [*release("child", "1.0", BAD), *release("child", "2.0", GOOD)])
    server.add_project(
        "parent", [wheel("parent", "1.0", requires=["child<2"]), wheel("parent", "1.1", requires=["child"])]
    )
    (tmp_path / "r.txt").write_text("parent==1.0\n")
    answer = plan(server, tmp_path, "--write")
    assert answer.code == 0 and answer.changes == {"parent": ("1.0", "1.1"), "child": ("1.0", "2.0")}
    assert answer.document["changes"][-1]["kind"] == "constraint"
    assert (tmp_path / "r.txt").read_text() == "parent==1.1\nchild==2.0  # parent needs it\n"


def test_written_files_keep_what_the_promise_says_and_everything_else(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", [*release("demo", "1.0", BAD), *release("demo", "2.0", GOOD)])
    server.add_project("lib", [wheel("lib", "1.0")])
    (tmp_path / "base.txt").write_bytes(b"# base\r\nDemo == 1.0 ; python_version > '3.9'  # the old one\r\n")
    (tmp_path / "r.txt").write_text("lib==1.0\n-r base.txt\ndemo==0.9 ; python_version < '3'\n")
    before = (tmp_path / "r.txt").read_text()
    shutil.copytree(tmp_path, tmp_path / "copy", ignore=shutil.ignore_patterns(".*"))
    ran = ftaudit("plan", *base(server), "--diff", "--output", "../plan.diff", "r.txt", cwd=tmp_path / "copy")
    assert ran.returncode == 0 and (tmp_path / "copy" / "base.txt").read_bytes().count(b"1.0") == 1
    if shutil.which("patch"):
        subprocess.run(["patch", "-p0", "--binary", "-i", "../plan.diff"], cwd=tmp_path / "copy", check=True)
    assert plan(server, tmp_path, "--write").code == 0
    assert (tmp_path / "base.txt").read_bytes() == (
        b"# base\r\nDemo == 2.0 ; python_version > '3.9'  # the old one\r\n"
    )
    if shutil.which("patch"):
        assert (tmp_path / "copy" / "base.txt").read_bytes() == (tmp_path / "base.txt").read_bytes()
    assert (tmp_path / "r.txt").read_text() == before
    assert check(*base(server), "r.txt", cwd=tmp_path).code == 0


def test_a_line_that_changed_while_the_plan_was_made_is_an_error(
    server: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / ".uv-cache"))
    server.add_project("demo", [*release("demo", "1.0", BAD), *release("demo", "2.0", GOOD)])
    path = tmp_path / "r.txt"
    path.write_text("demo==1.0\n")
    cache = tmp_path / ".ftaudit-cache"
    settings = Settings(static=True, platforms=(PLATFORM,), index_url=server.simple_url, cache_dir=cache)
    with open_session([str(path)], settings) as session:
        made = make_plan(engine.audit_inputs(session), session)
        assert [edit.new for edit in find_edits(made, session)] == [b"demo==2.0\n"]
        for text in ("demo==1.1\n", "# another line\ndemo==1.0\n", "other==1.0\n"):
            path.write_text(text)
            with pytest.raises(InputError, match="changed while the plan was made"):
                find_edits(made, session)


def test_hashes_are_replaced_by_those_of_the_new_release(server: IndexServer, tmp_path: Path) -> None:
    old, new = release("demo", "1.0", BAD), release("demo", "2.0", GOOD)
    server.add_project("demo", [*old, *new])
    lines = [f"    --hash=sha256:{file.digest}" for file in old]
    (tmp_path / "r.txt").write_text("demo==1.0 \\\n" + " \\\n".join(lines) + "\n")
    assert plan(server, tmp_path, "--write").code == 0
    text = (tmp_path / "r.txt").read_text()
    assert all(file.digest in text for file in new) and not any(file.digest in text for file in old)
    assert check(*base(server), "r.txt", cwd=tmp_path).code == 0


def test_what_an_editor_must_know_besides_is_noted(server: IndexServer, tmp_path: Path) -> None:
    old, new = release("demo", "1.0", BAD), release("demo", "2.0", GOOD, requires=["extra"])
    server.add_project("demo", [*old, *new])
    server.add_project("extra", [wheel("extra", "3.0")])
    head = "#\n# This file was autogenerated by uv via the following command:\n#    uv pip compile r.in -o r.txt\n#\n"
    (tmp_path / "r.txt").write_text(f"{head}demo==1.0 --hash=sha256:{old[0].digest} --hash=sha256:{old[1].digest}\n")
    answer = plan(server, tmp_path)
    assert answer.code == 0 and answer.changes == {"demo": ("1.0", "2.0")}
    notes = " ".join(answer.document["notes"])
    assert "`uv pip compile r.in -o r.txt`" in notes and "extra==3.0 is new" in notes


def test_a_projects_range_begins_at_the_nearest_good_version(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", [*release("demo", "1.0", BAD), *release("demo", "2.0", GOOD)])
    project = '[project]\nname = "me"\nversion = "1"\ndependencies = [\n  "demo>=1,<2",  # why\n]\n'
    (tmp_path / "pyproject.toml").write_text(project)
    answer = plan(server, tmp_path, "--write", source="pyproject.toml")
    assert answer.code == 0 and answer.changes == {"demo": ("1.0", "2.0")}
    assert (tmp_path / "pyproject.toml").read_text() == project.replace("demo>=1,<2", "demo>=2.0")
    assert check(*base(server), "pyproject.toml", cwd=tmp_path).code == 0


def test_of_a_range_uv_may_take_a_later_version_but_none_that_is_bad(server: IndexServer, tmp_path: Path) -> None:
    cases = {"1.0": BAD, "2.0": GOOD, "2.1": GOOD, "2.2": BAD, "3.0rc1": GOOD}
    server.add_project("demo", [file for version, case in cases.items() for file in release("demo", version, case)])
    (tmp_path / "r.in").write_text("demo<2\n")
    answer = plan(server, tmp_path, "--write", source="r.in")
    assert answer.code == 0 and answer.changes == {"demo": ("1.0", "2.1")}
    assert "2.0 is the nearest" in answer.document["changes"][0]["reason"]
    assert (tmp_path / "r.in").read_text() == "demo>=2.0,!=2.2\n"
    assert check(*base(server), "r.in", cwd=tmp_path).code == 0


def test_a_lock_file_is_not_written_but_its_tools_command_is_said(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", [*release("demo", "1.0", BAD), *release("demo", "2.0", GOOD)])
    files = "".join(
        f'[[packages.wheels]]\nname = "{file.filename}"\nurl = "{server.file_url(file.filename)}"\n'
        f'hashes = {{sha256 = "{file.digest}"}}\n'
        for file in release("demo", "1.0", BAD)
    )
    (tmp_path / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "test"\n[[packages]]\nname = "demo"\nversion = "1.0"\n' + files
    )
    answer = plan(server, tmp_path, source="pylock.toml")
    assert answer.code == 0 and answer.document["changes"][0]["kind"] == "lock"
    assert answer.document["lock_commands"] == ["lock pylock.toml again with demo==2.0"]
    ran = ftaudit("plan", *base(server), "--write", "pylock.toml", cwd=tmp_path)
    assert ran.returncode == 2 and "demo==2.0" in ran.stderr


def test_looking_and_writing_at_once_is_refused(tmp_path: Path) -> None:
    ran = ftaudit("plan", "--diff", "--write", "r.txt", cwd=tmp_path)
    assert ran.returncode == 2 and "--write" in ran.stderr


def test_every_form_says_the_answer(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", [*release("demo", "1.0", BAD), *release("demo", "2.0", GOOD)])
    server.add_project("stuck", release("stuck", "1.0", BAD))
    (tmp_path / "r.txt").write_text("demo==1.0\nstuck==1.0\n")
    for form in ("table", "markdown"):
        ran = ftaudit("plan", *base(server), "--format", form, "r.txt", cwd=tmp_path)
        text = " ".join(ran.stdout.split())
        assert ran.returncode == 1 and "1 version change removes 1 of 2 blockers" in text
        assert "2.0" in text and "stuck" in text and "1.0 is the newest release" in text


def lock(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `uv lock` as the project's owner does."""
    return shell(shlex.join(["uv", "lock", *arguments]), folder)


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line that a plan gave."""
    program, *words = shlex.split(command)
    programs = {"ftaudit": [sys.executable, "-m", "ftaudit"], "uv": [find_uv_bin()]}
    return subprocess.run(
        [*programs[program], *words], cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )


PROJECT = """\
[project]
name = "me"
version = "1"
requires-python = ">=3.10"
dependencies = ["needy==1.0", {main}]
[project.optional-dependencies]
fast = [{extra}]
[dependency-groups]
dev = [{group}]
[[tool.uv.index]]
url = "{url}"
default = true
"""


@pytest.mark.parametrize("part", ["main", "extra", "group"])
def test_the_commands_for_a_lock_file_work_where_its_project_excludes_the_version(
    server: IndexServer, tmp_path: Path, part: str
) -> None:
    server.add_project("demo", [*release("demo", "1.0", BAD), *release("demo", "2.0", GOOD)])
    server.add_project("needy", release("needy", "1.0", GOOD, requires=["other"]))
    server.add_project("other", release("other", "1.0", BAD))
    parts = {"main": "", "extra": "", "group": "", part: '"demo==1.0"'}
    (tmp_path / "pyproject.toml").write_text(PROJECT.format(url=server.simple_url, **parts))
    assert lock(tmp_path).returncode == 0
    server.add_project("other", [*release("other", "1.0", BAD), *release("other", "2.0", GOOD)])
    chosen = {"main": [], "extra": ["--extra", "fast"], "group": ["--group", "dev"]}[part]
    answer = plan(server, tmp_path, *chosen, source="uv.lock")
    assert answer.code == 0 and answer.changes == {"demo": ("1.0", "2.0"), "other": ("1.0", "2.0")}
    commands = answer.document["lock_commands"]
    assert len(commands) == 2 and commands[0].startswith("ftaudit plan --write pyproject.toml")
    assert commands[1] == "uv lock --upgrade-package demo --upgrade-package other==2.0"
    reason = next(row["reason"] for row in answer.document["changes"] if row["name"] == "demo")
    assert "demo==1.0" in reason and "pyproject.toml excludes it and must change first" in reason
    refused = ftaudit("plan", *base(server), *chosen, "--write", "uv.lock", cwd=tmp_path)
    assert refused.returncode == 2 and commands[0] in refused.stderr and commands[1] in refused.stderr
    for command in commands:
        ran = shell(command, tmp_path)
        assert ran.returncode == 0, ran.stderr
    assert "demo==2.0" in (tmp_path / "pyproject.toml").read_text()
    assert check(*base(server), *chosen, "uv.lock", cwd=tmp_path).code == 0


def test_a_project_that_admits_the_version_is_left_alone(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", release("demo", "1.0", BAD))
    server.add_project("needy", release("needy", "1.0", GOOD))
    folder = tmp_path / "sub"
    folder.mkdir()
    text = PROJECT.format(url=server.simple_url, main='"demo>=1"', extra="", group="")
    (folder / "pyproject.toml").write_text(text)
    assert lock(tmp_path, "--project", "sub").returncode == 0
    server.add_project("demo", [*release("demo", "1.0", BAD), *release("demo", "2.0", GOOD)])
    answer = plan(server, tmp_path, source="sub/uv.lock")
    assert answer.document["lock_commands"] == ["uv lock --project sub --upgrade-package demo==2.0"]
    assert shell(answer.document["lock_commands"][0], tmp_path).returncode == 0
    assert (
        check(*base(server), "sub/uv.lock", cwd=tmp_path).code == 0 and (folder / "pyproject.toml").read_text() == text
    )


POETRY = """\
[[package]]
name = "demo"
version = "1.0"
optional = false
python-versions = "*"
files = []
[metadata]
lock-version = "2.0"
python-versions = "*"
content-hash = "0"
"""


@pytest.mark.parametrize(
    ("manifest", "commands"),
    [
        ('dependencies = { demo = "*" }', ["poetry add --lock 'demo>=2.0'"]),
        ('dependencies = { demo = "1.0" }', ["poetry add --lock 'demo>=2.0'"]),
        ('group.dev.dependencies = { demo = "^1.0" }', ["poetry add --lock --group dev 'demo>=2.0'"]),
        (
            'dependencies = { demo = "1.0" }\ngroup.dev.dependencies = { demo = "1.0" }',
            [
                "change demo==1.0 in pyproject.toml so that it admits 2.0",
                "change demo==1.0 of the group dev in pyproject.toml so that it admits 2.0",
                "poetry lock",
            ],
        ),
    ],
)
def test_poetry_is_told_in_which_group_the_requirement_stands(
    server: IndexServer, tmp_path: Path, manifest: str, commands: list[str]
) -> None:
    server.add_project("demo", [*release("demo", "1.0", BAD), *release("demo", "2.0", GOOD)])
    (tmp_path / "poetry.lock").write_text(POETRY)
    (tmp_path / "pyproject.toml").write_text(f'[tool.poetry]\nname = "me"\nversion = "1"\n{manifest}\n')
    chosen = ["--group", "dev"] if "group" in manifest else []
    answer = plan(server, tmp_path, *chosen, source="poetry.lock")
    assert answer.document["lock_commands"] == commands


@pytest.mark.parametrize(("section", "option"), [("packages", ""), ("dev-packages", " --dev")])
def test_pipenv_is_told_in_which_section_the_requirement_stands(
    server: IndexServer, tmp_path: Path, section: str, option: str
) -> None:
    server.add_project("demo", [*release("demo", "1.0", BAD), *release("demo", "2.0", GOOD)])
    locked = {"_meta": {"pipfile-spec": 6, "sources": [{"name": "main", "url": server.simple_url}]}}
    named = {"packages": "default", "dev-packages": "develop"}[section]
    sections = {"default": {}, "develop": {}, named: {"demo": {"version": "==1.0"}}}
    (tmp_path / "Pipfile.lock").write_text(json.dumps(locked | sections))
    (tmp_path / "Pipfile").write_text(f'[{section}]\ndemo = "==1.0"\n')
    answer = plan(server, tmp_path, "--group", "dev", source="Pipfile.lock")
    assert answer.document["lock_commands"] == [f"pipenv upgrade{option} demo==2.0"]


def test_a_plan_that_is_written_does_not_say_to_write_it(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", [*release("demo", "1.0", BAD), *release("demo", "2.0", GOOD)])
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    assert "--write applies them" in ftaudit("plan", *base(server), "r.txt", cwd=tmp_path).stdout
    written = ftaudit("plan", *base(server), "--write", "r.txt", cwd=tmp_path)
    assert "--write" not in written.stdout and "the edits are written; run `ftaudit check`" in written.stdout


def test_a_release_that_could_not_be_determined_may_not_block(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", [*release("demo", "1.0", BAD), *release("demo", "2.0", UNSURE)])
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    answer = plan(server, tmp_path)
    assert answer.code == 3 and answer.document["unknown"] == ["demo"]
    reason = answer.document["changes"][0]["reason"]
    assert reason == "the nearest release that may not block; ftaudit could not determine whether it blocks"
