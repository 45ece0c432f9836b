"""The results of several targets as one list: a result that several targets share appears once and names them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from ftaudit.model import worst_exit_code
from ftaudit.report.results.results import Result, Results, Unchecked, order


def merge(each: Sequence[Results]) -> Results:
    """Return the results of several targets as one list. The subject of each result names its targets."""
    results: dict[Result, list[str]] = {}
    marks: dict[Result, str] = {}
    unchecked: dict[Unchecked, list[str]] = {}
    for one in each:
        for result in one.results:
            same = replace(result, fingerprint="")
            marks.setdefault(same, result.fingerprint)
            results.setdefault(same, []).append(one.target)
        for left in one.unchecked:
            unchecked.setdefault(left, []).append(one.target)
    named = {f"{result.subject}: {result.text}": result for result in results}
    return Results(
        command=each[0].command,
        target=", ".join(one.target for one in each),
        exit_code=worst_exit_code(one.exit_code for one in each),
        sentence=" ".join(f"{one.target} {one.sentence}" for one in each),
        results=tuple(
            sorted((_named(result, marks[result], targets) for result, targets in results.items()), key=order)
        ),
        unchecked=tuple(_left(left, targets, named.get(left.message)) for left, targets in unchecked.items()),
        rules=tuple(dict.fromkeys(code for one in each for code in one.rules)),
    )


def _named(result: Result, mark: str, targets: Sequence[str]) -> Result:
    text = "\0".join((mark, *targets))
    fingerprint = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
    return replace(result, subject=_mark(result.subject, targets), fingerprint=fingerprint)


def _left(left: Unchecked, targets: Sequence[str], result: Result | None) -> Unchecked:
    """Return an unchecked item whose message names the targets."""
    if result is None:
        return replace(left, message=_mark(left.message, targets))
    return replace(left, message=f"{_mark(result.subject, targets)}: {result.text}")


def _mark(text: str, targets: Sequence[str]) -> str:
    return f"{text} [{', '.join(targets)}]"
