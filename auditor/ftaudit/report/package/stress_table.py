"""The report of `ftaudit stress` for a terminal: failures first, then what was driven and what was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ftaudit.model import Package, Report, Status, StressFacts, StressFailure
from ftaudit.model.sentences import failure_sentence, gap_phrase, signal_name, stress_sentence, unstressed_sentence
from ftaudit.report.console import DEFAULT_WIDTH, clean, draw
from ftaudit.report.package.agreeing_rows import coverage, headline

if TYPE_CHECKING:
    from rich.console import Console

_WORDS: Final = {"BLOCKED": "bold red", "NOT SURE": "bold yellow", "ACCEPTED": "bold yellow"}
_NAMED: Final = 8
"""How many callables with the same reason are named."""


def render(report: Report, *, width: int = DEFAULT_WIDTH, color: bool = False) -> str:
    """Return the report as text that is `width` columns wide, with ANSI colors if `color`."""
    from rich.padding import Padding
    from rich.text import Text

    def write(console: Console) -> None:
        answer = headline(report)
        word, sentence = answer.word, answer.sentence
        if report.exit_code == 0:
            word, sentence = "NO FAILURE", "no call failed. That does not prove that the package is safe."
            if failing := sum(bool(package.facts.stress.failures) for package in report.packages):
                fails = "package fails" if failing == 1 else "packages fail"
                word, sentence = "ACCEPTED", f"{failing} {fails} without the GIL, and your configuration accepts it."
        console.print(Text.assemble((word, _WORDS.get(word, "bold green")), ": ", clean(sentence)))
        for package in report.packages:
            if package.facts.stress.reason is not None and package.facts.stress.status is Status.SKIPPED:
                continue
            console.print()
            version = "" if package.facts.pin.version is None else f" {package.facts.pin.version}"
            console.print(Text.assemble((f"{package.facts.pin.name}{version}", "bold"), f"  {package.verdict}"))
            for label, text in lines(package):
                console.print(Padding(Text.assemble((label, "dim"), clean(text)), (0, 0, 0, 4)))
        console.print()
        skipped = [p for p in report.packages if p.facts.stress.status is Status.SKIPPED]
        reasons = Counter(gap_phrase(p.facts.stress.reason) for p in skipped if p.facts.stress.reason is not None)
        for reason, count in reasons.items():
            console.print(Text(clean(f"not stressed: {count} ({reason})"), style="dim"))
        # The rows have the reasons for packages that were not stressed.
        known = {unstressed_sentence(package.facts) for package in report.packages}
        rest = [what for what in report.incomplete if what not in known]
        for what in (*rest, *(f"note: {note}" for note in report.notes)):
            console.print(Text(clean(what), style="yellow"))
        console.print("checked: " + coverage(report))

    return draw(write, width=width, color=color)


def lines(package: Package) -> Iterator[tuple[str, str]]:
    """Yield the lines for one package, as pairs of a label and a text."""
    stress = package.facts.stress
    if stress.status is Status.FAILED and stress.reason is not None:
        label = "ended early: " if stress.driven else "not stressed: "
        yield label, gap_phrase(stress.reason)
    # There is one finding for each failure, in the same order, unless its rule is ignored.
    accepted = [finding.accepted for finding in package.findings if finding.blocks]
    for place, failure in enumerate(stress.failures):
        mark = "accepted: " if place < len(accepted) and accepted[place] else f"{failure.kind}: "
        yield mark, failure_sentence(failure)
        yield from _details(failure)
    if stress.callables:
        yield "driven: ", stress_sentence(stress)
        yield from _coverage(stress)


def _details(failure: StressFailure) -> Iterator[tuple[str, str]]:
    if failure.native:
        yield "    at: ", failure.native
    for code, path, line in failure.explained_by:
        yield "    rule: ", f"{code} at {path}:{line}"
    if failure.also:
        more = f" and {len(failure.also) - _NAMED} more" if len(failure.also) > _NAMED else ""
        yield "    also: ", ", ".join(failure.also[:_NAMED]) + more
    if failure.by_recipe:
        yield "    by: ", "a recipe"


def _coverage(stress: StressFacts) -> Iterator[tuple[str, str]]:
    rounds = f"{stress.units} units, {stress.rounds:,} rounds, in {stress.overlapped:,} of which all threads overlapped"
    yield "", f"{rounds}; {stress.types} types ({len(stress.types_driven)} driven); seed {stress.seed}"
    reasons: dict[str, list[str]] = {}
    for each in stress.callables:
        if not each.driven:
            reasons.setdefault(each.reason, []).append(each.name)
    for reason, names in sorted(reasons.items(), key=lambda row: -len(row[1])):
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        yield f"not driven ({len(names)}): ", f"{reason}: {', '.join(names[:_NAMED])}{more}"
    recipes = sum(each.driven and each.by_recipe for each in stress.callables)
    if recipes:
        yield "by recipes: ", f"{recipes} of the driven callables"
    for call, number in stress.alone[:_NAMED]:
        yield "in one thread: ", f"{call} ends the process ({signal_name(number)})"
    for unit in stress.with_gil[:_NAMED]:
        calls = " and ".join(unit.operations)
        yield "with the GIL too: ", f"{unit.target}: {calls}"
    for unit in stress.in_interpreter[:_NAMED]:
        yield "in the interpreter: ", f"{unit.target}: {' and '.join(unit.operations)}"
    for unit in stress.rare[:_NAMED]:
        yield "failed too rarely: ", f"{unit.target}: {' and '.join(unit.operations)}"
