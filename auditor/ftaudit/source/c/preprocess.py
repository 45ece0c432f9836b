"""The part of a C file that a free-threaded build compiles: directives and dead regions blanked, macros noted.

tree-sitter does not run the preprocessor: a directive inside an initializer or an `else` split by `#endif` breaks its
parse, and code that only the GIL build compiles would be checked. So conditions are evaluated here, before parsing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from ftaudit.source.c.comments import blank
from ftaudit.source.c.conditions import UNDEFINED, UNKNOWN, MacroValue, evaluate, is_defined, lookup, number

_DIRECTIVE: Final = re.compile(r"#[ \t]*(\w+)((?:[^\n\\]+|\\\n|\\[^\n])*)")
_DEFINE: Final = re.compile(r"\s*(\w+)(\(([^)]*)\))?([\s\S]*)")
_INTEGER: Final = re.compile(r"\(?\s*(-?(?:0[xX][0-9a-fA-F]+|\d+))[uUlL]*\s*\)?$")
_WINDOWS: Final = re.compile(r"_WIN32|_WIN64|_MSC_VER|MS_WIN|\bWIN32|WINDOWS")
_BRACKET: Final = re.compile(r"[(){}]")


@dataclass(frozen=True, slots=True)
class Macro:
    """One `#define` of a region that is not dead."""

    name: str
    parameters: tuple[str, ...] | None
    body: str
    start: int
    conditions: tuple[str, ...]
    """The conditions around it, outermost first."""


@dataclass(frozen=True, slots=True)
class Region:
    """The lines between two directives that a condition governs (character offsets)."""

    start: int
    end: int
    condition: str
    """As written; those of `#elif` and `#else` name the earlier ones, negated."""


@dataclass(slots=True)
class Preprocessed:
    """A file after its directives were read; `code` is exactly as long as the input."""

    code: str
    macros: dict[str, Macro] = field(default_factory=dict)
    regions: list[Region] = field(default_factory=list)
    dead: list[tuple[int, int]] = field(default_factory=list)

    def conditions_at(self, offset: int) -> tuple[str, ...]:
        """Return the conditions that govern a place."""
        return tuple(region.condition for region in self.regions if region.start <= offset < region.end)

    def is_dead(self, offset: int) -> bool:
        """Return whether a free-threaded build leaves the place out."""
        return any(start <= offset < end for start, end in self.dead)


@dataclass(slots=True)
class _Branch:
    condition: str
    truth: bool | None
    start: int
    end: int = -1


@dataclass(slots=True)
class _Chain:
    """One `#if` … `#endif`, and the facts about its branches so far."""

    branches: list[_Branch]
    taken: bool | None
    """Whether an earlier branch is known to be (or may be) compiled."""
    outer_live: bool | None


def preprocess(code: str, known: Mapping[str, MacroValue]) -> Preprocessed:
    """Blank every directive and every region that the known macros leave out; note macros and conditional regions.

    `code` has its comments and strings masked already. A condition that is not known keeps all its branches, unless
    they open different numbers of brackets or end in the middle of a statement: then only the first stays.
    """
    result = Preprocessed(code)
    macros = dict(known)
    chains: list[_Chain] = []
    blanks: list[tuple[int, int]] = []
    for start, found in _directives(code):
        end = found.end()
        blanks.append((start, end))
        keyword, rest = found[1], found[2].replace("\\\n", "  ")
        live = _live(chains)
        match keyword:
            case "if" | "ifdef" | "ifndef" | "elif" | "elifdef" | "elifndef":
                condition, truth = _condition(keyword, rest, macros)
                if keyword.startswith("elif"):
                    if chains:
                        _next_branch(chains[-1], condition, truth, start, end)
                else:
                    chains.append(_Chain([_Branch(condition, truth, end)], taken=truth, outer_live=live))
            case "else":
                if chains:
                    _next_branch(chains[-1], "", True, start, end)
            case "endif":
                if chains:
                    _close(chains.pop(), start, result)
            case "define" if live is not False:
                _define(rest, start, live, chains, macros, result)
            case "undef" if live is not False and rest.split():
                macros[rest.split()[0]] = UNDEFINED if live else UNKNOWN
            case _:
                pass
    while chains:
        _close(chains.pop(), len(code), result)
    result.code = _blanked(code, blanks + result.dead)
    return result


def _directives(code: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield the beginning of each line that holds a directive, and the directive."""
    at = code.find("#")
    while at >= 0:
        start = code.rfind("\n", 0, at) + 1
        found = _DIRECTIVE.match(code, at) if not code[start:at].strip(" \t") else None
        if found:
            yield start, found
        at = code.find("#", found.end() if found else at + 1)


def _condition(keyword: str, rest: str, macros: Mapping[str, MacroValue]) -> tuple[str, bool | None]:
    if keyword.endswith("def"):
        name = (rest.split() or [""])[0]
        known = is_defined(name, macros)
        if keyword in ("ifndef", "elifndef"):
            return f"!defined({name})", None if known is None else not known
        return f"defined({name})", known
    value = evaluate(rest, macros)
    return " ".join(rest.split()), None if value is None else bool(value)


def _live(chains: list[_Chain]) -> bool | None:
    """Return whether code here is compiled: yes, no, or `None` when that depends."""
    if not chains:
        return True
    both = (chains[-1].outer_live, chains[-1].branches[-1].truth)
    return False if False in both else None if None in both else True


def _next_branch(chain: _Chain, condition: str, truth: bool | None, start: int, end: int) -> None:
    earlier = " && ".join(f"!({branch.condition})" for branch in chain.branches if branch.condition)[:400]
    chain.branches[-1].end = start
    certain = truth is True
    if chain.taken is True:
        truth = False
    elif chain.taken is None and certain:
        truth = None
    text = f"{condition} && {earlier}" if condition else earlier
    chain.branches.append(_Branch(text, truth, end))
    if certain or chain.taken is True:
        # Whatever the earlier conditions are, no later branch is compiled.
        chain.taken = True
    elif truth is None:
        chain.taken = None


def _close(chain: _Chain, end: int, result: Preprocessed) -> None:
    chain.branches[-1].end = end
    code = result.code
    for branch in chain.branches:
        if branch.truth is False:
            result.dead.append((branch.start, branch.end))
        elif branch.condition:
            result.regions.append(Region(branch.start, branch.end, branch.condition))
    if chain.outer_live is False:
        return
    kept = [branch for branch in chain.branches if branch.truth is not False]
    if len(kept) > 1 and not all(_is_whole(code[branch.start : branch.end]) for branch in kept):
        chosen = _best(kept, code)
        result.dead += [(branch.start, branch.end) for branch in kept if branch is not chosen]


def _is_whole(text: str) -> bool:
    """Return whether a branch opens and closes the same brackets and ends where a statement or item ends."""
    if text.count("(") + text.count("{") != text.count(")") + text.count("}"):
        return False
    last = _last_character(text)
    if last and last not in ";},:":
        return False
    depth = 0
    for found in _BRACKET.finditer(text):
        depth += 1 if found[0] in "({" else -1
        if depth < 0:
            return False
    return True


def _last_character(text: str) -> str:
    """Return the last character that is neither blank nor in a directive's line, or the empty string."""
    end = len(text)
    while end >= 0:
        start = text.rfind("\n", 0, end) + 1
        line = text[start:end].strip()
        if line and line[0] != "#":
            return line[-1]
        end = start - 1
    return ""


def _best(branches: list[_Branch], code: str) -> _Branch:
    for branch in branches:
        if code[branch.start : branch.end].strip() and not (
            _WINDOWS.search(branch.condition) and not branch.condition.startswith("!")
        ):
            return branch
    return branches[0]


def _define(
    rest: str, start: int, live: bool | None, chains: list[_Chain], macros: dict[str, MacroValue], result: Preprocessed
) -> None:
    found = _DEFINE.match(rest)
    if not found:
        return
    name, parameters, body = found[1], found[3], found[4].strip()
    conditions = tuple(chain.branches[-1].condition for chain in chains)
    names = tuple(part.strip() for part in parameters.split(",")) if found[2] else None
    result.macros[name] = Macro(name, names, body, start, conditions)
    if names is None:
        macros[name] = _value(body, macros) if live else UNKNOWN


def _value(body: str, macros: Mapping[str, MacroValue]) -> MacroValue:
    if not body:
        return 1
    found = _INTEGER.match(body)
    if found:
        return -number(found[1][1:]) if found[1][0] == "-" else number(found[1])
    return lookup(body, macros) if body.isidentifier() else UNKNOWN


def _blanked(code: str, spans: list[tuple[int, int]]) -> str:
    pieces: list[str] = []
    done = 0
    for start, end in sorted(spans):
        if end <= done:
            continue
        start = max(start, done)
        pieces.append(code[done:start])
        pieces.append(blank(code[start:end]))
        done = end
    pieces.append(code[done:])
    return "".join(pieces)
