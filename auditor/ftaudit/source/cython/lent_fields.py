"""Fields of objects that a function lends to another one: `fill(&self.state)`, `self._grow(self.buffer)`."""

from __future__ import annotations

from dataclasses import dataclass

from ftaudit.source.cython.cython_unit import CythonFunction, parameters_of
from ftaudit.source.cython.tokens import Token

_CASTS = frozenset({"&", "<", ">", "*"})


@dataclass(frozen=True, slots=True)
class LentField:
    """A field of an object, as a function sees it that gets a pointer to it."""

    owner: str
    """The class that declares the field."""
    path: tuple[str, ...]
    of_own: bool
    """Whether it belongs to the object that the first method was called on."""

    @property
    def receiver(self) -> str:
        """The name by which the function's lines call the object; no source can have it."""
        return f"\0{self.owner}"

    @property
    def tokens(self) -> list[Token]:
        """What the parameter stands for: the object, and the field."""
        words = [self.receiver]
        for name in self.path:
            words += [".", name]
        return [Token("op" if word == "." else "name", word, 0, 0) for word in words]


@dataclass(frozen=True, slots=True)
class Lending:
    """A call that passes a field."""

    function: str
    """`Class.method`, or the name of a function of the module."""
    position: int
    """Which argument it is, from 0; `self` is not counted."""
    field: LentField


def argument_at(tokens: list[Token], start: int, end: int, function: CythonFunction) -> tuple[str, int] | None:
    """Return the function that gets these tokens as a whole argument, perhaps cast or by address, and which one."""
    if end >= len(tokens) or tokens[end].text not in (",", ")"):
        return None
    at, in_cast = start - 1, False
    while at >= 0 and (tokens[at].text in _CASTS or in_cast):
        in_cast = (in_cast or tokens[at].text == ">") and tokens[at].text != "<"
        at -= 1
    position = depth = 0
    if at < 0 or tokens[at].text not in (",", "("):
        return None
    while at >= 0:
        text = tokens[at].text if tokens[at].kind == "op" else ""
        if text in (")", "]", "}"):
            depth += 1
        elif text in ("(", "[", "{"):
            if not depth:
                break
            depth -= 1
        elif text == "," and not depth:
            position += 1
        at -= 1
    if at < 1 or tokens[at].text != "(" or tokens[at - 1].kind != "name":
        return None
    name = tokens[at - 1].text
    if at > 1 and tokens[at - 2].text == ".":
        is_own = at > 2 and tokens[at - 3].text == function.self_name and (at < 4 or tokens[at - 4].text != ".")
        return (f"{function.owner}.{name}", position) if is_own and function.owner else None
    return name, position


def pointer_parameter(function: CythonFunction, position: int) -> str | None:
    """Return the name of a parameter that is a pointer or an array, `None` if that parameter is something else."""
    parameters = parameters_of(function.head)[1 if function.owner else 0 :]
    if position >= len(parameters):
        return None
    texts = [token.text for token in parameters[position]]
    names = [token.text for token in parameters[position] if token.kind == "name"]
    return names[-1] if len(names) > 1 and {"*", "[", "&"} & set(texts) and "=" not in texts else None
