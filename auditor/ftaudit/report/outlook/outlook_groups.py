"""The outlook in groups: packages that the next release has, lacks, or may have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ftaudit.model import WheelKind
from ftaudit.model.outlook import NextWheel, Outlook
from ftaudit.model.sentences import gap_phrase
from ftaudit.report.package.agreeing_rows import counted


@dataclass(frozen=True, kw_only=True, slots=True)
class OutlookGroup:
    """Packages with the same outlook."""

    title: str
    note: str
    """What follows for the release after the next, as a sentence; may be empty."""
    items: tuple[str, ...]
    """`lxml 6.1.3 (from 7.0 on)`, sorted."""


_ORDER: Final = (WheelKind.NONE, None, WheelKind.FREE_THREADED, WheelKind.ABI3T, WheelKind.NATIVE, WheelKind.PURE)


def outlook_sentence(outlook: Outlook) -> str:
    """Return the number of packages that the next release has, as a sentence."""
    names = {wheel.name for wheel in outlook.packages}
    lacking = {wheel.name for wheel in outlook.packages if wheel.kind in (WheelKind.NONE, None)}
    again = {wheel.name for wheel in outlook.packages if wheel.needs_rebuild} - lacking
    found = len(names - lacking)
    have = f"{found} of {counted(len(names), 'package')} {'has' if found == 1 else 'have'} a wheel"
    need = f"{len(again)} {'needs' if len(again) == 1 else 'need'} another build for CPython {outlook.after}"
    return f"{have} for CPython {outlook.target}; {need}."


def outlook_groups(outlook: Outlook) -> Iterator[OutlookGroup]:
    """Yield the groups that are not empty: packages without a wheel first, pure packages last."""
    every = {wheel.platform for wheel in outlook.packages}
    for kind in _ORDER:
        mine = [wheel for wheel in outlook.packages if wheel.kind is kind]
        if mine:
            title, note = _title(kind, outlook)
            yield OutlookGroup(title=title, note=note, items=tuple(_items(mine, len(every))))


def _title(kind: WheelKind | None, outlook: Outlook) -> tuple[str, str]:
    tag = f"cp{outlook.target.replace('.', '')}"
    match kind:
        case None:
            return "not known", ""
        case WheelKind.NONE:
            return "no wheel", f"each needs a build for {outlook.target} first"
        case WheelKind.FREE_THREADED:
            return tag, f"each needs another build for {outlook.after}"
        case WheelKind.ABI3T:
            return "abi3t", f"{outlook.after} can use the same wheel"
        case WheelKind.NATIVE:
            return "not bound to an ABI", f"{outlook.after} can use the same wheel"
        case WheelKind.PURE:
            return "pure Python", "nothing to build"


def _items(wheels: list[NextWheel], platforms: int) -> Iterator[str]:
    found: dict[tuple[str, str], list[str]] = {}
    for wheel in sorted(wheels, key=lambda one: (one.name, str(one.version))):
        found.setdefault((_name(wheel), _tail(wheel)), []).append(wheel.platform)
    for (name, tail), places in found.items():
        where = [] if len(places) == platforms else [f"on {', '.join(places)}"]
        text = "; ".join([*([tail] if tail else []), *where])
        yield f"{name} ({text})" if text else name


def _name(wheel: NextWheel) -> str:
    return str(wheel.name) if wheel.version is None else f"{wheel.name} {wheel.version}"


def _tail(wheel: NextWheel) -> str:
    if wheel.gap is not None:
        return gap_phrase(wheel.gap, wheel.platform)
    if wheel.later is not None:
        return f"{wheel.later} has one"
    return "slower than its compiled code" if wheel.kind is WheelKind.PURE and wheel.compiled else ""


def outlook_as_dict(outlook: Outlook) -> dict[str, Any]:
    """Return the outlook as plain JSON values."""
    return {
        "target": outlook.target,
        "after": outlook.after,
        "packages": [
            {
                "name": str(wheel.name),
                "version": None if wheel.version is None else str(wheel.version),
                "platform": wheel.platform,
                "kind": None if wheel.kind is None else wheel.kind.value,
                "wheel": wheel.wheel,
                "later": None if wheel.later is None else str(wheel.later),
                "needs_rebuild": wheel.needs_rebuild,
                "reason": None if wheel.gap is None else gap_phrase(wheel.gap),
            }
            for wheel in outlook.packages
        ],
    }
