"""Options that several commands share, and the settings from them."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftaudit.cli.answer import say
from ftaudit.errors import UsageError
from ftaudit.report.formats import PLAIN, SUFFIXES, Format, choose, of_name
from ftaudit.settings import DEFAULT_READ_AGAIN, DEFAULT_TIMEOUT
from ftaudit.target import DEFAULT_TARGET, EXPERIMENTAL, PLATFORMS, TARGETS, parse_platform, parse_target, parse_targets

MOST_SECONDS: Final = 86_400
"""The longest time for `--network-seconds`: a day."""

if TYPE_CHECKING:
    from ftaudit.model import Report
    from ftaudit.settings import Settings


def add_targets(group: Any, default: str | None = DEFAULT_TARGET) -> None:
    """Add `--target`, which can be repeated; its default depends on the command."""
    given = [] if default is None else [default]
    text = f"{_target_help(default)} (repeatable)"
    group.add_argument("--target", type=_target, action="append", default=given, metavar="VERSION", help=text)


def add_target(group: Any) -> None:
    """Add `--target` for a single target."""
    text = _target_help(DEFAULT_TARGET)
    group.add_argument("--target", type=_target, default=DEFAULT_TARGET, metavar="VERSION", help=text)


def _target_help(default: str | None) -> str:
    named = (f"{name} (old)" if name in EXPERIMENTAL else name for name in TARGETS)
    usual = default or f"the target of the given wheels, or {DEFAULT_TARGET}"
    return f"{', '.join(named)}; default {usual}"


def add_platforms(group: Any, default: str) -> None:
    """Add `--platform`; `default` describes the value without it."""
    some = ", ".join((PLATFORMS[0], *PLATFORMS[4::2]))
    text = f"{some} …, or an exact tag; {default} (repeatable)"
    group.add_argument("--platform", type=_platform, action="append", default=[], metavar="NAME", help=text)


def _target(name: str) -> str:
    """Return the name of a target; raise `UsageError` for an unknown target."""
    return parse_target(name).name


def _platform(name: str) -> str:
    """Return the name of a platform as given; raise `UsageError` for an unknown one."""
    parse_platform(name)
    return name


def add_cache(group: Any) -> None:
    """Add the options for the cache and the network."""
    group.add_argument("--offline", action="store_true", help="use only caches and local files")
    seconds = "do not start new requests after S seconds; reuse cached pages for up to a day"
    group.add_argument("--network-seconds", type=_seconds, metavar="S", help=seconds)
    group.add_argument("--no-cache", action="store_true", help="do not read or write the cache")
    group.add_argument("--cache-dir", type=Path, metavar="PATH", help="the cache folder (default: the user's)")


def add_index(parser: argparse.ArgumentParser) -> None:
    """Add the options for package indexes and cache."""
    group = parser.add_argument_group("package indexes and cache")
    group.add_argument("--index-url", metavar="URL", help="the package index (PEP 503 or 691)")
    group.add_argument(
        "--extra-index-url", action="append", default=[], metavar="URL", help="an additional index (repeatable)"
    )
    group.add_argument(
        "--find-links", action="append", default=[], metavar="PATH", help="a folder or page of distribution files"
    )
    add_cache(group)


def add_facts(group: Any) -> None:
    """Add `--facts`."""
    stores = "a facts store to consult before reading a wheel (repeatable)"
    group.add_argument("--facts", action="append", default=[], type=Path, metavar="FILE", help=stores)


def add_read_again(group: Any) -> None:
    """Add `--read-again`."""
    share = f"compare PERCENT of the stores' facts with the wheels (default {DEFAULT_READ_AGAIN:g})"
    group.add_argument("--read-again", type=_percent, default=DEFAULT_READ_AGAIN, metavar="PERCENT", help=share)


def _seconds(text: str) -> float:
    """Return a positive number; raise `UsageError` for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MOST_SECONDS:
        raise UsageError(f"{text!r} is not a number of seconds", hint=f"specify a number up to {MOST_SECONDS}")
    return value


def _percent(text: str) -> float:
    """Return a number from 0 to 100; raise `UsageError` for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise UsageError(f"{text!r} is not a percentage", hint="specify a number from 0 to 100")
    return value


def add_rules(group: Any) -> None:
    """Add `--select`, `--ignore` and `--rules`."""
    group.add_argument(
        "--select", action="append", default=[], metavar="RULE", help="run only these rules (name, code or prefix)"
    )
    group.add_argument(
        "--ignore", action="append", default=[], metavar="RULE", help="skip these rules (name, code or prefix)"
    )
    group.add_argument(
        "--rules",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="load further rules from this folder (repeatable)",
    )


def add_audit(parser: argparse.ArgumentParser) -> Any:
    """Add the options of every audit of inputs: the inputs, the target, the tiers, package indexes, and cache.

    Return the group of the tiers.
    """
    what = parser.add_argument_group("inputs")
    inputs = (
        "a requirements or lock file, pyproject.toml, an SBOM, a folder of wheels, NAME==VERSION, - (standard input) "
        "and more (default: the best file in this folder)"
    )
    what.add_argument("inputs", nargs="*", metavar="INPUT", help=inputs)
    env = "an environment or site-packages folder (repeatable)"
    what.add_argument("--env", action="append", default=[], metavar="PATH", help=env)
    what.add_argument("--extra", action="append", default=[], metavar="NAME", help="include this extra (repeatable)")
    what.add_argument("--all-extras", action="store_true", help="include every extra")
    what.add_argument(
        "--group", action="append", default=[], metavar="NAME", help="include this dependency group (repeatable)"
    )
    what.add_argument("--no-deps", action="store_true", help="audit only the listed packages, not their dependencies")
    where = parser.add_argument_group("target")
    add_targets(where)
    add_platforms(where, "default: this machine")
    how = parser.add_argument_group("checks")
    how.add_argument("--static", action="store_true", help="do not import anything or run any audited code")
    how.add_argument("--source", action="store_true", help="also scan the packages' source distributions (slower)")
    run_env = "import the packages of --env with its own interpreter"
    how.add_argument("--run-env", action="store_true", help=run_env)
    how.add_argument("--python", type=Path, metavar="PATH", help="the interpreter that imports the modules")
    seconds = f"time limit of one import in seconds (default {DEFAULT_TIMEOUT:g})"
    how.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT, metavar="S", help=seconds)
    how.add_argument("--jobs", type=int, metavar="N", help="number of processes (default: one per core)")
    add_facts(how)
    add_rules(how)
    add_index(parser)
    return how


def add_answer(parser: argparse.ArgumentParser, formats: Sequence[str] = ("table", "json")) -> Any:
    """Add the options of the answer, in one of the formats; return their group."""
    group = parser.add_argument_group("output")
    offered = tuple(map(str, formats))
    text = f"{', '.join(offered)}; default: from the suffix of --output, or {offered[0]}"
    group.add_argument("--format", choices=offered, metavar="NAME", help=text)
    group.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the output to FILE")
    group.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="use colors (default auto; obeys NO_COLOR)"
    )
    group.add_argument("-q", "--quiet", action="store_true", help="no progress display")
    return group


def add_also(group: Any) -> None:
    """Add `--also`."""
    text = "also write to FILE, in the format of its suffix (repeatable)"
    group.add_argument("--also", action="append", default=[], type=Path, metavar="FILE", help=text)


def also_of(options: argparse.Namespace, offered: Sequence[Format]) -> tuple[tuple[Path, Format], ...]:
    """Return the files of `--also` with their formats; raise `UsageError` for a name without a known format."""
    found = []
    for path in options.also:
        form = of_name(path, offered)
        if form is None and path.suffix.lower() in PLAIN and offered[0] is Format.TABLE:
            form = Format.TABLE
        if form is None:
            known = ", ".join(suffix for suffix, meant in SUFFIXES.items() if meant in offered)
            raise UsageError(f"--also {path}: cannot infer a format from the name", hint=f"supported suffixes: {known}")
        found.append((path, form))
    return tuple(found)


def check_answer(options: argparse.Namespace, offered: Sequence[Format]) -> None:
    """Raise `UsageError` for a file whose name has no known format, before the work starts."""
    choose(options.format, options.output, offered)
    also_of(options, offered)


def add_allow_unknown(group: Any) -> None:
    """Add `--allow-unknown`."""
    text = "exit 0 instead of 3 if something could not be checked"
    group.add_argument("--allow-unknown", action="store_true", help=text)


def add_allow_machines(group: Any) -> None:
    """Add `--allow-machines`."""
    text = "exit 0 instead of 3 if the only unknown modules are for machines that ftaudit does not emulate (armv7l …)"
    group.add_argument("--allow-machines", action="store_true", help=text)


def allow_machines(report: Report, options: argparse.Namespace) -> tuple[int, tuple[str, ...]]:
    """Return the report's exit code and a note, if machines that ftaudit does not emulate are ignored."""
    from ftaudit.judge.table import only_unemulated
    from ftaudit.model import Verdict

    unknown = [row.facts for row in report.packages if row.accepted is None and row.verdict is Verdict.UNKNOWN]
    passes = options.allow_machines and unknown and not report.incomplete and all(map(only_unemulated, unknown))
    if report.exit_code != UNSURE or not passes:
        return settle_exit(report.exit_code, options)
    platforms = ", ".join(dict.fromkeys(facts.platform for facts in unknown))
    return 0, (f"ftaudit does not emulate the machines of {platforms} (ignored: --allow-machines)",)


def settle_exit(code: int, options: argparse.Namespace) -> tuple[int, tuple[str, ...]]:
    """Return the exit code and a note, if unchecked packages are allowed."""
    if code != UNSURE or not options.allow_unknown:
        return code, ()
    return 0, ("not everything could be checked (ignored: --allow-unknown)",)


UNSURE: Final = 3
"""Nothing is known to block, but not everything could be checked."""


def names(given: list[str]) -> tuple[str, ...]:
    """Split `--select A,B --select C`."""
    return tuple(name.strip() for text in given for name in text.split(",") if name.strip())


def inputs_of(options: argparse.Namespace) -> list[str]:
    """Return the inputs and environments that were named, or else the most precise input here, and print its name.

    Raise `InputError` for an invalid environment, and without any input.
    """
    from ftaudit import engine

    inputs = [*options.inputs, *map(engine.find_environment, options.env)]
    if not inputs:
        inputs = [engine.find_input()]
        others = engine.find_others(inputs[0])
        also = f" (also found, but not read: {', '.join(others)})" if others else ""
        say(f"reading {inputs[0]}{also}")
    return inputs


def settings_of(options: argparse.Namespace) -> Settings:
    """Return the settings from a command's options; a setting without an option keeps its default.

    With several targets, the settings name the first; `targets_of` returns all of them.
    """
    from ftaudit.settings import Settings

    given = vars(options)
    if given.get("timeout", 1) <= 0 or (given.get("jobs") is not None and given["jobs"] < 1):
        raise UsageError("--timeout and --jobs take a positive number", hint="specify a number greater than 0")
    kept: dict[str, Any] = {}
    for field in dataclasses.fields(Settings):
        value = given.get(_ONE_OF.get(field.name, field.name), _ABSENT)
        if value is _ABSENT:
            continue
        if field.name == "target":
            value = targets_of(options)[0]
        elif field.name in ("select", "ignore"):
            value = names(value)
        kept[field.name] = tuple(dict.fromkeys(value)) if isinstance(value, list) else value
    return Settings(**kept)


def targets_of(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the named targets, each once; raise `UsageError` for an empty list in a configuration file."""
    given = [options.target] if isinstance(options.target, str) else options.target
    return tuple(target.name for target in parse_targets(given))


_ONE_OF: Final = {
    "platforms": "platform",
    "extras": "extra",
    "groups": "group",
    "extra_index_urls": "extra_index_url",
    "source_roots": "source_root",
}
"""The option for one item of a setting that is a list; otherwise both have the same name."""
_ABSENT: Final = object()
