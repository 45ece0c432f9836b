"""The command `ftaudit completion`: scripts for bash, zsh and fish that complete commands, options, rules and files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from ftaudit.cli.answer import CommandAnswer, Screen
from ftaudit.cli.parser import Parser

SHELLS: Final = ("bash", "zsh", "fish")
_RULES: Final = frozenset({"select", "ignore", "rule"})
"""Options and arguments that name a rule."""
EPILOG: Final = """\
examples:
  ftaudit completion bash > ~/.local/share/bash-completion/completions/ftaudit
  ftaudit completion zsh > ~/.zfunc/_ftaudit      with fpath+=~/.zfunc in .zshrc
  ftaudit completion fish > ~/.config/fish/completions/ftaudit.fish
"""


def add_parsers(commands: Any) -> None:
    """Add `completion` to the sub-commands."""
    text = "print a shell completion script"
    completion = commands.add_parser(
        "completion", help=text, description=text[0].upper() + text[1:] + ".", epilog=EPILOG
    )
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")
    completion.set_defaults(answer=run_completion)


def run_completion(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Return the script, made from the parser of the whole command line."""
    import shtab

    from ftaudit.cli.declare import LOCATED, declare, find_leaves
    from ftaudit.model import Verdict
    from ftaudit.registry import load_rules

    parser: Parser = options.build_parser()
    declare(parser)
    names = [rule.info.name for rule in load_rules().rules]
    for _, leaf in find_leaves(parser):
        for action in leaf._actions:
            if action.dest in _RULES:
                action.choices = [*names, *Verdict] if action.dest == "rule" else names
            elif action.type is Path or action.dest in LOCATED:
                vars(action)["complete"] = shtab.DIRECTORY if action.dest in ("rules", "cache_dir") else shtab.FILE
    return CommandAnswer(text=shtab.complete(parser, shell=options.shell).rstrip("\n") + "\n")
