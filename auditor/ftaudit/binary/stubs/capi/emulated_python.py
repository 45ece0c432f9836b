"""CPython as a module's initialization meets it: the state that the C API functions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ftaudit.binary.emulator.emulated_process import Handler, Process
from ftaudit.binary.stubs.capi.objects_in_memory import Layout, Objects

Answer = Callable[["Python"], "int | None"]
"""Answers one function of the C API."""

_Answer = TypeVar("_Answer", bound=Answer)

_KEPT_BLOCKS = 64
"""How much of the path to an exception is kept."""

SINGLETONS = {
    "_Py_NoneStruct": "none",
    "_Py_TrueStruct": "bool",
    "_Py_FalseStruct": "bool",
    "_Py_EllipsisObject": "object",
    "_Py_NotImplementedStruct": "object",
}


@dataclass(slots=True)
class Python:
    """The interpreter of one try."""

    process: Process
    objects: Objects
    module_name: str
    version: tuple[int, int]
    error: int = 0
    """The instance of the exception that is set."""
    errors: list[str] = field(default_factory=list)
    """Every exception that was set, for the report."""
    blocks: list[tuple[int, int]] | None = None
    """The stretches of code that ran, if a run is followed."""
    way_to_error: list[tuple[int, int]] | None = None
    """Those that ran before the last exception was set that was not cleared."""
    modules: dict[str, int] = field(default_factory=dict)
    """`sys.modules`."""
    definitions: set[int] = field(default_factory=set)
    """The definitions passed to `PyModuleDef_Init`."""
    capsules: dict[str, int] = field(default_factory=dict)
    """Pointers of the capsules that the code itself made, by name."""
    foreign_definition: bool = False
    """Whether the code passed a definition that the free-threaded build of the version refuses."""
    built_free_threaded: bool | None = None
    """Whether the definition that the code passed was laid out for the free-threaded build."""
    created: bool = False
    """Whether `PyModule_Create2` was called."""
    thread_state: int = 0
    loaded: set[str] = field(default_factory=set)
    """The names of modules of the same wheel that are in the process."""
    vague: set[int] = field(default_factory=set)
    """Objects that certainly exist, but have an unknown value."""
    made_up: set[int] = field(default_factory=set)
    """Other modules' objects that were returned: whether they exist, and their kind, is unknown."""
    seals: bool = False
    """Whether the first call of `PyUnstable_Module_SetGIL` is final: the module has no other."""
    guessed: int | None = None
    """How many guesses had been made when `PyUnstable_Module_SetGIL` was called last."""
    declared_by: str = ""
    """The unknown that the value of that call comes from."""

    def argument(self, index: int, *, fixed: int | None = None) -> int:
        """Return an integer argument of the function being answered."""
        return self.process.machine.argument(index, fixed=fixed)

    def string(self, index: int) -> str:
        """Return a `char *` argument of the function being answered."""
        return self.process.machine.read_text(self.process.machine.argument(index))

    def fail(self, name: str) -> int:
        """Set an exception and return null."""
        self.raise_(self.objects.type(name), name)
        return 0

    def raise_(self, exception: int, text: str) -> None:
        """Set an exception, given as its type or as an instance."""
        if self.objects.kind_of(exception) == "type":
            exception = self.objects.new("object", name=text, type_address=exception)
        if not self.error and self.blocks is not None:
            self.way_to_error = self.blocks[-_KEPT_BLOCKS:]
        self.error = exception
        self.errors.append(text)

    def version_text(self) -> str:
        """Return `sys.version`."""
        kind = "free-threading build " if self.objects.layout.free_threaded else ""
        return f"{self.version[0]}.{self.version[1]}.0 {kind}(main, Oct  7 2025, 00:00:00) [GCC 14.2.0]"

    def module(self, name: str, *, origin: str) -> int:
        """Return a new module object."""
        address = self.objects.new("module", name=name, size=192)
        known = self.objects.known[address]
        known.origin = origin
        contents = self.objects.new("dict", name=f"{name}.__dict__", value=address)
        known.attributes["__dict__"] = contents
        # One table under two names: what is set as an attribute is found in the dictionary, and the reverse.
        self.objects.known[contents].items = known.attributes
        known.attributes["__name__"] = self.objects.text(name)
        return address

    def imported(self, name: str) -> int:
        """Return another package's module, created on first use."""
        address = self.modules.get(name)
        if address is None:
            address = self.modules[name] = self.module(name, origin="import")
        return address


def bound(python: Python, answer: Answer) -> Handler:
    """Return the handler that answers with this interpreter."""

    def handler(_process: Process) -> int | None:
        return answer(python)

    return handler


def new_python(process: Process, layout: Layout, module_name: str) -> Python:
    """Return a fresh interpreter in a process."""
    return Python(process, Objects(process, layout), module_name, layout.version)


def registry() -> tuple[dict[str, Answer], Callable[..., Callable[[_Answer], _Answer]]]:
    """Return an empty table of answers by function name, and the decorator that fills it."""
    table: dict[str, Answer] = {}

    def answers(*names: str) -> Callable[[_Answer], _Answer]:
        def register(answer: _Answer) -> _Answer:
            table.update(dict.fromkeys(names, answer))
            return answer

        return register

    return table, answers
