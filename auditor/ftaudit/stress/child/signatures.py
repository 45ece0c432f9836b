"""The parameters of callables, and examples of calls: from `inspect`, stubs, docstrings, and doctests."""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def doc_of(value: Any) -> str:
    """Return the docstring of a value, or an empty string."""
    try:
        text = value.__doc__
    except BaseException:
        return ""
    return text if isinstance(text, str) else ""


def signature_of(value: Any, path: str, stubs: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]] | None:
    """Return the parameters from `inspect`, a stub, or the docstring's first line; `None` if they are unknown."""
    try:
        parameters = list(inspect.signature(value).parameters.values())
    except (ValueError, TypeError, RecursionError):
        parameters = []
    except BaseException:
        parameters = []
    else:
        found = [
            {
                "name": each.name,
                "required": each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD),
                "keyword": each.kind in (each.KEYWORD_ONLY, each.VAR_KEYWORD),
                "annotation": "" if each.annotation is each.empty else str(each.annotation)[:100],
            }
            for each in parameters
        ]
        if {each["name"] for each in found} not in ({"args", "kwargs"}, {"args"}):
            known = stubs.get(".".join(path.split(".")[-2:])) or stubs.get(path.rpartition(".")[2])
            annotations = {each["name"]: each["annotation"] for each in known or ()}
            return [{**each, "annotation": each["annotation"] or annotations.get(each["name"], "")} for each in found]
    for key in (".".join(path.split(".")[-2:]), path.rpartition(".")[2]):
        if key in stubs:
            return stubs[key]
    return _from_docstring(doc_of(value), path.rpartition(".")[2])


def _from_docstring(text: str, name: str) -> list[dict[str, Any]] | None:
    """Return the parameters in a first line such as `name(a, b=1)`, as Cython, pybind11, and many authors write it."""
    for line in text.strip().splitlines()[:6]:
        match = re.match(rf"^\s*(?:\d+\.\s*)?(?:[\w.]+\s+)?(?:\w+\.)*{re.escape(name)}(\(.*\).*)$", line.strip())
        if match is not None:
            return parameters_in(match[1])
    return None


def parameters_in(text: str) -> list[dict[str, Any]] | None:
    """Return the parameters in a text such as `(a: int, b=1) -> str`; `None` if they cannot be read."""
    match = re.match(r"^[^(]*\((.*)\)\s*(?:->.*|--.*|:.*)?$", text)
    if match is None:
        return None
    inside = re.sub(r"<[^>]*>", "None", match[1])
    for written in (inside, inside.replace("[,", ",").replace("[", "").replace("]", "")):
        try:
            tree = ast.parse(f"def f({written}): pass").body[0]
        except (SyntaxError, ValueError, RecursionError):
            continue
        return _parameters(tree, skip_self=True) if isinstance(tree, ast.FunctionDef) else None
    return None


def _parameters(tree: ast.FunctionDef | ast.AsyncFunctionDef, *, skip_self: bool) -> list[dict[str, Any]]:
    spec = tree.args
    plain = [*spec.posonlyargs, *spec.args]
    if skip_self and plain and plain[0].arg in ("self", "cls"):
        missing = len(plain) - len(spec.defaults)
        plain, defaults = plain[1:], missing - 1
    else:
        defaults = len(plain) - len(spec.defaults)
    rows = [(each, place < defaults, False) for place, each in enumerate(plain)]
    rows += [(each, default is None, True) for each, default in zip(spec.kwonlyargs, spec.kw_defaults)]  # noqa: B905
    return [
        {
            "name": each.arg,
            "required": required,
            "keyword": keyword,
            "annotation": "" if each.annotation is None else ast.unparse(each.annotation)[:100],
        }
        for each, required, keyword in rows
    ]


def read_stubs(tops: set[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the parameters of functions and methods in `.pyi` files, by the last one or two parts of their names."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name in [name for name in list(sys.modules) if name.partition(".")[0] in tops]:
        file = getattr(sys.modules.get(name), "__file__", None)
        if not isinstance(file, str):
            continue
        folder, base = os.path.split(file)
        stem = base.partition(".")[0]
        top = name.partition(".")[0]
        for path in (f"{folder}/{stem}.pyi", f"{folder}/{top}-stubs/__init__.pyi", f"{folder}/{top}-stubs/{stem}.pyi"):
            try:
                if os.path.getsize(path) > 1 << 20:  # noqa: PTH202 - quick
                    continue
                with open(path, encoding="utf-8") as stub:  # noqa: PTH123 - quick
                    tree = ast.parse(stub.read())
            except (OSError, SyntaxError, ValueError, RecursionError):
                continue
            for node in tree.body:
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    found.setdefault(node.name, _parameters(node, skip_self=False))
                elif isinstance(node, ast.ClassDef):
                    for inner in node.body:
                        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
                            static = any(ast.unparse(each) == "staticmethod" for each in inner.decorator_list)
                            rows = _parameters(inner, skip_self=not static)
                            if inner.name in ("__init__", "__new__"):
                                found.setdefault(node.name, rows)
                            found.setdefault(f"{node.name}.{inner.name}", rows)
    return found


def examples_of(text: str, tops: set[str]) -> dict[str, list[str]]:
    """Return argument lists of the calls in doctests and code blocks, by the last part of the callable's name.

    Only calls that need no variable of the example are kept.
    """
    found: dict[str, list[str]] = {}
    lines = [m[1] for m in re.finditer(r"^\s*>>> ?(.*)$", text[:400_000], re.MULTILINE)]
    for block in re.findall(r"```(?:python|py)\n(.*?)```", text[:400_000], re.DOTALL):
        lines += block.splitlines()
    for line in lines[:600]:
        try:
            tree = ast.parse(line.strip())
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or len(node.args) + len(node.keywords) > 6:
                continue
            name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
            parts = [*node.args, *(keyword.value for keyword in node.keywords)]
            if name is None or any(keyword.arg is None for keyword in node.keywords) or not all(map(_is_plain, parts)):
                continue
            arguments = [ast.unparse(each) for each in node.args]
            arguments += [f"{keyword.arg}={ast.unparse(keyword.value)}" for keyword in node.keywords]
            rows = found.setdefault(name, [])
            if len(rows) < 8 and ", ".join(arguments) not in rows:
                rows.append(", ".join(arguments)[:400])
    return found


_PLAIN_NAMES = frozenset({"range", "list", "dict", "set", "tuple", "str", "int", "float", "bytes", "bytearray", "len"})
_PLAIN_NODES = (
    ast.Constant,
    ast.List,
    ast.Tuple,
    ast.Dict,
    ast.Set,
    ast.UnaryOp,
    ast.BinOp,
    ast.Load,
    ast.operator,
    ast.unaryop,
    ast.Name,
    ast.Call,
)


def _is_plain(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        if not isinstance(node, _PLAIN_NODES):
            return False
        if isinstance(node, ast.Name) and node.id not in _PLAIN_NAMES:
            return False
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Pow, ast.LShift)):
            return False
        if isinstance(node, ast.Constant) and isinstance(node.value, int) and abs(node.value) > 10_000_000:
            return False
    return True
