"""Reads CMake files: commands with their words and conditions, and their meaning for the GIL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from ftaudit.source.base import Survey
from ftaudit.source.build.build_facts import BuildFact, FactKind, limited_version, mentions_free_threading

_TOKEN = re.compile(
    r"(?P<skip>[ \t\r\n;]+|\#\[(?P<eq>=*)\[.*?(?:\](?P=eq)\]|\Z)|\#[^\n]*)"
    r"|(?P<quoted>\"(?:[^\"\\]|\\.)*(?:\"|\Z))"
    r"|(?P<bracket>\[(?P<level>=*)\[.*?(?:\](?P=level)\]|\Z))"
    r"|(?P<open>\()|(?P<close>\))"
    r"|(?P<word>(?:[^\s()#\"\\;]|\\.|\"(?:[^\"\\\n]|\\.)*\")+|.)",
    re.DOTALL,
)
_VARIABLE = re.compile(r"\$(?:ENV|CACHE)?\{([^${}]+)\}")
_DIRECTIVE = re.compile(r"freethreading_compatible\s*=\s*(\w+)")
_MACRO = re.compile(r"CYTHON_FREETHREADING_COMPATIBLE(?:=(\w+))?")
_LIMITED = re.compile(r"(?:[-/]D)?Py_LIMITED_API\b")
_SCIKIT_BUILD = "SKBUILD_SABI"
"""scikit-build-core sets `SKBUILD_SABI_COMPONENT` and `SKBUILD_SABI_VERSION` only if the stable ABI exists."""
_MAX_NAMES = 100
"""How many variables a value is traced through."""
_PINNED = re.compile(r"v?(\d+\.\d+(?:\.\d+)?)\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class CMakeCommand:
    """`name(words…)`; `name` in lower case."""

    name: str
    line: int
    column: int
    words: tuple[str, ...]
    word_lines: tuple[int, ...]
    conditions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CMakeFile:
    """One parsed CMake file."""

    path: str
    commands: tuple[CMakeCommand, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON value that `from_json` accepts."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Survey) -> CMakeFile:
        """Return the file of a survey."""
        return cls(
            path=data["path"],
            commands=tuple(
                CMakeCommand(**{
                    **each,
                    "words": tuple(each["words"]),
                    "word_lines": tuple(each["word_lines"]),
                    "conditions": tuple(each["conditions"]),
                })
                for each in data["commands"]
            ),
        )  # fmt: skip


_INTERESTING = re.compile(
    r"(?i)cython|f2py|swig|nanobind|limited_api|sabi|freethread|free_thread|nogil|gil_disabled|pyx|pybind11"
)


def parse_cmake(path: str, text: str) -> CMakeFile:
    """Parse a file; only `set`-like commands and those that may matter are kept."""
    commands: list[CMakeCommand] = []
    conditions: list[str] = []
    name, start, depth = "", (1, 1), 0
    words: list[str] = []
    lines: list[int] = []
    before = ""
    before_at = (1, 1)
    for kind, value, line, column in _tokens(text):
        if kind == "open":
            if depth == 0:
                name, start, words, lines = before.lower(), before_at, [], []
            else:
                words.append("(")
                lines.append(line)
            depth += 1
        elif kind == "close":
            depth = max(depth - 1, 0)
            if depth:
                words.append(")")
                lines.append(line)
            elif name:
                _finish(commands, conditions, name, start, words, lines)
                name = ""
        elif depth:
            words.append(value)
            lines.append(line)
        else:
            before, before_at = value, (line, column)
    return CMakeFile(path=path, commands=tuple(commands))


def _finish(
    commands: list[CMakeCommand],
    conditions: list[str],
    name: str,
    start: tuple[int, int],
    words: list[str],
    lines: list[int],
) -> None:
    match name:
        case "if":
            conditions.append(" ".join(words))
        case "elseif" | "else":
            if conditions:
                conditions[-1] += " " + " ".join(words)
        case "endif":
            if conditions:
                conditions.pop()
        case _:
            if name in ("set", "list") or _INTERESTING.search(name) or any(_INTERESTING.search(word) for word in words):
                commands.append(
                    CMakeCommand(
                        name=name,
                        line=start[0],
                        column=start[1],
                        words=tuple(words[:2000]),
                        word_lines=tuple(lines[:2000]),
                        conditions=tuple(conditions),
                    )
                )


def _tokens(text: str) -> Iterator[tuple[str, str, int, int]]:
    line, start = 1, 0
    for match in _TOKEN.finditer(text):
        kind, value = match.lastgroup or "", match.group()
        if match["skip"] is None:
            shown = value.strip('"') if match["quoted"] is not None else value
            yield kind, shown, line, match.start() - start + 1
        breaks = value.count("\n")
        if breaks:
            line += breaks
            start = match.start() + value.rindex("\n") + 1


class CMakeProject:
    """All the CMake files of one tree; variables are looked up by name over the whole tree."""

    def __init__(self, files: Iterable[CMakeFile]) -> None:
        self.files = tuple(files)
        self._reached: dict[str, tuple[str, ...]] = {}
        self.settings: dict[str, list[tuple[str, CMakeCommand]]] = {}
        for file in self.files:
            for command in file.commands:
                match command.name, command.words:
                    case "set" | "option", (variable, *_):
                        self.settings.setdefault(variable, []).append((file.path, command))
                    case "list", ("APPEND" | "PREPEND", variable, *_):
                        self.settings.setdefault(variable, []).append((file.path, command))
                    case _:
                        pass

    def facts(self) -> Iterator[BuildFact]:
        """Yield the facts of the files, file by file."""
        for file in self.files:
            for command in file.commands:
                yield from self._command(file.path, command)
            words = {word for command in file.commands for word in command.words if len(word) < 120}
            if words:
                yield BuildFact(kind=FactKind.MENTIONS, path=file.path, line=1, names=tuple(sorted(words)[:4000]))

    def flow(self, words: Iterable[str]) -> list[str]:
        """Return the words with those of the variables they refer to, transitively; each word of a variable once."""
        found = list(words)
        for variable in {variable for word in found for variable in _VARIABLE.findall(word)}:
            found.extend(self._reach(variable))
        return found

    def _reach(self, variable: str) -> tuple[str, ...]:
        if variable not in self._reached:
            words: dict[str, None] = {}
            queue, seen = [variable], {variable}
            for name in queue:  # The list grows while it is walked; each variable is added once.
                for _, command in self.settings.get(name, ()):
                    for word in command.words[1:]:
                        words[word] = None
                        fresh = [each for each in _VARIABLE.findall(word) if each not in seen]
                        if fresh and len(seen) < _MAX_NAMES:
                            seen.update(fresh)
                            queue.extend(fresh)
            self._reached[variable] = tuple(words)
        return self._reached[variable]

    @cached_property
    def _swig_told(self) -> bool:
        """Whether `-nogil` is among the flags of SWIG anywhere in the tree."""
        return any("-nogil" in word for file in self.files for each in file.commands for word in each.words)

    def _aware(self, condition: str) -> bool:
        """Return whether a condition tests for free-threaded builds, or relies on scikit-build-core to do so."""
        if mentions_free_threading(condition) or _SCIKIT_BUILD in condition:
            return True
        words = self.flow(f"${{{word}}}" for word in re.findall(r"\w+", condition))
        return any(mentions_free_threading(word) or _SCIKIT_BUILD in word for word in words)

    def _command(self, path: str, command: CMakeCommand) -> Iterator[BuildFact]:
        def fact(kind: FactKind, line: int | None = None, **more: Any) -> BuildFact:
            return BuildFact(kind=kind, path=path, line=line or command.line, **more)

        words, name = command.words, command.name
        settled = any(self._aware(condition) for condition in command.conditions)
        if name == "nanobind_add_module":
            flags = self.flow(words[1:])
            yield fact(FactKind.NANOBIND, value=words[0] if words else "", names=tuple(flags[:200]))
            return
        if name in ("function", "macro", "endfunction", "endmacro", "message"):
            return
        for word, line in zip(words, command.word_lines, strict=False):
            if word.removeprefix("-D").startswith("NB_FREE_THREADED"):
                yield fact(FactKind.NANOBIND_MACRO, line)
            if found := _DIRECTIVE.search(word):
                value = "false" if found[1].lower() in ("false", "0") else "true"
                yield fact(FactKind.DECLARES, line, value=value)
            elif found := _MACRO.search(word):
                yield fact(FactKind.DECLARES, line, value="false" if found[1] == "0" else "true", names=("project",))
            elif _LIMITED.match(word):
                gated = settled or any(_SCIKIT_BUILD in each for each in words) or self._genexp(word)
                asked = limited_version(word)
                yield fact(FactKind.LIMITED_API, line, value="the macro Py_LIMITED_API", settled=gated, asked=asked)
            elif word == "USE_SABI" and name.endswith("_add_library"):
                gated = settled or any(_SCIKIT_BUILD in each for each in self.flow(words))
                following = words[words.index(word) + 1 :][:1]
                asked = limited_version(following[0]) if following else None
                yield fact(FactKind.LIMITED_API, line, value="USE_SABI", settled=gated, asked=asked)
        yield from self._runs(path, command)
        if name == "fetchcontent_declare" and words:
            yield from _fetched(path, command)

    def _genexp(self, word: str) -> bool:
        return "$<" in word and mentions_free_threading(word)

    def _runs(self, path: str, command: CMakeCommand) -> Iterator[BuildFact]:
        """Yield the arguments of a command that runs a generator."""
        name = command.name
        if name in ("add_custom_command", "add_custom_target", "execute_process"):
            told = self.flow(command.words)
            run = " ".join(told).lower()
            if "command" not in run:
                return
            if "f2py" in run and any("@" not in word and "f2py" in word.lower() for word in command.words):
                if not any(text in run for text in ("get_include", "--version", '-c "import', "import numpy")):
                    settled = "freethreading-compatible" in run
                    yield BuildFact(kind=FactKind.F2PY, path=path, line=command.line, settled=settled)
            elif ".pyx" in run and "cython" in run and not self._declared(told):
                yield BuildFact(kind=FactKind.CYTHON_PLACE, path=path, line=command.line, value=f"{name}()")
        elif name in ("cython_transpile", "cython_compile_pyx", "add_cython_target"):
            if not self._declared(self.flow((*command.words, "${CYTHON_ARGS}", "${CYTHON_FLAGS}"))):
                pyx = tuple(word for word in command.words if word.endswith(".pyx"))
                yield BuildFact(kind=FactKind.CYTHON_PLACE, path=path, line=command.line, value=f"{name}()", names=pyx)
        elif name == "swig_add_library" and any(word.lower() == "python" for word in command.words):
            yield BuildFact(kind=FactKind.SWIG, path=path, line=command.line, settled=self._swig_told)

    def _declared(self, words: Iterable[str]) -> bool:
        return any(_DIRECTIVE.search(word) or _MACRO.search(word) for word in words)


def _fetched(path: str, command: CMakeCommand) -> Iterator[BuildFact]:
    """Yield the exact version of a binding generator that CMake downloads."""
    project = command.words[0].lower()
    for word, following, line in zip(command.words, command.words[1:], command.word_lines[1:], strict=False):
        if project in ("pybind11", "nanobind") and word == "GIT_TAG" and (found := _PINNED.match(following)):
            value = f"{project}=={found[1]}"
            yield BuildFact(kind=FactKind.REQUIRES, path=path, line=line, value=value, names=("FetchContent",))
