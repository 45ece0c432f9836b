"""A plan for a terminal: the answer, the changes, the packages without a good version yet, and the proof."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Final

from ftaudit.model.plans import Change, ChangeKind, Plan, Proof, ProofStatus, WayKind, WayOut
from ftaudit.model.sentences import sentence
from ftaudit.planning import plan_sentences
from ftaudit.report.console import DEFAULT_WIDTH, clean, draw
from ftaudit.report.outlook.outlook_groups import outlook_groups, outlook_sentence
from ftaudit.report.package.agreeing_rows import counted
from ftaudit.report.plan.plan_reach import reach_rows

if TYPE_CHECKING:
    from rich.console import Console

_KINDS: Final = {
    WayKind.UPGRADE: "a version that conflicts with the rest",
    WayKind.FALLBACK: "a slower version that conflicts with the rest",
    WayKind.SWITCH: "no fixed version yet; a setting turns off its compiled code",
    WayKind.BUILD: "no fixed version yet; it can be built from the sdist",
    WayKind.NONE: "no fixed version yet",
    WayKind.UNKNOWN: "not known",
}
NEXT: Final = "next: --diff shows the edits, --write applies them; then run `ftaudit check` and your tests"
WRITTEN: Final = "next: the edits are written; run `ftaudit check` and your tests"


def headline(plan: Plan) -> tuple[str, str]:
    """Return one word and one sentence."""
    number = plan.target.rstrip("t")
    where = ", ".join(plan.platforms) if len(plan.platforms) <= 3 else f"{len(plan.platforms)} platforms"
    what = f"free-threaded CPython {number} on {where}"
    total, left = len(plan.blocked), len(plan.still_blocked)
    more = f"the compiled code of {counted(len(plan.faster), 'package')}"
    if not total:
        if plan.faster:
            changes = counted(len(plan.changes), "version change")
            text = f"nothing blocks {what}; {changes} {'brings' if len(plan.changes) == 1 else 'bring'} back {more}"
            if plan.exit_code:
                return "NOT SURE", f"{text}, but not everything could be checked."
            return "FASTER", f"{text}."
        if plan.exit_code:
            return "NOT SURE", f"found no blocker for {what}, but not everything could be checked."
        return "NOTHING TO DO", f"nothing blocks {what}: {counted(plan.packages, 'package')} checked."
    changes = counted(len(plan.changes), "version change")
    verb = "removes" if len(plan.changes) == 1 else "remove"
    if left == total and not plan.faster:
        blockers = "the blocker" if total == 1 else f"any of {total} blockers"
        early = _pre_releases(plan)
        if not early:
            return "NO FIX YET", f"no version change removes {blockers} for {what}."
        text = f"no final release removes {blockers} for {what}"
        has = "a pre-release works" if len(early) == 1 else "pre-releases work"
        return "PRE-RELEASE ONLY" if len(early) == total else "NO FIX YET", f"{text}; {has}: {', '.join(early)}."
    text = f"{changes} {verb} {total - left} of {counted(total, 'blocker')} for {what}"
    if plan.faster:
        text += f" and {'brings' if len(plan.changes) == 1 else 'bring'} back {more}"
    if left:
        return (
            "PARTLY",
            f"{text}; {left} {'has' if left == 1 else 'have'} no fixed version yet that is compatible with the rest.",
        )
    return ("NOT SURE", f"{text}, but not everything could be checked.") if plan.exit_code else ("PLAN", f"{text}.")


def _pre_releases(plan: Plan) -> list[str]:
    """Return the blocked packages for which a pre-release works on every platform, each with its version."""
    found = []
    for name in plan.still_blocked:
        early = [way.pre_release for way in plan.ways if way.name == name and way.blocks and not way.solved]
        if all(early):
            versions = dict.fromkeys(str(one.version) for one in early if one is not None)
            found.append(f"{name} {' or '.join(versions)}")
    return found


def render(plan: Plan, *, width: int = DEFAULT_WIDTH, color: bool = False, written: bool = False) -> str:
    """Return the plan as text that is `width` columns wide; `written` means that its edits are made."""

    def write(console: Console) -> None:
        from rich.text import Text

        word, sentence = headline(plan)
        style = {0: "bold green", 1: "bold red", 3: "bold yellow"}[plan.exit_code]
        console.print(Text.assemble((word, style), ": ", clean(sentence)))
        console.print(Text(clean("read: " + ", ".join(plan.inputs)), style="dim"))
        _changes(console, plan)
        _ways(console, plan)
        _reach(console, plan)
        for proof in plan.proofs:
            _proof(console, proof)
        _outlook(console, plan)
        notes = [f"not checked: {what}" for what in plan.incomplete]
        notes += [f"not known, before and after the changes: {', '.join(plan.unknown)}"] if plan.unknown else []
        notes += [f"note: {note}" for note in plan.notes]
        if notes:
            console.print()
        for note in notes:
            console.print(Text(clean(note), style="yellow"))
        if any(change.kind in (ChangeKind.REQUIREMENT, ChangeKind.CONSTRAINT) for change in plan.changes):
            console.print()
            console.print(Text(WRITTEN if written else NEXT))

    return draw(write, width=width, color=color)


def _changes(console: Console, plan: Plan) -> None:
    from rich.padding import Padding
    from rich.text import Text

    if not plan.changes:
        return
    console.print()
    console.print(Text(f"Change ({len(plan.changes)})", style="bold"))
    for change in plan.changes:
        head = Text.assemble((clean(str(change.name)), "bold"), f"  {change.current} → ")
        head.append(str(change.proposed), style="bold green")
        head.append("  major version" if change.is_major else "", style="yellow")
        head.append(f"  ({clean(str(change.location))})" if change.location else "", style="dim")
        console.print(Padding(head, (0, 0, 0, 2)))
        _lines(console, _about(change, plan))
    if plan.lock_commands:
        console.print()
        for command in plan.lock_commands:
            console.print(Text(f"  {clean(command)}"))


def _about(change: Change, plan: Plan) -> Iterator[tuple[str, str]]:
    yield "", plan_sentences.change_reason(change)
    if change.needed_by:
        yield "needed by ", f"the change to {', '.join(change.needed_by)}"
    if change.kind is ChangeKind.CONSTRAINT:
        yield "new line: ", change.new
    for text in plan_sentences.change_evidence(change, plan.ways):
        yield "then ", text
    ways = [way for way in plan.ways if way.name == change.name]
    yield from _by_platform(
        ways, lambda way, where: (plan_sentences.way_out(way, where),), many=len(plan.platforms) > 1
    )
    yield from _switches(ways[:1])


def _ways(console: Console, plan: Plan) -> None:
    from rich.padding import Padding
    from rich.text import Text

    left = [way for way in plan.ways if way.blocks and not way.solved]
    if not left:
        return
    console.print()
    console.print(Text(f"Still blocks ({len(plan.still_blocked)})", style="bold"))
    for name, group in groupby(sorted(left, key=lambda way: way.name), key=lambda way: way.name):
        same = list(group)
        head = Text.assemble((clean(f"{name} {same[0].current or ''}".rstrip()), "bold"), "  ")
        head.append(str(same[0].verdict), style="red")
        kind = "no final release yet; a pre-release works" if same[0].pre_release else _KINDS[same[0].kind]
        head.append(f"  {kind}", style="dim")
        console.print(Padding(head, (0, 0, 0, 2)))
        _lines(console, _by_platform(same, _why_and_way, many=len(plan.platforms) > 1))
        _lines(console, _whence(same[0]))
        _lines(console, _switches(same[:1]))


def _reach(console: Console, plan: Plan) -> None:
    from rich.text import Text

    if not plan.reach:
        return
    console.print()
    console.print(Text(f"Your code ({len({each.name for each in plan.reach})})", style="bold"))
    _lines(console, ((f"{row.label}: ", row.text) for row in reach_rows(plan)), indent=2)


def _why_and_way(way: WayOut, where: str) -> tuple[str, ...]:
    return sentence(way.why[0], where), plan_sentences.way_out(way, where)


def _by_platform(
    ways: Iterable[WayOut], say: Callable[[WayOut, str], tuple[str, ...]], *, many: bool
) -> Iterator[tuple[str, str]]:
    """Yield the lines for a package on each platform; lines that platforms share are printed once, for all of them."""
    groups: dict[tuple[str, ...], list[WayOut]] = {}
    for way in ways:
        groups.setdefault(say(way, "each"), []).append(way)
    for texts, same in groups.items():
        where = ", ".join(way.platform for way in same)
        for number, text in enumerate(say(same[0], same[0].platform) if len(same) == 1 else texts):
            yield f"on {where}: " if many and number == 0 else "", text


def _whence(way: WayOut) -> Iterator[tuple[str, str]]:
    for chain in way.required_by[:3]:
        if len(chain) > 1:
            yield "pulled in by ", " → ".join(chain)
    if way.location is not None:
        yield "listed in ", str(way.location)


def _switches(ways: Iterable[WayOut]) -> Iterator[tuple[str, str]]:
    for way in ways:
        for switch in way.switches:
            yield (
                "or set ",
                f"{switch.setting}: {switch.effect} (from {switch.source}, read on {switch.checked})",
            )


def _proof(console: Console, proof: Proof) -> None:
    from rich.text import Text

    if proof.status is ProofStatus.NOT_NEEDED:
        return
    console.print()
    console.print(Text(clean(f"Proof for {proof.input} on {proof.platform}"), style="bold"))
    if proof.status is ProofStatus.RESOLVED:
        changed = ", ".join(f"{one.name} {one.version} {one.verdict}" for one in proof.checked)
        lines = [("", f"uv resolves {counted(len(proof.resolved), 'package')} together")]
        lines += [("audited: ", changed)] if changed else []
    else:
        lines = [("", proof.reason or str(proof.status))]
    lines += [("to resolve the written file: ", proof.command)] if proof.command else []
    lines += [("not proven: ", what) for what in proof.not_proven]
    _lines(console, lines, indent=2)


def _outlook(console: Console, plan: Plan) -> None:
    from rich.text import Text

    if plan.outlook is None or not plan.outlook.packages:
        return
    console.print()
    console.print(Text(f"Next release: {outlook_sentence(plan.outlook)}", style="bold"))
    for group in outlook_groups(plan.outlook):
        head = f"{group.title} ({len(group.items)}): "
        _lines(console, [(head, ", ".join(group.items) + (f" — {group.note}" if group.note else ""))], indent=2)


def _lines(console: Console, lines: Iterable[tuple[str, str]], *, indent: int = 6) -> None:
    from rich.padding import Padding
    from rich.text import Text

    for label, text in lines:
        console.print(Padding(Text.assemble((label, "dim"), clean(text)), (0, 0, 0, indent)))
