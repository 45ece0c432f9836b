"""Finds the public callables of a package, with their signatures and examples."""

from __future__ import annotations

import builtins
import enum
import importlib
import inspect
import pkgutil
import sys
import types

from ftaudit.stress.child.signatures import doc_of, examples_of, read_stubs, signature_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


MOST_CALLABLES = 400
MOST_SUBMODULES = 40
MOST_METHODS = 120


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
    _import_more(tops)
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


def _import_more(tops: set[str]) -> None:
    """Import the public modules of packages that offer nothing by themselves."""
    for top in tops:
        package = sys.modules.get(top)
        folders = getattr(package, "__path__", None)
        if folders is None or any(is_callable(value) for name, value in vars(package).items() if name[:1] != "_"):
            continue
        names = [each.name for each in pkgutil.iter_modules(folders)]
        names = [name for name in names if not name.startswith(("_", "test"))]
        for name in names[:MOST_SUBMODULES]:
            try:
                importlib.import_module(f"{top}.{name}")
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise


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
        if not is_callable(value) or is_asynchronous(value) or not _is_own(value, tops, known):
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


def is_callable(value: Any) -> bool:
    """Return whether a value can be called, even if asking raises."""
    try:
        return callable(value)
    except BaseException:
        return False


def is_asynchronous(value: Any) -> bool:
    """Return whether a function is asynchronous: a call makes an object that only an event loop runs."""
    return inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value)


def _is_own(value: Any, tops: set[str], known: set[int]) -> bool:
    if isinstance(value, type):
        return id(value) not in known and (top_of(value) in tops or top_of(value) not in sys.stdlib_module_names)
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
        or top_of(kind) in sys.stdlib_module_names
    ):
        return False
    # Compiled functions of Cython, pybind11, and nanobind have types of their own.
    return not any(word in kind.__name__.lower() for word in ("function", "method", "module", "nb_", "alias"))


def top_of(kind: type) -> str:
    """Return the top-level package of a type; empty if it claims to be a built-in type and is not."""
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
