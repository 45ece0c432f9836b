"""Finds out how callables are called. Runs in disposable processes: any call can end one."""

from __future__ import annotations

import importlib
import inspect
import itertools
import os
import re
import sys
import tempfile
import time
import types

from ftaudit.stress.child import arguments_to_try
from ftaudit.stress.child.package_contents import MOST_METHODS, is_asynchronous, is_callable, is_compiled, top_of
from ftaudit.stress.child.script_text import FRESH_FILE
from ftaudit.stress.child.signatures import doc_of, examples_of, read_stubs, signature_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MOST_FOUND = 5
"""Limit on the working argument lists of one callable."""
UNHASHABLE = 5
"""Names of methods that count as much as a missing hash: containers that change have none."""
MOST_FIELDS = 30
MOST_PLAIN = 2
"""Limit on those that use nothing that other threads change."""
HAVE_GC = 1 << 14
"""`Py_TPFLAGS_HAVE_GC` (Include/object.h)."""
_STEPS = "itertools.islice({}, 200)"

_USES_SHARED = re.compile(rf"\b({'|'.join(arguments_to_try.SHARED)})\b")
PROTOCOL = (
    "len(o)",
    "repr(o)",
    "list(itertools.islice(o, 200))",
    "next(o)",
    "bool(o)",
    "hash(o)",
    "o == p",
    "o < p",
    "copy.copy(o)",
    "copy.deepcopy(o)",
    "pickle.dumps(o)",
    "bytes(memoryview(o))",
    "str(o)",
    "int(o)",
    "float(o)",
    "o[0]",
    'o["k1"]',
    "o[:2]",
    "o.__setitem__(0, 1)",
    'o.__setitem__("k1", i)',
    "o.__setitem__(i, i)",
    "o.__delitem__(0)",
    'o.__delitem__("k1")',
    "1 in o",
    '"k1" in o',
    "o + p",
    "o - p",
    "o * 2",
    "o & p",
    "o | p",
    "o ^ p",
    "operator.iadd(o, p)",
    "operator.isub(o, p)",
    "operator.ior(o, p)",
    "operator.iand(o, p)",
    "operator.ixor(o, p)",
    "-o",
    "abs(o)",
    "reversed(o)",
    "o()",
    "o(1)",
    "o.__enter__()",
    "o.__exit__(None, None, None)",
    "iter(o)",
    "o[i]",
    "o[::2]",
    "operator.length_hint(o)",
    "o.__reduce_ex__(4)",
    "o.__setstate__(p.__getstate__())",
    "o.__sizeof__()",
    "format(o)",
    'o.__setitem__("k1", [i, str(i)])',
    "o.__setitem__(0, [i, str(i)])",
    "o.__setitem__(slice(0, 2), p)",
    "o.__delitem__(slice(0, 2))",
    "o @ p",
    "o % p",
    "o // p",
    "dir(o)",
)
"""Operations that work on any object."""
_MUTATING = re.compile(
    r"^(add|append|insert|push|put|pop|remove|discard|clear|update|extend|set\w*|del\w*|write\w*|feed|reset|sort|reverse"
    r"|rotate|resize|increment|inc\w*|dec\w*|\w*_update|load\w*|flush|close|release|acquire|next\w*|advance|seek|read\w*"
    r"|process\w*|apply\w*|enqueue|dequeue|send|register|unregister|merge|swap|shuffle|replace|truncate|fill|init\w*)$"
)


# ----------------------------------------------------------------------------------------- what there is


def namespace(imports: list[str]) -> dict[str, Any]:
    """Return the names that are available to expressions."""
    names = ("collections", "copy", "io", "itertools", "operator", "os", "pickle", "tempfile", *imports)
    found: dict[str, Any] = {FRESH_FILE: _fresh_file}
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
        top = name.partition(".")[0]
        if top in sys.modules:
            found[top] = sys.modules[top]
    return found


def _fresh_file() -> str:
    """Return the path of an empty file in this folder, which only this process has."""
    path = tempfile.mktemp(dir=os.getcwd())  # noqa: S306, PTH109 - nobody else writes to the folder
    with open(path, "wb"):  # noqa: PTH123 - quick
        return path


def probe(request: dict[str, Any], known: set[int], progress: Any) -> dict[str, Any]:
    """Call something in one thread with each argument list; return those that work.

    `progress[0]` counts the tries, so that the parent knows which one ended the process. `skip` is the number of
    earlier tries.
    """
    names = namespace(request["imports"])
    found: list[dict[str, Any]] = []
    errors: dict[str, int] = {}
    messages: dict[str, None] = {}
    lacking: list[dict[str, Any]] = []
    plain = 0
    deadline = time.monotonic() + request["seconds"]
    for place, call in enumerate(request["calls"]):
        if place < request["skip"]:
            continue
        if time.monotonic() > deadline:
            break
        if plain >= MOST_PLAIN and not request.get("mutation") and not _USES_SHARED.search(call):
            continue
        progress[0] = place
        try:
            fresh = _make_shared(request["shared"], call, names)
            code = compile(call, "<call>", "eval")
            began, used = time.perf_counter(), time.thread_time()
            result = eval(code, fresh)  # noqa: S307 - that is what this process is for
            taken, used = time.perf_counter() - began, time.thread_time() - used
            entry = {**_describe_result(result, known, taken), "cpu": used}
        except BaseException as error:
            errors[type(error).__name__] = errors.get(type(error).__name__, 0) + 1
            if isinstance(error, (TypeError, ValueError)) and len(messages) < 30:
                messages[_text_of(error)] = None
            if request.get("mutation") and isinstance(error, (LookupError, StopIteration)):
                empty = {
                    **_describe_result(None, known, 0.0),
                    "text": None,
                    "mutates": False,
                    "lacking": True,
                    "cpu": 0.0,
                }
                lacking.append({**empty, "call": call})
            continue
        entry["call"] = call
        plain += not _USES_SHARED.search(call)
        if request.get("mutation"):
            entry["mutates"] = _mutates(request["shared"], call, names)
        found.append(entry)
        if len(found) >= request.get("most", MOST_FOUND):
            break
    progress[0] = -1
    # An empty object has nothing to return until another thread adds something.
    found += lacking[: request.get("most", MOST_FOUND) - len(found)]
    return {"found": found, "errors": errors, "messages": list(messages)}


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:1000]
    except BaseException:
        return ""


def _make_shared(shared: dict[str, str], text: str, names: dict[str, Any]) -> dict[str, Any]:
    fresh = dict(names)
    for name, expression in shared.items():
        if re.search(rf"\b{name}\b", text) or any(
            re.search(rf"\b{name}\b", other) for n, other in shared.items() if re.search(rf"\b{n}\b", text)
        ):
            fresh[name] = eval(expression, fresh)  # noqa: S307
    fresh["i"] = 7
    return fresh


def _describe_result(result: Any, known: set[int], taken: float) -> dict[str, Any]:
    kind = type(result)
    own = id(kind) not in known and top_of(kind) not in sys.stdlib_module_names and kind is not types.ModuleType
    size = -1
    if own:
        try:
            size = len(result)
        except BaseException:
            size = _count(result) if hasattr(kind, "__next__") else -1
    home = kind.__module__ if isinstance(getattr(kind, "__module__", None), str) else ""
    return {
        "type": f"{home}.{kind.__qualname__}" if home not in ("", "builtins") else kind.__qualname__,
        "own": own,
        "is_type": isinstance(result, type) or callable(result),
        "compiled": is_compiled(kind),
        "iterator": hasattr(kind, "__next__"),
        "changes": _changes(kind) if own else 0,
        "size": size,
        "taken": taken,
        "text": _stable_text(result) if not own else None,
    }


def _changes(kind: type) -> int:
    """Return how much a type looks as if its objects change: by the names of its methods, and by its missing hash."""
    names = [name for name in dir(kind) if not hasattr(object, name) and name != "__next__"]
    count = sum(_MUTATING.match(name.strip("_")) is not None for name in names)
    return count + (UNHASHABLE if getattr(kind, "__hash__", None) is None else 0)


def _count(iterator: Any) -> int:
    """Return the number of items in an iterator, up to a few hundred."""
    count = 0
    try:
        for _ in itertools.islice(iterator, 300):
            count += 1
    except BaseException:
        return count
    return count


def _stable_text(result: Any) -> str | None:
    """Return the text of a result if it is short and contains no address."""
    try:
        text = repr(result)
    except BaseException:
        return None
    return text if len(text) < 2000 and "0x" not in text else None


def snapshot(value: Any) -> str:
    """Return the visible state of an object, without addresses."""
    parts = []
    views: tuple[Callable[[Any], Any], ...] = (len, repr, lambda v: list(v) if hasattr(type(v), "__len__") else 0)
    for view in views:
        try:
            parts.append(re.sub(r"0x[0-9a-fA-F]+", "", repr(view(value)))[:4000])
        except BaseException as error:
            parts.append(type(error).__name__)
    for name in _fields(type(value)):
        try:
            parts.append(re.sub(r"0x[0-9a-fA-F]+", "", repr(getattr(value, name)))[:400])
        except BaseException as error:
            parts.append(type(error).__name__)
    return "|".join(parts)


def _fields(kind: type) -> list[str]:
    """Return the names of the public fields that compiled code of a type defines."""
    compiled = (types.GetSetDescriptorType, types.MemberDescriptorType)
    names = [name for name in dir(kind) if not name.startswith("_")]
    return [name for name in names if isinstance(inspect.getattr_static(kind, name, None), compiled)][:MOST_FIELDS]


def _mutates(shared: dict[str, str], call: str, names: dict[str, Any]) -> bool:
    fresh = _make_shared(shared, f"{call} o", names)
    before = snapshot(fresh["o"])
    try:
        eval(compile(call, "<call>", "eval"), fresh)  # noqa: S307
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
    return snapshot(fresh["o"]) != before


def members(request: dict[str, Any], known: set[int], progress: Any) -> dict[str, Any]:
    """Return the operations to try on an object: its methods and attributes, with argument lists."""
    names = namespace(request["imports"])
    fresh = _make_shared(request["shared"], "o", names)
    value = fresh["o"]
    kind = type(value)
    tops = set(request["toplevels"])
    stubs = read_stubs(tops)
    rows: list[dict[str, Any]] = []
    for name in list(dir(kind))[: 4 * MOST_METHODS]:
        static = inspect.getattr_static(kind, name, None)
        if len(rows) >= MOST_METHODS or (name.startswith("_") and not _is_own_field(name, static, known)):
            continue
        if isinstance(static, (staticmethod, classmethod)) or static is None or is_asynchronous(static):
            continue
        if isinstance(static, (types.GetSetDescriptorType, types.MemberDescriptorType, property)) or not is_callable(
            static
        ):
            rows.append({"name": name, "calls": [f"o.{name}"], "mutating": False})
            for text in (f"p.{name}", "[i, str(i)]", 'f"x{i}"', "i + 1000", "i + 0.5", "3"):
                setter = f'setattr(o, "{name}", {text})'
                rows.append({"name": f"{name} (set)", "calls": [setter], "mutating": True, "attribute": name})
            continue
        path = f"{kind.__name__}.{name}"
        signature = signature_of(static, path, stubs)
        if signature and (isinstance(static, types.FunctionType) or _is_bound(signature)):
            signature = signature[1:]
        examples = examples_of(f"{doc_of(static)}\n{doc_of(kind)}", set()).get(name, [])
        lists = arguments_to_try.arguments(signature, examples, request.get("own", {}), dangerous=False)
        rows.append(
            {
                "name": name,
                "calls": [f"o.{name}({text})" for text in lists],
                "method": name,
                "signature": signature,
                "mutating": _MUTATING.match(name) is not None,
            }
        )
    collected = bool(kind.__flags__ & HAVE_GC)
    return {"members": rows, "compiled": is_compiled(kind), "collected": collected}


def _is_own_field(name: str, static: Any, known: set[int]) -> bool:
    """Return whether an attribute with two underscores is a field that a type of the package defines."""
    if not isinstance(static, (types.GetSetDescriptorType, types.MemberDescriptorType)):
        return False
    home = getattr(static, "__objclass__", object)
    return name.startswith("__") and id(home) not in known and name not in ("__dict__", "__weakref__", "__class__")


def _is_bound(signature: list[dict[str, Any]]) -> bool:
    return bool(signature) and signature[0]["name"] in ("self", "$self", "cls", "this")
