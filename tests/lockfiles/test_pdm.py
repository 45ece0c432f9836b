from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from support.selection import FIXTURES, by_name, select, write

from ftaudit.errors import InputError, UsageError
from ftaudit.lockfiles import read

SHOP = FIXTURES / "shop" / "pdm"
MAIN = {
    "blinker", "click", "flask", "hiredis", "itsdangerous", "jinja2", "markupsafe", "polars", "polars-runtime-32",
    "redis", "werkzeug",
}  # fmt: skip

LOCK = """
[metadata]
groups = ["default", "dev"]
strategy = ["inherit_metadata"]
lock_version = "4.5.1"

[[metadata.targets]]
requires_python = ">=3.11"

[[package]]
name = "a"
version = "1"
groups = ["default"]
dependencies = ["b>=1"]
files = [
    {file = "a-1-py3-none-any.whl", hash = "sha256:00"},
]

[[package]]
name = "b"
version = "2"
groups = ["default"]
files = [
    {file = "b-2-py3-none-any.whl", hash = "sha256:00"},
]
"""


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('"4.5.1"', '"5.0"', r"lock_version 5\.0"),
        ('"4.5.1"', '"3.1"', r"lock_version 3\.1"),
        ('lock_version = "4.5.1"', "", r"metadata\.lock_version is missing"),
        ('"4.5.1"', "4.5", r"metadata\.lock_version is not a string"),
        ('name = "a"\n', "", r"package\[0\]\.name is missing"),
        ('version = "1"', 'version = "one"', r"package\[0\]\.version is not a version"),
        ('"sha256:00"', '"00"', r"package\[0\]\.files\[0\]\.hash is not a hash"),
        ('file = "a-1-py3-none-any.whl", ', "", r"package\[0\]\.files\[0\] has neither file nor url"),
        ('file = "a-1-py3-none-any.whl"', 'url = "//"', r"package\[0\]\.files\[0\]\.url does not name a file"),
        ('["b>=1"]', '["b>=>1"]', r"package\[0\]\.dependencies\[0\] is not a requirement"),
        ('["b>=1"]', '["b>=' + "9" * 5000 + '"]', r"package\[0\]\.dependencies\[0\] is not a requirement"),
        ('["b>=1"]', "[3]", r"package\[0\]\.dependencies\[0\] is not a string"),
        ('["default"]\nfiles', '["default"]\nmarker = "x =="\nfiles', r"pdm.lock:19: 'x ==' is not a valid marker"),
        ('">=3.11"', '"three"', r"metadata\.targets\[0\]\.requires_python"),
        ("[[package]]", "[[packages]]", "locks no package"),
    ],
)
def test_a_malformed_lock_is_an_error_that_names_the_place(tmp_path: Path, old: str, new: str, place: str) -> None:
    assert old in LOCK
    with pytest.raises(InputError, match=place):
        select(write(tmp_path, "pdm.lock", LOCK.replace(old, new)))


def test_an_extra_or_group_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(UsageError, match="no extra named 'nope'") as caught:
        read(SHOP / "pdm.lock", extras=["nope"])
    assert caught.value.hint == "it has mail, metrics"
    with pytest.raises(UsageError, match="no group named 'mail'") as caught:
        read(SHOP / "pdm.lock", groups=["mail"])
    assert caught.value.hint == "it has dev, lint"


def test_a_lock_for_another_python_or_system_is_not_whole(tmp_path: Path) -> None:
    other = select(write(tmp_path, "pdm.lock", LOCK.replace(">=3.11", "==3.12.*")))
    assert "locked for Python ==3.12.*" in other.incomplete[0]
    windows = LOCK.replace('requires_python = ">=3.11"', 'requires_python = ">=3.11"\nplatform = "windows_amd64"')
    assert "is not locked for 3.14t on linux-x86_64" in select(write(tmp_path, "pdm.lock", windows)).incomplete[0]
    assert not select(write(tmp_path, "pdm.lock", windows), "windows-amd64").incomplete


def test_what_is_installed_for_use_is_judged() -> None:
    found = select(SHOP / "pdm.lock")
    assert set(by_name(found)) == MAIN
    assert not found.incomplete
    assert not found.notes
    assert read(SHOP / "pdm.lock").left_out == ("extra mail", "extra metrics", "group dev", "group lint")


def test_chosen_extras_and_groups_count() -> None:
    path = SHOP / "pdm.lock"
    assert set(by_name(select(path, extras=["metrics"]))) == MAIN | {"prometheus-client"}
    assert set(by_name(select(path, all_extras=True))) == MAIN | {"prometheus-client", "dnspython"}
    assert set(by_name(select(path, groups=["lint"]))) == MAIN | {"pyflakes"}


def test_markers_are_those_of_the_platform() -> None:
    assert "colorama" in by_name(select(SHOP / "pdm.lock", "windows-amd64"))


def test_every_package_has_its_files_its_line_and_its_chain() -> None:
    path = SHOP / "pdm.lock"
    lines = path.read_text().splitlines()
    for pin in select(path).pins:
        assert pin.files
        assert pin.source is not None
        assert pin.source.line is not None
        assert lines[pin.source.line - 1 : pin.source.line + 1] == ["[[package]]", f'name = "{pin.name}"']
        assert pin.required_by
    found = by_name(select(path))
    assert found["hiredis"].required_by == (("redis", "hiredis"),)
    assert found["redis"].extras == ("hiredis",)


def test_without_the_project_either_option_takes_extras_and_groups(tmp_path: Path) -> None:
    path = tmp_path / "pdm.lock"
    shutil.copy(SHOP / "pdm.lock", path)
    assert set(by_name(select(path))) == MAIN
    assert set(by_name(select(path, groups=["mail"], extras=["lint"]))) == MAIN | {"dnspython", "pyflakes"}


def test_a_lock_that_inherits_no_metadata_is_what_the_project_reaches(tmp_path: Path) -> None:
    text = re.sub(r"^(groups|marker) = .*\n", "", (SHOP / "pdm.lock").read_text(), flags=re.MULTILINE)
    path = write(
        tmp_path, "pdm.lock", text.replace("[metadata]\n", '[metadata]\ngroups = ["default", "dev", "lint"]\n')
    )
    alone = select(path)
    assert "every package is checked" in alone.notes[0]
    assert {"pytest", "pyflakes"} | MAIN <= set(by_name(alone))
    shutil.copy(SHOP / "pyproject.toml", tmp_path)
    assert set(by_name(select(path))) == MAIN
    assert {"pytest"} | MAIN <= set(by_name(select(path, groups=["dev"])))


def test_static_urls_are_taken(tmp_path: Path) -> None:
    text = LOCK.replace('file = "a-1', 'url = "https://files.example/x/a-1')
    file = (by_name(select(write(tmp_path, "pdm.lock", text)))["a"].files or ())[0]
    assert (file.filename, file.url) == ("a-1-py3-none-any.whl", "https://files.example/x/a-1-py3-none-any.whl")


def test_a_lock_for_one_system_proves_no_absence(tmp_path: Path) -> None:
    text = LOCK.replace("b-2-py3-none-any", "b-2-cp311-cp311-manylinux_2_17_x86_64")
    found = select(write(tmp_path, "pdm.lock", text))
    assert by_name(found)["b"].files is None
    assert any("one environment" in note for note in found.notes)


def test_every_kind_of_source_is_known(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    sources = {
        "from-git": "git = 'https://user:secret@code.example/x.git'\nref = 'main'\nrevision = 'abc'",
        "from-url": "url = 'https://files.example/from_url-1-py3-none-any.whl'",
        "from-file": "path = './from_file-1-py3-none-any.whl'",
        "from-folder": "path = './lib'\neditable = true",
    }
    text = LOCK
    for name, source in sources.items():
        text += f"\n[[package]]\nname = '{name}'\nversion = '1'\ngroups = ['default']\n{source}\n"
    found = by_name(select(write(tmp_path, "pdm.lock", text)))
    assert "repository" in (found["from-git"].problem or "")
    assert "secret" not in (found["from-git"].problem or "")
    assert found["from-folder"].source_tree == str(tmp_path / "lib")
    urls = {name: pin.files[0].url for name, pin in found.items() if pin.files}
    assert urls["from-url"] == "https://files.example/from_url-1-py3-none-any.whl"
    assert urls["from-file"] == (tmp_path / "from_file-1-py3-none-any.whl").as_uri()


def test_the_projects_sources_are_the_indexes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "t0ken")
    write(
        tmp_path,
        "pyproject.toml",
        "[project]\nname = 'me'\ndependencies = ['a']\n"
        "[[tool.pdm.source]]\nname = 'pypi'\nurl = 'https://index.example/simple'\n"
        "[[tool.pdm.source]]\nname = 'own'\nurl = 'https://u:${SHOP_TOKEN}@own.example/simple'\n"
        "[[tool.pdm.source]]\nname = 'links'\nurl = 'https://links.example/'\ntype = 'find_links'\n",
    )
    index = read(write(tmp_path, "pdm.lock", LOCK)).index
    assert index.index_url == "https://index.example/simple"
    assert index.extra_index_urls == ("https://u:t0ken@own.example/simple",)
    assert index.find_links == ("https://links.example/",)
