"""Folders of runs that hold other files, or files that were changed: an error, and nothing of yours is touched."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from support.fleet_runs import WHERE, Fleet, Run, digests_of

from ftaudit.errors import UsageError
from ftaudit.fleet import runs
from ftaudit.fleet.journal import Journal


def test_a_run_never_uses_a_folder_with_other_files(
    fleet: Fleet, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables of a data set have names that a repository can have too."""
    kept = [tmp_path / "packages" / "core.js", tmp_path / "modules" / "main.tf", tmp_path / "requirements.txt"]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    for output in (".", "", tmp_path):
        code, said = run("fleet", "check", ".", "-o", output, "--offline", *WHERE)
        assert (code, "has files that are not from a run: modules" in said) == (2, True), said
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_that_finishes_first_is_not_replaced_by_one_that_began_before_it(
    fleet: Fleet, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    check, nested = runs._check_options, []

    def finish_another(of: runs.FleetRun) -> None:
        check(of)
        if not nested:
            nested.append(True)
            assert run(*fleet.check(data))[0] == 1

    monkeypatch.setattr(runs, "_check_options", finish_another)
    code, said = run("fleet", "check", fleet.repositories / "team", "-o", data, "--offline", *WHERE)
    assert (code, "has the data set of a finished run" in said) == (2, True)
    assert digests_of(data) == digests_of(fleet.data)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE projects SET body = 'junk'",
        "UPDATE projects SET body = X'789c030000000001'",
        "UPDATE rows SET body = '{'",
        "UPDATE questions SET body = 'junk', done = 0",
        "DELETE FROM rows WHERE name = 'packages'",
        "INSERT OR REPLACE INTO facts VALUES ('kept', 'zzz')",
        "DROP TABLE rows",
    ],
)
def test_a_damaged_journal_is_an_error_and_never_a_result(
    fleet: Fleet, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    data = tmp_path / "data"
    with monkeypatch.context() as patch:

        def stop(journal: Journal) -> None:
            raise UsageError("stopped before the end")

        patch.setattr(Journal, "check_answers", stop)
        assert run(*fleet.check(data))[0] == 2
    with contextlib.closing(sqlite3.connect(data / "journal.sqlite3")) as journal, journal:
        journal.execute(damage)
    code, said = run(*fleet.check(data))
    if damage.startswith("DROP"):  # The table is made again, and lacks the answers.
        damage = "DELETE"
    assert (code, "is damaged" in said, "remove it to start again" in said) == (2, True, True), said
    assert not (data / "run.json").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rows", []),
        ("rows", {"packages": "3"}),
        ("platforms", None),
        ("notes", 5),
        ("targets", [1]),
        ("kept", "1"),
        ("facts_stores", {"a": None}),
        ("started", None),
    ],
)
def test_a_run_file_that_ftaudit_did_not_write_is_a_clear_error(
    fleet: Fleet, run: Run, tmp_path: Path, name: str, value: object
) -> None:
    data = tmp_path / "data"
    shutil.copytree(fleet.data, data)
    told = json.loads((data / "run.json").read_text())
    (data / "run.json").write_text(json.dumps({**told, name: value}))
    for command in (("status", data), ("report", data, "-o", tmp_path / "site"), ("changes", data, fleet.data)):
        code, said = run("fleet", *command)
        assert (code, "was not written by ftaudit" in said) == (2, True), said


def test_a_deeply_nested_run_file_is_a_clear_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[" * 100_000)
    code, said = run("fleet", "status", tmp_path)
    assert (code, "is not JSON" in said) == (2, True)


@pytest.mark.parametrize("table", ["packages", "pins", "projects", "modules", "findings"])
def test_a_data_set_with_missing_or_repeated_rows_is_an_error(
    fleet: Fleet, run: Run, tmp_path: Path, table: str
) -> None:
    """A missing table never looks like a fleet without blockers."""
    missing, repeated = tmp_path / "missing", tmp_path / "repeated"
    for data in (missing, repeated):
        shutil.copytree(fleet.data, data)
    parts = list((fleet.data / table).rglob("part-*.parquet"))
    assert parts
    shutil.rmtree(missing / table)
    copy = repeated / parts[0].relative_to(fleet.data)
    shutil.copy(parts[0], copy.with_name("part-00001.parquet"))
    for data in (missing, repeated):
        for command in (("report", data, "-o", tmp_path / "site"), ("changes", fleet.data, data)):
            code, said = run("fleet", *command)
            assert (code, "and the run wrote" in said) == (2, True), said


def test_a_column_of_another_type_is_an_error(fleet: Fleet, run: Run, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    for number, (table, column, values) in enumerate(
        [
            ("packages", "version", lambda rows: pyarrow.array([1] * rows)),
            ("packages", "package", lambda rows: pyarrow.array([None] * rows, pyarrow.string())),
            ("packages", "blocks", lambda rows: pyarrow.array(["yes"] * rows)),
            ("projects", "exit_code", lambda rows: pyarrow.array([77] * rows)),
        ]
    ):
        data = tmp_path / str(number)
        shutil.copytree(fleet.data, data)
        (path,) = (data / table).rglob("part-*.parquet")
        rows = parquet.ParquetFile(path).read()
        place = rows.schema.get_field_index(column)
        parquet.write_table(rows.set_column(place, column, values(rows.num_rows)), path)
        code, said = run("fleet", "report", data, "-o", tmp_path / "site")
        assert (code, "create the data set again" in said) == (2, True), said
