"""The console for terminal reports, and how it shows third-party strings."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_WIDTH: Final = 100
"""The width if no terminal reports one."""
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def draw(write: Callable[[Console], None], *, width: int, color: bool) -> str:
    """Return what `write` prints, `width` columns wide, with ANSI colors if `color`."""
    from rich.console import Console

    buffer = io.StringIO()
    write(
        Console(
            file=buffer,
            width=width,
            force_terminal=color,
            color_system="standard" if color else None,
            no_color=not color,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )
    )
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines())


def clean(text: str) -> str:
    """Return text without control characters, so that third-party strings never control the reader's terminal."""
    return "".join(char if char.isprintable() else REPLACEMENT for char in text.expandtabs(4))


def clean_lines(text: str) -> str:
    """Return lines without control characters."""
    return "\n".join(map(clean, text.split("\n")))
