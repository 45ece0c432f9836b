"""Scans the project's own source with the rules that an audit's settings choose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name, is_normalized_name

from ftaudit.engine.setup import choose_rules
from ftaudit.progress import ProgressListener, Silent
from ftaudit.rule import SourceRule
from ftaudit.settings import Settings
from ftaudit.target import parse_target

if TYPE_CHECKING:
    from ftaudit.source.tree_scan import ScanResult

PROJECT_FILES: Final = ("pyproject.toml", "setup.py", "setup.cfg")
"""Files that make a folder a project."""


def find_projects(inputs: Iterable[str]) -> tuple[Path, ...]:
    """Return the folders of the inputs that are projects, each once."""
    folders = dict.fromkeys(path if path.is_dir() else path.parent for path in map(Path, inputs))
    return tuple(folder for folder in folders if any((folder / name).is_file() for name in PROJECT_FILES))


def find_project_name(inputs: Iterable[str]) -> str | None:
    """Return the name in the `pyproject.toml` of the project that all inputs belong to, or `None`."""
    import tomli

    projects = find_projects(inputs)
    if len(projects) != 1:
        return None
    try:
        name = tomli.loads((projects[0] / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return name if isinstance(name, str) and is_normalized_name(canonicalize_name(name)) else None


def scan_project(paths: Sequence[Path], settings: Settings, *, progress: ProgressListener | None = None) -> ScanResult:
    """Scan files and folders for what breaks without the GIL, as `ftaudit scan` does.

    Raise `UsageError` for a path that does not exist and for an unknown rule name.
    """
    from ftaudit.registry import load_rules
    from ftaudit.source.result_cache import open_results
    from ftaudit.source.source_files import find_files
    from ftaudit.source.tree_scan import scan

    progress = progress or Silent()
    rules, _ = choose_rules(settings, SourceRule)
    progress.stage("own source", None)
    result = scan(
        find_files(list(paths)),
        rules=rules,
        target=parse_target(settings.target),
        known=[rule.info for rule in load_rules().rules],
        pedantic=set(),
        cache=None if settings.no_cache else open_results(settings.cache),
        jobs=settings.jobs,
    )
    progress.done("own source")
    return result
