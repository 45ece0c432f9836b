"""The scan's cache: the findings of a file, by its content, path, rules, target and context."""

from __future__ import annotations

from pathlib import Path

from ftaudit.cache.result_file import ResultFile


def open_results(cache: Path) -> ResultFile:
    """Return the results of scans in a cache folder."""
    return ResultFile(cache / "scan" / "results-2.sqlite3")
