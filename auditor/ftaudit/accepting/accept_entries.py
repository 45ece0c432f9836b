"""The `accept` entries of a configuration: a package or a rule, a reason, and an end date."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, NormalizedName, canonicalize_name
from packaging.version import Version

from ftaudit.config import RawEntry
from ftaudit.config.keys import nearest
from ftaudit.errors import FtauditError, UsageError
from ftaudit.model import BLOCKING, Acceptance, AcceptedBy, Finding, Location, Verdict
from ftaudit.registry import is_named
from ftaudit.target import parse_platform

EXAMPLE: Final = 'for example: package = "lxml", reason = "waiting for 7.0", expires = 2027-01-31'


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptEntry:
    """One accepted known problem. At least one of `package` and `rule` is given."""

    package: NormalizedName | None = None
    rule: str | None = None
    """Name, code, or code prefix: the entry then accepts findings, and no verdict."""
    path: str | None = None
    """A pattern as in `.gitignore`, for findings in source."""
    platform: str | None = None
    version: SpecifierSet | None = None
    verdicts: frozenset[Verdict] = BLOCKING
    reason: str
    expires: date | None = None
    """The last day on which it counts."""
    location: Location

    def expired(self, today: date) -> bool:
        """Whether it has expired."""
        return self.expires is not None and today > self.expires

    def covers(self, name: str, version: Version | None, platform: str) -> bool:
        """Return whether the entry applies to this package on this platform."""
        if self.package is not None and self.package != name:
            return False
        if self.platform is not None and self.platform != platform:
            return False
        return self.version is None or (version is not None and self.version.contains(version, prereleases=True))

    def means(self, finding: Finding) -> bool:
        """Return whether the entry applies to the rule of this finding."""
        return self.rule is not None and is_named(self.rule, finding.rule, finding.code)

    @property
    def acceptance(self) -> Acceptance:
        """The acceptance for a row or finding."""
        return Acceptance(by=AcceptedBy.CONFIGURATION, reason=self.reason, source=self.location, expires=self.expires)

    @property
    def title(self) -> str:
        """The subject of the entry: `lxml`, or a rule and a place: `some-rule in src/`."""
        what = [word for word in (self.package, self.rule) if word is not None]
        where = f" in {self.path}" if self.path else ""
        return " ".join(what) + where + (f" on {self.platform}" if self.platform else "")


def parse_entries(raw: Iterable[RawEntry]) -> tuple[AcceptEntry, ...]:
    """Return the entries; raise `UsageError` for an invalid one, with its place and a correction."""
    return tuple(map(_entry, raw))


def _entry(raw: RawEntry) -> AcceptEntry:
    values = raw.values
    for key in values:
        if key not in KEYS:
            near = nearest(key, KEYS)
            hint = f"did you mean {near}?" if near else f"the keys of an entry are {', '.join(KEYS)}"
            raise _wrong(raw, f"has an unknown key, {key!r}", hint)
    if "package" not in values and "rule" not in values:
        raise _wrong(raw, "names neither a package nor a rule")
    if "path" in values and "rule" not in values:
        raise _wrong(raw, "has a path but no rule")
    if "verdicts" in values and "rule" in values:
        raise _wrong(raw, "has both a rule and verdicts; use one of the two")
    if "reason" not in values:
        raise _wrong(raw, "has no reason")
    parsed: dict[str, Any] = {}
    for key, value in values.items():
        try:
            parsed[key] = KEYS[key](value)
        except (InvalidName, InvalidSpecifier, TypeError, ValueError) as error:
            raise _wrong(raw, f"is wrong: {key} {error}") from error
    return AcceptEntry(location=raw.location, **parsed)


def _wrong(raw: RawEntry, what: str, hint: str = EXAMPLE) -> UsageError:
    return UsageError(f"{raw.location}: an accept entry {what}", hint=hint)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError("must be a non-empty string")
    return value.strip()


def _package(value: object) -> NormalizedName:
    return canonicalize_name(_text(value), validate=True)


def _version(value: object) -> SpecifierSet:
    try:
        return SpecifierSet(_text(value))
    except InvalidSpecifier as error:
        raise ValueError(f'must be a specifier such as "==1.2" or "<2", not {value!r}') from error


def _platform(value: object) -> str:
    try:
        return parse_platform(_text(value)).name
    except FtauditError as error:
        raise ValueError(error.problem) from error


def _verdicts(value: object) -> frozenset[Verdict]:
    possible: Collection[Verdict] = (*sorted(BLOCKING), Verdict.UNKNOWN)
    if isinstance(value, list) and value and all(item in [verdict.value for verdict in possible] for item in value):
        return frozenset(map(Verdict, value))
    raise TypeError(f"must be a list of {', '.join(possible)}")


def _date(value: object) -> date:
    match value:
        case datetime():
            return value.date()
        case date():
            return value
        case str():
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
    raise TypeError("must be a date such as 2027-01-31")


KEYS: Final[Mapping[str, Callable[[object], Any]]] = {
    "package": _package,
    "rule": _text,
    "path": _text,
    "platform": _platform,
    "version": _version,
    "verdicts": _verdicts,
    "reason": _text,
    "expires": _date,
}
"""The keys of an entry."""
