from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.selection import FIXTURES, by_name, select, write

from ftaudit.errors import InputError, UsageError
from ftaudit.lockfiles import read
from ftaudit.lockfiles.manifest import poetry_range

SHOP = FIXTURES / "shop"
ALL = ["poetry-1.1", "poetry-1.8", "poetry-2.2"]
MAIN = {
    "blinker", "click", "flask", "hiredis", "itsdangerous", "jinja2", "markupsafe", "polars", "polars-runtime-32",
    "redis", "werkzeug",
}  # fmt: skip

LOCK = """
[[package]]
name = "a"
version = "1"
optional = false
python-versions = ">=3.9"
groups = ["main"]
files = [
    {file = "a-1-py3-none-any.whl", hash = "sha256:00"},
]

[package.dependencies]
b = ">=1"

[[package]]
name = "b"
version = "2"
optional = false
python-versions = "*"
groups = ["main"]
files = []

[metadata]
lock-version = "2.1"
python-versions = ">=3.11"
content-hash = "00"
"""


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('"2.1"', '"3.0"', "lock-version 3.0"),
        ('lock-version = "2.1"', "", r"metadata\.lock-version is missing"),
        ('"2.1"', "2.1", r"metadata\.lock-version is not a string"),
        ('name = "a"\n', "", r"package\[0\]\.name is missing"),
        ('name = "a"\nversion = "1"', 'name = "a"\nversion = "one"', r"package\[0\]\.version is not a version"),
        ('"sha256:00"', '"sha256"', r"package\[0\]\.files\[0\]\.hash is not a hash"),
        ('"sha256:00"', "3", r"package\[0\]\.files\[0\]\.hash is not a hash"),
        ('file = "a-1-py3-none-any.whl", ', "", r"package\[0\]\.files\[0\] has neither file nor url"),
        ("files = []", "files = 3", r"package\[1\]\.files is not an array"),
        ("files = []", "files = [3]", r"package\[1\]\.files\[0\] is not a table"),
        ('groups = ["main"]\nfiles = []', "groups = 3\nfiles = []", r"package\[1\]\.groups is not an array"),
        ("files = []", "files = []\nmarkers = 'x =='", "poetry.lock:15: 'x ==' is not a valid marker"),
        ("files = []", "files = []\nmarkers = 3", r"package\[1\]\.markers is not a string"),
        ('b = ">=1"', "b = 3", r"package\[0\]\.dependencies\.b\[0\] is neither a constraint nor a table"),
        ("files = []", "files = []\nsource = { type = 'teapot', url = 'x' }", r"package\[1\]\.source\.type"),
        ("files = []", "files = []\nsource = { type = 'legacy' }", r"package\[1\]\.source\.url is missing"),
        ("files = []", "files = []\nsource = 3", r"package\[1\]\.source is not a table"),
        ("[[package]]", "[[packages]]", "package is not an array"),
    ],
)
def test_a_malformed_lock_is_an_error_that_names_the_place(tmp_path: Path, old: str, new: str, place: str) -> None:
    assert old in LOCK
    with pytest.raises(InputError, match=place):
        select(write(tmp_path, "poetry.lock", LOCK.replace(old, new)))


@pytest.mark.parametrize("name", ALL)
def test_an_extra_or_group_that_does_not_exist_is_an_error(name: str) -> None:
    with pytest.raises(UsageError, match="no extra named 'nope'") as caught:
        read(SHOP / name / "poetry.lock", extras=["nope"])
    assert caught.value.hint == "it has mail, metrics"
    with pytest.raises(UsageError, match="no group named 'nope'"):
        read(SHOP / name / "poetry.lock", groups=["nope"])


def test_what_the_lock_does_not_hold_is_said(tmp_path: Path) -> None:
    found = select(write(tmp_path, "poetry.lock", LOCK.replace('b = ">=1"', 'c = ">=1"')))
    assert found.incomplete == (f"a 1 needs c, which is not in {tmp_path / 'poetry.lock'}",)


def test_a_project_that_asks_for_more_than_is_locked_is_said(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", "[project]\nname = 'me'\ndependencies = ['a', 'new>=1']\n")
    found = select(write(tmp_path, "poetry.lock", LOCK))
    assert found.incomplete == (f"the project needs new, which is not in {tmp_path / 'poetry.lock'}",)


def test_a_lock_for_another_python_is_not_whole(tmp_path: Path) -> None:
    found = select(write(tmp_path, "poetry.lock", LOCK.replace('">=3.11"', '"~3.11"')))
    assert "locked for Python <3.12,>=3.11" in found.incomplete[0]


def test_a_malformed_project_beside_it_is_an_error_that_names_it(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", "[tool.poetry]\ndependencies = 3\n")
    with pytest.raises(InputError, match=r"pyproject\.toml: tool\.poetry\.dependencies is not a table"):
        select(write(tmp_path, "poetry.lock", LOCK))


def test_groups_that_include_each_other_end(tmp_path: Path) -> None:
    text = "[dependency-groups]\na = [{include-group = 'b'}]\nb = [{include-group = 'a'}, 'b']\n"
    write(tmp_path, "pyproject.toml", text)
    assert set(by_name(select(write(tmp_path, "poetry.lock", LOCK), groups=["a"]))) == {"a", "b"}


@pytest.mark.parametrize("name", ALL)
def test_what_is_installed_for_use_is_judged(name: str) -> None:
    found = select(SHOP / name / "poetry.lock")
    assert set(by_name(found)) == MAIN
    assert not found.incomplete
    assert not found.notes


@pytest.mark.parametrize("name", ALL)
def test_chosen_extras_and_groups_count(name: str) -> None:
    path = SHOP / name / "poetry.lock"
    assert set(by_name(select(path, extras=["metrics"]))) == MAIN | {"prometheus-client"}
    assert set(by_name(select(path, all_extras=True))) == MAIN | {"prometheus-client", "dnspython"}
    grouped = set(by_name(select(path, groups=["dev"])))
    assert MAIN | {"pytest", "pluggy", "iniconfig"} <= grouped
    assert ("pyflakes" in grouped) is (name == "poetry-1.1")  # It supported one group for development.
    if name != "poetry-1.1":
        assert set(by_name(select(path, groups=["lint"]))) == MAIN | {"pyflakes"}


@pytest.mark.parametrize("name", ALL)
def test_what_was_not_chosen_is_named(name: str) -> None:
    lint = () if name == "poetry-1.1" else ("group lint",)
    assert read(SHOP / name / "poetry.lock").left_out == ("extra mail", "extra metrics", "group dev", *lint)


@pytest.mark.parametrize("name", ALL)
def test_markers_are_those_of_the_platform(name: str) -> None:
    assert "colorama" in by_name(select(SHOP / name / "poetry.lock", "windows-amd64"))


@pytest.mark.parametrize("name", ALL)
def test_every_package_has_its_files_its_line_and_its_chain(name: str) -> None:
    path = SHOP / name / "poetry.lock"
    lines = path.read_text().splitlines()
    for pin in select(path).pins:
        assert pin.files
        assert all(file.sha256 and file.url is None for file in pin.files)
        assert pin.source is not None
        assert pin.source.line is not None
        assert lines[pin.source.line - 1 : pin.source.line + 1] == ["[[package]]", f'name = "{pin.name}"']
        assert pin.required_by
    assert by_name(select(path))["hiredis"].required_by == (("redis", "hiredis"),)


@pytest.mark.parametrize("name", ["poetry-1.1", "poetry-1.8"])
def test_a_private_index_is_the_only_one_asked(name: str) -> None:
    assert {pin.index_url for pin in select(SHOP / name / "poetry.lock").pins} == {"https://index.example/simple"}


def test_without_the_project_a_lock_of_poetry_2_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "poetry.lock"
    shutil.copy(SHOP / "poetry-2.2" / "poetry.lock", path)
    assert set(by_name(select(path))) == MAIN
    assert set(by_name(select(path, groups=["lint"], extras=["mail"]))) == MAIN | {"pyflakes", "dnspython"}


def test_without_the_project_poetry_1_1_tells_main_from_dev(tmp_path: Path) -> None:
    path = tmp_path / "poetry.lock"
    shutil.copy(SHOP / "poetry-1.1" / "poetry.lock", path)
    assert set(by_name(select(path))) >= MAIN
    assert "pytest" not in by_name(select(path))
    assert "pytest" in by_name(select(path, groups=["dev"]))


def test_without_the_project_poetry_1_8_judges_every_group_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "poetry.lock"
    shutil.copy(SHOP / "poetry-1.8" / "poetry.lock", path)
    found = select(path)
    assert {"pytest", "pyflakes"} | MAIN <= set(by_name(found))
    assert "its groups are unknown, so all are checked" in found.notes[0]


def test_every_kind_of_source_is_known(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    sources = {
        "from-git": "type = 'git'\nurl = 'https://user:secret@code.example/x.git'\nreference = 'main'",
        "from-url": "type = 'url'\nurl = 'https://files.example/from_url-1-py3-none-any.whl'",
        "from-file": "type = 'file'\nurl = 'from_file-1-py3-none-any.whl'",
        "from-folder": "type = 'directory'\nurl = 'lib'",
        "from-index": "type = 'legacy'\nurl = 'https://private.example/simple'\nreference = 'private'",
    }
    text = LOCK
    for name, source in sources.items():
        wheel = f"{name.replace('-', '_')}-1-py3-none-any.whl"
        files = "[]" if name in ("from-git", "from-folder") else f"[{{file = '{wheel}', hash = 'sha256:00'}}]"
        text += f"\n[[package]]\nname = '{name}'\nversion = '1'\ngroups = ['main']\n"
        text += f"files = {files}\n[package.source]\n{source}\n"
    found = by_name(select(write(tmp_path, "poetry.lock", text)))
    assert "repository" in (found["from-git"].problem or "")
    assert "secret" not in (found["from-git"].problem or "")
    assert found["from-folder"].source_tree == str(tmp_path / "lib")
    assert found["from-index"].index_url == "https://private.example/simple"
    urls = {name: pin.files[0].url for name, pin in found.items() if pin.files}
    assert urls["from-url"] == "https://files.example/from_url-1-py3-none-any.whl"
    assert urls["from-file"] == (tmp_path / "from_file-1-py3-none-any.whl").as_uri()
    assert urls["from-index"] is None


def test_the_version_that_a_marker_chooses_is_taken(tmp_path: Path) -> None:
    text = LOCK.replace('b = ">=1"', "") + "".join(
        f"[[package]]\nname = 'n'\nversion = '{version}'\ngroups = ['main']\nfiles = []\nmarkers = \"{marker}\"\n"
        for version, marker in (("1", "python_version < '3.14'"), ("2", "python_version >= '3.14'"))
    )
    path = write(tmp_path, "poetry.lock", text)
    assert str(by_name(select(path))["n"].version) == "2"
    assert str(by_name(select(path, target="3.13t"))["n"].version) == "1"


def test_markers_by_group_hold_for_the_groups_that_were_chosen(tmp_path: Path) -> None:
    markers = "markers = { main = \"sys_platform == 'win32'\", dev = \"sys_platform == 'linux'\" }"
    text = LOCK.replace('groups = ["main"]\nfiles = []', f'groups = ["main", "dev"]\n{markers}\nfiles = []')
    path = write(tmp_path, "poetry.lock", text)
    assert "b" not in by_name(select(path))
    assert "b" in by_name(select(path, groups=["dev"]))
    assert "b" in by_name(select(path, "windows-amd64"))


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("^1.2.3", "1.9", "2.0"),
        ("^0.2.3", "0.2.9", "0.3"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("^0", "0.9", "1.0"),
        ("~1.2.3", "1.2.9", "1.3"),
        ("~1", "1.9", "2.0"),
        (">=1,<3", "2", "3"),
        ("1.2", "1.2", "1.3"),
        ("1.*", "1.7", "2.0"),
        ("~=1.2", "1.9", "2.0"),
    ],
)
def test_poetrys_ranges_mean_what_its_documentation_says(text: str, inside: str, outside: str) -> None:
    found = poetry_range(text)
    assert found is not None
    assert found.contains(inside)
    assert not found.contains(outside)


@pytest.mark.parametrize("text", ["*", "", "^1 || ^2", "nonsense", "^", "9" * 5000])
def test_a_range_that_pep_440_cannot_say_excludes_nothing(text: str) -> None:
    found = poetry_range(text)
    assert found is None or found.contains("0")


def package(name: str, needs: str = "") -> str:
    table = f"[package.dependencies]\n{needs}\n" if needs else ""
    return f"[[package]]\nname = '{name}'\nversion = '1'\ngroups = ['main']\nfiles = []\n{table}"


TAIL = '[metadata]\nlock-version = "2.1"\npython-versions = "*"\n'


def test_a_chain_of_thousands_is_told_with_the_links_at_its_end(tmp_path: Path) -> None:
    count = 5000
    text = "".join(package(f"p{i}", f'p{i + 1} = "*"') for i in range(count)) + package(f"p{count}")
    found = by_name(select(write(tmp_path, "poetry.lock", text + TAIL)))
    assert len(found) == count + 1
    (chain,) = found[f"p{count}"].required_by
    assert (chain[0], chain[-2], chain[-1]) == ("p0", f"p{count - 1}", f"p{count}")
    assert len(chain) <= 60


def test_a_package_that_is_locked_a_thousand_times_is_an_error(tmp_path: Path) -> None:
    text = "".join(package("a").replace("'1'", f"'{i}'") for i in range(1000))
    with pytest.raises(InputError, match="contains a 1,000 times"):
        select(write(tmp_path, "poetry.lock", text + TAIL))


def test_groups_that_include_thousands_of_others_end(tmp_path: Path) -> None:
    text = "".join(f"g{i} = [{{include-group = 'g{i + 1}'}}]\n" for i in range(5000))
    write(tmp_path, "pyproject.toml", f"[dependency-groups]\n{text}g5000 = ['b']\n")
    assert set(by_name(select(write(tmp_path, "poetry.lock", LOCK), groups=["g0"]))) == {"a", "b"}
