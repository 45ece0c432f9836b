"""The queries of docs/fleet.md run on a data set, and libraries agree with each other and with the site."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fleets import Project, Release, write_fleet

from ftaudit.fleet.fleet_summary import FleetSummary, read_summary
from ftaudit.fleet.schema import Mode
from ftaudit.model import Verdict

PAGE = Path(__file__).parents[2] / "docs" / "fleet.md"
GUILTY = Release(name="guilty", verdict=Verdict.REENABLES_GIL, fix="2.0", guilty=("guilty._core",))
STABLE = Release(name="stable", verdict=Verdict.READY, kind="abi3t")
QUICK = Release(name="quick", verdict=Verdict.READY)
STUCK = Release(name="stuck", verdict=Verdict.SOURCE_ONLY, kind="none")
DARK = Release(name="dark", verdict=Verdict.UNKNOWN)
LOST = Release(name="lost", verdict=Verdict.UNKNOWN, kind="none", index="failed", reason="the index did not answer")
TAGS = Release(name="tags", verdict=Verdict.PURE, kind="pure", gap="not-opened")
EVERY = (GUILTY, STABLE, QUICK, STUCK, DARK, LOST, TAGS)
PROJECTS = (
    Project(id="a", pins=(GUILTY, QUICK)),
    Project(id="b", pins=(GUILTY, STUCK)),
    Project(id="c", pins=(QUICK, DARK, TAGS), incomplete=("the dependencies of quick are not known",)),
    Project(id="d", problem="there is no input"),
)
TARGETS = ("3.14t", "3.15t")


@pytest.fixture(params=["check", "survey"])
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> FleetSummary:
    monkeypatch.chdir(tmp_path)
    is_check = request.param == "check"
    every = tuple(replace(one, newest=not is_check and one != LOST) for one in EVERY)
    pins = {one.key: one for one in every}
    projects = [replace(one, pins=tuple(pins[pin.key] for pin in one.pins)) for one in PROJECTS if is_check]
    return read_summary(write_fleet(Path("run"), every, projects, targets=TARGETS))


def blocks(language: str, page: Path = PAGE) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


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


def headline_of(run: FleetSummary) -> list[tuple[object, ...]]:
    return [
        (target.name, target.with_judged_wheel, target.enabling, target.unread, target.unsought)
        for target in run.targets
    ]


def test_duckdb(run: FleetSummary) -> None:
    duckdb = pytest.importorskip("duckdb")
    blocking, share, freed, frameworks, unchecked = (duckdb.sql(query).fetchall() for query in blocks("sql"))
    of_check = run.info.mode is Mode.CHECK
    assert blocking == [(target, *row) for target in TARGETS for row in (("guilty", 2), ("stuck", 1)) if of_check]
    assert share == headline_of(run) == [(target, 3, 1, 1, 1) for target in TARGETS]
    assert freed == [(target, "a", "guilty", "2.0") for target in TARGETS if of_check]
    assert frameworks == [(target, "Cython", 1, 1) for target in TARGETS]
    of_projects = [("c", "the dependencies of quick are not known"), ("d", "there is no input")]
    of_packages = [("dark 1.0", "because"), ("lost 1.0", "the index did not answer"), ("tags 1.0", "because")]
    rows = sorted([*(of_projects if of_check else []), *of_packages])
    assert unchecked == [(target, *row) for target in TARGETS for row in rows]


def test_the_queries_of_the_command_page(run: FleetSummary) -> None:
    duckdb = pytest.importorskip("duckdb")
    page = PAGE.parent / "commands" / "fleet.md"
    blocking, unblocking, releases = (duckdb.sql(query).fetchall() for query in blocks("sql", page))
    of_check = run.info.mode is Mode.CHECK
    assert blocking == [(target, *row) for target in TARGETS for row in (("guilty", 2), ("stuck", 1)) if of_check]
    assert unblocking == [(target, "guilty", "2.0", 1) for target in TARGETS if of_check], "b has another blocker"
    assert releases == [(target, 3, 1, 1) for target in TARGETS]


def test_pandas(run: FleetSummary) -> None:
    blocking, share = answers_of("pandas")
    found = {(target, name): number for target in TARGETS for name, number in (("guilty", 2), ("stuck", 1))}
    assert blocking.to_dict() == (found if run.info.mode is Mode.CHECK else {})
    assert [(target, *map(int, row)) for target, row in zip(share.index, share.values, strict=True)] == headline_of(run)


def test_polars(run: FleetSummary) -> None:
    (blocking,) = answers_of("polars")
    rows = [(target, *row) for target in TARGETS for row in (("guilty", 2), ("stuck", 1))]
    assert blocking.rows() == (rows if run.info.mode is Mode.CHECK else [])
