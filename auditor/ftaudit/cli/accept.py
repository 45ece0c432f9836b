"""The options of the baseline, and how commands apply it and the configuration's `accept` entries."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftaudit.cli.answer import replace_file, say
from ftaudit.errors import UsageError
from ftaudit.report import formats
from ftaudit.report.package.agreeing_rows import counted

if TYPE_CHECKING:
    from ftaudit.accepting import AcceptEntry, Baseline
    from ftaudit.model import Report
    from ftaudit.source.tree_scan import ScanResult


def add_baseline(group: Any) -> None:
    """Add `--baseline` and `--update-baseline`."""
    group.add_argument("--baseline", type=Path, metavar="FILE", help="ignore problems recorded in FILE")
    group.add_argument(
        "--update-baseline", action="store_true", help="record the current problems in the baseline file"
    )


def accept_in_report(report: Report, options: argparse.Namespace) -> Report:
    """Return the report with accepted rows marked. Raise `FtauditError` for an invalid entry or baseline."""
    entries, baseline = _read(options)
    if not entries and baseline is None:
        return report
    from ftaudit.accepting import accept_packages, keep_packages

    if baseline is not None and options.update_baseline:
        entered = accept_packages(report, entries, None, today=date.today())
        baseline = _replace(baseline, keep_packages(entered, baseline))
    accepted = accept_packages(report, entries, baseline, today=date.today())
    _tell(accepted.notes[len(report.notes) :], options)
    return accepted


def accept_in_scan(result: ScanResult, options: argparse.Namespace, *, whole: bool) -> ScanResult:
    """Return the scan with accepted findings set apart; `whole` means that the complete project was scanned.

    Raise `FtauditError` for an invalid entry or baseline.
    """
    entries, baseline = _read(options)
    if not entries and baseline is None:
        return result
    from ftaudit.accepting import accept_findings, keep_findings

    today = date.today()
    if baseline is not None and options.update_baseline:
        entered = accept_findings(result, entries, None, whole=whole, today=today)
        baseline = _replace(baseline, keep_findings(entered, baseline, whole=whole))
    accepted = accept_findings(result, entries, baseline, whole=whole, today=today)
    _tell(accepted.notes[len(result.notes) :], options)
    return accepted


def check_accept(options: argparse.Namespace) -> None:
    """Read the files that are needed at the end, so that a mistake in them is reported before the work starts."""
    _read(options)


def _read(options: argparse.Namespace) -> tuple[tuple[AcceptEntry, ...], Baseline | None]:
    path: Path | None = getattr(options, "baseline", None)
    update = getattr(options, "update_baseline", False)
    raw = options.configuration.accept
    if update and path is None:
        raise UsageError("--update-baseline needs a baseline file", hint="specify it with --baseline FILE")
    if not raw and path is None:
        return (), None
    from ftaudit.accepting import parse_entries, read_baseline

    entries = parse_entries(raw)
    _check_rules(entries, tuple(getattr(options, "rules", ())))
    return entries, None if path is None else read_baseline(path, may_be_missing=update)


def _check_rules(entries: tuple[AcceptEntry, ...], folders: tuple[Path, ...]) -> None:
    """Raise `UsageError` for an entry with an unknown rule: it would never accept anything."""
    if not any(entry.rule for entry in entries):
        return
    from ftaudit.config.keys import nearest
    from ftaudit.registry import load_rules, means

    rules = load_rules(folders).rules
    for entry in entries:
        if entry.rule is not None and not any(means(entry.rule, rule) for rule in rules):
            near = nearest(entry.rule, (rule.info.name for rule in rules))
            hint = f"did you mean {near}?" if near else "`ftaudit explain` lists all rules"
            raise UsageError(f"{entry.location}: no rule is named {entry.rule!r}", hint=hint)


def _tell(notes: Sequence[str], options: argparse.Namespace) -> None:
    """Report on standard error what the format of the answer has no place for."""
    if formats.choose(options.format, options.output, tuple(formats.Format)) in formats.WITHOUT_NOTES:
        for note in notes:
            say(note)


def _replace(old: Baseline, new: Baseline) -> Baseline:
    from ftaudit.accepting import render_baseline

    before = {*old.packages.items(), *old.findings}
    after = {*new.packages.items(), *new.findings}
    replace_file(new.path, render_baseline(new))
    known = counted(len(after), "known problem")
    say(f"{new.path}: {known} ({len(after - before)} added, {len(before - after)} removed)")
    return new
