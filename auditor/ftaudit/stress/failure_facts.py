"""Validates the director's reports: the processes around it are not trusted."""

from __future__ import annotations

from typing import Any, Final

from ftaudit.model import StressedCallable, StressEnd, StressFailure, StressFailureKind, StressUnit
from ftaudit.sandbox.failures import escape

_MOST: Final = 2000
_NAME: Final = 300
_SCRIPT: Final = 40_000
_STACK: Final = 8000
_ENDS: Final = {end.value: end for end in StressEnd}
_KINDS: Final = {kind.value: kind for kind in StressFailureKind}


def text_of(value: object, limit: int = _NAME) -> str:
    """Return a value of a report as safe text; empty for other types."""
    return escape(value, limit) if isinstance(value, str) else ""


def number_of(value: object) -> int:
    """Return a count in a report; zero for anything that is not a valid number."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62 else 0


def seconds_of(value: object) -> float:
    """Return seconds in a report; zero for anything that is not a valid duration."""
    return float(value) if isinstance(value, (int, float)) and 0 <= value < 1e9 else 0.0


def rows_of(value: object) -> list[dict[str, Any]]:
    """Return the rows of a table in a report."""
    return [row for row in value[:_MOST] if isinstance(row, dict)] if isinstance(value, list) else []


def texts_of(value: object) -> tuple[str, ...]:
    """Return the texts of a list in a report."""
    return tuple(text_of(each) for each in value[:_MOST] if isinstance(each, str)) if isinstance(value, list) else ()


def end_of(value: object) -> StressEnd | None:
    """Return why a run ended; `None` for anything else."""
    return _ENDS.get(value) if isinstance(value, str) else None


def unit_of(row: dict[str, Any]) -> StressUnit:
    """Return the unit of a row."""
    return StressUnit(
        schedule=text_of(row.get("what")), target=text_of(row.get("target")), operations=texts_of(row.get("operations"))
    )


def callable_of(row: dict[str, Any]) -> StressedCallable:
    """Return a callable in the coverage."""
    driven = row.get("driven") is True
    return StressedCallable(
        name=text_of(row.get("name")),
        driven=driven,
        by_recipe=row.get("recipe") is True,
        reason="" if driven else text_of(row.get("reason")),
    )


def failure_of(row: dict[str, Any]) -> StressFailure | None:
    """Return a failure; `None` for an invalid row."""
    kind = _KINDS.get(text_of(row.get("kind")))
    if kind is None:
        return None
    script = row.get("script")
    return StressFailure(
        kind=kind,
        unit=unit_of(row),
        also=texts_of(row.get("also")),
        signal=min(number_of(row.get("signal")), 64),
        message=text_of(row.get("message"), 1000),
        native=text_of(row.get("native")),
        stack=text_of(row.get("stack"), _STACK),
        failed=number_of(row.get("failed")),
        control=number_of(row.get("control")),
        tries=number_of(row.get("tries")),
        threads=number_of(row.get("threads")),
        by_recipe=row.get("recipe") is True,
        script=script if isinstance(script, str) and len(script) <= _SCRIPT else "",
    )
