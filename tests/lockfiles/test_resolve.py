from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version
from support.distributions import trapped_sdist, wheel
from support.index_server import IndexServer, Reply, ServedFile

from ftaudit.lockfiles import ResolveOptions, Selection, pins, read
from ftaudit.model import Pin
from ftaudit.target import PLATFORMS, parse_platform, parse_target

REQUIREMENTS = Path(__file__).parents[2] / "fixtures" / "requirements"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[IndexServer]:
    """An index with nothing on it yet, and an environment that names no other."""
    for name in (
        "UV_INDEX",
        "UV_EXTRA_INDEX_URL",
        "UV_INDEX_URL",
        "UV_DEFAULT_INDEX",
        "UV_FIND_LINKS",
        "PIP_FIND_LINKS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with IndexServer() as server:
        yield server


class Project:
    """A folder with a requirements file, resolved against the test's index."""

    def __init__(self, folder: Path, index: IndexServer) -> None:
        self.folder, self._index = folder, index
        self.options = ResolveOptions(index_urls=(index.simple_url,), cache_dir=folder / "cache", find_links=())

    def serve(self, *files: ServedFile) -> None:
        by_name: dict[str, list[ServedFile]] = {}
        for file in files:
            by_name.setdefault(file.filename.partition("-")[0].replace("_", "-"), []).append(file)
        for name, served in by_name.items():
            self._index.add_project(name, served)

    def resolve(
        self, text: str, platform: str = "linux-x86_64", name: str = "requirements.txt", **options: object
    ) -> Selection:
        path = self.folder / name
        path.write_text(text)
        settings = dataclasses.replace(self.options, **options)  # type: ignore[arg-type]
        return pins(read(path), parse_target("3.14t"), parse_platform(platform), settings)


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    return Project(tmp_path, index)


def by_name(selection: Selection) -> dict[str, Pin]:
    return {pin.name: pin for pin in selection.pins}


def versions(selection: Selection) -> dict[str, str]:
    return {pin.name: str(pin.version) for pin in selection.pins}


def test_an_unknown_package_is_a_row_and_loses_nothing_else(project: Project) -> None:
    project.serve(wheel("a", "1", requires=["b"]), wheel("b", "2"))
    found = by_name(project.resolve("nowhere\nnowhere-pinned==3\na==1\n"))
    assert "not found" in (found["nowhere"].problem or "")
    assert "not found" in (found["nowhere-pinned"].problem or "")
    assert str(found["nowhere-pinned"].version) == "3"
    assert (found["a"].problem, found["b"].problem) == (None, None)
    assert found["b"].required_by == (("a", "b"),)


def test_an_unknown_version_is_a_row_and_loses_nothing_else(project: Project) -> None:
    project.serve(wheel("a", "1"), wheel("b", "2"))
    found = by_name(project.resolve("a==9\nb\n"))
    assert "no version of a==9" in (found["a"].problem or "")
    assert str(found["b"].version) == "2"


def test_a_dependency_that_is_not_there_is_a_row_that_knows_who_wants_it(project: Project) -> None:
    project.serve(wheel("a", "1", requires=["gone", "b"]), wheel("b", "2"))
    found = by_name(project.resolve("a==1\n"))
    assert found["gone"].required_by == (("a", "gone"),)
    assert found["gone"].problem
    assert str(found["b"].version) == "2"


def test_an_sdist_is_never_built(project: Project, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    project.serve(
        trapped_sdist("pinned", "1", canary),
        trapped_sdist("loose", "1", canary),
        trapped_sdist("loose", "2", canary),
        trapped_sdist("inner", "3", canary),
        wheel("a", "1", requires=["inner>=2"]),
    )
    found = project.resolve("pinned==1\nloose\na\n")
    assert versions(found) == {"pinned": "1", "loose": "2", "inner": "3", "a": "1"}
    assert all(pin.problem is None for pin in found.pins)
    for name in ("pinned 1", "loose 2", "inner 3"):
        assert any(f"the dependencies of {name}: " in sentence for sentence in found.incomplete)
    assert not project.resolve("loose\n", no_deps=True).incomplete
    assert not canary.exists()


def test_what_is_known_of_a_version_without_wheel_is_followed(project: Project, tmp_path: Path) -> None:
    project.serve(
        trapped_sdist("a", "1", tmp_path / "canary"),
        trapped_sdist("loose", "4", tmp_path / "canary"),
        wheel("b", "2"),
        wheel("c", "3"),
        wheel("d", "5"),
    )
    known = {
        ("a", Version("1")): ("b", "c ; extra == 'more'", "evil @ git+https://code.example/x"),
        ("loose", Version("4")): ("d",),
    }
    found = project.resolve("a[more]==1\nloose\n", find_metadata=lambda name, version: known.get((name, version)))
    assert versions(found) == {"a": "1", "b": "2", "c": "3", "loose": "4", "d": "5"}
    assert by_name(found)["c"].required_by == (("a", "c"),)
    assert not found.incomplete


def test_a_pin_without_a_wheel_for_the_platform_is_kept(project: Project) -> None:
    project.serve(wheel("a", "1", tag="cp314-cp314-win_amd64", requires=["b"]), wheel("a", "0"), wheel("b", "2"))
    linux = project.resolve("a==1\n", "linux-x86_64")
    assert (versions(linux), bool(linux.incomplete)) == ({"a": "1"}, True)
    windows = project.resolve("a==1\n", "windows-amd64")
    assert (versions(windows), bool(windows.incomplete)) == ({"a": "1", "b": "2"}, False)


def test_a_version_that_the_target_is_too_new_for_is_kept(project: Project) -> None:
    old = dataclasses.replace(wheel("a", "1", tag="cp312-cp312-manylinux_2_17_x86_64"), requires_python="<3.13")
    project.serve(old, wheel("b", "1"))
    found = by_name(project.resolve("a==1\nb\n"))
    assert (str(found["a"].version), found["a"].problem, found["b"].problem) == ("1", None, None)


def test_pins_that_exclude_each_other_are_all_judged_as_given(project: Project) -> None:
    project.serve(wheel("a", "1", requires=["b<2", "c"]), wheel("b", "1"), wheel("b", "2"), wheel("c", "1"))
    found = project.resolve("a==1\nb==2\n")
    assert versions(found) == {"a": "1", "b": "2", "c": "1"}
    assert any("requirements conflict" in note for note in found.notes)


def test_two_pins_of_one_package_are_two_rows(project: Project) -> None:
    project.serve(wheel("a", "1"), wheel("a", "2"))
    found = project.resolve("a==1\na==2\n")
    assert [(str(pin.version), bool(pin.problem)) for pin in found.pins] == [("1", False), ("2", True)]


def test_loose_requirements_that_exclude_each_other_lose_one(project: Project) -> None:
    project.serve(wheel("a", "1", requires=["b<2"]), wheel("b", "1"), wheel("b", "2"), wheel("c", "1"))
    found = by_name(project.resolve("a\nb>=2\nc\n"))
    assert str(found["c"].version) == "1"
    assert sum(pin.problem is not None for pin in found.values()) == 1


JUNK = Reply(body=b"<<<", headers=(("Content-Type", "application/vnd.pypi.simple.v1+json"),))


@pytest.mark.parametrize("reply", [Reply(status=500), Reply(drops=True), JUNK], ids=["500", "drop", "junk"])
def test_a_page_that_fails_does_not_lose_the_rest(project: Project, index: IndexServer, reply: Reply) -> None:
    project.serve(wheel("a", "1"), wheel("b", "2", requires=["c"]), wheel("c", "3"))
    index.always("/simple/a/", reply)
    found = project.resolve("a==1\nb==2\n")
    assert versions(found) == {"a": "1", "b": "2", "c": "3"}
    assert "the dependencies of a 1: " in found.incomplete[0]


def test_an_index_that_does_not_answer_leaves_the_listed_pins_and_says_so(project: Project) -> None:
    found = project.resolve("a==1\nb>=2\n", index_urls=("http://127.0.0.1:9/simple/",))
    rows = by_name(found)
    assert rows["a"].problem is None
    assert "could not be resolved" in (rows["b"].problem or "")
    assert "the dependencies of a: " in found.incomplete[0]


def test_offline_and_without_a_cache_is_said(project: Project) -> None:
    found = project.resolve("a==1\nb==2\n", offline=True)
    assert versions(found) == {"a": "1", "b": "2"}
    assert found.incomplete == ("the dependencies of a, b: offline, and uv's cache does not have them",)
    assert by_name(found)["a"].problem is None


def test_offline_answers_from_the_cache(project: Project, index: IndexServer) -> None:
    project.serve(wheel("a", "1", requires=["b"]), wheel("b", "2"))
    online = project.resolve("a==1\n")
    index.forget()
    assert project.resolve("a==1\n", offline=True) == online
    assert not index.requests


def test_no_page_is_fetched_twice(project: Project, index: IndexServer) -> None:
    project.serve(wheel("a", "1", requires=["b"]), wheel("b", "2"))
    project.resolve("a==1\n")
    project.resolve("a==1\n")
    assert (index.count("/simple/a/"), index.count("/simple/b/")) == (1, 1)


def test_credentials_are_used_and_shown_nowhere(project: Project, index: IndexServer) -> None:
    index.require("user", "s3cret")
    project.serve(wheel("a", "1", requires=["gone"]))
    found = project.resolve("a\n", index_urls=(index.simple_url.replace("://", "://user:s3cret@"),))
    assert str(by_name(found)["a"].version) == "1"
    assert "s3cret" not in str(found)
    refused = project.resolve(
        "a\nb==1\n", index_urls=(index.simple_url.replace("://", "://user:wr0ng@"),), no_cache=True
    )
    assert "wr0ng" not in str(refused)
    assert all(pin.problem for pin in refused.pins)


def test_no_deps_asks_nobody_when_everything_is_pinned(project: Project, index: IndexServer) -> None:
    project.serve(wheel("a", "1", requires=["b"]))
    assert versions(project.resolve("a==1\n", no_deps=True)) == {"a": "1"}
    assert not index.requests
    assert versions(project.resolve("a\n", no_deps=True)) == {"a": "1"}


def test_extras_markers_and_constraints_are_obeyed(project: Project) -> None:
    project.serve(
        wheel("a", "1", requires=["b ; extra == 'x'", "w ; sys_platform == 'win32'"], extras=["x"]),
        wheel("b", "1"),
        wheel("b", "2"),
        wheel("w", "1"),
    )
    (project.folder / "limits.txt").write_text("b<2\n")
    text = "-c limits.txt\na[x]\nw2==1 ; sys_platform == 'win32'\n"
    found = project.resolve(text)
    assert versions(found) == {"a": "1", "b": "1"}
    assert by_name(found)["a"].extras == ("x",)
    assert versions(project.resolve("a\n", "windows-amd64")) == {"a": "1", "w": "1"}


@pytest.mark.parametrize(
    "platform",
    [*PLATFORMS, "manylinux_2_5_x86_64", "manylinux_2_24_x86_64", "manylinux_2_43_aarch64", "macosx_11_0_arm64"],
)
def test_every_platform_is_one_that_uv_resolves_for(project: Project, platform: str) -> None:
    project.serve(wheel("a", "1", requires=["b"]), wheel("b", "2"))
    assert versions(project.resolve("a==1\n", platform)) == {"a": "1", "b": "2"}


def test_chains_and_sources_are_kept(project: Project) -> None:
    project.serve(
        wheel("a", "1", requires=["b"]),
        wheel("b", "1", requires=["c"]),
        wheel("c", "1"),
        wheel("z", "1", requires=["c"]),
    )
    found = by_name(project.resolve("# roots\na\n\nz\n"))
    assert found["c"].required_by == (("z", "c"), ("a", "b", "c"))
    assert (found["c"].source and found["c"].source.line) == 4
    assert (found["b"].source and found["b"].source.line) == 2


def test_a_local_project_gives_its_static_dependencies(project: Project, index: IndexServer) -> None:
    project.serve(wheel("idna", "3.11"), wheel("msgpack", "1.1.2"))
    (project.folder / "tree").symlink_to(REQUIREMENTS / "tree")
    found = by_name(project.resolve("-e ./tree[fast]\n"))
    assert found["local-tree"].source_tree == str(REQUIREMENTS / "tree")
    assert found["local-tree"].problem is None
    assert found["idna"].required_by == (("local-tree", "idna"),)
    assert found["msgpack"].required_by == (("local-tree", "msgpack"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[project]\nname='tree'\ndynamic=['dependencies']\n", "dynamic"),
        ("[build-system]\nrequires=[]\n", None),
        ("not toml", "TOML"),
        (None, "no pyproject.toml"),
    ],
)
def test_what_a_local_project_hides_is_said(project: Project, text: str | None, said: str | None) -> None:
    (project.folder / "tree").mkdir()
    if text is not None:
        (project.folder / "tree" / "pyproject.toml").write_text(text)
    found = project.resolve("./tree\n")
    assert [pin.name for pin in found.pins] == ["tree"]
    assert any(said in sentence for sentence in found.incomplete) if said else not found.incomplete


def test_direct_files_folders_and_repositories_are_rows(project: Project, index: IndexServer) -> None:
    served = wheel("direct", "1.5", requires=["b"])
    url = index.add_file(served.filename, served.data)
    project.serve(wheel("b", "1"))
    (project.folder / "local-2.0-py3-none-any.whl").write_bytes(wheel("local", "2.0").data)
    text = (
        f"direct @ {url}\n./local-2.0-py3-none-any.whl\n./gone-1-py3-none-any.whl\nb2 @ git+https://u:s3cret@code.example/b2.git\n"
        "-e ./nowhere\nold @ https://files.example/old-3.0.tar.gz\n"
    )
    found = project.resolve(text)
    rows = by_name(found)
    assert rows["direct"].files is not None
    assert (rows["direct"].files[0].url, str(rows["direct"].version)) == (url, "1.5")
    assert rows["b"].required_by == (("direct", "b"),)
    assert (str(rows["local"].version), rows["local"].problem) == ("2.0", None)
    assert "does not exist" in (rows["gone"].problem or "")
    assert "does not build" in (rows["b2"].problem or "")
    assert "does not exist" in (rows["nowhere"].problem or "")
    assert str(rows["old"].version) == "3.0"
    assert any("old 3.0" in sentence for sentence in found.incomplete)
    assert "s3cret" not in str(found)


def test_a_project_with_dynamic_dependencies_has_a_row_for_them(project: Project) -> None:
    found = project.resolve("[project]\nname='x'\ndynamic=['dependencies']\n", name="pyproject.toml")
    assert [(pin.name, pin.version) for pin in found.pins] == [("x", None)]
    assert "dynamic" in (found.pins[0].problem or "")


def on_the_index(name: str) -> Selection:
    requirements = read(REQUIREMENTS / name)
    return pins(requirements, parse_target("3.14t"), parse_platform("linux-x86_64"), ResolveOptions())


@pytest.mark.network
def test_the_five_blocked_pins_are_all_found_with_what_they_need() -> None:
    found = pins(
        read(REQUIREMENTS / "blocked.txt"), parse_target("3.14t"), parse_platform("linux-x86_64"), ResolveOptions()
    )
    got = versions(found)
    wanted = {"numpy": "1.26.4", "sqlalchemy": "2.0.50", "lxml": "6.1.3", "polars": "2.1.0", "mysqlclient": "2.3.1"}
    assert {name: got.get(name) for name in wanted} == wanted
    assert by_name(found)["polars-runtime-32"].required_by == (("polars", "polars-runtime-32"),)
    assert all(pin.problem is None for pin in found.pins)


@pytest.mark.network
def test_what_bench50_pulls_in_is_found() -> None:
    found = pins(
        read(REQUIREMENTS / "bench50.txt"), parse_target("3.14t"), parse_platform("linux-x86_64"), ResolveOptions()
    )
    rows = by_name(found)
    assert rows["fonttools"].required_by == (("matplotlib", "fonttools"),)
    assert rows["psycopg-binary"].required_by == (("psycopg", "psycopg-binary"),)
    assert not found.incomplete
