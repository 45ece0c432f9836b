"""The command `ftaudit explain`: describes a rule, a group of rules, or a verdict."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftaudit.cli.answer import CommandAnswer, Screen
from ftaudit.errors import UsageError

if TYPE_CHECKING:
    from ftaudit.model import Verdict
    from ftaudit.rule import Rule, SourceExample

EPILOG: Final = """\
examples:
  ftaudit explain                    all rules
  ftaudit explain RULE               a rule, by name or code
  ftaudit explain FT3                the rules of a group
  ftaudit explain source-only        a verdict
"""


def add_parsers(commands: Any) -> None:
    """Add `explain` to the sub-commands."""
    text = "explain a rule or a verdict"
    explain = commands.add_parser("explain", help=text, description=text[0].upper() + text[1:] + ".", epilog=EPILOG)
    what = explain.add_argument_group("arguments")
    about = "a rule's name or code, a code prefix, or a verdict (default: list all rules)"
    what.add_argument("rule", nargs="?", metavar="NAME", help=about)
    what.add_argument(
        "--rules",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="load further rules from this folder (repeatable)",
    )
    explain.set_defaults(answer=run_explain)


def run_explain(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Return the description. Raise `UsageError` for a name that is neither a rule nor a verdict."""
    from ftaudit.model import Verdict
    from ftaudit.registry import load_rules, means

    registry = load_rules(tuple(options.rules))
    if options.rule is None:
        return CommandAnswer(text=_list_rules(registry.rules), notes=registry.problems)
    wanted = options.rule.strip()
    rule = registry.find(wanted)
    if rule is not None:
        return CommandAnswer(text=_filled(_explain(rule), screen.width))
    verdict = next((verdict for verdict in Verdict if verdict.value == wanted.lower().replace("_", "-")), None)
    if verdict is not None:
        return CommandAnswer(text=_filled(_explain_verdict(verdict), screen.width))
    group = [rule for rule in registry.rules if means(wanted, rule)]
    if group:
        return CommandAnswer(text=_list_rules(group), notes=registry.problems)
    import difflib

    names = [name for rule in registry.rules for name in (rule.info.name, rule.info.code)]
    near = difflib.get_close_matches(wanted.lower(), [*names, *(verdict.value for verdict in Verdict)], n=1)
    hint = f"did you mean {near[0]}?" if near else "`ftaudit explain` lists all rules"
    raise UsageError(f"no rule or verdict is named {options.rule!r}", hint=hint)


def _list_rules(rules: Iterable[Rule]) -> str:
    lines = [
        f"{rule.info.code}  {rule.info.name:34} {rule.info.severity.value:9}"
        f"{'' if rule.info.default else '(off) '}{rule.info.summary}"
        for rule in rules
    ]
    return "\n".join(lines) + "\n"


def _explain(rule: Rule) -> str:
    import inspect

    from ftaudit.rule import SourceRule

    info = rule.info
    state = "on by default" if info.default else "off unless selected or --pedantic"
    parts = [
        f"{info.code} {info.name}",
        f"{info.severity.value}, confidence {info.confidence.value}, {state}, since {info.since}",
        inspect.cleandoc(type(rule).__doc__ or info.summary),
        f"Remedy: {info.remedy}",
    ]
    if isinstance(rule, SourceRule):
        parts += (_example(title, example) for title, example in rule.shown_examples())
    if info.links:
        parts.append("\n".join(("See:", *(f"  {link}" for link in info.links))))
    return "\n\n".join(parts) + "\n"


def _filled(text: str, width: int) -> str:
    """Return the text with its prose wrapped to the width; code, lists, and links do not change."""
    import textwrap

    def fill(part: str) -> str:
        lines = part.split("\n")
        kept = any(line.startswith((" ", "- ", "* ", "|", "```")) for line in lines)
        if kept or all(len(line) <= width for line in lines):
            return part
        return textwrap.fill(" ".join(lines), width=width, break_on_hyphens=False, break_long_words=False)

    return "\n\n".join(map(fill, text.rstrip("\n").split("\n\n"))) + "\n"


def _example(title: str, example: SourceExample) -> str:
    code = example.code.rstrip("\n").split("\n")
    lines = [f"  {'>' if number in example.lines else ' '} {line}" for number, line in enumerate(code, 1)]
    return "\n".join((f"{title}:", *lines))


def _explain_verdict(verdict: Verdict) -> str:
    from ftaudit.model import BLOCKING, Verdict
    from ftaudit.report.results.sarif import VERDICT_RULES

    if verdict in BLOCKING:
        counts = "it blocks: exit code 1"
    else:
        counts = "exit code 3" if verdict is Verdict.UNKNOWN else "it does not block"
    if verdict in VERDICT_RULES:
        _, summary, why, remedy = VERDICT_RULES[verdict]
        parts = [summary, why, f"Remedy: {remedy}"]
    else:
        parts = [_GOOD[verdict.value]]
    return "\n\n".join((f"{verdict}: a verdict; {counts}", *parts)) + "\n"


_GOOD: Final = {
    "ready": "Installers choose a wheel with compiled code, and every extension module in it leaves the GIL off.",
    "pure": "None of its wheels has compiled code, so nothing in it can turn the GIL on.",
}
"""The text of the verdicts that need no remedy."""
