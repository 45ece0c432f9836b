"""Reads a JSON report of `check`, `wheel`, `scan`, or `report` back, without trust in its content."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ftaudit.errors import InputError, cause_of
from ftaudit.model import Severity, Verdict

VERSION: Final = 1
"""The schema version that all reports have."""
MAX_BYTES: Final = 64 * 1024 * 1024
_LONGEST: Final = 500
"""Characters of a string to keep."""
HINT: Final = "specify two JSON files that ftaudit wrote with `--format json`"


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedFinding:
    """The parts of a finding that distinguish it from others."""

    code: str
    rule: str
    severity: Severity
    message: str
    path: str | None
    line: int | None
    module: str | None
    fingerprint: str | None
    in_source: bool
    """It has a place in source code."""
    restates_verdict: bool
    """The reasons of the package's verdict already cover it."""

    @property
    def counts(self) -> bool:
        """Whether its severity makes `ftaudit scan` fail."""
        return self.severity in (Severity.ERROR, Severity.WARNING)


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedPackage:
    """A package on a platform."""

    name: str
    version: str | None
    platform: str
    verdict: Verdict
    reason: str | None
    accepted: bool
    source_scanned: bool
    findings: tuple[ComparedFinding, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """The result of `check` or `wheel`."""

    target: str
    platforms: tuple[str, ...]
    rows: tuple[ComparedPackage, ...]
    incomplete: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """The result of `scan`."""

    target: str
    findings: tuple[ComparedFinding, ...]
    """Includes accepted findings: they still exist."""
    unread: frozenset[str]
    """Files that could not be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One file; `ftaudit report` has both parts, and a run for several targets has them for each target."""

    name: str
    """The file, as the user named it."""
    audits: tuple[Audit, ...] = ()
    """One for each target."""
    scans: tuple[Scan, ...] = ()
    incomplete: tuple[str, ...] = ()
    """What else `ftaudit report` did not check."""


def read_document(path: Path) -> Document:
    """Return the report; raise `InputError` for a file that is missing or is not a report of ftaudit."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"{path} has {size:,} bytes; ftaudit reads at most {MAX_BYTES:,}", hint=HINT)
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist", hint=HINT) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {cause_of(error)}", hint=HINT) from error
    return parse_document(data, str(path))


def parse_document(data: bytes, name: str) -> Document:
    """Parse the bytes of a report; raise `InputError` that names the place of the error."""
    try:
        loaded = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON: {str(error)[:200]}", hint=HINT) from error
    top = _Place(loaded, name, "")
    values = top.table()
    if "schema_version" not in values:
        raise InputError(f"{name} is not an ftaudit report: it has no schema_version", hint=HINT)
    version = values["schema_version"]
    if version != VERSION or isinstance(version, bool):
        raise InputError(
            f"{name} has schema version {str(version)[:20]}; this release reads {VERSION}",
            hint="make both reports with the same release of ftaudit",
        )
    # A run for several targets has a document for each target, and `ftaudit report` has those of `check` and `scan`.
    each = list(top.at("reports").items()) if isinstance(values.get("reports"), list) else [top]
    inner = [place for one in each for place in _parts(one)]
    audits = [place for place in inner if _is_audit(place.table())]
    scans = [place for place in inner if _is_scan(place.table())]
    if not audits and not scans:
        raise InputError(f"{name} is not the output of `ftaudit check`, `wheel`, `scan` or `report`", hint=HINT)
    besides = [one for one in each if one not in audits]
    return Document(
        name=name,
        audits=tuple(map(_audit, audits)),
        incomplete=tuple(item.text() for one in besides for item in one.at("incomplete").items(optional=True)),
        scans=tuple(map(_scan, scans)),
    )


def _parts(place: _Place) -> Iterator[_Place]:
    """Yield a document and the documents in it."""
    yield place
    values = place.table()
    yield from (place.at(key) for key in ("check", "scan") if isinstance(values.get(key), dict))


def _is_audit(values: Mapping[str, Any]) -> bool:
    return isinstance(values.get("packages"), list) and isinstance(values.get("coverage"), dict)


def _is_scan(values: Mapping[str, Any]) -> bool:
    return isinstance(values.get("findings"), list) and isinstance(values.get("skipped"), list)


def _audit(place: _Place) -> Audit:
    return Audit(
        target=place.at("target").text(),
        platforms=tuple(item.text() for item in place.at("platforms").items()),
        rows=tuple(map(_row, place.at("packages").items())),
        incomplete=tuple(item.text() for item in place.at("incomplete").items()),
    )


def _row(place: _Place) -> ComparedPackage:
    evidence = place.at("evidence").table(optional=True).get("source")
    reasons = [item.text() for item in place.at("reasons").items()]
    return ComparedPackage(
        name=place.at("name").text(),
        version=place.at("version").optional_text(),
        platform=place.at("platform").text(),
        verdict=place.at("verdict").choice(Verdict),
        reason=reasons[0] if reasons else None,
        accepted=place.at("accepted").value is not None,
        source_scanned=isinstance(evidence, dict) and evidence.get("status") == "done",
        findings=tuple(map(_package_finding, place.at("findings").items())),
    )


def _package_finding(place: _Place) -> ComparedFinding:
    where = place.at("location")
    return _found(place, where.at("path") if where.value is not None else where, where if where.value else None)


def _scan(place: _Place) -> Scan:
    findings = [*place.at("findings").items(), *place.at("accepted").items(optional=True)]
    unread = [skip for skip in place.at("skipped").items() if skip.at("read_anyway").value is not True]
    return Scan(
        target=place.at("target").text(),
        findings=tuple(_found(finding, finding.at("path"), finding) for finding in findings),
        unread=frozenset(skip.at("path").text() for skip in unread),
    )


def _found(place: _Place, path: _Place, line: _Place | None) -> ComparedFinding:
    return ComparedFinding(
        code=place.at("code").text(),
        rule=place.at("rule").text(),
        severity=place.at("severity").choice(Severity),
        message=place.at("message").text(),
        path=path.optional_text(),
        line=None if line is None else line.at("line").optional_number(),
        module=place.at("module").optional_text(),
        fingerprint=place.at("fingerprint").optional_text(),
        in_source=path.value is not None,
        restates_verdict=place.at("restates_verdict").value is True,
    )


class _Place:
    """A value of the document with its location."""

    __slots__ = ("_file", "_where", "value")

    def __init__(self, value: Any, file: str, where: str) -> None:
        self.value, self._file, self._where = value, file, where

    def at(self, key: str) -> _Place:
        """Return the value of a key, or `None` if the key is missing."""
        return _Place(self.table().get(key), self._file, f"{self._where}.{key}" if self._where else key)

    def table(self, *, optional: bool = False) -> Mapping[str, Any]:
        """Return the object; with `optional`, a missing one is empty."""
        if optional and self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise self._error("an object")
        return self.value

    def items(self, *, optional: bool = False) -> Iterator[_Place]:
        """Yield the items of the list; with `optional`, a missing one is empty."""
        if optional and self.value is None:
            return
        if not isinstance(self.value, list):
            raise self._error("a list")
        for number, item in enumerate(self.value):
            yield _Place(item, self._file, f"{self._where}[{number}]")

    def text(self) -> str:
        """Return the string, shortened, without characters that cannot be written."""
        if not isinstance(self.value, str):
            raise self._error("a string")
        return self.value[:_LONGEST].encode("utf-8", "replace").decode("utf-8")

    def optional_text(self) -> str | None:
        """Return the string, or `None` for any other value."""
        return None if self.value is None else self.text()

    def optional_number(self) -> int | None:
        """Return the whole number, or `None` for any other value."""
        if self.value is None:
            return None
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            raise self._error("a whole number")
        return min(self.value, 1 << 31)

    def choice(self, of: Any) -> Any:
        """Return the member of an enumeration."""
        text = self.text()
        try:
            return of(text)
        except ValueError as error:
            raise self._error(f"one of {', '.join(map(str, of))}") from error

    def _error(self, expected: str) -> InputError:
        return InputError(f"{self._file}: {self._where or 'the document'} is not {expected}", hint=HINT)
