"""Finds the callables of a package and how to call them. Runs in disposable processes: any call can end one."""

from __future__ import annotations

import builtins
import enum
import importlib
import inspect
import itertools
import re
import sys
import tempfile
import time
import types

from ftaudit.stress.child import arguments_to_try
from ftaudit.stress.child.signatures import doc_of, examples_of, read_stubs, signature_of
from ftaudit.stress.child.units import FOLDER, FRESH_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

MOST_CALLABLES = 400
MOST_METHODS = 120
MOST_FOUND = 5
"""Limit on the working argument lists of one callable."""
UNHASHABLE = 5
"""Names of methods that count as much as a missing hash: containers that change have none."""
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


def describe(request: dict[str, Any], known: set[int], progress: Any) -> dict[str, Any]:
    """Return the public functions and types of the package, with their methods, signatures and examples.

    `known` are the `id()`s of the types that existed before the package was imported.
    """
    tops = set(request["toplevels"])
    for name in request["modules"]:
        try:
            importlib.import_module(name)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
    stubs = read_stubs(tops)
    examples = examples_of(request.get("readme", ""), tops)
    found: dict[int, dict[str, Any]] = {}
    modules = sorted((name for name in sys.modules if name.partition(".")[0] in tops), key=lambda n: (n.count("."), n))
    public = [name for name in modules if not any(part.startswith("_") for part in name.split("."))]
    for modules_now in (public, modules):
        for name in modules_now:
            module = sys.modules.get(name)
            if isinstance(module, types.ModuleType) and "test" not in name.split("."):
                _look_into(name, module, tops, known, stubs, examples, found)
        if any(entry["kind"] in ("function", "type") for entry in found.values()):
            break
    entries = list(found.values())
    for place, entry in enumerate(entries):
        entry["order"] = place
    entries.sort(key=lambda entry: (not entry["compiled"], entry["order"]))
    return {"entries": entries[:MOST_CALLABLES], "left_out": max(len(entries) - MOST_CALLABLES, 0)}


def _look_into(
    name: str,
    module: types.ModuleType,
    tops: set[str],
    known: set[int],
    stubs: dict[str, list[dict[str, Any]]],
    examples: dict[str, list[str]],
    found: dict[int, dict[str, Any]],
) -> None:
    offered = getattr(module, "__all__", None)
    names = [n for n in vars(module) if not n.startswith("_")] if not isinstance(offered, (list, tuple)) else offered
    for attribute in list(names):
        if type(attribute) is not str or not attribute.isidentifier():
            continue
        value = vars(module).get(attribute)
        if value is None or id(value) in found or isinstance(value, types.ModuleType):
            continue
        if _is_own_object(value, known):
            found[id(value)] = {
                "path": f"{name}.{attribute}",
                "module": name,
                "kind": "object",
                "compiled": is_compiled(type(value)),
                "signature": None,
                "examples": [],
            }
            continue
        if not _calls(value) or _waits(value) or not _is_own(value, tops, known):
            continue
        path = f"{name}.{attribute}"
        if isinstance(value, type):
            if issubclass(value, (BaseException, enum.Enum)):
                continue
            compiled = is_compiled(value)
            found[id(value)] = {
                **_callable(path, value, stubs, examples),
                "module": name,
                "kind": "type",
                "compiled": compiled,
            }
            for method, static in _class_functions(value):
                function = getattr(value, method, None)
                if function is not None and id(static) not in found:
                    found[id(static)] = {
                        **_callable(f"{path}.{method}", function, stubs, examples),
                        "module": name,
                        "kind": "function",
                        "compiled": compiled,
                    }
        else:
            found[id(value)] = {
                **_callable(path, value, stubs, examples),
                "module": name,
                "kind": "function",
                "compiled": not isinstance(value, types.FunctionType),
            }


def is_compiled(kind: type) -> bool:
    """Return whether a type is made by compiled code: it has no line of a source, and no function in Python."""
    own = vars(kind)
    return "__firstlineno__" not in own and not any(
        isinstance(getattr(value, "fget", value), types.FunctionType) for value in list(own.values())
    )


def _calls(value: Any) -> bool:
    try:
        return callable(value)
    except BaseException:
        return False


def _waits(value: Any) -> bool:
    """Return whether a function is asynchronous: a call makes an object that only an event loop runs."""
    return inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value)


def _is_own(value: Any, tops: set[str], known: set[int]) -> bool:
    if isinstance(value, type):
        return id(value) not in known and (_top(value) in tops or _top(value) not in sys.stdlib_module_names)
    home = getattr(value, "__module__", None)
    if not isinstance(home, str):
        owner = getattr(value, "__self__", None)
        home = getattr(owner, "__name__", None) or type(value).__module__
    return isinstance(home, str) and home.partition(".")[0] in tops


def _is_own_object(value: Any, known: set[int]) -> bool:
    """Return whether a module's attribute is an object of a type that the package brought, and not a function."""
    kind = type(value)
    if (
        id(kind) in known
        or isinstance(value, (type, types.FunctionType, enum.Enum))
        or _top(kind) in sys.stdlib_module_names
    ):
        return False
    # Compiled functions of Cython, pybind11, and nanobind have types of their own.
    return not any(word in kind.__name__.lower() for word in ("function", "method", "module", "nb_", "alias"))


def _top(kind: type) -> str:
    home = getattr(kind, "__module__", "")
    if home == "builtins" and getattr(builtins, kind.__name__, None) is not kind:
        return ""
    return home.partition(".")[0] if isinstance(home, str) else ""


def _class_functions(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the static and class methods that users call: factories."""
    for name in list(dir(kind))[:MOST_METHODS]:
        if name.startswith("_"):
            continue
        static = inspect.getattr_static(kind, name, None)
        if isinstance(static, (staticmethod, classmethod, types.ClassMethodDescriptorType)) or (
            type(static).__name__ in ("builtin_function_or_method", "classmethod_descriptor")
        ):
            yield name, static


def _callable(
    path: str, value: Any, stubs: dict[str, list[dict[str, Any]]], examples: dict[str, list[str]]
) -> dict[str, Any]:
    last = path.rpartition(".")[2]
    found = [*examples_of(doc_of(value), set()).get(last, ()), *examples.get(last, ())]
    return {"path": path, "signature": signature_of(value, path, stubs), "examples": found[:8]}


# ----------------------------------------------------------------------------------------- how it is called


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
    """Return the path of an empty file in the folder of the sandbox."""
    path = tempfile.mktemp()  # noqa: S306 - nobody else writes to the folder
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
            began = time.perf_counter()
            result = eval(code, fresh)  # noqa: S307 - that is what this process is for
            taken = time.perf_counter() - began
            entry = _describe_result(result, known, taken)
        except BaseException as error:
            errors[type(error).__name__] = errors.get(type(error).__name__, 0) + 1
            if isinstance(error, (TypeError, ValueError)) and len(messages) < 30:
                messages[_text_of(error)] = None
            continue
        entry["call"] = call
        plain += not _USES_SHARED.search(call)
        if request.get("mutation"):
            entry["mutates"] = _mutates(request["shared"], call, names)
        found.append(entry)
        if len(found) >= request.get("most", MOST_FOUND):
            break
    progress[0] = -1
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
    own = id(kind) not in known and _top(kind) not in sys.stdlib_module_names and kind is not types.ModuleType
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
    return "|".join(parts)


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
        if isinstance(static, (staticmethod, classmethod)) or static is None or _waits(static):
            continue
        if isinstance(static, (types.GetSetDescriptorType, types.MemberDescriptorType, property)) or not _calls(static):
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


def in_sandbox(script: str) -> str:
    """Return a script whose files are in the folder of this process, which the sandbox removes."""
    return script.replace(FOLDER, f"{tempfile.mkdtemp()!r}\n") if FOLDER in script else script


def commutes(request: dict[str, Any], known: set[int], progress: Any) -> dict[str, Any]:
    """Return whether a unit leaves the same state for any order of its calls, and has an effect at all."""
    names: dict[str, Any] = {"__name__": "unit"}
    exec(compile(in_sandbox(request["script"]), "<unit>", "exec"), names)  # noqa: S102
    operations, threads, calls = names["OPERATIONS"], names["THREADS"], names["CALLS"]
    every = [(number, call) for number in range(threads) for call in range(calls)]
    import random

    chance = random.Random(3)  # noqa: S311 - a repeatable order
    orders = [every, every[::-1], sorted(every, key=lambda each: (each[1], each[0]))]
    orders += [chance.sample(every, len(every)) for _ in range(3)]
    seen = set()
    for order in orders:
        shared = names["make"]()
        for number, call in order:
            names["outcome"](operations[number % len(operations)], shared, number * calls + call)
        seen.add(names["state"](*shared))
    untouched = names["state"](*names["make"]())
    text = next(iter(seen))
    return {"commutes": len(seen) == 1 and untouched not in seen and "0x" not in text, "raises": "Error" in text}


def settles(request: dict[str, Any], known: set[int], progress: Any) -> dict[str, Any]:
    """Return whether the checked operations of a unit have few results, for any number of other calls."""
    names: dict[str, Any] = {"__name__": "unit"}
    exec(compile(in_sandbox(request["script"]), "<unit>", "exec"), names)  # noqa: S102
    first = names["expected"]
    import random

    chance, found = random.Random(5), set()  # noqa: S311 - a repeatable order
    for _ in range(40):
        shared = names["make"]()
        for call in range(60):
            number = chance.randrange(len(names["OPERATIONS"]))
            result = names["outcome"](names["OPERATIONS"][number], shared, call)
            if number in names["CHECKED"]:
                found.add(result)
    return {"settles": found <= first and len(first) > 1 and not any("0x" in text for text in first)}
