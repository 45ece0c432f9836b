"""The pins of all inputs of a session, each once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ftaudit.engine.session import AuditSession
from ftaudit.engine.tiers.collect import Key
from ftaudit.model import Pin


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectedPins:
    """The rows to make, and the remaining notes from reading and resolving."""

    keys: tuple[Key, ...]
    notes: tuple[str, ...]
    incomplete: tuple[str, ...]


def _together(one: Pin, other: Pin) -> Pin:
    """Return a pin that two inputs share, with the places of both and all of its chains, the shortest first."""
    first, second = (other, one) if _shortest(other) < _shortest(one) else (one, other)
    chains = sorted(dict.fromkeys((*first.required_by, *second.required_by)), key=len)
    places = tuple(dict.fromkeys((*first.places, *second.places)))
    return replace(one, required_by=tuple(chains), source=next(iter(places), None), also=places[1:])


def _shortest(pin: Pin) -> int:
    return len(pin.required_by[0]) if pin.required_by else 1


def select_pins(session: AuditSession) -> SelectedPins:
    """Resolve the pins of every input on every platform; the same pin in two inputs is one row."""
    keys: dict[tuple[object, ...], Key] = {}
    notes: dict[str, None] = {}
    incomplete: dict[str, None] = {}
    session.progress.stage("resolving", len(session.read) * len(session.platforms))
    for requirements in session.read:
        if requirements.beside:
            notes[
                f"{requirements.path} was read; these files in the folder were not: {', '.join(requirements.beside)}"
            ] = None
        if requirements.left_out:
            told = ", ".join(requirements.left_out)
            notes[f"{requirements.path}: not included (use --extra or --group): {told}"] = None
    for number, requirements in enumerate(session.read):
        for platform in session.platforms:
            selection = session.select(number, platform)
            notes |= dict.fromkeys(selection.notes)
            incomplete |= dict.fromkeys(selection.incomplete)
            for pin in selection.pins:
                same = (pin.name, pin.version, pin.problem, pin.source_tree, platform.name)
                keys[same] = (_together(keys[same][0], pin) if same in keys else pin, platform)
            session.progress.done(requirements.path.name)
    return SelectedPins(keys=tuple(keys.values()), notes=tuple(notes), incomplete=tuple(incomplete))
