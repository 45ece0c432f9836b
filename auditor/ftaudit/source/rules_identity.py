"""The identity of the code that scans: results of an earlier run count as long as it is the same."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

from ftaudit import python_text
from ftaudit.__about__ import __version__
from ftaudit.extras import SOURCE_ENGINES, Extra, why_missing
from ftaudit.rule import SourceRule


def identify_rules(rules: Iterable[SourceRule], request: str, *, more: Iterable[Path] = ()) -> bytes:
    """Return a value that changes when a rule, the scanner, an engine, the request or one of `more` files changes."""
    kinds = [(rule.info.code, type(rule)) for rule in rules]
    digest = hashlib.sha256(
        f"{__version__} {sys.version} {request} {why_missing(Extra.SOURCE, SOURCE_ENGINES)}".encode()
    )
    modules = (sys.modules.get(kind.__module__) for _, kind in kinds)
    files = {Path(module.__file__) for module in modules if module is not None and module.__file__}
    files |= {*more, *Path(__file__).parent.rglob("*.py"), Path(python_text.__file__)}
    for rule in sorted(code + kind.__qualname__ for code, kind in kinds):
        digest.update(rule.encode())
    for path in sorted(files):
        try:
            status = path.stat()
        except OSError:
            continue
        digest.update(f"{path} {status.st_mtime_ns} {status.st_size}".encode())
    return digest.digest()
