"""The advice of a plan: only true reasons, no superfluous line, a way out for slower packages, and check's version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.command import check, ftaudit
from support.compiled import BAD, GOOD, PLATFORM, UNSURE, release
from support.distributions import wheel
from support.index_server import IndexServer


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


def base(server: IndexServer) -> list[str]:
    return ["--static", "--index-url", server.simple_url, "--platform", PLATFORM]


def plan(server: IndexServer, folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code of a plan, and the changes of it by name under `changes`."""
    ran = ftaudit("plan", *base(server), "--format", "json", *arguments, "r.txt", cwd=folder)
    assert ran.stdout, ran.stderr
    document = json.loads(ran.stdout)
    return ran.returncode, {**document, "changes": {row["name"]: row for row in document["changes"]}}


def test_a_version_that_the_other_changes_imply_gets_no_line(server: IndexServer, tmp_path: Path) -> None:
    """A parent that pins its core, as pydantic pins pydantic-core, brings in the good core itself."""
    server.add_project(
        "core", [*release("core", "1.0", BAD), *release("core", "2.0", GOOD), *release("core", "2.1", GOOD)]
    )
    pins = {"1.0": "core==1.0", "1.1": "core==2.0"}
    server.add_project("parent", [wheel("parent", version, requires=[needs]) for version, needs in pins.items()])
    (tmp_path / "r.txt").write_text("parent==1.0\n")
    code, document = plan(server, tmp_path, "--write")
    assert code == 0
    assert {name: row["proposed"] for name, row in document["changes"].items()} == {"core": "2.0", "parent": "1.1"}
    assert document["changes"]["core"]["kind"] == "implied"
    assert document["proofs"][0]["requirements"] == ["parent==1.1"]
    assert (tmp_path / "r.txt").read_text() == "parent==1.1\n"
    assert check(*base(server), "r.txt", cwd=tmp_path).code == 0


def test_only_what_really_needs_a_change_is_named(server: IndexServer, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        server.add_project(name, [*release(name, "1.0", BAD), *release(name, "2.0", GOOD)])
    server.add_project("app", [wheel("app", "1.0", requires=["one<2"]), wheel("app", "1.1", requires=["one"])])
    (tmp_path / "r.txt").write_text("app==1.0\none==1.0\ntwo==1.0\nthree==1.0\n")
    code, document = plan(server, tmp_path)
    assert code == 0 and document["changes"]["app"]["needed_by"] == ["one"]
    assert all(document["changes"][name]["needed_by"] == [] for name in ("one", "two", "three"))


def test_a_change_of_the_major_version_is_marked(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("leap", [*release("leap", "1.9", BAD), *release("leap", "2.0", GOOD)])
    server.add_project("step", [*release("step", "1.9", BAD), *release("step", "1.10", GOOD)])
    (tmp_path / "r.txt").write_text("leap==1.9\nstep==1.9\n")
    _, document = plan(server, tmp_path)
    assert {name: row["is_major"] for name, row in document["changes"].items()} == {"leap": True, "step": False}
    text = ftaudit("plan", *base(server), "r.txt", cwd=tmp_path).stdout
    assert "2.0  major version" in text and text.count("major version") == 1


def test_what_falls_back_has_a_way_to_its_compiled_code(server: IndexServer, tmp_path: Path) -> None:
    files = [*release("slow", "1.0", None), *release("slow", "1.1", None), *release("slow", "1.2", GOOD)]
    server.add_project("slow", files)
    server.add_project("blocked", [*release("blocked", "1.0", BAD), *release("blocked", "1.1", GOOD)])
    (tmp_path / "r.txt").write_text("slow==1.0\n")
    before = check(*base(server), "r.txt", cwd=tmp_path)
    assert before.code == 0 and before.verdicts == {"slow": "fallback"}
    assert before.rows["slow"]["next_step"].startswith("1.2 is the first later version")
    code, document = plan(server, tmp_path)
    assert code == 0 and document["blocked"] == [] and document["faster"] == ["slow"]
    assert document["changes"]["slow"]["proposed"] == "1.2" and document["changes"]["slow"]["removes"] == []
    assert "FASTER: " in ftaudit("plan", *base(server), "r.txt", cwd=tmp_path).stdout
    (tmp_path / "r.txt").write_text("slow==1.0\nblocked==1.0\n")
    code, document = plan(server, tmp_path, "--write")
    assert code == 0 and document["blocked"] == ["blocked"] and set(document["changes"]) == {"slow", "blocked"}
    after = check(*base(server), "r.txt", cwd=tmp_path)
    assert after.verdicts == {"slow": "ready", "blocked": "ready"}


def test_nothing_else_moves_for_what_is_only_slower(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("slow", [*release("slow", "1.0", None), *release("slow", "2.0", GOOD)])
    server.add_project("app", [wheel("app", "1.0", requires=["slow<2"]), wheel("app", "1.1", requires=["slow"])])
    (tmp_path / "r.txt").write_text("app==1.0\nslow==1.0\n")
    code, document = plan(server, tmp_path)
    assert code == 0 and document["changes"] == {} and document["faster"] == []


CASES = {
    "nearest": {"1.0": BAD, "1.1": BAD, "1.2": GOOD, "1.3": GOOD},
    "good-between-bad-ones": {"1.0": BAD, "1.1": BAD, "1.2": GOOD, "1.3": BAD},
    "known-before-unsure": {"1.0": BAD, "1.1": UNSURE, "1.2": GOOD},
}


@pytest.mark.parametrize("case", CASES)
def test_check_and_plan_name_the_same_version(server: IndexServer, tmp_path: Path, case: str) -> None:
    yanked = [replace(file, yanked="bad") for file in release("demo", "1.0.1", GOOD)]
    files = [file for version, kind in CASES[case].items() for file in release("demo", version, kind)]
    server.add_project("demo", [*files, *yanked])
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    step = check(*base(server), "r.txt", cwd=tmp_path).rows["demo"]["next_step"]
    code, document = plan(server, tmp_path, "--write")
    assert code == 0 and document["changes"]["demo"]["proposed"] == "1.2"
    assert step.startswith("1.2 is the first later version")
    assert check(*base(server), "r.txt", cwd=tmp_path).code == 0
