"""The versions that an installer takes, although uv, which must not build, takes older ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import Answer, check
from support.distributions import sdist, trapped_sdist, wheel
from support.index_server import IndexServer, Reply

PLATFORM = "manylinux_2_17_x86_64"
MAC = "cp314-cp314t-macosx_11_0_arm64"
SETUP = "from setuptools import setup\nsetup(name='x', install_requires=['needed'])\n"
PKG_INFO = "Metadata-Version: 2.2\nName: x\nVersion: 1\nRequires-Dist: needed\n"
EXTENSION = "from setuptools import setup, Extension\nsetup(ext_modules=[Extension('x', ['x.c'])])\n"

SOURCES = {"PKG-INFO": PKG_INFO, "setup.py": EXTENSION, "x.c": ""}


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


def judge(server: IndexServer, folder: Path, text: str) -> Answer:
    (folder / "r.txt").write_text(text)
    arguments = ("--static", "--platform", PLATFORM, "--index-url", server.simple_url, "r.txt")
    return check(*arguments, cwd=folder)


def versions(answer: Answer) -> dict[str, str]:
    return {name: str(row["version"]) for name, row in answer.rows.items()}


@pytest.mark.parametrize(
    "files",
    [
        {"setup.py": SETUP},
        {"PKG-INFO": PKG_INFO, "setup.py": EXTENSION, "x.c": ""},
        {"setup.cfg": "[options]\ninstall_requires =\n    needed\n"},
        {"pyproject.toml": "[project]\nname='rt'\nversion='4.9.3'\ndependencies=['needed']\n"},
        {"setup.py": "setup(**computed())\n", "rt.egg-info/requires.txt": "needed\n"},
    ],
)
def test_a_version_whose_dependency_has_only_an_sdist_is_taken(
    server: IndexServer, tmp_path: Path, files: dict[str, str]
) -> None:
    server.add_project("app", [wheel("app", "0.11"), wheel("app", "1.3", requires=["rt==4.9.*"])])
    server.add_project("rt", [sdist("rt", "4.9.3", files), wheel("rt", "4.13")])
    server.add_project("needed", [wheel("needed", "1")])
    answer = judge(server, tmp_path, "app\n")
    assert versions(answer) == {"app": "1.3", "rt": "4.9.3", "needed": "1"}
    assert answer.verdicts["rt"] == ("source-only" if "x.c" in files else "pure")
    assert not answer.document["incomplete"]


def test_a_version_that_has_only_an_sdist_is_taken(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("score", [wheel("score", "0.0.4"), sdist("score", "0.1.2", {"setup.py": SETUP})])
    server.add_project("needed", [wheel("needed", "1"), wheel("needed", "2", tag=MAC)])
    answer = judge(server, tmp_path, "score\n")
    assert versions(answer) == {"score": "0.1.2", "needed": "1"}


@pytest.mark.parametrize("asked", ["fiona\n", "app\n"])
def test_an_old_version_with_a_wheel_for_another_python_is_not_taken_instead_of_a_newer_sdist(
    server: IndexServer, tmp_path: Path, asked: str
) -> None:
    old = wheel("fiona", "1.7.0.post1", tag=f"cp36-cp36m-{PLATFORM}")
    server.add_project("fiona", [sdist("fiona", "1.7", {"setup.py": SETUP}), old, sdist("fiona", "1.10.1", SOURCES)])
    server.add_project("app", [wheel("app", "1", requires=["fiona>=1"])])
    server.add_project("needed", [wheel("needed", "1")])
    answer = judge(server, tmp_path, asked)
    found = versions(answer)
    assert (found["fiona"], found["needed"]) == ("1.10.1", "1")
    assert answer.verdicts["fiona"] == "source-only"


def test_an_older_version_of_what_needs_it_is_no_way_around_a_missing_wheel(
    server: IndexServer, tmp_path: Path
) -> None:
    # `app 1` does not need `proxy`: uv would go back to it rather than fail.
    server.add_project("app", [wheel("app", "1"), wheel("app", "2", requires=["proxy"])])
    server.add_project("proxy", [wheel("proxy", "1"), wheel("proxy", "2", requires=["rt>=1"])])
    server.add_project("rt", [sdist("rt", "1", {"PKG-INFO": PKG_INFO, "setup.py": SETUP})])
    server.add_project("needed", [wheel("needed", "1")])
    answer = judge(server, tmp_path, "app\n")
    assert versions(answer) == {"app": "2", "proxy": "2", "rt": "1", "needed": "1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--only-binary :all:\nscore\n", {"score": "0.0.4"}),
        ("--only-binary score\nscore>0\n", {"score": "0.0.4"}),
        ("--only-binary :all:\n--no-binary score\nscore\n", {"score": "0.1.2", "needed": "1"}),
        ("--only-binary needed\nuser\n", {"user": "2", "needed": "1"}),
        ("--only-binary score\nuser\n", {"user": "1"}),
    ],
)
def test_where_the_input_allows_only_wheels_the_version_with_one_is_taken(
    server: IndexServer, tmp_path: Path, text: str, expected: dict[str, str]
) -> None:
    server.add_project("score", [wheel("score", "0.0.4"), sdist("score", "0.1.2", {"setup.py": SETUP})])
    server.add_project("needed", [wheel("needed", "1")])
    user = "score>=0.1" if "only-binary score" in text else "needed"
    server.add_project("user", [wheel("user", "1"), wheel("user", "2", requires=[user])])
    assert versions(judge(server, tmp_path, text)) == expected


@pytest.mark.parametrize("asked", ["binary\n", "binary>0.5\nneeded\n", "app\n"])
@pytest.mark.parametrize("tag", [MAC, "cp313-cp313-manylinux_2_17_x86_64", "cp314-cp314t-manylinux_2_39_x86_64"])
def test_a_package_without_any_sdist_is_taken_in_its_newest_version_with_a_usable_wheel(
    server: IndexServer, tmp_path: Path, asked: str, tag: str
) -> None:
    # The newest `needed` excludes `binary 1`, so that uv's proof gives two reasons at once.
    server.add_project("binary", [wheel("binary", "1", requires=["needed<2"]), wheel("binary", "2", tag=tag)])
    server.add_project("app", [wheel("app", "1", requires=["binary"])])
    server.add_project("needed", [wheel("needed", "1"), wheel("needed", "2")])
    found = versions(judge(server, tmp_path, asked))
    assert (found["binary"], found["needed"]) == ("1", "1")


def test_what_only_an_older_version_needs_does_not_keep_it(server: IndexServer, tmp_path: Path) -> None:
    # `bump 1` admits the newest `table`, which excludes `bump 2`.
    server.add_project("bump", [wheel("bump", "1", requires=["old"]), wheel("bump", "2", requires=["new"])])
    server.add_project("old", [wheel("old", "1", requires=["table"])])
    server.add_project("new", [wheel("new", "1", requires=["table<2", "rt"])])
    server.add_project("table", [wheel("table", "1"), wheel("table", "2")])
    server.add_project("rt", [sdist("rt", "1", {"setup.py": SETUP})])
    server.add_project("needed", [wheel("needed", "1")])
    found = versions(judge(server, tmp_path, "bump\n"))
    assert found == {"bump": "2", "new": "1", "table": "1", "rt": "1", "needed": "1"}


@pytest.mark.parametrize("asked", ["fast\n", "app\n"])
def test_a_version_whose_only_wheels_are_for_the_free_threaded_build_is_taken(
    server: IndexServer, tmp_path: Path, asked: str
) -> None:
    free_threaded = wheel("fast", "2", tag=f"cp314-cp314t-{PLATFORM}", requires=["needed"])
    server.add_project("fast", [wheel("fast", "1", tag=f"cp314-cp314-{PLATFORM}"), free_threaded])
    server.add_project("app", [wheel("app", "1", requires=["fast"])])
    server.add_project("needed", [wheel("needed", "1")])
    found = versions(judge(server, tmp_path, asked))
    assert (found["fast"], found["needed"]) == ("2", "1")


@pytest.mark.parametrize(("platform", "expected"), [("macos-arm64", "2"), ("macosx_13_0_arm64", "1")])
def test_the_system_version_of_the_platform_decides(
    server: IndexServer, tmp_path: Path, platform: str, expected: str
) -> None:
    newer = "cp314-cp314-macosx_14_0_arm64"
    server.add_project("binary", [wheel("binary", "1"), wheel("binary", "2", tag=newer)])
    (tmp_path / "r.txt").write_text("binary\n")
    arguments = ("--static", "--platform", platform, "--index-url", server.simple_url, "r.txt")
    assert versions(check(*arguments, cwd=tmp_path)) == {"binary": expected}


def test_a_pin_that_does_not_exist_leaves_the_others_their_versions(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("app", [wheel("app", "1"), wheel("app", "2", requires=["base<5"])])
    server.add_project("base", [wheel("base", "1")])
    answer = judge(server, tmp_path, "app\nbase==9\n")
    assert versions(answer) == {"app": "2", "base": "9"}
    assert answer.verdicts == {"app": "pure", "base": "unknown"}


def test_nothing_is_built_to_find_out_and_what_is_not_known_is_said(server: IndexServer, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    server.add_project("app", [wheel("app", "1"), wheel("app", "2", requires=["trap"])])
    server.add_project("trap", [trapped_sdist("trap", "1", canary)])
    answer = judge(server, tmp_path, "app\n")
    assert versions(answer) == {"app": "2", "trap": "1"}
    assert not canary.exists()


def test_an_older_version_that_others_ask_for_is_the_right_one(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("app", [wheel("app", "2", requires=["base<2", "rt"])])
    server.add_project("base", [wheel("base", "1"), wheel("base", "2")])
    server.add_project("rt", [wheel("rt", "1"), sdist("rt", "2", {"PKG-INFO": PKG_INFO, "setup.py": SETUP})])
    server.add_project("needed", [wheel("needed", "1")])
    answer = judge(server, tmp_path, "app\nneeded<5\n")
    assert versions(answer) == {"app": "2", "base": "1", "rt": "2", "needed": "1"}


def test_a_discarded_version_makes_nothing_unsure(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("app", [wheel("app", "1"), wheel("app", "2", requires=["gone>=3"])])
    server.add_project("gone", [wheel("gone", "1")])
    answer = judge(server, tmp_path, "app\n")
    assert versions(answer) == {"app": "1"}
    assert answer.code == 0


def test_one_file_out_of_reach_costs_its_own_needs_alone(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("app", [wheel("app", "1", requires=["needed"])])
    server.add_project("needed", [wheel("needed", "1")])
    answer = judge(server, tmp_path, "app\naway @ http://127.0.0.1:9/away-1.0-py3-none-any.whl\n")
    assert versions(answer) == {"app": "1", "needed": "1", "away": "1.0"}
    assert any("away" in told for told in answer.document["incomplete"])


def test_a_folder_of_links_that_is_not_there_costs_nothing(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", [wheel("demo", "1.0")])
    answer = judge(server, tmp_path, "--find-links ./nowhere\ndemo\n")
    assert (answer.verdicts, answer.code) == ({"demo": "pure"}, 0)
    assert any("nowhere does not exist" in note for note in answer.document["notes"])


def test_a_page_that_fails_costs_its_own_row_alone(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("app", [wheel("app", "1", requires=["needed", "broken"])])
    server.add_project("needed", [wheel("needed", "1")])
    server.always("/simple/broken/", Reply(status=500))
    answer = judge(server, tmp_path, "app\n")
    assert answer.verdicts == {"app": "pure", "needed": "pure", "broken": "unknown"}
    assert answer.code == 3
