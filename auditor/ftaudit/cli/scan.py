"""The command `ftaudit scan`."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftaudit.cli.accept import accept_in_scan, add_baseline, check_accept
from ftaudit.cli.answer import CommandAnswer, Screen
from ftaudit.cli.options import (
    add_allow_unknown,
    add_also,
    add_answer,
    add_cache,
    add_rules,
    add_targets,
    also_of,
    check_answer,
    settings_of,
    settle_exit,
    targets_of,
)
from ftaudit.cli.stress import check_stress
from ftaudit.errors import UsageError
from ftaudit.extras import SOURCE_ENGINES, Extra, why_missing
from ftaudit.report import formats
from ftaudit.stress.stress_settings import DEFAULT_BUDGET

if TYPE_CHECKING:
    from ftaudit.settings import Settings
    from ftaudit.source.source_files import FoundFiles
    from ftaudit.source.tree_scan import ScanResult

SCAN_EPILOG: Final = """\
examples:
  ftaudit scan                       the project in this folder
  ftaudit scan src/ --select FT3     rules of one group
  ftaudit scan --changed main        only what differs from the branch main
  ftaudit scan lxml==6.1.3           the source distribution of a release
  ftaudit scan --diff | git apply    apply all fixes, safe or suggested
"""

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
"""A project's name (PyPA's specification of name normalization)."""


def add_parsers(commands: Any) -> None:
    """Add `scan` to the sub-commands."""
    formatter = argparse.RawDescriptionHelpFormatter
    scan = commands.add_parser(
        "scan",
        help="find code that breaks without the GIL in C, C++, Cython, Rust and Python source",
        description="Find code that breaks without the GIL in C, C++, Cython, Rust and Python source.",
        epilog=SCAN_EPILOG,
        formatter_class=formatter,
    )
    what = scan.add_argument_group("inputs")
    what.add_argument(
        "paths", nargs="*", metavar="PATH", help="files, folders, sdists, or NAME==VERSION; default: this folder"
    )
    what.add_argument("--include-tests", action="store_true", help="include tests, examples, docs and benchmarks")
    what.add_argument("--include-vendored", action="store_true", help="include vendored code")
    what.add_argument(
        "--changed", nargs="?", const="HEAD", metavar="BASE", help="only files that differ from BASE (default HEAD)"
    )
    rules = scan.add_argument_group("rules")
    add_targets(rules)
    add_rules(rules)
    rules.add_argument("--pedantic", action="store_true", help="include rules and findings with many false positives")
    group = scan.add_argument_group("fixes")
    fixes = group.add_mutually_exclusive_group()
    fixes.add_argument("--diff", action="store_true", help="print the fixes as a diff for `git apply`")
    fixes.add_argument("--write", action="store_true", help="write the safe fixes, then report what remains")
    declare = "print the edits that declare that modules do not need the GIL, if no error or warning remains"
    group.add_argument("--declare", action="store_true", help=declare)
    wheel = "with --declare: also stress this wheel, built from the edited source"
    group.add_argument("--stress", dest="stress_wheel", type=Path, metavar="WHEEL", help=wheel)
    time = f"processor time for --stress in seconds (default {DEFAULT_BUDGET:g})"
    group.add_argument("--budget", type=float, default=DEFAULT_BUDGET, metavar="S", help=time)
    where = scan.add_argument_group("execution")
    where.add_argument("--jobs", type=int, metavar="N", help="number of processes (default: one per core)")
    where.add_argument("--index-url", metavar="URL", help="the package index, for NAME==VERSION")
    add_cache(where)
    answer = add_answer(scan, formats.OF_SCAN)
    add_also(answer)
    add_allow_unknown(answer)
    add_baseline(answer)
    answer.add_argument(
        "--state",
        action="store_true",
        help="also list which code uses which shared state, under which lock",
    )
    answer.add_argument(
        "--fail-on",
        choices=("error", "warning", "info"),
        default="warning",
        help="exit 1 for findings of this severity or higher (default: warning)",
    )
    scan.set_defaults(answer=run_scan)


def run_scan(
    options: argparse.Namespace,
    screen: Screen,
    on_done: Callable[[int, int], None] | None = None,
) -> CommandAnswer:
    """Scan, and return the report. Raise `FtauditError` for a problem that the user must fix."""
    from ftaudit.model import Severity
    from ftaudit.registry import is_exact, load_rules, means
    from ftaudit.report.scan.fix_summary import count_fixes, render_diff, skipped_lines
    from ftaudit.rule import SourceRule
    from ftaudit.source.result_cache import open_results
    from ftaudit.target import parse_targets

    settings = settings_of(options)
    check_accept(options)
    check_answer(options, formats.OF_SCAN)
    _check_fixes(options)
    targets = parse_targets(targets_of(options))
    registry = load_rules(tuple(options.rules))
    selected = settings.select
    chosen = registry.select(select=selected, ignore=settings.ignore, pedantic=options.pedantic)
    rules = tuple(rule for rule in chosen if isinstance(rule, SourceRule))
    if not rules:
        raise UsageError("no source rule is selected", hint="`ftaudit explain` lists all rules")
    folder = settings.open_cache()
    cache = None if folder is None else open_results(folder)
    every = {rule.info.name for rule in rules if options.pedantic or any(is_exact(name, rule) for name in selected)}

    without_fixes = why_missing(Extra.SOURCE, SOURCE_ENGINES) if _shows_fixes(options) else None
    requested = {rule.info.name for rule in rules if any(means(name, rule) for name in selected)}

    def look(found: FoundFiles) -> ScanResult:
        from ftaudit.source.across_targets import join_targets
        from ftaudit.source.tree_scan import scan

        return join_targets(
            [
                scan(
                    found,
                    rules=rules,
                    target=target,
                    known=[rule.info for rule in registry.rules],
                    pedantic=every,
                    cache=cache,
                    jobs=options.jobs,
                    on_done=on_done,
                    requested=requested,
                    fixes=not options.declare
                    and (options.diff or options.write or (_shows_fixes(options) and without_fixes is None)),
                    declare=options.declare,
                )
                for target in targets
            ]
        )

    result = _scan_all(options, settings, look)
    result = accept_in_scan(result, options, whole=_is_whole(options))
    if options.declare:
        return _declare(result, options, settings, screen, registry.problems)
    fix_notes: tuple[str, ...] = () if without_fixes is None else (f"the report has no fixes: it {without_fixes}",)
    if options.write and (written := _write(result)):
        fix_notes = written
        result = accept_in_scan(_scan_all(options, settings, look), options, whole=_is_whole(options))
    if options.diff or options.write:
        fix_notes = (*fix_notes, *count_fixes(result.findings))
    code = result.exit_code(Severity(options.fail_on))
    if registry.problems and code == 0:
        code = 3
    rendered = partial(
        formats.render_scan,
        result,
        page=replace(screen.page, state=options.state),
        exit_code=code,
        fail_on=Severity(options.fail_on),
        rules=registry.rules,
    )
    settled, notes = settle_exit(code, options)
    as_diff = options.diff and options.format is None
    return CommandAnswer(
        text="" if as_diff else rendered(formats.choose(options.format, options.output, formats.OF_SCAN)),
        data=render_diff(result, screen.page.folder) if as_diff else None,
        exit_code=settled,
        output=options.output,
        notes=(*registry.problems, *(skipped_lines(result) if as_diff else ()), *fix_notes, *notes),
        also=tuple((path, rendered(form)) for path, form in also_of(options, formats.OF_SCAN)),
    )


def _check_fixes(options: argparse.Namespace) -> None:
    """Raise `UsageError` for contradictory options of fixes."""
    asked = next((name for name in ("declare", "write", "diff") if getattr(options, name)), None)
    if asked is not None and (reason := why_missing(Extra.SOURCE, SOURCE_ENGINES)):
        raise UsageError(f"--{asked} {reason}")
    if asked is not None and len(targets_of(options)) > 1:
        raise UsageError(f"--{asked} takes one target", hint="specify one with --target")
    if options.write and any(_is_archive(text) for text in options.paths):
        raise UsageError("--write needs files or folders, not an archive or a release", hint="use --diff")
    if options.declare and (options.changed is not None or options.format is not None):
        raise UsageError("--declare prints a diff for the whole project", hint="leave out --changed and --format")
    if options.stress_wheel is not None and not options.declare:
        raise UsageError("--stress is for --declare", hint="`ftaudit stress` uses a package from many threads")
    check_stress(options)


def _declare(
    result: ScanResult, options: argparse.Namespace, settings: Settings, screen: Screen, problems: tuple[str, ...]
) -> CommandAnswer:
    """Return the diff of the edits that declare, or the reason for a missing diff."""
    from ftaudit.engine.earned_declaration import StressedWheel, judge_declaration
    from ftaudit.engine.stress_run import stress_wheel
    from ftaudit.progress import on_stderr
    from ftaudit.report.scan.fix_summary import declaration_lines, render_diff, skipped_lines, without_fixes
    from ftaudit.source.fixing.patch import write_files

    earned = judge_declaration(result, whole=not problems)
    if options.stress_wheel is not None and not earned.is_refused:
        with on_stderr(wanted=not options.quiet) as progress:
            row = stress_wheel(options.stress_wheel, settings, progress=progress)
        earned = replace(earned, stressed=StressedWheel(wheel=options.stress_wheel.name, row=row))
    if earned.is_refused:
        result = without_fixes(result)
    written = tuple(write_files(result.edited, result.findings, safe=False)) if options.write else ()
    settled, notes = settle_exit(earned.exit_code, options)
    return CommandAnswer(
        text="",
        data=b"" if options.write else render_diff(result, screen.page.folder),
        exit_code=settled,
        output=options.output,
        notes=(
            *problems,
            *skipped_lines(result),
            *(f"{each.file.shown}: declaration written" for each in written),
            *declaration_lines(earned, result),
            *notes,
        ),
    )


def _shows_fixes(options: argparse.Namespace) -> bool:
    """Return whether one of the written formats contains fixes."""
    chosen = formats.choose(options.format, options.output, formats.OF_SCAN) if not options.diff else None
    return any(form in (formats.Format.JSON, formats.Format.SARIF) for form in (chosen, *_also_formats(options)))


def _also_formats(options: argparse.Namespace) -> tuple[formats.Format, ...]:
    return tuple(form for _, form in also_of(options, formats.OF_SCAN))


def _write(result: ScanResult) -> tuple[str, ...]:
    """Write the safe fixes, and return a line for each file."""
    from ftaudit.source.fixing.patch import write_files

    return tuple(f"{each.file.shown}: safe fixes written" for each in write_files(result.edited, result.findings))


def _is_archive(text: str) -> bool:
    from ftaudit.engine.tiers.sdists import SUFFIXES, parse_release

    return (text.endswith(SUFFIXES) and Path(text).is_file()) or ("==" in text and parse_release(text) is not None)


def _is_whole(options: argparse.Namespace) -> bool:
    """Return whether all of the project is scanned: this folder, or the paths in the configuration."""
    configured = options.configuration.values.get((options.command, "paths"))
    usual = configured is not None and configured.value == options.paths
    here = all(Path(path).absolute() == Path.cwd() for path in options.paths)
    return options.changed is None and (usual or here)


def _scan_all(options: argparse.Namespace, settings: Any, look: Callable[[FoundFiles], ScanResult]) -> ScanResult:
    """Scan the named paths together, and each named release separately."""
    from ftaudit.source.source_files import find_files
    from ftaudit.source.tree_scan import merge

    releases, archives, paths = _take_apart(options.paths)
    results: list[ScanResult] = []
    if paths or not (releases or archives):
        found = find_files(
            paths or [Path()],
            include_tests=options.include_tests,
            include_vendored=options.include_vendored,
            changed=options.changed,
        )
        if not found.files and not found.skipped and not found.left_out and options.changed is None:
            raise UsageError(
                f"no source files in {', '.join(map(str, paths)) or 'this folder'}",
                hint="ftaudit scans C, C++, Cython, Rust, Python and build files",
            )
        results.append(look(found))
    results += (_scan_archive(archive, options, settings, look) for archive in archives)
    results += (_scan_release(name, version, options, settings, look) for name, version in releases)
    return merge(results)


def _take_apart(texts: list[str]) -> tuple[list[tuple[str, Any]], list[Path], list[Path]]:
    """Return the releases, the sdists, and the paths among the arguments; most scans need no index."""
    from ftaudit.engine.tiers.sdists import SUFFIXES, parse_release

    releases, archives, paths = [], [], []
    for text in texts:
        release, path = parse_release(text) if "==" in text else None, Path(text)
        if release is not None:
            releases.append(release)
        elif text.endswith(".whl"):
            raise UsageError(f"{text} is a wheel, which has no source", hint=f"ftaudit wheel {text}")
        elif text.startswith(("http://", "https://")):
            raise UsageError(f"{text} is not a path", hint="clone or download it, and scan the folder")
        elif not os.path.lexists(text):
            name = f", or a release with its version: {text}==VERSION" if _NAME.fullmatch(text) else ""
            raise UsageError(f"{text} does not exist", hint=f"specify a file or folder{name}")
        elif path.name.endswith(SUFFIXES) and path.is_file():
            archives.append(path)
        else:
            paths.append(path)
    return releases, archives, paths


def _scan_release(
    name: str, version: Any, options: argparse.Namespace, settings: Any, look: Callable[[FoundFiles], ScanResult]
) -> ScanResult:
    from ftaudit.engine.setup import cache_folder, open_index
    from ftaudit.engine.tiers.sdists import Sdists

    with open_index(settings) as index, cache_folder(settings) as folder:
        return _scan_archive(Sdists(index, folder).fetch(name, version), options, settings, look)


def _scan_archive(
    archive: Path, options: argparse.Namespace, settings: Any, look: Callable[[FoundFiles], ScanResult]
) -> ScanResult:
    from ftaudit.source.sdist import found_in

    scratch = None if settings.no_cache else settings.cache / "unpacked"
    asked = {"include_tests": options.include_tests, "include_vendored": options.include_vendored}
    with found_in(archive, scratch, **asked) as found:
        return look(found)
