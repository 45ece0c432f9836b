"""The engines that extras of the distribution install: which of them are missing, and how to get them."""

from __future__ import annotations

import enum
import importlib.util
from typing import Final


class Extra(enum.Enum):
    """An extra of the distribution `ftaudit`, as pyproject.toml names it."""

    BINARY = "binary"
    """Emulates the init functions of extension modules."""
    SOURCE = "source"
    """Parses C, C++ and Rust, and edits Python."""


EMULATOR: Final = ("unicorn", "capstone")
IMAGES: Final = ("lief",)
C_PARSER: Final = ("tree_sitter", "tree_sitter_c", "tree_sitter_cpp")
RUST_PARSER: Final = ("tree_sitter", "tree_sitter_rust")
PYTHON_EDITOR: Final = ("libcst",)
SOURCE_ENGINES: Final = tuple(dict.fromkeys((*C_PARSER, *RUST_PARSER, *PYTHON_EDITOR)))


def why_missing(extra: Extra, modules: tuple[str, ...]) -> str | None:
    """Return why an engine cannot be used, with the command that installs it; `None` if it is installed."""
    absent = [name.replace("_", "-") for name in modules if importlib.util.find_spec(name) is None]
    *most, last = absent or [""]
    named = f"{', '.join(most)} and {last}" if most else last
    return f"needs {named}: pip install 'ftaudit[{extra.value}]'" if absent else None
