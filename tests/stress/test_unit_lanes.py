"""What runs first, and how the processor time is shared."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

from ftaudit.stress.child.probes import probe
from ftaudit.stress.child.subjects import SharedType, varied
from ftaudit.stress.child.unit_lanes import UnitLanes, weight_of
from ftaudit.stress.child.units import ThreadedUnit


def endless(target: str) -> Any:
    while True:
        yield ThreadedUnit(kind="pair of methods", target=target, imports=(), shared={}, operations=("o.f()",))


def made_type(*, compiled: bool = True, changes: int = 0, iterator: bool = False) -> SharedType:
    made = SharedType("spam.Egg", imports=["spam"], compiled=compiled, iterator=iterator)
    made.changes = changes
    made.operations = [{"text": "o.f()", "mutates": changes > 0}]
    return made


def test_compiled_types_that_change_come_first_and_get_the_most_time() -> None:
    changing, iterator = made_type(changes=3), made_type(iterator=True)
    fixed, python = made_type(), made_type(compiled=False, changes=3)
    assert [each.is_likely for each in (changing, iterator, fixed, python)] == [True, True, False, False]
    assert weight_of(changing) > weight_of(iterator) > weight_of(fixed) > weight_of(python)


def test_no_lane_starves_and_a_late_lane_does_not_take_everything() -> None:
    lanes = UnitLanes(cast(Any, None), cast(Any, None), 1, None)
    lanes.add(endless("big"), 9.0)
    lanes.add(endless("small"), 1.0)
    spent: Counter[str] = Counter()

    def run(units: int) -> None:
        for _ in range(units):
            lane, unit = cast(Any, lanes.next())
            lane.spent += 0.1
            spent[unit.target] += 1

    run(1000)
    assert spent["big"] == 900 and spent["small"] == 100
    lanes.add(endless("late"), 10.0)
    spent.clear()
    run(1000)
    assert abs(spent["late"] - 500) <= 50 and spent["small"] >= 40


def test_a_lane_without_units_is_left_and_the_end_is_reported() -> None:
    lanes = UnitLanes(cast(Any, None), cast(Any, None), 1, None)
    lanes.add(iter([]), 1.0)
    assert lanes.next() is None


def test_calls_that_only_an_empty_object_refuses_are_kept_and_others_are_not() -> None:
    request = {"shared": {"o": "[]"}, "imports": [], "skip": 0, "seconds": 5, "most": 9, "mutation": True}
    calls = ["o.pop()", "o[0]", "o.append(i)", "o.nothing()", "o + 1"]
    found = probe({**request, "calls": calls}, set(), [0])["found"]
    assert [(row["call"], row.get("lacking", False)) for row in found] == [
        ("o.append(i)", False),
        ("o.pop()", True),
        ("o[0]", True),
    ]


def test_the_numbers_of_a_call_change_by_different_amounts() -> None:
    assert varied("o.set(3, 3)") == "o.set(20, 43)"
    assert varied('o.set("a3")') is None
