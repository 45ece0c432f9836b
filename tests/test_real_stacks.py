"""Real requirements on the real index: the blockers, the reasons, and the paths to them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command import check, ftaudit, network

REQUIREMENTS = Path(__file__).parents[1] / "fixtures" / "requirements"


@pytest.mark.network
@pytest.mark.interpreter
def test_five_pins_are_blocked_each_for_its_own_reason(tmp_path: Path) -> None:
    answer = check(REQUIREMENTS / "blocked.txt", cwd=tmp_path, env=network())
    assert answer.code == 1
    assert {name: answer.verdicts[name] for name in ("numpy", "sqlalchemy", "lxml", "mysqlclient", "polars")} == {
        "numpy": "source-only",
        "sqlalchemy": "reenables-gil",
        "lxml": "reenables-gil",
        "mysqlclient": "source-only",
        "polars": "pure",
    }
    assert answer.rows["polars"]["blocked_by"] == ["polars-runtime-32"]
    assert ["polars", "polars-runtime-32"] in answer.rows["polars-runtime-32"]["required_by"]
    assert answer.rows["polars-runtime-32"]["blocks"] is True
    assert "win_amd64" in answer.reasons("mysqlclient")
    for name, modules in (("lxml", 7), ("sqlalchemy", 5)):
        ran = [module["runtime"] for module in answer.rows[name]["modules"]]
        assert len(ran) == modules and all(runtime["requires_gil"] for runtime in ran)
    assert "2.0.54 is the first later version" in answer.rows["sqlalchemy"]["next_step"]


@pytest.mark.network
def test_the_windows_wheel_is_found_from_here(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("mysqlclient==2.3.1\n")
    answer = check("--platform", "windows-amd64", "--no-deps", "r.txt", cwd=tmp_path, env=network())
    assert answer.verdicts == {"mysqlclient": "ready"}
    assert answer.code == 0


@pytest.mark.network
def test_of_fifty_popular_packages_these_block_and_no_others(tmp_path: Path) -> None:
    answer = check("--static", REQUIREMENTS / "bench50.txt", cwd=tmp_path, env=network())
    assert {name for name, row in answer.rows.items() if row["blocks"]} == {
        *("gevent", "grpcio", "lz4", "orjson", "psycopg-binary", "psycopg2-binary", "safetensors", "zstandard"),
        *("lxml", "fonttools"),
    }
    assert answer.rows["fonttools"]["required_by"] == [["matplotlib", "fonttools"]]
    assert answer.rows["psycopg"]["blocked_by"] == ["psycopg-binary"]


@pytest.mark.network
@pytest.mark.interpreter
def test_what_a_plan_promises_holds_once_it_is_written(tmp_path: Path) -> None:
    copy = tmp_path / "blocked.txt"
    copy.write_bytes((REQUIREMENTS / "blocked.txt").read_bytes())
    ran = ftaudit("plan", "--write", "--format", "json", "blocked.txt", cwd=tmp_path, env=network())
    assert ran.returncode == 1 and "Traceback" not in ran.stderr, ran.stderr
    plan = json.loads(ran.stdout)
    proposed = {change["name"]: change["proposed"] for change in plan["changes"]}
    ways = {way["name"]: way for way in plan["ways"]}
    assert proposed["sqlalchemy"] == "2.0.54" and set(proposed) == {"numpy", "sqlalchemy"}
    fates = {row["version"]: row["fate"] for row in ways["sqlalchemy"]["passed_over"]}
    assert fates == {"2.0.51": "reenables-gil", "2.0.52": "fallback", "2.0.53": "fallback"}
    assert ways["sqlalchemy"]["switches"][0]["setting"] == "DISABLE_SQLALCHEMY_CEXT_RUNTIME=1"
    assert set(plan["still_blocked"]) == {"lxml", "mysqlclient", "polars-runtime-32"}
    for name in plan["still_blocked"]:
        assert ways[name]["first_good"] is None and ways[name]["source"]["evidence"], name
    assert ways["polars-runtime-32"]["required_by"] == [["polars", "polars-runtime-32"]]
    assert plan["proofs"][0]["status"] == "resolved"
    after = check("blocked.txt", cwd=tmp_path, env=network())
    assert {name: str(after.rows[name]["version"]) for name in proposed} == proposed
    assert {after.verdicts[name] for name in proposed} == {"ready"}
    assert {name for name, row in after.rows.items() if row["blocks"]} == set(plan["still_blocked"])
