"""Modules with one planted race each: the findings of stress in them, and in their fixed twins."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from support.freethreaded import interpreter, make_wheel
from support.races import race_wheel

from ftaudit.model import GapKind, Status, StressFacts, StressFailureKind
from ftaudit.sandbox import SandboxSettings, WheelToImport
from ftaudit.stress.distributions import stress_distributions
from ftaudit.stress.stress_settings import StressSettings

pytestmark = pytest.mark.interpreter


def stress(folder: Path, wheel: WheelToImport, budget: float) -> StressFacts:
    found = stress_distributions(
        interpreter(),
        [wheel],
        sandbox=SandboxSettings(cache_dir=folder / "cache", offline=True),
        stress=StressSettings(budget=budget),
    )
    return found[wheel.name]


def test_two_locks_in_two_orders_are_found_and_make_a_script_of_their_own(tmp_path: Path) -> None:
    facts = stress(tmp_path, race_wheel(tmp_path, "lock_order", fixed=False), 12)
    (failure,) = facts.failures
    assert failure.kind is StressFailureKind.HANG
    assert set(failure.unit.operations) == {"o.transfer(p)", "p.transfer(o)"}
    assert failure.failed >= 3 and failure.control == 0
    assert "import lock_order" in failure.script
    ast.parse(failure.script)


def test_the_fixed_twin_is_driven_and_has_no_failure(tmp_path: Path) -> None:
    facts = stress(tmp_path, race_wheel(tmp_path, "lock_order", fixed=True), 4)
    assert (facts.status, facts.failures) == (Status.DONE, ())
    assert "lock_order.Account.transfer" in {each.name for each in facts.callables if each.driven}
    assert facts.calls > 0


def test_what_has_nothing_to_call_is_not_called_good(tmp_path: Path) -> None:
    facts = stress(tmp_path, make_wheel(tmp_path, "hollow", {"hollow.py": "NUMBER = 3\n"}), 2)
    assert facts.status is Status.FAILED
    assert facts.reason is not None and facts.reason.kind is GapKind.NOTHING_DRIVEN


def test_a_package_that_ends_its_process_on_import_is_a_row(tmp_path: Path) -> None:
    facts = stress(tmp_path, make_wheel(tmp_path, "abrupt", {"abrupt.py": "import os\nos._exit(3)\n"}), 2)
    assert facts.status is Status.FAILED and facts.failures == ()
