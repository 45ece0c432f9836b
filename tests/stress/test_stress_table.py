"""What `ftaudit stress` prints for packages that it could not stress, and for a run that the clock ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.facts import facts, gap, module
from support.reports import package, report

from ftaudit.cli import main
from ftaudit.model import (
    GilDeclaration,
    Status,
    StressedCallable,
    StressEnd,
    StressFacts,
    StressFailure,
    StressFailureKind,
    StressUnit,
)
from ftaudit.model.sentences import unstressed_sentence
from ftaudit.report.package import stress_table

READY = facts(module(binary=GilDeclaration.NOT_USED))
DRIVEN = StressedCallable(name="demo.run", driven=True)


def printed(stress: StressFacts) -> str:
    row = package(replace(READY, stress=stress))
    told = unstressed_sentence(row.facts)
    made = replace(report(row), incomplete=() if told is None else (told,))
    return " ".join(stress_table.render(made, width=300).split())


def test_the_reason_for_a_package_that_was_not_stressed_is_printed_once() -> None:
    text = printed(StressFacts(status=Status.FAILED, reason=gap("the index timed out")))
    assert text.count("the index timed out") == 1
    assert "not stressed: " in text and "ended early" not in text


def test_a_run_that_a_limit_ended_is_said_to_have_ended_early() -> None:
    text = printed(StressFacts(status=Status.FAILED, reason=gap("3000 MB of memory in use"), callables=(DRIVEN,)))
    assert "ended early: " in text and text.count("3000 MB of memory in use") == 1


@pytest.mark.parametrize(("ended", "told"), [(StressEnd.CLOCK, True), (StressEnd.BUDGET, False), (None, False)])
def test_a_budget_that_the_clock_ended_is_reported(ended: StressEnd | None, told: bool) -> None:
    stress = StressFacts(
        status=Status.DONE, reason=None, callables=(DRIVEN,), budget=12.0, cpu_seconds=8.0, ended=ended
    )
    assert ("8 of 12 s of processor time; it stopped at the wall-clock limit" in printed(stress)) is told


def test_failures_that_are_accepted_are_not_called_no_failure() -> None:
    failure = StressFailure(
        kind=StressFailureKind.CRASH,
        unit=StressUnit(schedule="pair of methods", target="demo.Egg", operations=("o.boil()",)),
        tries=5,
        failed=5,
        threads=2,
    )
    stress = StressFacts(status=Status.DONE, reason=None, callables=(DRIVEN,), failures=(failure,))
    text = printed(stress)
    assert "NO FAILURE" not in text and text.startswith("ACCEPTED: 1 package fails without the GIL")


def test_a_script_that_cannot_be_replayed_is_named_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    binary = tmp_path / "binary.py"
    binary.write_bytes(b"\xff\xfe")
    for path, why in ((tmp_path / "absent.py", "No such file"), (tmp_path, "Is a directory"), (binary, "not UTF-8")):
        assert main(["stress", "--replay", str(path)]) == 2
        error = capsys.readouterr().err
        assert f"--replay {path}" in error and why in error and "--report FOLDER" in error
        assert "Errno" not in error


def test_a_file_that_no_installer_accepts_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = tmp_path / "demo-1.0-py3-none-any.whl"
    wheel.write_bytes(b"PK\3\4" + 500 * b"x")
    assert main(["stress", str(wheel)]) == 2
    error = capsys.readouterr().err
    assert f"{wheel} cannot be installed: truncated, or not a zip archive" in " ".join(error.split())
    assert "Failed to" not in error
