"""The command line: parse, call the engine, write, return the exit code; no other logic."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

from ftaudit.__about__ import __version__
from ftaudit.errors import FtauditError, UsageError

INTERRUPTED: Final = 130

DESCRIPTION: Final = "Tells whether a Python stack is ready for free-threaded CPython, from evidence."
EPILOG: Final = """\
exit codes: 0 nothing blocks · 1 something blocks · 2 usage or unreadable input · 3 nothing found to block,
but not everything could be checked

start here:
  ftaudit check                      the lock file or requirements in this folder
  ftaudit check requirements.txt     what blocks, why, who pulls it in, what to do
  ftaudit check --static uv.lock     the same without running any code of the audited packages
"""
CHECK_EPILOG: Final = """\
examples:
  ftaudit check requirements.txt
  ftaudit check uv.lock --platform linux-x86_64 --platform windows-amd64
  ftaudit check pyproject.toml --extra server --group dev --target 3.15t
  ftaudit check --format json --output report.json
"""


class _Parser(argparse.ArgumentParser):
    """Raises usage errors instead of exiting, so that they are printed like every other error."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see `{self.prog} --help`")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code (docs/usage.md has the table)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in (["--version"], ["-V"]):
        print(f"ftaudit {__version__}")
        return 0
    try:
        return _run(arguments)
    except FtauditError as error:
        print(f"ftaudit: error: {error.problem}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ftaudit: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away; nothing is left to say and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(arguments: list[str]) -> int:
    parser = build_parser()
    options = parser.parse_args(arguments)
    if hasattr(options, "answer"):
        return _answer(options)
    run: Callable[[argparse.Namespace], int] | None = getattr(options, "run", None)
    if run is None:
        parser.print_help()
        return 0
    return run(options)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="ftaudit", description=DESCRIPTION, epilog=EPILOG, formatter_class=formatter)
    parser.add_argument("-V", "--version", action="version", version=f"ftaudit {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    check = commands.add_parser(
        "check",
        help="judge every package that a lock file or requirements file pins",
        description="Judge every package that the input pins, with its dependencies, on the target and platforms.",
        epilog=CHECK_EPILOG,
        formatter_class=formatter,
    )
    _add_check_options(check)
    check.set_defaults(run=_check)

    from ftaudit import cli_scan

    cli_scan.add_parsers(commands)

    python = commands.add_parser("python", help="find or provide the free-threaded interpreter to import with")
    _add_python_options(python)
    return parser


def _add_check_options(parser: argparse.ArgumentParser) -> None:
    from ftaudit.target import DEFAULT_TARGET, PLATFORMS, TARGETS

    what = parser.add_argument_group("what is judged")
    what.add_argument(
        "inputs", nargs="*", metavar="INPUT", help="requirements.txt, pylock.toml, uv.lock, pyproject.toml"
    )
    what.add_argument("--extra", action="append", default=[], metavar="NAME", help="an extra to include (repeatable)")
    what.add_argument("--all-extras", action="store_true", help="include every extra")
    what.add_argument("--group", action="append", default=[], metavar="NAME", help="a dependency group (repeatable)")
    what.add_argument("--no-deps", action="store_true", help="judge only what is listed, not what it needs")

    where = parser.add_argument_group("for which interpreter")
    where.add_argument(
        "--target", default=DEFAULT_TARGET, metavar="VERSION", help=f"{' | '.join(TARGETS)} (default {DEFAULT_TARGET})"
    )
    where.add_argument(
        "--platform",
        action="append",
        default=[],
        metavar="NAME",
        help=f"{', '.join(PLATFORMS)}, or an exact tag; default this machine (repeatable)",
    )

    how = parser.add_argument_group("how it is looked at")
    how.add_argument("--static", action="store_true", help="run no code of any audited package: no imports")
    how.add_argument("--python", type=Path, metavar="PATH", help="the free-threaded interpreter to import with")
    how.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds an import may take (default 60)")
    how.add_argument("--jobs", type=int, metavar="N", help="import processes at a time (default one a core)")

    index = parser.add_argument_group("where packages come from")
    index.add_argument("--index-url", metavar="URL", help="the package index (PEP 503 or 691)")
    index.add_argument(
        "--extra-index-url", action="append", default=[], metavar="URL", help="a further index (repeatable)"
    )
    index.add_argument("--find-links", action="append", default=[], metavar="PATH", help="a folder or page of files")
    index.add_argument("--offline", action="store_true", help="answer from the caches and the lock file alone")
    index.add_argument("--no-cache", action="store_true", help="neither read nor keep what was fetched")
    index.add_argument("--cache-dir", type=Path, metavar="PATH", help="default: the user's cache folder")

    rules = parser.add_argument_group("which rules")
    rules.add_argument("--select", action="append", default=[], metavar="RULE", help="only these: name, code or prefix")
    rules.add_argument("--ignore", action="append", default=[], metavar="RULE", help="not these: name, code or prefix")

    answer = parser.add_argument_group("the answer")
    answer.add_argument("--format", choices=("table", "json"), default="table", help="default table")
    answer.add_argument("--output", type=Path, metavar="FILE", help="write the answer to FILE")
    answer.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="default auto; NO_COLOR is obeyed"
    )
    answer.add_argument("-q", "--quiet", action="store_true", help="no progress display")


def _check(options: argparse.Namespace) -> int:
    from ftaudit import engine
    from ftaudit.progress import on_stderr
    from ftaudit.settings import Settings

    if options.timeout <= 0 or (options.jobs is not None and options.jobs < 1):
        raise UsageError("--timeout and --jobs take a positive number", hint="see `ftaudit check --help`")
    settings = Settings(
        target=options.target,
        platforms=tuple(dict.fromkeys(options.platform)),
        extras=tuple(options.extra),
        all_extras=options.all_extras,
        groups=tuple(options.group),
        no_deps=options.no_deps,
        static=options.static,
        python=options.python,
        index_url=options.index_url,
        extra_index_urls=tuple(options.extra_index_url),
        find_links=tuple(options.find_links),
        offline=options.offline,
        no_cache=options.no_cache,
        cache_dir=options.cache_dir,
        jobs=options.jobs,
        timeout=options.timeout,
        select=tuple(options.select),
        ignore=tuple(options.ignore),
    )
    inputs: list[str] = options.inputs or [engine.find_input()]
    if not options.inputs:
        print(f"ftaudit: reading {inputs[0]}", file=sys.stderr)
    with on_stderr(wanted=not options.quiet) as progress:
        report = engine.audit(inputs, settings, progress=progress)
    if options.format == "json":
        from ftaudit.report import json as renderer

        text = renderer.render(report)
    else:
        from ftaudit.report import table

        text = table.render(report, width=_width(table.DEFAULT_WIDTH), color=_color(options))
    _write(text, options.output)
    return report.exit_code


def _answer(options: argparse.Namespace) -> int:
    """Run a command that returns its answer, and write it."""
    from ftaudit.report.scan_table import DEFAULT_WIDTH

    answer = options.answer(options, width=_width(DEFAULT_WIDTH), color=hasattr(options, "color") and _color(options))
    for note in answer.notes:
        print(f"ftaudit: {note}", file=sys.stderr)
    _write(answer.text, answer.output)
    return int(answer.exit_code)


def _add_python_options(parser: argparse.ArgumentParser) -> None:
    from ftaudit.target import DEFAULT_TARGET, TARGETS

    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, text in (
        ("find", "say which free-threaded interpreter is taken, and why"),
        ("install", "provide one: find it, else let uv install it, else build it from source"),
    ):
        action = actions.add_parser(name, help=text, description=text.capitalize() + ".")
        action.add_argument(
            "--target",
            default=DEFAULT_TARGET,
            metavar="VERSION",
            help=f"{' | '.join(TARGETS)} (default {DEFAULT_TARGET})",
        )
        action.add_argument("--python", type=Path, metavar="PATH", help="this one and no other")
        action.add_argument("--cache-dir", type=Path, metavar="PATH", help="default: the user's cache folder")
        action.set_defaults(run=_python, action=name)


def _python(options: argparse.Namespace) -> int:
    from ftaudit import interpreters
    from ftaudit.settings import Settings
    from ftaudit.target import parse_target

    target = parse_target(options.target)
    cache = Settings(cache_dir=options.cache_dir).cache
    if options.action == "find" or options.python is not None:
        found = interpreters.find_interpreter(target, explicit=options.python, cache_dir=cache)
    else:
        found = interpreters.provide_interpreter(target, cache_dir=cache, progress=_say)
    print(found.path)
    print(f"  CPython {found.version}, {found.source}", file=sys.stderr)
    for attempt in found.attempts:
        print(f"  tried before: {attempt}", file=sys.stderr)
    if found.missing:
        print(
            f"  built without {', '.join(found.missing)}: modules that need them will fail to import", file=sys.stderr
        )
    return 0


def _say(text: str) -> None:
    print(f"ftaudit: {text}", file=sys.stderr)


def _width(default: int) -> int:
    return shutil.get_terminal_size((default, 24)).columns


def _color(options: argparse.Namespace) -> bool:
    """Tell whether to colour: `--color` decides, then NO_COLOR and FORCE_COLOR, then whether a terminal reads."""
    if options.color != "auto":
        return bool(options.color == "always")
    if options.output or os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or sys.stdout.isatty()


def _write(text: str, output: Path | None) -> None:
    """Write to standard output, or replace the file in one step so that no reader sees half of it."""
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.buffer.flush()
        return
    import tempfile

    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=output.parent, delete=False) as file:
            file.write(text)
        Path(file.name).chmod(0o666 & ~_umask())
        Path(file.name).replace(output)
    except OSError as error:
        raise UsageError(
            f"cannot write {output}: {error.strerror}", hint="name a file in a folder that exists"
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
