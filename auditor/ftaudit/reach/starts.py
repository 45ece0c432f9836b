"""Start points: the modules, functions, and files at which the user's program starts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from ftaudit.errors import UsageError
from ftaudit.model.reachability import StartPoint
from ftaudit.reach.finder import Finder, FoundKind
from ftaudit.reach.folder_tree import FolderTree

_LONGEST: Final = 1000
"""Characters of the longest module and function."""
_SHOWN: Final = 200
"""Characters of a start point that a message repeats."""
_NOT_STARTS: Final = frozenset(
    {"tests", "test", "docs", "doc", "examples", "benchmarks", "scripts", "build", "dist", "setup", "conftest",
     "noxfile", "tasks", "fabfile"}
)  # fmt: skip
"""Top-level names of a project that its users do not start."""


def shortened(text: str) -> str:
    """Return what the user wrote, for a message."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def parse_start(text: str, roots: Sequence[Path]) -> StartPoint:
    """Return the start point that the user named: `MODULE`, `MODULE:FUNCTION` or the path of a Python file.

    Raise `UsageError` for anything else.
    """
    if text.endswith(".py"):
        return _parse_file(text, roots)
    module, _, function = text.partition(":")
    parts = [*module.split("."), *(function.split(".") if function else ())]
    if len(text) > _LONGEST or not all(part.isidentifier() for part in parts):
        raise UsageError(
            f"--reach {shortened(text)}: not a module, MODULE:FUNCTION or a .py file",
            hint="write the inputs before --reach, or --reach=MODULE",
        )
    return StartPoint(
        module=module, function=function or None, is_main=module.rpartition(".")[2] == "__main__", text=text
    )


def _parse_file(text: str, roots: Sequence[Path]) -> StartPoint:
    path = Path(text).absolute()
    try:
        is_file = path.is_file()
    except OSError:  # The name is too long.
        is_file = False
    if not is_file:
        raise UsageError(
            f"--reach {shortened(text)}: no such file", hint="specify a module, or a Python file that exists"
        )
    for root in roots:
        try:
            parts = path.relative_to(root.absolute()).with_suffix("").parts
        except ValueError:
            continue
        if all(part.isidentifier() for part in parts):
            if parts[-1] == "__init__":
                parts = parts[:-1]
            return StartPoint(module=".".join(parts), is_main=parts[-1] != "conftest", text=text)
    raise UsageError(
        f"--reach {shortened(text)}: not below a source root", hint="specify its folder with --source-root"
    )


def default_starts(trees: Iterable[FolderTree], scripts: Sequence[tuple[str, str]], finder: Finder) -> list[StartPoint]:
    """Return the packages and modules at the top of the source roots, and the console scripts.

    A source root that is a `src` folder, or that contains packages, provides only packages; without packages it
    provides its modules.
    """
    starts = []
    for _, target in scripts:
        module, _, function = target.partition("[")[0].strip().partition(":")
        if module and all(part.isidentifier() for part in module.split(".")):
            starts.append(StartPoint(module=module.strip(), function=function.strip() or None, text=target))
    for tree in trees:
        tops = {path.partition("/")[0] for path in tree.paths() if path.endswith(".py")}
        packages = [
            name for name in sorted(tops) if name not in _NOT_STARTS and finder.find(name).kind is FoundKind.PYTHON
            and finder.find(name).is_package and finder.find(name).tree is tree
        ]  # fmt: skip
        modules = [
            name.removesuffix(".py")
            for name in sorted(tops)
            if name.endswith(".py") and name.removesuffix(".py") not in _NOT_STARTS
        ]
        starts += [
            StartPoint(module=name, text=name)
            for name in packages or modules
            if name.isidentifier() and finder.find(name).tree is tree
        ]
        if starts:
            break
    return list(dict.fromkeys(starts))
