"""Files that an interpreter runs when it starts in an environment (`Lib/site.py`, PEP 829 for `.start`)."""

from __future__ import annotations

import re
from typing import Final

_CUSTOM: Final = frozenset({"sitecustomize", "usercustomize"})
_SITE_PACKAGES: Final = re.compile(r"[^/]+\.data/(?:platlib|purelib)/")
MOST: Final = 1 << 20
"""Bytes of a `.pth` file that are read."""


def is_startup(path: str) -> bool:
    """Return whether an interpreter that starts in the environment runs a file at this path below it.

    `.pth` files count if they hold more than folders; see `holds_code`.
    """
    first, _, rest = path.partition("/")
    if rest:
        return first in _CUSTOM and rest.partition(".")[0] == "__init__"
    return first.endswith((".pth", ".start")) or first.partition(".")[0] in _CUSTOM


def installed_path(member: str) -> str:
    """Return where an installer puts a member, below site-packages."""
    return _SITE_PACKAGES.sub("", member, count=1)


def parse_pth(data: bytes) -> tuple[str, ...] | None:
    """Return the lines of a `.pth` file, or `None` if they cannot be read."""
    if len(data) > MOST:
        return None
    try:
        return tuple(data.decode("utf-8-sig").splitlines())
    except UnicodeDecodeError:
        return None


def holds_code(lines: tuple[str, ...] | None) -> bool:
    """Return whether a `.pth` file runs code; one that cannot be read does, as far as is known."""
    return lines is None or any(line.startswith(("import ", "import\t")) for line in lines)
