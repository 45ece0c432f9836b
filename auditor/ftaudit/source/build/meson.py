"""Reads `meson.build`: assignments and calls with their conditions, and their meaning for the GIL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ftaudit.source.base import Survey
from ftaudit.source.build.build_facts import BuildFact, FactKind, limited_version, mentions_free_threading

_TOKEN = re.compile(
    r"(?P<skip>[ \t\r]+|#[^\n]*|\\\r?\n)"
    r"|(?P<newline>\n)"
    r"|(?P<string>f?'''.*?(?:'''|\Z)|f?'(?:[^'\\\n]|\\.)*(?:'|$|\n|\Z))"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<op>\+=|==|!=|<=|>=|.)",
    re.DOTALL,
)
_MAX_NAMES = 100
"""How many variables a value is traced through."""
_BLOCKS = {"if", "foreach"}
_FLAG = re.compile(r"freethreading_compatible\s*=\s*(\w+)")
_MACRO = re.compile(r"CYTHON_FREETHREADING_COMPATIBLE(?:=(\w+))?")
_F2PY_FLAG = re.compile(r"free-?threading")


@dataclass(frozen=True, kw_only=True, slots=True)
class MesonWords:
    """The strings and the names in a stretch of a build file."""

    line: int
    strings: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MesonCall:
    """`name(…)` or `object.name(…)`; the words of nested calls are also this call's."""

    name: str
    object: str
    line: int
    column: int
    assigned: str
    args: MesonWords
    keywords: dict[str, MesonWords] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MesonAssignment:
    """`name = …` or `name += …`."""

    name: str
    line: int
    words: MesonWords
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MesonFile:
    """One parsed `meson.build`."""

    path: str
    calls: tuple[MesonCall, ...]
    assignments: tuple[MesonAssignment, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON value that `from_json` accepts."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Survey) -> MesonFile:
        """Return the file of a survey."""
        return cls(
            path=data["path"],
            calls=tuple(
                MesonCall(**{
                    **call,
                    "args": _words(call["args"]),
                    "keywords": {key: _words(value) for key, value in call["keywords"].items()},
                    "conditions": tuple(call["conditions"]),
                })
                for call in data["calls"]
            ),
            assignments=tuple(
                MesonAssignment(**{**each, "words": _words(each["words"]), "conditions": tuple(each["conditions"])})
                for each in data["assignments"]
            ),
        )  # fmt: skip


def _words(data: dict[str, Any]) -> MesonWords:
    return MesonWords(line=data["line"], strings=tuple(data["strings"]), names=tuple(data["names"]))


@dataclass(slots=True)
class _Open:
    """A call whose closing parenthesis is still missing, or (`name` empty) another bracket."""

    name: str
    object: str
    line: int
    column: int
    assigned: str
    depth: int
    strings: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    keyword: str = ""
    keywords: dict[str, tuple[int, list[str], list[str]]] = field(default_factory=dict)


def parse_meson(path: str, text: str) -> MesonFile:
    """Parse a build file; other grammar is read as far as its tokens make sense."""
    calls: list[MesonCall] = []
    assignments: list[MesonAssignment] = []
    conditions: list[str] = []
    loops: list[dict[str, list[tuple[str, str]]]] = []
    stack: list[_Open] = []
    tokens = list(_tokens(text))
    index = 0
    depth = 0
    assigned = ""
    pending: tuple[str, int, list[str], list[str]] | None = None
    while index < len(tokens):
        kind, value, line, column = tokens[index]
        following = tokens[index + 1][1] if index + 1 < len(tokens) else ""
        if kind == "newline":
            if depth == 0:
                if pending is not None:
                    name, at, strings, names = pending
                    words = MesonWords(line=at, strings=tuple(strings), names=tuple(names))
                    assignments.append(MesonAssignment(name=name, line=at, words=words, conditions=tuple(conditions)))
                pending, assigned = None, ""
        elif kind == "name" and depth == 0 and value in (*_BLOCKS, "elif", "else", "endif", "endforeach"):
            head = index
            index = _block(value, tokens, index, conditions)
            if value == "foreach":
                loops.append(_loop_variables(tokens[head + 1 : index + 1]))
            elif value == "endforeach" and loops:
                loops.pop()
        elif kind == "name" and depth == 0 and following in ("=", "+="):
            assigned = value
            pending = (value, line, [], [])
            index += 1
        elif kind == "name" and following == "(":
            before = tokens[index - 1][1] if index else ""
            owner = tokens[index - 2][1] if index > 1 and before == "." else ""
            _note(stack, pending, "name", value)
            stack.append(_Open(value, owner, line, column, assigned, depth))
            depth += 1
            index += 1
        elif kind == "name" and following == ":" and stack and depth == stack[-1].depth + 1:
            stack[-1].keyword = value
            stack[-1].keywords[value] = (line, [], [])
            index += 1
        elif value in "([{" and kind == "op":
            depth += 1
        elif value in ")]}" and kind == "op":
            depth = max(depth - 1, 0)
            if value == ")" and stack and stack[-1].depth == depth:
                calls.append(_close(stack.pop(), conditions))
        elif value == "," and stack and depth == stack[-1].depth + 1:
            stack[-1].keyword = ""
        elif kind in ("string", "name"):
            bound = next((loop[value] for loop in reversed(loops) if kind == "name" and value in loop), None)
            for what, word in bound or [(kind, value)]:
                _note(stack, pending, what, word)
        index += 1
    calls.extend(_close(opened, conditions) for opened in stack)
    calls.sort(key=lambda call: (call.line, call.column))
    return MesonFile(path=path, calls=tuple(calls), assignments=tuple(assignments))


def _unlimited(call: MesonCall) -> MesonWords | None:
    """Return the default options of a project if they turn the limited API off."""
    options = call.keywords.get("default_options")
    if options is None or not any("allow_limited_api=false" in text.replace(" ", "") for text in options.strings):
        return None
    return options


def _tokens(text: str) -> Iterator[tuple[str, str, int, int]]:
    line, start = 1, 0
    for match in _TOKEN.finditer(text):
        kind, value = match.lastgroup or "", match.group()
        if kind != "skip":
            shown = value.removeprefix("f").strip("'") if kind == "string" else value
            yield kind, shown, line, match.start() - start + 1
        breaks = value.count("\n")
        if breaks:
            line += breaks
            start = match.start() + value.rindex("\n") + 1


def _block(word: str, tokens: list[tuple[str, str, int, int]], index: int, conditions: list[str]) -> int:
    """Enter or leave a block; return the index of the last token of its head."""
    head: list[str] = []
    while index + 1 < len(tokens) and tokens[index + 1][0] != "newline":
        index += 1
        head.append(tokens[index][1])
    match word:
        case "if" | "foreach":
            conditions.append(" ".join(head) if word == "if" else "")
        case "elif" | "else":
            if conditions:
                conditions[-1] += " " + " ".join(head)
        case _:
            if conditions:
                conditions.pop()
    return index


def _loop_variables(head: list[tuple[str, str, int, int]]) -> dict[str, list[tuple[str, str]]]:
    """Return the variables of `foreach name, sources : modules`, each with the words of the loop's values."""
    colon = next((i for i, (_, value, _, _) in enumerate(head) if value == ":"), len(head))
    over = [(kind, value) for kind, value, _, _ in head[colon + 1 :] if kind in ("string", "name")]
    return {value: over for kind, value, _, _ in head[:colon] if kind == "name"}


def _note(stack: list[_Open], pending: tuple[str, int, list[str], list[str]] | None, kind: str, value: str) -> None:
    """Count a word for every call and for the assignment that contains it."""
    for opened in stack[-8:]:
        strings, names = opened.strings, opened.names
        if opened.keyword:
            _, strings, names = opened.keywords[opened.keyword]
        (strings if kind == "string" else names).append(value)
    if pending is not None:
        (pending[2] if kind == "string" else pending[3]).append(value)


def _close(opened: _Open, conditions: list[str]) -> MesonCall:
    return MesonCall(
        name=opened.name,
        object=opened.object,
        line=opened.line,
        column=opened.column,
        assigned=opened.assigned,
        args=MesonWords(line=opened.line, strings=tuple(opened.strings), names=tuple(opened.names)),
        keywords={
            key: MesonWords(line=line, strings=tuple(strings), names=tuple(names))
            for key, (line, strings, names) in opened.keywords.items()
        },
        conditions=tuple(conditions),
    )


class MesonProject:
    """All the `meson.build` files of one tree: their variables are shared, as `subdir()` shares them."""

    def __init__(self, files: Iterable[MesonFile]) -> None:
        self.files = tuple(files)
        self._reached: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self.assignments: dict[str, list[tuple[str, MesonAssignment]]] = {}
        for file in self.files:
            for assignment in file.assignments:
                self.assignments.setdefault(assignment.name, []).append((file.path, assignment))

    def facts(self) -> Iterator[BuildFact]:
        """Yield the facts of the files, file by file."""
        for file in self.files:
            for call in file.calls:
                yield from self._call(file, call)
            for assignment in file.assignments:
                macros = [text for text in assignment.words.strings if _MACRO.search(text)]
                yield from _declared(file.path, assignment.line, macros)
            words = {word for call in file.calls for word in (*call.args.strings, *call.args.names)}
            words |= {word for each in file.assignments for word in each.words.strings}
            words |= {word for call in file.calls for each in call.keywords.values() for word in each.strings}
            yield BuildFact(kind=FactKind.MENTIONS, path=file.path, line=1, names=tuple(sorted(words)[:4000]))

    def flow(self, words: Iterable[MesonWords]) -> tuple[list[str], list[str]]:
        """Return the strings and names that reach a place, through variables; each of a variable once."""
        strings: list[str] = []
        names: list[str] = []
        for each in words:
            strings.extend(each.strings)
            names.extend(each.names)
        for name in set(names):
            more = self._reach(name)
            strings.extend(more[0])
            names.extend(more[1])
        return strings, names

    def _reach(self, variable: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if variable not in self._reached:
            strings: dict[str, None] = {}
            names: dict[str, None] = {}
            queue, seen = [variable], {variable}
            for name in queue:  # The list grows while it is walked; each variable is added once.
                for _, assignment in self.assignments.get(name, ()):
                    strings.update(dict.fromkeys(assignment.words.strings))
                    names.update(dict.fromkeys(assignment.words.names))
                    fresh = [each for each in assignment.words.names if each not in seen]
                    if fresh and len(seen) < _MAX_NAMES:
                        seen.update(fresh)
                        queue.extend(dict.fromkeys(fresh))
            self._reached[variable] = tuple(strings), tuple(names)
        return self._reached[variable]

    def _call(self, file: MesonFile, call: MesonCall) -> Iterator[BuildFact]:
        if call.name in ("add_project_arguments", "add_global_arguments", "declare_dependency"):
            strings, _ = self.flow((call.args, *call.keywords.values()))
            yield from _declared(file.path, call.line, strings, "project")
            macros = [text for text in strings if text.startswith(("-DPy_LIMITED_API", "/DPy_LIMITED_API"))]
            if macros:
                yield self._limited(file, call, call.line, "the macro Py_LIMITED_API", strings=macros)
        elif call.name in ("generator", "custom_target"):
            yield from self._generator(file, call)
        elif call.name == "extension_module":
            yield from self._module(file, call)
        elif call.name == "project" and (options := _unlimited(call)) is not None:
            yield BuildFact(kind=FactKind.NO_LIMITED_API_OPTION, path=file.path, line=options.line)

    def _generator(self, file: MesonFile, call: MesonCall) -> Iterator[BuildFact]:
        command = call.keywords.get("command")
        program = command if command is not None else call.args
        arguments = call.keywords.get("arguments", program)
        first_names = " ".join(program.names[:1] if call.name == "generator" else program.names).lower()
        strings, names = self.flow((program,))
        run = " ".join((first_names, *strings, *(name.lower() for name in names)))
        told, _ = self.flow((program, arguments))
        line = self._where(file, arguments, call)
        if "f2py" in run.lower():
            settled = any(_F2PY_FLAG.search(text) for text in told)
            yield BuildFact(kind=FactKind.F2PY, path=line[0], line=line[1], value=call.name, settled=settled)
        elif "cython" in run.lower() and not re.search(r"cython\w*\s*\.\s*version", run):
            if found := list(_declared(file.path, call.line, told)):
                yield from found
            elif call.name == "generator" or any(text.endswith((".pyx", "@INPUT@")) for text in told):
                yield BuildFact(kind=FactKind.CYTHON_PLACE, path=line[0], line=line[1], value=f"{call.name}()")
        elif "swig" in run.lower():
            settled = any(text == "-nogil" for text in told)
            if "-python" in told:
                yield BuildFact(kind=FactKind.SWIG, path=line[0], line=line[1], settled=settled)

    def _where(self, file: MesonFile, words: MesonWords, call: MesonCall) -> tuple[str, int]:
        """Return where the arguments are written: at the variable that holds them, else at the keyword."""
        if len(words.names) == 1 and not words.strings:
            found = self.assignments.get(words.names[0], ())
            here = [place for place in found if place[0] == file.path]
            for path, assignment in here or found:
                return path, assignment.line
        return file.path, words.line

    def _module(self, file: MesonFile, call: MesonCall) -> Iterator[BuildFact]:
        limited = call.keywords.get("limited_api")
        if limited is not None:
            strings, names = self.flow((limited,))
            gated = any(mentions_free_threading(word) for word in (*strings, *names))
            gated = gated or self._gated_names(limited.names)
            if any(text for text in strings) or (names and not strings):
                yield self._limited(file, call, limited.line, "limited_api", settled=gated, strings=strings)
        sources, names = self.flow((call.args,))
        pyx = [text for text in sources if text.endswith((".pyx", ".pyx.in"))]
        if not pyx:
            return
        arguments = [
            call.keywords[key]
            for key in ("cython_args", "c_args", "cpp_args", "override_options")
            if key in call.keywords
        ]
        told, _ = self.flow(arguments)
        if found := list(_declared(file.path, call.line, told)):
            yield from found
        elif "process" not in call.args.names and self._named_sources(call, pyx):
            args = call.keywords.get("cython_args")
            path, line = self._where(file, args, call) if args else (file.path, call.line)
            yield BuildFact(
                kind=FactKind.CYTHON_PLACE, path=path, line=line, value="extension_module()", names=tuple(sorted(pyx))
            )

    def _named_sources(self, call: MesonCall, wanted: list[str]) -> bool:
        """Return whether a call names one of the files, itself or by a variable that no generator filled."""
        if any(text in wanted for text in call.args.strings):
            return True
        held = (each for name in set(call.args.names) for _, each in self.assignments.get(name, ()))
        return any(text in wanted for each in held if "process" not in each.words.names for text in each.words.strings)

    def _gated_names(self, names: tuple[str, ...]) -> bool:
        return any(
            mentions_free_threading(condition)
            for name in names
            for _, assignment in self.assignments.get(name, ())
            for condition in assignment.conditions
        )

    def _limited(
        self,
        file: MesonFile,
        call: MesonCall,
        line: int,
        value: str,
        *,
        settled: bool = False,
        strings: Sequence[str] = (),
    ) -> BuildFact:
        gated = any(self._aware(condition) for condition in call.conditions)
        versions = [version for version in map(limited_version, strings) if version is not None]
        return BuildFact(
            kind=FactKind.LIMITED_API,
            path=file.path,
            line=line,
            value=value,
            settled=settled or gated,
            asked=min(versions, default=None),
        )

    def _aware(self, condition: str) -> bool:
        if mentions_free_threading(condition):
            return True
        strings, names = self.flow((MesonWords(line=1, names=tuple(re.findall(r"[A-Za-z_]\w*", condition))),))
        return any(mentions_free_threading(word) for word in (*strings, *names))


def _declared(path: str, line: int, strings: Iterable[str], *names: str) -> Iterator[BuildFact]:
    """Yield the declaration that compiler arguments make, if they do."""
    for text in strings:
        if found := _FLAG.search(text):
            value = "false" if found[1].lower() in ("false", "0") else "true"
        elif text.startswith(("-D", "/D")) and (found := _MACRO.search(text)):
            value = "false" if found[1] == "0" else "true"
            # The C compiler reads the macro, however Cython is run.
            names = ("project",)
        else:
            continue
        yield BuildFact(kind=FactKind.DECLARES, path=path, line=line, value=value, names=names)
        return
