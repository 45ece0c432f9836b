"""The command `ftaudit fleet report`: the static site of a run's data set."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ftaudit.cli.answer import CommandAnswer, Screen
from ftaudit.errors import UsageError

MARKER: Final = "ftaudit-site.txt"
"""The file that marks a folder as a site, which the next run may replace."""
EPILOG: Final = """\
examples:
  ftaudit fleet report run/ -o site/
  ftaudit fleet report run/ --since last-week/ -o site/
"""


def add_report(commands: Any) -> None:
    """Add `report` to the sub-commands of `fleet`."""
    report = commands.add_parser(
        "report",
        help="make a static site from the data set of a run",
        description="Make a static site from the data set of a run. The site needs no server and no network.",
        epilog=EPILOG,
    )
    report.add_argument("run", type=Path, metavar="RUN", help="the folder of the run")
    report.add_argument(
        "--since", type=Path, metavar="RUN", help="an earlier run; adds a page with the changes since then"
    )
    help_site = "the folder to write; an earlier site there is replaced"
    report.add_argument("-o", "--output", type=Path, required=True, metavar="SITE", help=help_site)
    report.add_argument("-q", "--quiet", action="store_true", help="no progress display")
    report.set_defaults(answer=run_report)


def run_report(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Write the site. Raise `FtauditError` for an unreadable data set, or a folder that must not be replaced."""
    from ftaudit.fleet.fleet_summary import read_summary
    from ftaudit.fleet.history import find_history
    from ftaudit.progress import on_stderr
    from ftaudit.report.fleet_site import INDEX, count_pages, pages

    site: Path = options.output
    _check(site, options.run, options.since)
    summary = read_summary(options.run)
    history = None if options.since is None else find_history(read_summary(options.since), summary)
    with on_stderr(wanted=not options.quiet) as progress:
        progress.stage("pages", count_pages(summary, history))
        written = 0
        with _replaced(site) as folder:
            for path, text in pages(summary, history):
                _write(folder / path, text)
                progress.done(path)
                written += 1
    return CommandAnswer(text=f"{site / INDEX}: {written:,} files\n")


def _check(site: Path, *runs: Path | None) -> None:
    for run in runs:
        if run is not None and run.resolve().is_relative_to(site.resolve()):
            raise UsageError(f"{site} contains the run {run}, and would be replaced", hint="specify another folder")
    if not site.exists():
        return
    if not site.is_dir():
        raise UsageError(f"{site} is not a folder", hint="specify a new folder with --output")
    if any(site.iterdir()) and not (site / MARKER).is_file():
        raise UsageError(f"{site} is not empty, and ftaudit did not make it", hint="specify a new folder with --output")


@contextlib.contextmanager
def _replaced(site: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of the site if nothing fails. Raise `UsageError` if it cannot."""
    place = site.resolve()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as scratch:
            new, old = Path(scratch) / "new", Path(scratch) / "old"
            new.mkdir()
            _write(new / MARKER, "This folder is a site that ftaudit makes. It is replaced as a whole.\n")
            yield new
            if place.exists():
                place.rename(old)
            new.rename(place)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UsageError(
            f"cannot write {site}: {error.strerror}", hint="specify another folder with --output"
        ) from error


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode("utf-8", "backslashreplace"))
