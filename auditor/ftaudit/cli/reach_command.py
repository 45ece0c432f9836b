"""The command `ftaudit reach --run`: record which extension modules a real run loads."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftaudit.cli.answer import CommandAnswer, Screen
from ftaudit.cli.options import UNSURE
from ftaudit.errors import UsageError

if TYPE_CHECKING:
    from ftaudit.load_record import Load, LoadRecord

EPILOG: Final = """\
examples:
  ftaudit reach --run -- python -m app.main
  ftaudit reach --run --record loads.json -- pytest tests
  ftaudit check uv.lock --reach app.main --recorded loads.json
"""
LISTED: Final = 5
"""Modules that turned the GIL on and are listed one by one."""


def add_parsers(commands: Any) -> None:
    """Add `reach` to the sub-commands."""
    reach = commands.add_parser(
        "reach",
        help="run a command, and record which extension modules it loads",
        description="Run a command in your environment, and record which extension modules its Python processes load, "
        "and which of them turn the GIL on. The exit code is that of the command.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = reach.add_argument_group("inputs")
    what.add_argument("--run", action="store_true", help="run COMMAND")
    what.add_argument("program", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command, after `--`")
    answer = reach.add_argument_group("output")
    text = "merge the loaded modules into FILE, for `ftaudit check --recorded`"
    answer.add_argument("--record", type=Path, metavar="FILE", help=text)
    answer.add_argument("-q", "--quiet", action="store_true", help="print no summary on standard error")
    reach.set_defaults(answer=run_reach)


def run_reach(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Run and record the command. Raise `FtauditError` for a problem that the user must fix."""
    from ftaudit.engine.recorded_loads import read_recorded, write_recorded
    from ftaudit.engine.recorded_run import record_run

    program = options.program[1:] if options.program[:1] == ["--"] else options.program
    if not options.run:
        raise UsageError(
            "`ftaudit reach` runs a command: --run is missing",
            hint="ftaudit reach --run -- COMMAND, or without running anything: ftaudit check INPUT --reach",
        )
    if not program:
        raise UsageError("--run needs a command", hint="ftaudit reach --run -- python -m app.main")
    if options.record is not None and options.record.exists():
        read_recorded(options.record)  # A file that cannot be merged is an error before the command runs.
    ran = record_run(program)
    notes = list(summary(ran.record))
    if options.record is not None and ran.record.every:
        runs = sum(loads.runs for loads in write_recorded(options.record, ran.record).every)
        notes.append(f"{options.record} has {runs} recorded {'run' if runs == 1 else 'runs'}")
    if not ran.record.every:
        notes = [
            f"no Python process of `{program[0]}` was recorded: it started none, or started Python with -I, -E or -S, "
            "or without the environment variables of its parent"
        ]
    code = ran.exit_code or (0 if ran.record.every else UNSURE)
    return CommandAnswer(text="", exit_code=code, notes=() if options.quiet and ran.record.every else tuple(notes))


def summary(record: LoadRecord) -> Iterator[str]:
    """Yield how much was loaded, and what turned the GIL on."""
    for loads in record.every:
        kind = "free-threaded" if loads.surroundings.free_threaded else "with a GIL"
        text = f"CPython {loads.surroundings.python} ({kind}): {_count(loads.processes, 'process', 'processes')}"
        names = {load.name for load in loads.modules}
        text += f", {_count(len(names), 'extension module', 'extension modules')}"
        if loads.unfinished:
            text += f"; {loads.unfinished} ended without exit handlers"
        yield text
        firsts = {load.name: load for load in reversed(loads.modules)}.values()
        guilty = sorted(
            (load for load in firsts if load.requires_gil), key=lambda load: (not load.turned_gil_on, load.name)
        )
        for load in guilty[:LISTED]:
            did = "turned the GIL on" if load.turned_gil_on else "requires the GIL"
            yield f"  {load.name} {did}: {chain_of(load)}"
        if len(guilty) > LISTED:
            yield f"  and {len(guilty) - LISTED} more that require the GIL"
        if (
            loads.surroundings.free_threaded
            and not guilty
            and all(load.requires_gil is False for load in loads.modules)
        ):
            yield "  no module turned the GIL on"
        elif any(load.requires_gil is None for load in loads.modules) and loads.surroundings.free_threaded:
            yield "  CPython did not report which modules require the GIL (PYTHON_GIL, -X gil, or CPython 3.13)"


def chain_of(load: Load) -> str:
    """Return the imports that led to a module, and the user's line."""
    text = " → ".join(load.chain) or "it was loaded before the recording started"
    return f"{text} ({load.path}:{load.line})" if load.path else text


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
