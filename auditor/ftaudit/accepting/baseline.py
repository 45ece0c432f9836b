"""The baseline file: the known problems, one per line, sorted, so that you can review its changes.

The key of a package is its name, platform, and target, with its verdict: an upgrade that leaves the package blocked is
not a new problem, a worse verdict is. The key of a finding in source is its rule, its file, and its fingerprint, which
depends on the line's text and not on its number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ftaudit.errors import InputError, cause_of
from ftaudit.model import BLOCKING, Verdict

VERSION: Final = 1
MAX_BYTES: Final = 32 * 1024 * 1024
NEXT: Final = "create it with --update-baseline, then commit it"
BROKEN: Final = "restore it from version control, or delete it and create it again with --update-baseline"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class PackageKey:
    """The key of a blocked package."""

    package: str
    platform: str
    target: str


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class FindingKey:
    """The key of a finding in source."""

    path: str
    rule: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """The known problems, and their file."""

    path: Path
    packages: Mapping[PackageKey, Verdict]
    findings: frozenset[FindingKey]


def read_baseline(path: Path, *, may_be_missing: bool = False) -> Baseline:
    """Return the known problems of a file; raise `InputError` if it is missing or is not a baseline.

    With `may_be_missing` a file that does not exist is an empty baseline, which the run creates.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is too long to be a baseline", hint=BROKEN)
        data = path.read_bytes()
    except FileNotFoundError as error:
        if may_be_missing:
            return Baseline(path=path, packages={}, findings=frozenset())
        raise InputError(f"baseline not found: {path}", hint=NEXT) from error
    except (OSError, ValueError) as error:
        raise InputError(f"the baseline {path} cannot be read: {cause_of(error)}", hint=BROKEN) from error
    return parse_baseline(data, path)


def parse_baseline(data: bytes, path: Path) -> Baseline:
    """Parse the bytes of a baseline file; raise `InputError` that names the error."""
    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a baseline: invalid JSON ({error})", hint=BROKEN) from error
    if not isinstance(document, dict) or "ftaudit_baseline" not in document:
        raise InputError(f'{path} is not a baseline: it lacks "ftaudit_baseline"', hint="specify another file")
    if document["ftaudit_baseline"] != VERSION:
        text = str(document["ftaudit_baseline"])[:20]
        hint = "a different ftaudit release wrote it; use that release, or create it again with --update-baseline"
        raise InputError(f"{path} has version {text} of the format; this release reads {VERSION}", hint=hint)
    packages: dict[PackageKey, Verdict] = {}
    for number, row in _rows(document, "packages", path):
        name, platform, target, verdict = _texts(row, ("package", "platform", "target", "verdict"), number, path)
        if verdict not in [blocking.value for blocking in BLOCKING]:
            raise InputError(f"{path}: packages[{number}]: {verdict[:40]!r} is not a verdict that blocks", hint=BROKEN)
        packages[PackageKey(package=name, platform=platform, target=target)] = Verdict(verdict)
    findings = set()
    for number, row in _rows(document, "findings", path):
        place, rule, mark = _texts(row, ("path", "rule", "fingerprint"), number, path)
        findings.add(FindingKey(path=place, rule=rule, fingerprint=mark))
    return Baseline(path=path, packages=packages, findings=frozenset(findings))


def render_baseline(baseline: Baseline) -> str:
    """Return the text of the file: the same problems always produce the same text."""
    packages = [
        {"package": key.package, "platform": key.platform, "target": key.target, "verdict": verdict.value}
        for key, verdict in sorted(baseline.packages.items())
    ]
    findings = [
        {"path": key.path, "rule": key.rule, "fingerprint": key.fingerprint} for key in sorted(baseline.findings)
    ]
    lists = f'  "packages": {_lines(packages)},\n  "findings": {_lines(findings)}\n'
    return f'{{\n  "ftaudit_baseline": {VERSION},\n{lists}}}\n'


def _lines(rows: Iterable[Mapping[str, str]]) -> str:
    lines = [f"    {json.dumps(row, ensure_ascii=False)}" for row in rows]
    return "[\n" + ",\n".join(lines) + "\n  ]" if lines else "[]"


def _rows(document: Mapping[str, Any], key: str, path: Path) -> Iterable[tuple[int, Mapping[str, Any]]]:
    rows = document.get(key, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: {key} is not a list of objects", hint=BROKEN)
    return enumerate(rows)


def _texts(row: Mapping[str, Any], keys: Iterable[str], number: int, path: Path) -> list[str]:
    values = [row.get(key) for key in keys]
    if not all(isinstance(value, str) for value in values):
        raise InputError(
            f"{path}: entry {number} lacks one of {', '.join(keys)}, or its value is not a string", hint=BROKEN
        )
    return [str(value) for value in values]
