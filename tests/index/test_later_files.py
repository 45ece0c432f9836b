"""The files of later versions are kept next to their page, and another run answers from them without the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version
from support.index_server import JSON_TYPE, IndexServer, Reply, ServedFile

from ftaudit.index.client import Index
from ftaudit.index.index_settings import IndexSettings
from ftaudit.index.pages import MOST_KEPT
from ftaudit.index.release import ProjectFiles

MakeSettings = Callable[..., IndexSettings]
DEMO = canonicalize_name("demo")
PATH = "/simple/demo/"
FILES = [
    {"filename": "demo-1.0.tar.gz", "upload-time": "2024-01-01T00:00:00Z"},
    {"filename": "demo-1.1.tar.gz", "upload-time": "2025-01-01T00:00:00.123Z", "yanked": "bad"},
    {"filename": "demo-1.1-py3-none-any.whl", "upload-time": "2025-01-02T00:00:00Z", "requires-python": ">=3.9"},
    {"filename": "demo-2.0rc1.tar.gz"},
]


def page(files: list[dict[str, Any]], *headers: tuple[str, str]) -> Reply:
    listed = [
        {"url": f"https://files.example/{file['filename']}", "hashes": {"sha256": "0" * 64}} | file for file in files
    ]
    body = {"meta": {"api-version": "1.1"}, "name": "demo", "files": listed}
    return Reply(body=json.dumps(body).encode(), headers=(("Content-Type", JSON_TYPE), *headers))


def later(settings: IndexSettings, version: str = "1.0") -> ProjectFiles:
    with Index(settings) as index:
        return index.find_project(DEMO, after=Version(version))


def without_its_source(project: ProjectFiles) -> tuple[object, ...]:
    return project.status, project.versions, project.released, project.page, project.warnings


@pytest.fixture
def cached(server: IndexServer, settings: MakeSettings, tmp_path: Path) -> Callable[[], ProjectFiles]:
    """Return a function that asks the cache alone."""
    return lambda: later(settings(offline=True))


def test_a_cache_answers_as_the_page_did_and_does_not_read_it(
    server: IndexServer, settings: MakeSettings, cached: Callable[[], ProjectFiles], tmp_path: Path
) -> None:
    server.always(PATH, page(FILES))
    first = later(settings())
    assert [str(version) for version in first.versions] == ["2.0rc1", "1.1"]
    assert [when.isoformat() for when in first.released.values()] == ["2025-01-01T00:00:00+00:00"]
    (body,) = (tmp_path / "cache").rglob("*.page")
    body.unlink()
    assert without_its_source(cached()) == without_its_source(first)


@pytest.mark.parametrize("damage", [None, 7, "x", [1], [["1.1"]], [["x", [], None]], [["1.1", [1] * 7, None]], {}])
def test_kept_files_that_make_no_sense_are_read_from_the_page_again(
    damage: object, server: IndexServer, settings: MakeSettings, cached: Callable[[], ProjectFiles], tmp_path: Path
) -> None:
    server.always(PATH, page(FILES))
    first = later(settings())
    (entry,) = (tmp_path / "cache").rglob("*.json")
    told = json.loads(entry.read_text())
    (key,) = told["later"]
    told["later"] = {key: damage} if damage != {} else {}
    entry.write_text(json.dumps(told))
    assert without_its_source(cached()) == without_its_source(first)


def test_another_version_is_another_question_and_a_new_page_forgets_all_answers(
    server: IndexServer, settings: MakeSettings
) -> None:
    server.always(PATH, page(FILES, ("Cache-Control", "no-cache")))
    assert len(later(settings()).versions) == 2
    assert [str(version) for version in later(settings(), "1.1").versions] == ["2.0rc1"]
    server.always(PATH, page([*FILES, {"filename": "demo-3.0.tar.gz"}]))
    assert len(later(settings()).versions) == 3


def test_more_files_than_a_run_should_read_are_not_kept(
    server: IndexServer, settings: MakeSettings, cached: Callable[[], ProjectFiles], tmp_path: Path
) -> None:
    server.always(PATH, page([{"filename": f"demo-2.{number}.tar.gz"} for number in range(MOST_KEPT + 1)]))
    first = later(settings())
    assert len(first.versions) == MOST_KEPT + 1
    (entry,) = (tmp_path / "cache").rglob("*.json")
    assert json.loads(entry.read_text())["later"] == {}
    assert without_its_source(cached()) == without_its_source(first)


def test_files_of_a_page_without_times_have_none(
    server: IndexServer, settings: MakeSettings, cached: Callable[[], ProjectFiles]
) -> None:
    server.add_project("demo", [ServedFile(filename="demo-1.1.tar.gz")])
    first = later(settings())
    assert len(first.versions) == 1 and not first.released
    assert without_its_source(cached()) == without_its_source(first)
