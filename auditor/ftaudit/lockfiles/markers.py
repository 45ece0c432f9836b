"""Evaluates PEP 508 markers for one target and platform."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName

from ftaudit.errors import InputError
from ftaudit.model import Location

_EXTRA: Final = re.compile(r"\bextra\s*(==|!=)\s*('[^']*'|\"[^\"]*\")")


class Markers:
    """Answers whether markers hold in one environment, each distinct one once."""

    def __init__(self, environment: Mapping[str, str], extras: Iterable[str] = (), groups: Iterable[str] = ()) -> None:
        self._environment: dict[str, Any] = {
            **environment,
            "extras": frozenset(extras),
            "dependency_groups": frozenset(groups),
        }
        self._known: dict[str, bool] = {}

    def hold(self, marker: str | None, place: Location) -> bool:
        """Tell whether the marker holds; no marker always does. Raise `InputError` for one that is malformed.

        Several extras can be chosen at once, so `extra == 'x'` asks whether x is among them, as PEP 751's
        `'x' in extras` does.
        """
        if not marker:
            return True
        answer = self._known.get(marker)
        if answer is None:
            answer = self._known[marker] = self._evaluate(marker, place)
        return answer

    def any_hold(self, markers: Iterable[str], place: Location) -> bool:
        """Tell whether one of the markers holds, or there is none."""
        markers = tuple(markers)
        return not markers or any(self.hold(marker, place) for marker in markers)

    def _evaluate(self, marker: str, place: Location) -> bool:
        text = _EXTRA.sub(lambda m: f"{m[2]} {'in' if m[1] == '==' else 'not in'} extras", marker)
        try:
            return Marker(text).evaluate(self._environment, context="lock_file")
        except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName, ValueError, RecursionError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{place}: {marker[:200]!r} is no marker: {reason}") from error
