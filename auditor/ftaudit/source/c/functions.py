"""The facts about one function definition: its name, its parameters and the place of its body."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ftaudit.source.c.text import split_arguments

_PARAMETER_NAME: Final = re.compile(r"([A-Za-z_]\w*)\s*(?:\[[^\]]*\]\s*)*$")
_POINTER_NAME: Final = re.compile(r"\(\s*\*\s*(\w+)\s*\)")
_UNUSED: Final = re.compile(r"\b\w*(?:UNUSED|unused|Unused)\w*\s*\(\s*(\w+)\s*\)")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function definition."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Function:
    """One function definition; offsets are of characters."""

    name: str
    """As written before the parameters, `Pool::take` in C++."""
    start: int
    at: int
    """The offset of its name."""
    body: int
    """The offset of the body's `{`."""
    end: int
    header: str
    """The text before the name: storage class and return type."""
    parameter_text: str
    """The text between the brackets, as written."""
    sure: bool = True
    """`False` if the parser failed and only brackets were matched."""
    bound: bool = False
    """A lambda that a C++ binding passes to Python: it runs when Python calls it, not at its place in the code."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters, read on first use."""
        return _parameters(self.parameter_text)

    @property
    def is_static(self) -> bool:
        """Whether only its own file can call it, as the storage class or CPython's macro for it says."""
        return "static" in self.header or "Py_LOCAL" in self.header

    @property
    def short_name(self) -> str:
        """The name without its class."""
        return self.name.rpartition("::")[2].strip()


@lru_cache(maxsize=10_000)
def _parameters(code: str) -> tuple[Parameter, ...]:
    found: list[Parameter] = []
    for begin, stop in split_arguments(code, 0, len(code)):
        text = code[begin:stop]
        if "(" in text:
            text = _UNUSED.sub(r"\1", text)
        text = text.split("=")[0].strip()
        name = _PARAMETER_NAME.search(text)
        pointer = _POINTER_NAME.search(text) if "*" in text and "(" in text else None
        if pointer:
            found.append(Parameter(pointer[1], text))
        elif name and text != "void":
            found.append(Parameter(name[1], text[: name.start()].strip()))
    return tuple(found)
