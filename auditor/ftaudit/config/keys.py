"""One setting: its name, its type, its default, and who may set it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ftaudit.model import StrEnum


class ValueKind(StrEnum):
    """The type of a value, in the words of an error message."""

    SWITCH = "true or false"
    TEXT = "a string"
    NUMBER = "a number"
    WHOLE = "a whole number"
    PATH = "a path"


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """One option or argument of one command, as a configuration file may set it."""

    command: str
    """`check`, `python find`."""
    name: str
    """`extra-index-url`: the name of the option, without its hyphens."""
    dest: str
    """The name in the command's code."""
    kind: ValueKind
    many: bool = False
    """A list of such values."""
    bare: bool = False
    """A single value may be written without a list."""
    choices: tuple[str, ...] = ()
    default: Any = None
    help: str = ""
    convert: Callable[[str], Any] | None = None
    """Converts the text to a value, if the kind is not enough."""
    variables: tuple[str, ...] = ()
    """The environment variables that set it; the package that uses the value reads them."""
    reserved: str | None = None
    """Why a file that was found, and not named by the user, may not set it."""
    contained: bool = False
    """A path that such a file may set only to a place below its own folder."""
    located: bool = False
    """Text that can be a path, which is then relative to the file."""

    def plain(self, value: Any) -> Any:
        """Return a value in the form of a file: without a list if a single value is allowed."""
        return value[0] if self.bare and isinstance(value, list) and len(value) == 1 else value

    @property
    def section(self) -> str:
        """The table of its command: `python` for `python find`."""
        return self.command.partition(" ")[0]

    @property
    def expected(self) -> str:
        """Return a description of the accepted values."""
        if self.choices:
            what = "one of " + ", ".join(f'"{choice}"' for choice in self.choices)
            return f"a list with {what}" if self.many else what
        plural = {ValueKind.TEXT: "strings", ValueKind.PATH: "paths"}.get(self.kind, f"{self.kind}s")
        listed = f"{self.kind} or a list of {plural}" if self.bare else f"a list of {plural}"
        return listed if self.many else str(self.kind)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is closest."""
    import difflib

    candidates = sorted(set(known))
    spelt = name.lower().replace("_", "-")
    if spelt in candidates:
        return spelt
    near = difflib.get_close_matches(spelt, candidates, n=1, cutoff=0.6)
    return near[0] if near else None
