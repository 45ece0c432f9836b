"""The queries of docs/fleet.md run on a data set, and libraries agree with each other and with the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.fleets import Project, Release, write_fleet

from ftaudit.fleet.fleet_summary import read_summary
from ftaudit.model import Verdict

PAGE = Path(__file__).parents[2] / "docs" / "fleet.md"
GUILTY = Release(name="guilty", verdict=Verdict.REENABLES_GIL, fix="2.0", guilty=("guilty._core",))
QUICK = Release(name="quick", verdict=Verdict.READY)
STUCK = Release(name="stuck", verdict=Verdict.SOURCE_ONLY, kind="none")
PROJECTS = (
    Project(id="a", pins=(GUILTY, QUICK)),
    Project(id="b", pins=(GUILTY, STUCK)),
    Project(id="c", pins=(QUICK,), incomplete=("the dependencies of quick are not known",)),
    Project(id="d", problem="there is no input"),
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_fleet(Path("run"), (GUILTY, QUICK, STUCK), PROJECTS)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def answers_of(library: str) -> list[Any]:
    """Return the answers of the page's examples for a library; skip the test if it is not installed."""
    pytest.importorskip(library)
    found = []
    for block in blocks("python"):
        if f"import {library}\n" in block:
            names: dict[str, Any] = {}
            exec(block, names)
            found.append(names["answer"])
    assert found
    return found


def test_duckdb(run: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    blocking, share, freed, frameworks, unchecked = (duckdb.sql(query).fetchall() for query in blocks("sql"))
    assert blocking == [("guilty", 2), ("stuck", 1)]
    (target,) = read_summary(run).targets
    assert share == [("3.14t", target.with_wheel, target.enabling)] == [("3.14t", 2, 1)]
    assert freed == [("a", "guilty", "2.0")]
    assert frameworks == [("Cython", 1, 1)]
    assert unchecked == [("c", "the dependencies of quick are not known"), ("d", "there is no input")]


def test_pandas(run: Path) -> None:
    blocking, share = answers_of("pandas")
    assert blocking.to_dict() == {"guilty": 2, "stuck": 1} and next(iter(blocking.index)) == "guilty"
    assert share == 0.5


def test_polars(run: Path) -> None:
    (blocking,) = answers_of("polars")
    assert blocking.rows() == [("guilty", 2), ("stuck", 1)]
