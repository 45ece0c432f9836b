"""The command `ftaudit plan`: the upgrades after which nothing blocks, and the edits that apply them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ftaudit.cli.answer import CommandAnswer, Screen
from ftaudit.cli.options import add_answer, add_audit, inputs_of, settings_of, targets_of
from ftaudit.cli.reach_options import add_reach, check_reach
from ftaudit.model import worst_exit_code
from ftaudit.report import formats

if TYPE_CHECKING:
    from ftaudit.planning.edit import Edit

EPILOG: Final = """\
exit codes: 0 nothing blocks after the changes · 1 something still blocks
2 usage error or unreadable input · 3 nothing blocks, but not all was checked

examples:
  ftaudit plan requirements.txt             propose the nearest good versions
  ftaudit plan requirements.txt --write     edit requirements.txt in place
  ftaudit plan uv.lock --prefer newest      print uv's commands for the newest
"""


def add_parsers(commands: Any) -> None:
    """Add `plan` to the sub-commands."""
    plan = commands.add_parser(
        "plan",
        help="propose version changes that remove the blockers, and prove that they work together",
        description="Propose and prove the fewest version changes that remove the blockers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_audit(plan)
    add_reach(plan)
    changes = plan.add_argument_group("changes")
    choices = ("nearest", "patch", "newest")
    text = "upgrade to the nearest (default), patch or newest release"
    changes.add_argument("--prefer", choices=choices, default="nearest", metavar="WHICH", help=text)
    edits = changes.add_mutually_exclusive_group()
    edits.add_argument("--diff", action="store_true", help="print the edits as a unified diff; change no file")
    edits.add_argument("--write", action="store_true", help="edit the requirements files or pyproject.toml in place")
    add_answer(plan, formats.OF_PLAN)
    plan.set_defaults(answer=run)


def run(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Audit, plan, and edit if requested. Raise `FtauditError` for a problem that the user must fix."""
    from ftaudit import engine
    from ftaudit.engine.session import open_sessions
    from ftaudit.planning import make_plan
    from ftaudit.planning.edit import agreed_edits
    from ftaudit.progress import on_stderr

    check_reach(options)
    settings = settings_of(options)
    # A patch has only one format.
    form = formats.Format.TABLE if options.diff else formats.choose(options.format, options.output, formats.OF_PLAN)
    inputs = inputs_of(options)
    targets = targets_of(options)
    with (
        on_stderr(wanted=not options.quiet) as progress,
        open_sessions(inputs, settings, targets, progress) as sessions,
    ):
        plans = [make_plan(engine.audit_inputs(session), session) for session in sessions]
        wanted = options.diff or options.write
        edits = agreed_edits(list(zip(plans, sessions, strict=True))) if wanted else ()
    code = worst_exit_code(plan.exit_code for plan in plans)
    if options.diff:
        return CommandAnswer(text="".join(edit.diff for edit in edits), exit_code=code, output=options.output)
    notes = _write(edits) if options.write else ()
    page = formats.Medium(width=screen.width, color=screen.color, written=options.write)
    text = formats.render_plans(plans, form, page)
    return CommandAnswer(text=text, exit_code=code, output=options.output, notes=notes)


def _write(edits: Sequence[Edit]) -> tuple[str, ...]:
    from ftaudit.planning.edit import write_edits

    write_edits(edits)
    return tuple(f"edited {edit.path}" for edit in edits) or ("nothing to edit",)
