from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.selection import FIXTURES, by_name, select, write

from ftaudit.errors import InputError, UsageError
from ftaudit.lockfiles import read

SHOP = FIXTURES / "shop" / "pipenv"


def lock(**sections: Any) -> str:
    meta = {
        "hash": {"sha256": "00"},
        "pipfile-spec": 6,
        "sources": [{"name": "main", "url": "https://index.example/simple"}],
    }
    return json.dumps(
        {"_meta": meta, "default": {"a": {"version": "==1", "hashes": ["sha256:00"]}}} | sections, indent=4
    )


@pytest.mark.parametrize(
    ("sections", "place"),
    [
        ({"_meta": {"pipfile-spec": 7}}, r"_meta\.pipfile-spec is 7"),
        ({"_meta": 3}, "_meta is not a table"),
        ({"_meta": {"pipfile-spec": 6, "sources": [{}]}}, r"_meta\.sources\[0\]\.url is missing"),
        ({"_meta": {"pipfile-spec": 6, "sources": 3}}, r"_meta\.sources is not an array"),
        ({"default": 3}, "default is not a table"),
        ({"default": {"a": 3}}, r"default\.a is not a table"),
        ({"default": {"a": {"version": "==one"}}}, r"default\.a\.version is not a version"),
        ({"default": {"a": {"version": "==" + "9" * 5000}}}, r"default\.a\.version is not a version"),
        ({"default": {"a": {"version": 1}}}, r"default\.a\.version is not a string"),
        ({"default": {"a": {"version": "==1", "hashes": ["00"]}}}, r"default\.a\.hashes\[0\] is not a hash"),
        ({"default": {"a": {"version": "==1", "hashes": [1]}}}, r"default\.a\.hashes\[0\] is not a string"),
        ({"default": {"a": {"version": "==1", "markers": "x =="}}}, "Pipfile.lock:15: 'x ==' is not a valid marker"),
    ],
)
def test_a_malformed_lock_is_an_error_that_names_the_place(tmp_path: Path, sections: Any, place: str) -> None:
    with pytest.raises(InputError, match=place):
        select(write(tmp_path, "Pipfile.lock", lock(**sections)))


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", "3", '{"default": {}}', "{", '{"a": ' * 200_000, '{"_meta": ' + "9" * 5000 + "}", "\x00", "nonsense"],
)
def test_junk_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as caught:
        read(write(tmp_path, "Pipfile.lock", text))
    assert "Pipfile.lock" in caught.value.problem


def test_an_extra_or_section_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(UsageError, match="no extra named 'x'"):
        read(SHOP / "Pipfile.lock", extras=["x"])
    with pytest.raises(UsageError, match="no group named 'x'") as caught:
        read(SHOP / "Pipfile.lock", groups=["x"])
    assert caught.value.hint == "it has develop, lint"


def test_a_lock_for_another_python_is_not_whole(tmp_path: Path) -> None:
    meta = {"pipfile-spec": 6, "requires": {"python_version": "3.11"}}
    found = select(write(tmp_path, "Pipfile.lock", lock(_meta=meta)))
    assert "locked for Python ==3.11.*" in found.incomplete[0]
    assert not select(SHOP / "Pipfile.lock").incomplete


def test_what_its_own_environment_did_not_install_has_no_version() -> None:
    found = by_name(select(SHOP / "Pipfile.lock", "windows-amd64"))
    assert found["colorama"].problem == "the lock file has no version"


def test_versions_hashes_and_lines_are_read() -> None:
    path = SHOP / "Pipfile.lock"
    lines = path.read_text().splitlines()
    found = by_name(select(path))
    assert {"flask", "redis", "hiredis", "polars-runtime-32"} <= set(found)
    assert "pytest" not in found
    for pin in found.values():
        assert pin.files is None
        assert pin.allowed_hashes
        assert pin.source is not None
        assert pin.source.line is not None
        assert lines[pin.source.line - 1] == f'        "{pin.name}": {{'


def test_who_needs_whom_is_not_made_up() -> None:
    found = select(SHOP / "Pipfile.lock")
    assert by_name(found)["flask"].required_by == (("flask",),)
    assert by_name(found)["hiredis"].required_by == ()
    assert any("does not record which package requires which" in note for note in found.notes)


def test_chosen_sections_count() -> None:
    path = SHOP / "Pipfile.lock"
    assert "pyflakes" in by_name(select(path, groups=["lint"]))
    for name in ("dev", "develop", "dev-packages"):
        assert "pytest" in by_name(select(path, groups=[name]))
    assert read(path).left_out == ("group develop", "group lint")


def test_without_the_pipfile_no_package_has_a_chain(tmp_path: Path) -> None:
    shutil.copy(SHOP / "Pipfile.lock", tmp_path)
    assert {pin.required_by for pin in select(tmp_path / "Pipfile.lock").pins} == {()}


def test_the_sources_are_the_indexes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "t0ken")
    sources = [
        {"name": "main", "url": "https://index.example/simple"},
        {"name": "own", "url": "https://u:${SHOP_TOKEN}@own.example/simple"},
    ]
    default = {"a": {"version": "==1", "index": "own"}, "b": {"version": "==1"}}
    path = write(tmp_path, "Pipfile.lock", lock(_meta={"pipfile-spec": 6, "sources": sources}, default=default))
    index, found = read(path).index, by_name(select(path))
    assert (index.index_url, index.extra_index_urls) == (sources[0]["url"], ("https://u:t0ken@own.example/simple",))
    assert found["a"].index_url == "https://u:t0ken@own.example/simple"
    assert found["b"].index_url is None


def test_every_kind_of_source_is_known(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    default = {
        "from-git": {"git": "https://user:secret@code.example/x.git", "ref": "abc"},
        "from-url": {"file": "https://files.example/from_url-1-py3-none-any.whl"},
        "from-file": {"path": "./from_file-1-py3-none-any.whl"},
        "from-folder": {"path": "./lib", "editable": True},
        "gone": {"path": "./gone", "editable": True},
    }
    found = by_name(select(write(tmp_path, "Pipfile.lock", lock(default=default))))
    assert "repository" in (found["from-git"].problem or "")
    assert "secret" not in (found["from-git"].problem or "")
    assert found["from-folder"].source_tree == str(tmp_path / "lib")
    assert "does not exist" in (found["gone"].problem or "")
    urls = {name: (pin.files[0].url, str(pin.version)) for name, pin in found.items() if pin.files}
    assert urls == {
        "from-url": ("https://files.example/from_url-1-py3-none-any.whl", "1"),
        "from-file": ((tmp_path / "from_file-1-py3-none-any.whl").as_uri(), "1"),
    }
