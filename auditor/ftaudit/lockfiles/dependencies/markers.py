"""Evaluates PEP 508 markers for one target and platform."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.utils import canonicalize_name

from ftaudit.errors import InputError
from ftaudit.model import Location
from ftaudit.target import PLATFORMS, TARGETS, marker_environment, parse_platform, parse_target

_EXTRA: Final = re.compile(r"\bextra\s*(==|!=)\s*('[^']*'|\"[^\"]*\")")


class Markers:
    """Evaluates markers in one environment, each distinct marker once."""

    def __init__(self, environment: Mapping[str, str], extras: Iterable[str] = (), groups: Iterable[str] = ()) -> None:
        self._environment: dict[str, Any] = {
            **environment,
            "extras": frozenset(extras),
            "dependency_groups": frozenset(groups),
        }
        self._known: dict[tuple[str, frozenset[str]], bool] = {}

    def hold(
        self, marker: str | None, place: Location, *, extra: str | None = None, also: frozenset[str] = frozenset()
    ) -> bool:
        """Return whether the marker is true; a missing marker is always true. Raise `InputError` for one that is
        malformed.

        Several extras can be chosen at once, so `extra == 'x'` checks whether x is among them, as PEP 751's `'x' in
        extras` does. `extra` is an additional one, of the package that has the requirement, and `also` has others.
        """
        if not marker:
            return True
        more = also if extra is None else also | {extra}
        answer = self._known.get((marker, more))
        if answer is None:
            answer = self._known[marker, more] = self._evaluate(marker, place, more)
        return answer

    def any_hold(self, markers: Iterable[str], place: Location) -> bool:
        """Return whether one of the markers is true, or the list is empty."""
        markers = tuple(markers)
        return not markers or any(self.hold(marker, place) for marker in markers)

    def _evaluate(self, marker: str, place: Location, more: frozenset[str]) -> bool:
        text = _EXTRA.sub(_among_extras, marker)
        environment = self._environment
        if more:
            environment = {**environment, "extras": environment["extras"] | more}
        try:
            return Marker(text).evaluate(environment, context="lock_file")
        except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName, ValueError, RecursionError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{place}: {marker[:200]!r} is not a valid marker: {reason}") from error


def _among_extras(match: re.Match[str]) -> str:
    """Return whether an extra is among several; names are compared according to PEP 685."""
    name = canonicalize_name(match[2][1:-1])
    return f"'{name}' {'in' if match[1] == '==' else 'not in'} extras"


def extras_of(marker: str | None) -> tuple[str, ...]:
    """Return the extras in a requirement's marker, normalized."""
    found = _EXTRA.findall(marker or "")
    return tuple(dict.fromkeys(canonicalize_name(name[1:-1]) for operator, name in found if operator == "=="))


EVERYWHERE: Final = tuple(
    marker_environment(parse_target(target), parse_platform(platform)) for target in TARGETS for platform in PLATFORMS
)
"""The marker environments of every target and platform."""


def holds_everywhere(marker: Marker) -> bool:
    """Return whether a marker is true for every target and platform, without any extra."""
    return all(marker.evaluate({**environment, "extra": ""}) for environment in EVERYWHERE)
