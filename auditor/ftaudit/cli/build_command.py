"""The command `ftaudit build`: builds releases from source on this machine, and judges the wheels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from ftaudit.cli.answer import CommandAnswer, Screen
from ftaudit.cli.options import add_answer, add_index, add_target, settings_of
from ftaudit.errors import UsageError
from ftaudit.model import worst_exit_code
from ftaudit.report import formats
from ftaudit.report.formats import Format

OFFERED: Final = (Format.TABLE, Format.JSON)
BUILD_SECONDS: Final = 1200.0
EPILOG: Final = """\
exit codes: 0 all build and leave the GIL off · 1 one does not
2 usage error · 3 one could not be checked, or a limit was reached

examples:
  ftaudit build lru-dict==1.3.0
  ftaudit build lz4==4.4.4 zstandard==0.25.0 --wheel-dir wheels/
  pip install --find-links wheels/ lz4==4.4.4      with the free-threaded Python
"""


def add_parsers(commands: Any) -> None:
    """Add `build` to the sub-commands."""
    build = commands.add_parser(
        "build",
        help="build releases from source in the sandbox, and audit the wheels",
        description="Build source distributions for free-threaded CPython in the sandbox, without network, and audit "
        "the wheels with all tiers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = build.add_argument_group("inputs")
    what.add_argument("items", nargs="+", metavar="NAME==VERSION", help="a release with a source distribution")
    where = build.add_argument_group("target")
    add_target(where)
    where.add_argument("--python", type=Path, metavar="PATH", help="the interpreter to build with and for")
    add_build_options(build.add_argument_group("builds"))
    add_index(build)
    add_answer(build, OFFERED)
    build.set_defaults(answer=run_build_command)


def add_build(parser: argparse.ArgumentParser) -> None:
    """Add `--build` and the limits of a build to a command that audits inputs."""
    checks = next(group for group in parser._action_groups if group.title == "checks")
    checks.add_argument(
        "--build", action="store_true", help="build source-only packages on this machine, in the sandbox"
    )
    add_build_options(checks)


def add_build_options(group: Any) -> None:
    """Add the limits of a build, and the folder for its wheel."""
    group.add_argument("--wheel-dir", type=Path, metavar="PATH", help="copy the built wheels to this folder")
    seconds = f"time limit for each build, in seconds (default {BUILD_SECONDS:g})"
    group.add_argument("--build-timeout", type=float, default=BUILD_SECONDS, metavar="S", help=seconds)


def run_build_command(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Build and judge. Raise `FtauditError` for a problem that the user must fix."""
    from ftaudit.engine.build_runs import build_releases
    from ftaudit.engine.tiers.sdists import parse_release
    from ftaudit.progress import on_stderr
    from ftaudit.report.package.local_build_rows import render_json, render_table
    from ftaudit.sandbox.confined_build import BuildLimits

    settings = settings_of(options)
    releases = []
    for item in options.items:
        release = parse_release(item)
        if release is None:
            raise UsageError(f"{item!r} is not NAME==VERSION", hint="specify a release with its version")
        releases.append(release)
    limits = BuildLimits(seconds=checked_seconds(options))
    with on_stderr(wanted=not options.quiet) as progress:
        builds = tuple(
            build_releases(releases, settings, limits=limits, wheel_dir=options.wheel_dir, progress=progress)
        )
    code = worst_exit_code(build.exit_code for build in builds)
    form = formats.choose(options.format, options.output, OFFERED)
    text = (
        render_json(builds, settings.target, exit_code=code)
        if form is Format.JSON
        else render_table(builds, settings.target)
    )
    return CommandAnswer(text=text, exit_code=code, output=options.output)


def checked_seconds(options: argparse.Namespace) -> float:
    """Return the time limit of a build; raise `UsageError` for one that is not positive."""
    seconds = float(options.build_timeout)
    if seconds <= 0:
        raise UsageError("--build-timeout takes a positive number", hint="specify a number of seconds greater than 0")
    return seconds
