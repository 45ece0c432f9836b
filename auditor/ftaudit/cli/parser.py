"""The argument parser: its errors suggest the likely name, and its help fits a screen."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NoReturn

from ftaudit.errors import UsageError

RARE: Final = frozenset(
    {
        *("all_extras", "timeout", "jobs", "rules", "color", "allow_unknown", "allow_machines"),
        *("index_url", "extra_index_url", "find_links", "offline", "network_seconds", "no_cache", "cache_dir"),
        *("config", "no_config", "no_scan", "no_plan", "also", "quiet", "include_tests", "include_vendored"),
        *("wheel_dir", "build_timeout", "source_root", "recorded", "fail_on_reach", "run_env"),
        *("facts", "read_again"),
    }
)
"""Options that `--help` names and `--help-all` explains."""
RARE_IN: Final = {"ftaudit check": frozenset({"budget", "recipes", "update_baseline"})}
"""Further options of a single command."""


class Parser(argparse.ArgumentParser):
    """Raises usage errors instead of exiting, so that they are printed like every other error.

    Options cannot be abbreviated, so that a new option never changes the meaning of a script.
    """

    def __init__(self, **given: Any) -> None:
        given.setdefault("allow_abbrev", False)
        given.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**given)

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`."""
        raise UsageError(message, hint=f"see `{self.prog} --help`")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        what = f"invalid value {value!r} for {'/'.join(action.option_strings)}"
        if isinstance(action, argparse._SubParsersAction):
            what = f"unknown command {value!r}"
        elif not action.option_strings:
            what = f"invalid {action.metavar or action.dest} {value!r}"
        raise UsageError(what, hint=_meant(str(value), known) or f"choose from {', '.join(known)}")

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Raise an error that names the unknown argument, and the option that it resembles."""
        word = unknown[0].partition("=")[0]
        what = "option" if word.startswith("-") else "argument"
        if word in ("-r", "--requirement"):
            raise UsageError(
                f"unknown option {word} for {self.prog}",
                hint=f"specify the file without an option: `{self.prog} requirements.txt`",
            )
        visible = (name for action in self._shown(every=True) for name in action.option_strings)
        meant = _meant(word, visible) if what == "option" else None
        raise UsageError(f"unknown {what} {word} for {self.prog}", hint=meant or f"see `{self.prog} --help`")

    def format_help(self) -> str:
        """Return the help, with only the names of rare options."""
        return self.explain(every=False)

    def explain(self, *, every: bool) -> str:
        """Return the help; with `every`, rare options are explained too."""
        formatter = self._get_formatter()
        words = [_word(action) for action in self._actions if not action.option_strings]
        options = "[OPTION]... " if any(action.option_strings for action in self._actions[1:]) else ""
        formatter.add_usage(f"{self.prog} {options}{' '.join(words)}".strip(), (), ())
        formatter.add_text(None if self.description is None else _filled(self.description))
        shown = set(map(id, self._shown(every=every)))
        for group in self._action_groups:
            actions = [action for action in group._group_actions if id(action) in shown]
            if [action.dest for action in actions] not in ([], ["help"]):
                formatter.start_section(group.title)
                formatter.add_arguments(actions)
                formatter.end_section()
        text = formatter.format_help()
        left_out = [action for action in self._shown(every=True) if id(action) not in shown]
        if left_out:
            text += "\n" + _named(left_out)
        return text + (f"\n{self.epilog.rstrip()}\n" if self.epilog else "")

    def _shown(self, *, every: bool) -> Iterator[argparse.Action]:
        rare = RARE | RARE_IN.get(self.prog, frozenset())
        for action in self._actions:
            if action.help != argparse.SUPPRESS and (every or action.dest not in rare):
                yield action


class HelpAll(argparse.Action):
    """`--help-all`: every option, with its description."""

    def __call__(self, parser: argparse.ArgumentParser, *given: Any) -> NoReturn:
        """Print the help, and exit."""
        if isinstance(parser, Parser):
            parser._print_message(parser.explain(every=True), sys.stdout)
        parser.exit()


def _word(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    match action.nargs:
        case "*":
            return f"[{name}]..."
        case "+":
            return f"{name}..."
        case "?":
            return f"[{name}]"
        case _:
            return name


def _filled(text: str) -> str:
    import textwrap

    return textwrap.fill(text, width=78, break_on_hyphens=False, break_long_words=False)


def _named(actions: Iterable[argparse.Action]) -> str:
    names = [action.option_strings[-1] for action in actions if action.option_strings]
    return _filled(f"further options (see --help-all): {', '.join(names)}") + "\n"


def _meant(word: str, known: Iterable[str]) -> str | None:
    import difflib

    near = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f"did you mean {near[0]}?" if near else None
