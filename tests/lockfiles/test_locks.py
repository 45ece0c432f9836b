from __future__ import annotations

from pathlib import Path

import pytest

from ftaudit.errors import InputError, UsageError
from ftaudit.lockfiles import ResolveOptions, Selection, pins, read
from ftaudit.model import Pin
from ftaudit.target import parse_platform, parse_target

FIXTURES = Path(__file__).parents[2] / "fixtures" / "lockfiles"

UV = """
version = 1
requires-python = ">=3.12"

[[package]]
name = "me"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "a" }]

[[package]]
name = "a"
version = "1"
source = { registry = "https://index.example/simple" }
wheels = [{ url = "https://files.example/a-1-py3-none-any.whl", hash = "sha256:00", size = 3 }]
"""

PYLOCK = """
lock-version = "1.0"
created-by = "test"

[[packages]]
name = "a"
version = "1"
wheels = [{ url = "https://files.example/a-1-py3-none-any.whl", hashes = { sha256 = "00" } }]
"""


def select(
    path: Path, platform: str = "linux-x86_64", target: str = "3.14t", no_deps: bool = False, **kw: object
) -> Selection:
    found = read(path, **kw)  # type: ignore[arg-type]
    return pins(found, parse_target(target), parse_platform(platform), ResolveOptions(no_deps=no_deps))


def by_name(selection: Selection) -> dict[str, Pin]:
    return {pin.name: pin for pin in selection.pins}


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("version = 1\n", "version = 2\n", "version 2"),
        ("version = 1\n", "", "version is missing"),
        ("version = 1\n", "version = 'x'\n", "version is not a number"),
        ('name = "a"\nversion = "1"', 'name = "a"\nversion = "one"', r"package\[1\]\.version"),
        ('name = "a"\nversion', "name = 3\nversion", r"package\[1\]\.name"),
        ('name = "a"\nversion', "version", r"package\[1\]\.name is missing"),
        ("sha256:00", "sha256", r"package\[1\]\.wheels\[0\]\.hash"),
        ("size = 3", "size = 'x'", r"package\[1\]\.wheels\[0\]"),
        ("wheels = [{", "wheels = [3, {", r"package\[1\]\.wheels\[0\]"),
        ("wheels = [", "wheels = 3 # [", r"package\[1\]\.wheels"),
        ("registry =", "teapot =", r"package\[1\]\.source\.teapot"),
        ('">=3.12"', '"three"', "requires-python"),
        ('[{ name = "a" }]', "[{ name = 'a', marker = 'x ==' }]", "uv.lock:5"),
        ('[{ name = "a" }]', "[{ name = 'b' }]", "uv.lock:5: the package b"),
        ('[{ name = "a" }]', "[3]", r"package\[0\]\.dependencies\[0\]"),
        ("[[package]]", "[[packages]]", "locks no package"),
    ],
)
def test_a_malformed_uv_lock_is_an_error_that_names_the_place(tmp_path: Path, old: str, new: str, place: str) -> None:
    assert old in UV
    with pytest.raises(InputError, match=place):
        select(write(tmp_path, "uv.lock", UV.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('"1.0"', '"1.1"', "lock-version 1.1"),
        ('"1.0"', '"2.0"', "lock-version 2.0"),
        ('lock-version = "1.0"', "", "lock-version is missing"),
        ('"1.0"', '"x"', "lock-version"),
        ('{ sha256 = "00" }', "{ }", r"packages\[0\]\.wheels\[0\]\.hashes"),
        ('{ sha256 = "00" }', "{ sha256 = 1 }", r"packages\[0\]\.wheels\[0\]\.hashes"),
        ("a-1-py3-none-any.whl", "b-1-py3-none-any.whl", r"packages\[0\]\.wheels\[0\]"),
        ('version = "1"\nwheels', 'version = "1"\nmarker = "x =="\nwheels', r"packages\[0\]\.marker"),
        ('created-by = "test"', "", "created-by"),
        ("[[packages]]", "[[package]]", "packages"),
    ],
)
def test_a_malformed_pylock_is_an_error_that_names_the_place(tmp_path: Path, old: str, new: str, place: str) -> None:
    assert old in PYLOCK
    with pytest.raises(InputError, match=place):
        select(write(tmp_path, "pylock.toml", PYLOCK.replace(old, new)))


@pytest.mark.parametrize("name", ["uv.lock", "pylock.toml"])
def test_an_extra_or_group_that_does_not_exist_is_an_error(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, UV if name == "uv.lock" else PYLOCK)
    with pytest.raises(UsageError, match="no extra named 'nope'"):
        read(path, extras=["nope"])
    with pytest.raises(UsageError, match="no group named 'nope'"):
        read(path, groups=["nope"])


@pytest.mark.parametrize("name", ["uv.lock", "pylock.toml"])
def test_a_lock_for_another_python_is_not_whole(tmp_path: Path, name: str) -> None:
    text = UV.replace(">=3.12", "==3.12.*") if name == "uv.lock" else f"requires-python = '==3.12.*'\n{PYLOCK}"
    found = select(write(tmp_path, name, text))
    assert "locked for Python ==3.12.*" in found.incomplete[0]
    assert [pin.name for pin in found.pins] == ["a"]


@pytest.mark.parametrize("name", ["uv.lock", "pylock.toml"])
def test_a_lock_for_another_platform_is_not_whole(tmp_path: Path, name: str) -> None:
    key = "supported-markers" if name == "uv.lock" else "environments"
    text = f"{key} = [\"sys_platform == 'win32'\"]\n{UV if name == 'uv.lock' else PYLOCK}"
    assert select(write(tmp_path, name, text), "linux-x86_64").incomplete
    assert not select(write(tmp_path, name, text), "windows-amd64").incomplete


def test_uv_lock_gives_what_production_installs_with_chains_and_files() -> None:
    found = by_name(select(FIXTURES / "web-shop" / "uv.lock"))
    assert sorted(found) == [
        "blinker", "click", "flask", "itsdangerous", "jinja2", "markupsafe", "psycopg", "psycopg-binary", "werkzeug",
    ]  # fmt: skip
    assert found["markupsafe"].required_by == (("markupsafe",), ("flask", "markupsafe"))
    assert found["psycopg-binary"].required_by == (("psycopg", "psycopg-binary"),)
    assert found["psycopg"].extras == ("binary",)
    files = found["markupsafe"].files or ()
    assert any("cp314t-manylinux" in file.filename for file in files)
    assert all(file.url and file.url.startswith("https://files.example/") and file.sha256 for file in files)
    assert found["flask"].index_url == "https://index.example/simple"


@pytest.mark.parametrize(("name", "header"), [("uv.lock", "[[package]]"), ("pylock.toml", "[[packages]]")])
def test_every_package_stands_on_the_line_of_its_own_entry(name: str, header: str) -> None:
    path = FIXTURES / "web-shop" / name
    lines = path.read_text().splitlines()
    found = select(path).pins
    assert len(found) > 5
    for pin in found:
        assert pin.source is not None
        assert pin.source.line is not None
        assert lines[pin.source.line - 1 : pin.source.line + 1] == [header, f'name = "{pin.name}"']


def test_markers_are_those_of_the_platform_not_of_this_machine() -> None:
    windows = by_name(select(FIXTURES / "web-shop" / "uv.lock", "windows-amd64"))
    assert {"colorama", "tzdata"} <= set(windows)
    assert windows["tzdata"].required_by[0] == ("tzdata",)
    assert "colorama" not in by_name(select(FIXTURES / "web-shop" / "uv.lock", "macos-arm64"))


def test_chosen_extras_and_groups_count() -> None:
    path = FIXTURES / "web-shop" / "uv.lock"
    assert "hiredis" in by_name(select(path, extras=["cache"]))
    assert {"hiredis", "prometheus-client"} <= set(by_name(select(path, all_extras=True)))
    grouped = by_name(select(path, groups=["dev"]))
    assert {"pytest", "pyflakes"} <= set(grouped)
    assert "hiredis" not in grouped


def test_no_deps_keeps_what_the_project_lists() -> None:
    found = by_name(select(FIXTURES / "web-shop" / "uv.lock", no_deps=True))
    assert sorted(found) == ["flask", "markupsafe", "psycopg"]


def test_a_pylock_exported_from_the_same_project_has_the_same_versions() -> None:
    locked = by_name(select(FIXTURES / "web-shop" / "uv.lock", groups=["dev"]))
    exported = by_name(select(FIXTURES / "web-shop" / "pylock.toml"))
    assert {name: pin.version for name, pin in exported.items()} == {name: pin.version for name, pin in locked.items()}
    names = {name: {file.filename for file in pin.files or ()} for name, pin in exported.items()}
    assert names == {name: {file.filename for file in pin.files or ()} for name, pin in locked.items()}


def test_a_lock_for_one_environment_proves_no_absence() -> None:
    found = select(FIXTURES / "one-environment" / "pylock.toml")
    assert by_name(found)["markupsafe"].files is None
    assert any("one environment" in note for note in found.notes)


def test_a_folder_that_is_not_there_is_a_row() -> None:
    found = by_name(select(FIXTURES / "one-environment" / "pylock.toml"))
    assert "does not exist" in (found["shop-core"].problem or "")


def test_forked_versions_go_by_the_resolution_markers(tmp_path: Path) -> None:
    text = UV.replace('{ name = "a" }', '{ name = "a" }, { name = "b" }') + "".join(
        f"""
[[package]]
name = "b"
version = "{version}"
source = {{ registry = "https://index.example/simple" }}
resolution-markers = ["python_full_version {markers}"]
"""
        for version, markers in (("1", "< '3.14'"), ("2", ">= '3.14'"))
    )
    path = write(tmp_path, "uv.lock", text)
    assert str(by_name(select(path))["b"].version) == "2"
    assert str(by_name(select(path, target="3.13t"))["b"].version) == "1"


def test_every_kind_of_source_is_known(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    sources = {
        "from-git": '{ git = "https://user:secret@code.example/x.git?rev=1#abc" }',
        "from-url": '{ url = "https://files.example/from_url-1-py3-none-any.whl" }',
        "from-path": '{ path = "from_path-1-py3-none-any.whl" }',
        "from-folder": '{ directory = "lib" }',
        "from-links": '{ registry = "links" }',
    }
    wheels = {
        "from-url": '[{ url = "https://files.example/from_url-1-py3-none-any.whl", hash = "sha256:00" }]',
        "from-path": '[{ filename = "from_path-1-py3-none-any.whl", hash = "sha256:00" }]',
        "from-links": '[{ path = "from_links-1-py3-none-any.whl" }]',
    }
    text = UV.replace('[{ name = "a" }]', "[" + ", ".join(f'{{ name = "{name}" }}' for name in sources) + "]")
    for name, source in sources.items():
        text += f'[[package]]\nname = "{name}"\nversion = "1"\nsource = {source}\nwheels = {wheels.get(name, "[]")}\n'
    found = by_name(select(write(tmp_path, "uv.lock", text)))
    assert "repository" in (found["from-git"].problem or "")
    assert "secret" not in (found["from-git"].problem or "")
    assert found["from-folder"].source_tree == str(tmp_path / "lib")
    urls = {name: (pin.files or ())[0].url for name, pin in found.items() if pin.files}
    assert urls == {
        "from-url": "https://files.example/from_url-1-py3-none-any.whl",
        "from-path": (tmp_path / "from_path-1-py3-none-any.whl").as_uri(),
        "from-links": (tmp_path / "links" / "from_links-1-py3-none-any.whl").as_uri(),
    }


def test_edges_of_a_pylock_are_kept(tmp_path: Path) -> None:
    text = (
        PYLOCK
        + """
[[packages]]
name = "b"
version = "2"
dependencies = [{ name = "a" }]
wheels = [{ url = "https://files.example/b-2-py3-none-any.whl", hashes = { sha256 = "00" } }]
"""
    )
    found = by_name(select(write(tmp_path, "pylock.toml", text)))
    assert found["a"].required_by == (("b", "a"),)
    assert found["b"].required_by == (("b",),)


def test_a_graph_with_more_paths_than_can_be_walked_has_five_chains(tmp_path: Path) -> None:
    layers, width = 30, 6
    text = UV.replace('[{ name = "a" }]', "[" + ", ".join(f'{{ name = "p0-{i}" }}' for i in range(width)) + "]")
    for layer in range(layers):
        needs = ", ".join(f'{{ name = "p{layer + 1}-{i}" }}' for i in range(width)) if layer + 1 < layers else ""
        for i in range(width):
            text += f'[[package]]\nname = "p{layer}-{i}"\nversion = "1"\ndependencies = [{needs}]\n'
    found = by_name(select(write(tmp_path, "uv.lock", text)))
    last = found[f"p{layers - 1}-0"]
    assert len(last.required_by) == 5
    assert {len(chain) for chain in last.required_by} == {layers}
    assert len({chain[0] for chain in last.required_by}) == 5


def test_packages_in_a_circle_end(tmp_path: Path) -> None:
    text = PYLOCK.replace('version = "1"\n', 'version = "1"\ndependencies = [{ name = "a" }]\n')
    assert by_name(select(write(tmp_path, "pylock.toml", text)))["a"].required_by == (("a",),)


def test_a_lock_of_a_hundred_packages_is_read_whole() -> None:
    found = select(FIXTURES / "stack" / "uv.lock", "macos-arm64")
    assert len(found.pins) > 85
    assert sum(len(pin.files or ()) for pin in found.pins) > 2000
    assert not found.incomplete
