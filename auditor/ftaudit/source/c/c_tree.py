"""The first pass's facts about the C and C++ files of a tree: its lock and TLS macros, its names for the build."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ftaudit.rule import Language
from ftaudit.source.base import SourceFile, Survey
from ftaudit.source.c.capsules import find_capsule_types
from ftaudit.source.c.comments import mask_comments
from ftaudit.source.c.conditions import UNDEFINED, UNKNOWN, MacroValue, known_macros, number
from ftaudit.source.c.cython_output import declared_by_default
from ftaudit.source.c.functions import Function
from ftaudit.source.c.locks import LOCK_SIGNS, THREAD_LOCAL, LockStep, lock_step, words
from ftaudit.source.c.objects import (
    Fields,
    find_accessors,
    find_bound_classes,
    find_classes,
    find_global_objects,
    find_objects,
    is_lazy_class,
    owns_lock,
)
from ftaudit.source.c.preprocess import Macro, Preprocessed, preprocess
from ftaudit.source.c.reach import EXEC_SLOT
from ftaudit.source.c.text import closing

_OBJECT_WORDS: Final = ("PyObject_HEAD", "PyObject_VAR_HEAD", "ob_base", "class_<", "PyCapsule_GetPointer", "Object ")
"""Words of which a text that defines or binds a type of objects has one."""
_CLASS_WORDS: Final = ("private:", "public:", "protected:", "std::")
"""Words of which a header that defines classes of C++ has one."""
_ONCE_WORDS: Final = ("extern ", "static ", "_ptr<", "inline ")
"""Words of which a declaration of an object that exists once has one."""
_CPP_WORDS: Final = ("::", "class ")
_EMBEDS: Final = re.compile(r"struct(?<!\wstruct)\b[\w\s]*\{\s*\w+Object\s+\w+\s*;")
"""A struct that begins with another object's."""
_DEFINE: Final = re.compile(r"#[ \t]*define[ \t]+(\w+)(\(([^)\n]*)\))?((?:[^\n\\]|\\\n|\\.)*)")
_TABLE_WORDS: Final = ("METH_", "PyCFunction")
"""Words of which the body of a macro has one if it stands for a row of a method table."""
_INTERESTING: Final = (
    "ock",
    "OCK",
    "utex",
    "CRITICAL",
    "GIL_DISABLED",
    "hread",
    "Py_mod_",
    "SetGIL",
    "PyInit_",
    "PyMODINIT",
    "FREE",
    "VERSION_HEX",
    "MAJOR_VERSION",
    "PyDict_Set",
    "PyDict_Del",
    "PyDict_Pop",
    "PyDict_Clear",
    "PyDict_Update",
    "PyDict_Merge",
    "PyList_App",
    "PyList_Ins",
    "PyList_S",
    "PyList_Rev",
    "PyList_Ext",
    "PyList_Clear",
    "_MODULE",
    "MOD_GIL",
    *_OBJECT_WORDS,
    "PyModule_Create",
    "PyModule_FromDef",
    "PyModuleDef_Init",
    "METH_",
)
"""Words of which a file's text must have one to matter to other files; a plain search is faster than any pattern."""
_MACROS_MATTER: Final = re.compile(
    r"#[ \t]*define\b(?:[^\n\\]|\\\n|\\.)*?(?:(?<![bBcC])[lL]ock|(?<![BC])LOCK|[mM]utex|CRITICAL|thread|SetGIL"
    r"|Py_mod_gil|PyInit_|PYBIND11_|NB_MODULE|BOOST_PYTHON)"
)
_MACRO_WORDS: Final = (
    "ock",
    "OCK",
    "utex",
    "CRITICAL",
    "thread",
    "SetGIL",
    "Py_mod_gil",
    "PyInit_",
    "PYBIND11_",
    "NB_MODULE",
    "BOOST_PYTHON",
)
"""Words of which such a macro has one."""
_BUILD_WORDS: Final = ("GIL_DISABLED", "FREE_THREAD", "FREETHREAD")
_ENTRY_WORDS: Final = ("SetGIL", "Py_mod_", "PyInit_", "PyModExport_", "PyMODINIT_FUNC", "_MODULE")
_LONGEST_LOCKER: Final = 1500
"""In characters; a longer function does more than take a lock for its caller."""
_HEADERS: Final = (".h", ".hpp", ".hh", ".hxx", ".inc", ".h.in", ".h.src")
_LOCKING: Final = ("utex_", "_lock", "_Lock", "Lock(", "lock(", "LOCK", "CRITICAL")
_IDENTIFIER: Final = re.compile(r"[A-Za-z_]\w*")
_CALLED: Final = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
_QUALIFIED_CALL: Final = re.compile(r"(?<![\w.>:])((?:[A-Za-z_]\w*\s*::\s*)*[A-Za-z_]\w*)\s*\(")
_FUNCTION: Final = re.compile(
    r"^[A-Za-z_][^;{}#=()]*?\b([A-Za-z_]\w*)\s*\([^;{}]*\)\s*(?:const\s*|noexcept\s*)*\{", re.MULTILINE
)
_THREAD_WORDS: Final = re.compile(
    r"\b(?:thread_local|_Thread_local|__thread|_Py_thread_local)\b|__declspec\s*\(\s*thread\s*\)"
)
_MUTATION: Final = re.compile(
    # The look-behind comes after the letters: patterns that begin with plain letters are fast.
    r"Py(?<![A-Za-z0-9]Py)(?<!\w_Py)(?:Dict_(?:SetItem\w*|DelItem\w*|Clear|Update|Merge\w*|Pop\w*|SetDefault\w*)"
    r"|(?<!_Py)List_(?:Append|Insert|SetItem|SetSlice|Sort|Reverse|SET_ITEM|Clear|Extend))\s*\(\s*(?:\(\s*\w+\s*\*\s*\)\s*)?\(?([\w.\->\s()*]{0,200}?)\s*[,)]"
)
_CONTAINER_CALLS: Final = ("PyDict_", "PyList_")
_DECLARES_GIL: Final = re.compile(r"Py(?<!\wPy)(?:Unstable_Module_SetGIL\s*\(|_mod_gil\b)")
_WINDOW: Final = 20_000
"""How many characters before a place are searched for the head of its function."""
_NEAR: Final = 2_000
"""The same for the assignment of a local name."""
_NOT_USED: Final = re.compile(
    r"Py_MOD_(?<!\wPy_MOD_)GIL_NOT_USED\b|mod_gil_(?<!\wmod_gil_)not_used\s*\(\s*(?:true\s*)?\)"
)
_DEFINED_GIL: Final = re.compile(r"GIL_DISABLED|(?i:free_?thread)|VERSION_HEX|PY_MAJOR_VERSION")
_BASE: Final = re.compile(r"[A-Za-z_]\w*")
_MAKING: Final = frozenset(
    {"new", "init", "setstate", "copy", "deepcopy", "clone", "create", "build", "dealloc", "clear"}
)
_PARAMETERS_AND_BODY: Final = re.compile(
    r"(?:\s*\w+)?\s*\([^;{}()]*(?:\([^()]*\)[^;{}()]*)*\)\s*(?:const\s*|noexcept\s*)*\{"
)
_LAST_MEMBER: Final = re.compile(r"(?:->|\.)\s*(\w+)\s*\)?\s*$")
_CREATES: Final = re.compile(r"Py(?<!\wPy)(?:Module_Create2?|Module_FromDefAndSpec2?|ModuleDef_Init)\s*\(")
_ENTRY: Final = re.compile(
    r"Py(?<!\wPy)(?:Init_\w+|ModExport_\w+|MODINIT_FUNC\b)"
    r"|PYBIND11_(?<!\wPYBIND11_)MODULE\b|NB_(?<!\wNB_)MODULE\b|BOOST_(?<!\wBOOST_)PYTHON_MODULE\b"
)
_SWIG_ENTRY: Final = "define SWIG_init"
"""SWIG names its entry point by a macro (`#  define SWIG_init    PyInit__m`)."""


_WORDS: Final = re.compile(r"[A-Za-z_]\w*")
_DEFINES_SLOT: Final = re.compile(r"^[ \t]*#[ \t]*define[ \t]+Py_mod_gil\b", re.MULTILINE)
_LIMITED: Final = re.compile(r"^[ \t]*#[ \t]*define[ \t]+Py_(?:LIMITED_API|TARGET_ABI3T)\b", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class CTree:
    """The facts that the files of a tree share; plain data."""

    takes: frozenset[str] = frozenset()
    """Macros and functions whose body takes a lock and does not release it."""
    gives: frozenset[str] = frozenset()
    thread_local: frozenset[str] = frozenset()
    """Macros that stand for thread-local storage in a free-threaded build."""
    limited_api: bool = False
    """Whether a file of the tree defines `Py_LIMITED_API`."""
    macros: Mapping[str, MacroValue] = field(default_factory=dict)
    """Macros of headers that depend on `Py_GIL_DISABLED` or the Python version, as in the free-threaded build."""
    declares_gil: frozenset[str] = frozenset()
    """Functions whose body declares a module's use of the GIL."""
    called_at_import: frozenset[str] = frozenset()
    """Functions that module entry points of other files call."""
    mutated_members: frozenset[str] = frozenset()
    """Struct members that hold a dict or list which some file of the tree changes."""
    not_used: Mapping[str, int] = field(default_factory=dict)
    """The files that declare a module not to use the GIL, with the line."""
    entry_macros: frozenset[str] = frozenset()
    """Macros whose body is a module entry point."""
    objects: Mapping[str, Fields] = field(default_factory=dict)
    """The structs with an object head and the bound C++ classes, with their known fields."""
    locking: frozenset[str] = frozenset()
    """The C++ classes among `objects` of which only the lock that their objects own shows that threads share them."""
    defines_slot: bool = False
    """Whether a header of the tree defines `Py_mod_gil` for versions of CPython that lack it."""
    held_types: frozenset[str] = frozenset()
    """The types that fields of the objects have."""
    entries: frozenset[str] = frozenset()
    """The files that hold the entry point of a module."""
    without_entry: tuple[tuple[str, int], ...] = ()
    """The places that create modules although no recognized entry point is in the tree: paths and lines."""
    globals: Mapping[str, str] = field(default_factory=dict)
    """C++ objects that exist once, by the name of the variable: their classes, which are in `objects` too."""
    accessors: Mapping[str, str] = field(default_factory=dict)
    """The same for functions without arguments that return such an object."""
    table_macros: Mapping[str, tuple[tuple[str, ...] | None, str]] = field(default_factory=dict)
    """Macros whose body is a row of a method table: parameters and body."""


_OF_DECLARATIONS: Final = (
    "PyInit", "PyModExport", "PyMODINIT_FUNC", "PyMODEXPORT_FUNC", "PyModule_", "PyModuleDef_Init", "Inittab", "SetGIL",
    "Py_mod_", "MOD_GIL", "mod_gil_", "_MODULE", "PYBIND11_", "BOOST_PYTHON", "VERSION_HEX", "MAJOR_VERSION",
    "GIL_DISABLED", "Py_LIMITED_API", "Py_TARGET_ABI3T",
)  # fmt: skip
"""Words of which a text has one if its survey concerns a module, or a macro that depends on the build."""
_FREE_THREADED: Final = ("free_thread", "freethread")


def may_declare(text: str) -> bool:
    """Return whether the declaration of a module may depend on a text: if not, its survey does not matter to one."""
    if any(map(text.__contains__, _OF_DECLARATIONS)) or _defines_macros(text):
        return True
    lower = text.lower()
    return any(map(lower.__contains__, _FREE_THREADED))


def _defines_macros(text: str) -> bool:
    """Return whether macros of a text matter to other files."""
    return any(map(text.__contains__, _MACRO_WORDS)) and _MACROS_MATTER.search(text) is not None


def survey_c(source: SourceFile) -> Survey | None:
    """Return what other files need to know about this one.

    A file whose macros could matter elsewhere is masked and preprocessed. In others, plain patterns search the raw
    text: a function that only a comment names is harmless here.
    """
    text = source.text
    limited = "Py_LIMITED_API" in text and _LIMITED.search(text) is not None
    declares_classes = source.path.endswith(_HEADERS) or (
        source.language is Language.CPP and ("PyObject_HEAD" in text or "mutable " in text or "mutex" in text)
    )
    classes = declares_classes and any(map(text.__contains__, _CLASS_WORDS))
    once = any(map(text.__contains__, _ONCE_WORDS)) and any(map(text.__contains__, _CPP_WORDS))
    if not limited and not classes and not once and not any(map(text.__contains__, _INTERESTING)):
        return None
    found: dict[str, Any] = {"limited_api": True} if limited else {}
    if "Py_mod_gil" in text and _DEFINES_SLOT.search(text):
        found["defines_slot"] = True
    code = text
    declares = "Py_MOD_GIL_NOT_USED" in text or "mod_gil_not_used" in text
    if declares or any(map(text.__contains__, _BUILD_WORDS)) or _defines_macros(text):
        masked, _ = mask_comments(text)
        pre = preprocess(masked, known_macros(source.target, cpp=source.language is Language.CPP))
        code = pre.code
        _survey_macros(pre, masked, found)
    if source.path.endswith(_HEADERS) and any(map(code.__contains__, _LOCKING)):
        takes, gives = _locking_functions(code, set(found.get("takes", ())), set(found.get("gives", ())))
        _put(found, "takes", takes)
        _put(found, "gives", gives)
    if "->" in code and any(map(code.__contains__, _CONTAINER_CALLS)):
        _put(found, "members", _mutated_members(code))
    if any(map(text.__contains__, _OBJECT_WORDS[:-1])) or ("Object " in text and _EMBEDS.search(text)):
        if code is text:
            code, _ = mask_comments(text)
        _survey_objects(code, source.language is Language.CPP, found)
    if classes or once:
        if code is text:
            code, _ = mask_comments(text)
        _survey_classes(code, found, classes=classes, once=once)
    if "METH_" in text and "define" in text:
        found_macros = {
            name: [None if not brackets else [part.strip() for part in parameters.split(",")], body]
            for name, brackets, parameters, body in _DEFINE.findall(text)
            if any(map(body.__contains__, _TABLE_WORDS))
        }
        if found_macros:
            found["table_macros"] = found_macros
    declared = _NOT_USED.search(code) if declares else None
    default = declared_by_default(text)
    if declared:
        found["not_used"] = code.count("\n", 0, declared.start()) + 1
    elif default is not None and default[1]:
        found["not_used"] = text.count("\n", 0, default[0]) + 1
    made = _CREATES.search(code) if "PyModule_" in code or "PyModuleDef_Init" in code else None
    if made:
        found["creates"] = code.count("\n", 0, made.start()) + 1
    if _ENTRY.search(code) or "Inittab" in code or _SWIG_ENTRY in text:
        found["entry"] = True
    if code is text and any(map(code.__contains__, _ENTRY_WORDS)):
        code, _ = mask_comments(text)
    declaring, called = _entry_points(code)
    _put(found, "declares", declaring | set(found.get("declares", ())))
    _put(found, "called", called)
    return found or None


def _makes_entry(macro: Macro) -> bool:
    """Return whether a macro stands for the head of a module's entry point, and not for a word of it."""
    return _ENTRY.search(macro.body) is not None and (bool(macro.parameters) or "(" in macro.body)


def _survey_objects(code: str, cpp: bool, found: dict[str, Any]) -> None:
    objects = {**find_capsule_types(code), **find_objects(code)}
    bound = find_bound_classes(code) if cpp or "class_<" in code else frozenset()
    if objects:
        found["objects"] = objects
    if bound:
        found["bound"] = sorted(bound)


def _survey_classes(code: str, found: dict[str, Any], *, classes: bool, once: bool) -> None:
    facts: dict[str, Mapping[str, object]] = {
        "globals": find_global_objects(code) if once else {},
        "accessors": find_accessors(code) if once else {},
    }
    if classes:
        facts["classes"] = find_classes(code)
    elif wanted := {kind for key in ("globals", "accessors") for kind in facts[key].values()}:
        facts["classes"] = {name: fields for name, fields in find_classes(code).items() if name in wanted}
    found.update((key, names) for key, names in facts.items() if names)


def _survey_macros(pre: Preprocessed, masked: str, found: dict[str, Any]) -> None:
    takes, gives = lockers_of(pre.macros)
    _put(found, "takes", takes)
    _put(found, "gives", gives)
    _put(found, "thread_local", {n for n, m in pre.macros.items() if _THREAD_WORDS.search(m.body)})
    _put(found, "entry_macros", {n for n, m in pre.macros.items() if _makes_entry(m)})
    _put(found, "declares", {n for n, m in pre.macros.items() if _DECLARES_GIL.search(m.body)})
    values = _values(pre, masked)
    if values:
        found["macros"] = values


def gather_c(surveys: Mapping[str, Survey]) -> CTree:
    """Merge all files' surveys."""
    macros: dict[str, MacroValue] = {}
    for survey in surveys.values():
        for name, value in survey.get("macros", {}).items():
            macros[name] = value if macros.get(name, value) == value else UNKNOWN
    classes = frozenset(name for survey in surveys.values() for name in survey.get("classes", ()))
    lazy = _classes_that(is_lazy_class, surveys)
    single, accessors = _merged(surveys, "globals", classes), _merged(surveys, "accessors", classes)
    once = (*single.values(), *accessors.values(), *lazy)
    objects = _objects(surveys, once)
    if held := _held(objects) & classes - objects.keys():
        objects = _objects(surveys, (*once, *held))
    if locking := _classes_that(owns_lock, surveys) - objects.keys():
        objects = _objects(surveys, (*objects, *locking))
    return CTree(
        takes=_union(surveys, "takes"),
        gives=_union(surveys, "gives"),
        thread_local=_union(surveys, "thread_local"),
        limited_api=any(survey.get("limited_api") for survey in surveys.values()),
        macros=macros,
        defines_slot=any(survey.get("defines_slot") for survey in surveys.values()),
        declares_gil=_union(surveys, "declares"),
        called_at_import=_union(surveys, "called"),
        mutated_members=_union(surveys, "members"),
        not_used={path: survey["not_used"] for path, survey in surveys.items() if "not_used" in survey},
        entry_macros=_union(surveys, "entry_macros"),
        objects=objects,
        locking=locking,
        held_types=frozenset(
            word for one in objects.values() for kind in one.values() for word in _WORDS.findall(kind)
        ),
        globals=single,
        accessors=accessors,
        entries=frozenset(path for path, survey in surveys.items() if survey.get("entry")),
        without_entry=_without_entry(surveys),
        table_macros={
            name: (None if parameters is None else tuple(parameters), body)
            for survey in surveys.values()
            for name, (parameters, body) in survey.get("table_macros", {}).items()
        },
    )


def _without_entry(surveys: Mapping[str, Survey]) -> tuple[tuple[str, int], ...]:
    if any(survey.get("entry") or survey.get("entry_macros") for survey in surveys.values()):
        return ()
    return tuple((path, survey["creates"]) for path, survey in surveys.items() if "creates" in survey)


def _objects(surveys: Mapping[str, Survey], single: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the fields of each type of objects; types with the same name in several files get the fields of all."""
    found: dict[str, dict[str, str]] = {name: {} for name in (*_union(surveys, "bound"), *single)}
    for survey in surveys.values():
        for name, fields in survey.get("classes", {}).items():
            if name in found:
                found[name].update(fields)
        for name, fields in survey.get("objects", {}).items():
            found.setdefault(name, {}).update(fields)
    return found


def _classes_that(test: Callable[[Fields], bool], surveys: Mapping[str, Survey]) -> frozenset[str]:
    """Return the C++ classes whose fields pass a test."""
    return frozenset(
        name for survey in surveys.values() for name, fields in survey.get("classes", {}).items() if test(fields)
    )


def _held(objects: Mapping[str, Fields]) -> set[str]:
    """Return the types that fields of objects point to: `Cache *cache`."""
    kinds = (kind for fields in objects.values() for kind in fields.values() if kind.endswith("*"))
    return {words[-1] for kind in kinds if (words := _WORDS.findall(kind))}


def _merged(surveys: Mapping[str, Survey], key: str, known: frozenset[str]) -> dict[str, str]:
    """Return the names that mean an object of one of the known classes, without those that mean several."""
    found: dict[str, str] = {}
    unclear: set[str] = set()
    for survey in surveys.values():
        for name, kind in survey.get(key, {}).items():
            if kind in known and found.setdefault(name, kind) != kind:
                unclear.add(name)
    return {name: kind for name, kind in found.items() if name not in unclear}


def lockers_of(macros: Mapping[str, Macro]) -> tuple[set[str], set[str]]:
    """Return the macros that take a lock without releasing it, and those that release one."""
    takes: set[str] = set()
    gives: set[str] = set()
    for _ in range(3):
        before = len(takes) + len(gives)
        for name, macro in macros.items():
            _classify(name, macro.body, takes, gives)
        if len(takes) + len(gives) == before:
            break
    return takes, gives


def _locking_functions(code: str, takes: set[str], gives: set[str]) -> tuple[set[str], set[str]]:
    """Return the given macros and the functions whose body takes a lock, and those that release one."""
    for found in _FUNCTION.finditer(code):
        start = found.end()
        body = code[start : start + _LONGEST_LOCKER]
        if not any(map(body.__contains__, LOCK_SIGNS)) and not any(map(body.__contains__, (*takes, *gives))):
            continue
        end = closing(code, found.end() - 1, found.end() + _LONGEST_LOCKER)
        if end > 0:
            _classify(found[1], code[found.end() : end], takes, gives)
    return takes, gives


def classify_functions(code: str, functions: Iterable[Function], takes: set[str], gives: set[str]) -> None:
    """Add the functions of a file whose short body takes a lock, and those that release one."""
    for function in functions:
        if function.end - function.body < _LONGEST_LOCKER:
            _classify(function.short_name, code[function.body : function.end], takes, gives)


def _classify(name: str, body: str, takes: set[str], gives: set[str]) -> None:
    if "GIL" in name or not body:
        return
    steps = {
        LockStep.TAKE if called in takes else LockStep.GIVE if called in gives else lock_step(called)
        for called in (_CALLED.findall(body) or _IDENTIFIER.findall(body)[:1])
    }
    if LockStep.TAKE in steps and LockStep.GIVE not in steps:
        takes.add(name)
    elif LockStep.GIVE in steps and LockStep.TAKE not in steps:
        gives.add(name)


def _values(pre: Preprocessed, code: str) -> dict[str, MacroValue]:
    """Return the macros whose value depends on the build: defined under such a condition, or only in a dead region."""
    values: dict[str, MacroValue] = {}
    for name, macro in pre.macros.items():
        if macro.parameters is None and any(_DEFINED_GIL.search(condition) for condition in macro.conditions):
            body = macro.body.strip("() \t")
            values[name] = (
                number(body) if re.fullmatch(r"0[xX][0-9a-fA-F]+|[1-9]\d*|0", body) else UNKNOWN if body else 1
            )
    for start, end in pre.dead:
        if code.find("define", start, end) < 0:
            continue
        for found in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+(\w+)(?!\w|\()", code[start:end], re.MULTILINE):
            if found[1] not in pre.macros:
                values.setdefault(found[1], UNDEFINED)
    return values


def _entry_points(code: str) -> tuple[set[str], set[str]]:
    """Return the functions that declare the GIL's use, and those that entry points call, directly or through others."""
    declares: set[str] = set()
    called: set[str] = set()
    if not any(map(code.__contains__, _ENTRY_WORDS)):
        return declares, called
    for found in _DECLARES_GIL.finditer(code):
        name = _function_around(code, found.start())
        if name:
            declares.add(name)
    pending = [*EXEC_SLOT.findall(code), *(found[0] for found in _ENTRY.finditer(code))]
    bodies: set[str] = set()
    while pending:
        name = pending.pop()
        if name in bodies:
            continue
        bodies.add(name)
        names = _plainly_called(_body_of(code, name))
        called |= names
        pending += names
    return declares, called


def _body_of(code: str, name: str) -> str:
    """Return the body of a function by its name, or of a `PyMODINIT_FUNC name(…)`; or an empty one."""
    at = code.find(name)
    while at >= 0:
        found = _PARAMETERS_AND_BODY.match(code, at + len(name))
        if found and not (code[at - 1 : at].isalnum() or code[at - 1 : at] == "_"):
            end = closing(code, found.end() - 1)
            return code[found.end() : end if end > 0 else len(code)]
        at = code.find(name, at + 1)
    return ""


def _function_around(code: str, at: int) -> str:
    """Return the name of the function whose head is the last one before a place."""
    name = ""
    for found in _FUNCTION.finditer(code, max(0, at - _WINDOW), at):
        name = found[1]
    return name


def _plainly_called(body: str) -> set[str]:
    """Return the functions that a body calls, `Pool::ready` under that name and as `ready`; not methods of objects."""
    found: set[str] = set()
    for name in _QUALIFIED_CALL.findall(body):
        parts = [part.strip() for part in name.split("::")]
        found.add(parts[-1])
        if len(parts) > 1:
            found.add("::".join(parts[-2:]))
    return found


def _mutated_members(code: str) -> set[str]:
    """Return the members whose dict or list is changed, except those of objects that are still being created."""
    found: set[str] = set()
    for mutation in _MUTATION.finditer(code):
        changed = mutation[1]
        if changed.isidentifier():
            changed = _aliased_member(code, changed, mutation.start())
        member = _LAST_MEMBER.search(changed)
        if member is None or member[1] in found:
            continue
        base = _BASE.search(changed)
        start, name = max(0, mutation.start() - _WINDOW), ""
        for header in _FUNCTION.finditer(code, start, mutation.start()):
            start, name = header.start(1), header[1]
        made = base and re.search(
            rf"\b{base[0]}\s*=[^;=]*(?i:new|alloc|copy|create)\w*\s*\(", code[start : mutation.start()]
        )
        if not made and not _MAKING & set(words(name)):
            found.add(member[1])
    return found


def changed_names(code: str) -> Iterator[tuple[str, int]]:
    """Yield the plain names whose dict or list a file changes, each with a place: in C++, members among them."""
    for mutation in _MUTATION.finditer(code):
        if mutation[1].isidentifier():
            yield mutation[1], mutation.start()


def _aliased_member(code: str, name: str, before: int) -> str:
    """Return the member that a local name was last set to, shortly before a place, or nothing."""
    sets = re.compile(rf"\b{name}\s*=\s*(?:\(\s*\w+\s*\*\s*\)\s*)?(\w[\w.\->]*)\s*;")
    last = ""
    for found in sets.finditer(code, max(0, before - _NEAR), before):
        last = found[1]
    return last


def _put(found: dict[str, Any], key: str, names: Iterable[str]) -> None:
    listed = sorted(names)
    if listed:
        found[key] = listed


def _union(surveys: Mapping[str, Survey], key: str) -> frozenset[str]:
    return frozenset(name for survey in surveys.values() for name in survey.get(key, ()))


def thread_local_words(tree: CTree, own: Mapping[str, Macro]) -> frozenset[str]:
    """Return every word that makes a declaration thread-local in this file."""
    return THREAD_LOCAL | tree.thread_local | {n for n, m in own.items() if _THREAD_WORDS.search(m.body)}
