"""Nothing decides by reading text that ftaudit wrote for people: facts, reasons and steps are values."""

from __future__ import annotations

import ast
import functools
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RENDERED = frozenset(
    {
        "reasons",
        "reason",
        "next_step",
        "notes",
        "note",
        "how",
        "problem",
        "problems",
        "message",
        "sentence",
        "explanation",
    }
    | {"detail", "incomplete", "warnings", "phrase", "shared", "opaque", "comes_from", "not_proven", "refused"}
)
"""Attributes that hold text for people."""
VARIABLES = frozenset({"reason", "note", "problem", "sentence", "detail", "phrase"})
"""Variables that do."""
RENDERERS = frozenset({"sentence", "sentences", "step_sentence", "gap_phrase", "gap_of_many", "candidate_phrase"})
"""Functions that make such text."""
READS = frozenset(
    {"startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "split", "find"}
    | {"replace", "index", "count"}
)
MATCHES = frozenset({"search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"})
PACKAGE = ROOT / "auditor" / "ftaudit"
OTHERS = {
    "lockfiles/resolve/uv_failures.py": "uv",
    "sandbox/distribution.py": "CPython",
    "sandbox/environment.py": "uv",
    "sandbox/failures.py": "the dynamic loader",
    "source/python/signals.py": "the scanned source",
    "wheel/metadata.py": "trove classifiers",
}
"""The modules that read sentences, and the writers of those."""
FILES = tuple(path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).as_posix() not in OTHERS)


parse = functools.cache(ast.parse)


def is_phrase(value: object) -> bool:
    """Return whether a constant is prose: three words or more."""
    return isinstance(value, str) and len(value.split()) >= 3 and value.lstrip()[:1].isalpha()


def phrase_constants(source: str) -> frozenset[str]:
    """Return the names of a module's constants that hold prose."""
    found = set()
    for node in parse(source).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)) if is_phrase(value):
                found.add(name)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=value)) if is_phrase(value):
                found.add(name)
    return frozenset(found)


def module_name(path: str) -> str:
    """Return the dotted name of a file of the package."""
    return "ftaudit." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def parsed_sentences(source: str, name: str, phrases: Collection[tuple[str | None, str]] = ()) -> Iterator[str]:
    """Yield the place of each string operation on text for people, and of each comparison with prose.

    `phrases` are the constants of other modules that hold prose, each with its module.
    """
    tree = parse(source)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported = {alias.name for node in imports for alias in node.names if (node.module, alias.name) in phrases}
    known = phrase_constants(source) | imported

    def holds_text(node: ast.expr) -> bool:
        match node:
            case ast.Attribute(attr=attr):
                return attr in RENDERED
            case ast.Name(id=variable):
                return variable in VARIABLES
            case ast.Subscript(value=value):
                return holds_text(value)
            case ast.BoolOp(values=values):
                return any(map(holds_text, values))
            case ast.Call(func=ast.Name(id=called)) if called in RENDERERS:
                return True
            case ast.Call(func=ast.Name(id="str"), args=[inner]):
                return holds_text(inner)
            case _:
                return False

    def is_prose(node: ast.expr) -> bool:
        match node:
            case ast.Constant(value=value):
                return is_phrase(value)
            case ast.Name(id=constant):
                return constant in known
            case ast.Tuple(elts=elements) | ast.Set(elts=elements) | ast.List(elts=elements):
                return any(map(is_prose, elements))
            case _:
                return False

    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr=method), args=arguments) if method in READS:
                found = holds_text(value) or any(map(is_prose, arguments))
            case ast.Call(func=ast.Attribute(attr=method), args=arguments) if method in MATCHES:
                found = any(map(holds_text, arguments))
            case ast.Compare(left=left, comparators=others) if any(map(is_prose, (left, *others))):
                found = True
            case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[right]):
                found = holds_text(right) and isinstance(left, ast.Constant | ast.Name | ast.JoinedStr)
            case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq()], comparators=[right]):
                texts = isinstance(left, ast.Constant) or isinstance(right, ast.Constant)
                found = texts and (holds_text(left) or holds_text(right))
            case _:
                continue
        if found:
            yield f"{name}:{node.lineno}: {ast.unparse(node)}"


def test_no_module_reads_sentences_back() -> None:
    sources = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in FILES}
    phrases = {(module_name(name), phrase) for name, source in sources.items() for phrase in phrase_constants(source)}
    found = [place for name, source in sources.items() for place in parsed_sentences(source, name, phrases)]
    assert found == []


@pytest.mark.parametrize(
    "bad",
    [
        'if facts.index.reason.startswith("offline"): pass',
        "good = release.reason.endswith(TURNS_ON)",
        'found = "cannot connect to" in facts.binary.reason',
        'found = any("requires Python" in row.reasons[0] for row in rows)',
        'name = (project.reason or "").startswith(NO_PROJECT)',
        'kind = re.search("GIL", package.next_step)',
        'shown = pattern.sub("…", module.binary.how)',
        'shown = candidate.reason.replace(platform, "x")',
        'same = gap_phrase(gap).partition(": ")[2]',
        'never = facts.runtime.reason == "imports nothing"',
        "notes[:] = [note for note in notes if not note.startswith(NO_FILE_WALL)]",
        "notes += [problem if name in problem else f'{name}: {problem}' for problem in row.facts.binary.problems]",
        'ABORTS = "the instruction int"\nlost = other.opaque == ABORTS',
        'OFFLINE: Final = "no network was used"\nskipped = text == OFFLINE',
        "from ftaudit.index.client import NO_PROJECT\ngone = text.startswith((NO_PROJECT, other))",
        'if text in ("it comes from a repository", ""): pass',
    ],
)
def test_the_check_itself_finds_each_kind(bad: str) -> None:
    assert list(parsed_sentences(bad, "bad.py", {("ftaudit.index.client", "NO_PROJECT")}))


@pytest.mark.parametrize(
    "fine",
    [
        "told = '; '.join(package.reasons)",
        "rows.append(gap.detail)",
        "if facts.index.reason is None: pass",
        "a in rows",
        "from ftaudit.errors import NO_PROJECT\nif kind == NO_PROJECT: pass",
        'if option == "--no-index": pass',
    ],
)
def test_rendering_is_no_reading(fine: str) -> None:
    assert not list(parsed_sentences(fine, "fine.py", {("ftaudit.index.client", "NO_PROJECT")}))
