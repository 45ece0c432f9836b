"""The commands `ftaudit facts export`, `import`, `info` and `verify`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftaudit.cli.answer import CommandAnswer, Screen
from ftaudit.cli.options import settings_of
from ftaudit.errors import UsageError

if TYPE_CHECKING:
    from ftaudit.facts.facts_store import FactsStore

EXPORT: Final = """\
examples:
  ftaudit facts export -o team.ftfacts --by "Platform team"
"""
IMPORT: Final = """\
examples:
  ftaudit facts import team.ftfacts
"""
INFO: Final = """\
examples:
  ftaudit facts info                 the stores that `ftaudit check` uses here
  ftaudit facts info team.ftfacts
"""
VERIFY: Final = """\
examples:
  ftaudit facts verify team.ftfacts              check the store's checksums
  ftaudit facts verify team.ftfacts wheelhouse/  also compare these wheels
"""


def add_parsers(commands: Any) -> None:
    """Add `facts export`, `import`, `info` and `verify` to the sub-commands."""
    facts = commands.add_parser("facts", help="export, import and check facts about wheels")
    actions = facts.add_subparsers(title="commands", metavar="COMMAND", required=True)

    does = "write all facts about wheels in the cache to a facts store"
    export = _add(actions, "export", does, run_export, EXPORT)
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the store to write")
    export.add_argument("--by", metavar="WHO", help="who vouches for the facts (default: your login name)")

    reach = "also the Python files of wheels that `check --reach` has read, which make the store much larger"
    export.add_argument("--reach", action="store_true", help=reach)

    does = "check a facts store and copy it into the cache, so that each audit uses it"
    imports = _add(actions, "import", does, run_import, IMPORT)
    imports.add_argument("stores", nargs="+", type=Path, metavar="FILE", help="a facts store")

    does = "show who made a facts store, when, with which ftaudit version, and how large it is"
    info = _add(actions, "info", does, run_info, INFO)
    stores = "a facts store (default: all stores that audits use)"
    info.add_argument("stores", nargs="*", type=Path, metavar="FILE", help=stores)

    verify = _add(
        actions, "verify", "check a facts store against its checksums, and against wheels", run_verify, VERIFY
    )
    verify.add_argument("stores", nargs=1, type=Path, metavar="FILE", help="a facts store")
    verify.add_argument("wheels", nargs="*", type=Path, metavar="WHEEL", help="wheels, or folders of wheels")
    for action in (export, imports, info, verify):
        action.add_argument("--cache-dir", type=Path, metavar="PATH", help="the cache folder (default: the user's)")


def _add(actions: Any, name: str, does: str, answer: Callable[..., CommandAnswer], epilog: str) -> Any:
    """Add an action, and return its parser."""
    parser = actions.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.", epilog=epilog)
    parser.set_defaults(answer=answer)
    return parser


def run_export(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Write the store. Raise `UsageError` if the cache has no facts, or the file cannot be written."""
    from ftaudit.facts.exchange import export_facts
    from ftaudit.report.package.agreeing_rows import counted

    made, size = export_facts(settings_of(options).cache, options.output, by=options.by, reach=options.reach)
    text = f"{counted(made.wheels, 'wheel')}, {_results(made.answers)}, {size / 1e3:.1f} kB"
    return CommandAnswer(text=f"{options.output}: {text}, {size / made.wheels:.0f} bytes per wheel\n")


def run_import(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Import the stores. Raise `InputError` for one that is damaged or cannot be used."""
    from ftaudit.facts.known_stores import import_store
    from ftaudit.report.console import clean

    cache = settings_of(options).cache
    return CommandAnswer(text="".join(f"{clean(str(import_store(path, cache)))}\n" for path in options.stores))


def run_info(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Return who made the stores. Raise `InputError` for one that is damaged."""
    from ftaudit.facts.facts_store import FactsStore
    from ftaudit.facts.known_stores import open_stores

    notes: tuple[str, ...] = ()
    if options.stores:
        stores = tuple(map(FactsStore, options.stores))
    else:
        stores, notes = open_stores((), settings_of(options).cache)
    try:
        for store in stores:
            store.check_parts()
        text = "".join(map(_about, stores))
    finally:
        for store in stores:
            store.close()
    if not text:
        text = f"no facts store {'can be used' if notes else 'is imported or installed'}\n"
    return CommandAnswer(text=text, notes=notes)


def run_verify(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Compare the store. Raise `InputError` for a damaged store, and `StoreMismatch` for one that is wrong."""
    from ftaudit.facts.exchange import compare_with_wheels
    from ftaudit.facts.facts_store import FactsStore
    from ftaudit.report.package.agreeing_rows import counted

    store = FactsStore(options.stores[0])
    try:
        count = sum(1 for _ in store.check())
        text = f"{store.path}: {_results(count)}; the digests match\n"
        if options.wheels:
            if not store.is_usable:
                raise UsageError(
                    f"{store.path} has facts of another analysis ({store.provenance.analysis})",
                    hint="run `ftaudit facts verify` with the ftaudit version that made the store",
                )
            compared, unknown = compare_with_wheels(store, options.wheels)
            missing = f"; the store does not have {counted(unknown, 'wheel')}" if unknown else ""
            if not compared:
                return CommandAnswer(text=f"{text}no result was compared with a wheel{missing}\n", exit_code=3)
            text += f"{_results(compared)} compared with the wheels, without a difference{missing}\n"
    finally:
        store.close()
    return CommandAnswer(text=text)


def _results(number: int) -> str:
    return f"{number} {'result' if number == 1 else 'results'}"


def _reached(store: FactsStore) -> str:
    from ftaudit.report.package.agreeing_rows import counted

    files = () if store.reach is None else store.reach.files
    wheels = sum(name.endswith(".zip") for name in files)
    return f"the Python files of {counted(wheels, 'wheel')}" if wheels else "nothing"


def _about(store: FactsStore) -> str:
    from ftaudit.report.console import clean

    made = store.provenance
    size = store.path.stat().st_size
    used = "" if store.is_usable else " (another analysis than this ftaudit's: not used)"
    return (
        f"{clean(store.name)}\n"
        f"  file      {clean(str(store.path))}\n"
        f"  made by   {clean(made.by)}\n"
        f"  on        {clean(made.created)}\n"
        f"  with      ftaudit {clean(made.ftaudit)}, analysis {clean(made.analysis)}{used}\n"
        f"  wheels    {made.wheels}, with {_results(made.answers)}\n"
        f"  reach     {_reached(store)}\n"
        f"  size      {size / 1e3:.1f} kB, {size / max(1, made.wheels):.0f} bytes per wheel\n"
    )
