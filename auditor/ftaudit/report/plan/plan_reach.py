"""What the user's own code does with the blockers of a plan: which are loaded when, and which imports to change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ftaudit.model.plans import Plan
from ftaudit.model.reach_sentences import UNREAD, class_words, cut_sentence, listed_sites
from ftaudit.model.reachability import BlockerReach, ReachClass


@dataclass(frozen=True, kw_only=True, slots=True)
class ReachRow:
    """One line about one blocker, on the platforms that agree."""

    label: str
    """When it is loaded, in words."""
    text: str


def reach_rows(plan: Plan) -> Iterator[ReachRow]:
    """Yield a row for each blocker, the most urgent first; platforms with one answer share it."""
    groups: dict[tuple[str, str], list[BlockerReach]] = {}
    for each in plan.reach:
        groups.setdefault((class_words(each.reached).removesuffix(" …"), _text(each)), []).append(each)
    platforms = {each.platform for each in plan.reach}
    for (label, text), same in groups.items():
        where = {each.platform for each in same}
        prefix = "" if where == platforms else f"on {', '.join(sorted(where))}: "
        yield ReachRow(label=label, text=prefix + text)


def _text(found: BlockerReach) -> str:
    name = found.name if found.version is None else f"{found.name} {found.version}"
    match found.reached:
        case ReachClass.START | ReachClass.START_IF:
            return cut_sentence(name, found.cuts) if found.cuts else name
        case ReachClass.RUN:
            return f"{name}: importing your code does not load it, but a function does"
        case ReachClass.UNSURE:
            return f"{name}: {listed_sites(found.modules[0].open_sites) if found.modules else UNREAD}"
        case ReachClass.NONE:
            return f"{name}: your code is not known to load it"
