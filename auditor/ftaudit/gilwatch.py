"""Detects the extension modules that a program loads, and which of them enable the GIL: standard library only.

CPython warns only about the first such module. For every such module, `_PyImport_CheckGILForModule` (`Python/import.c`)
prints `# loading module 'X', which requires the GIL` on `sys.stderr` if the interpreter is verbose and neither
`PYTHON_GIL` nor `-X gil` is set. So this module makes the interpreter verbose (`PyConfig_Set`, PEP 741, CPython 3.14)
while an extension module is created, and listens to `sys.stderr`. The sandbox's `child.py` does the same from the start
of its process, where it can pass `-v`.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, ModuleType
    from typing import Any, TypeVar

    _M = TypeVar("_M", bound="LoadedModule")

BEFORE = "loading module '"
AFTER = "', which requires the GIL"


class LoadedModule:
    """An extension module, and the imports that loaded it."""

    __slots__ = ("chain", "code", "file", "functions", "lazy", "line", "name", "program")

    def __init__(
        self,
        name: str,
        file: str | None,
        chain: tuple[str, ...],
        code: str | None,
        line: int,
        lazy: tuple[str, int] | None = None,
        program: str | None = None,
        functions: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        """Dotted import name."""
        self.file = file
        """Path of the image, if it has one."""
        self.chain = chain
        """The imports in progress, from the outermost to this module."""
        self.code = code
        """The file of the innermost code that is neither installed nor part of the standard library."""
        self.line = line
        """The line of `code` that was running."""
        self.lazy = lazy
        """File and line of the first use of a lazy import (PEP 810), if that led to this module."""
        self.program = program
        """The main program whose code was running in this thread: the module that `-m` ran, or a path."""
        self.functions = functions
        """The user's functions in progress, `module:function`, from the outermost to the one that made the first
        import of `chain`.
        """

    @property
    def source_line(self) -> str:
        """The text of that line, or empty."""
        import linecache

        return linecache.getline(self.code, self.line).strip() if self.code else ""

    def find_distribution(self) -> tuple[str, str] | None:
        """Return name and version of the installed distribution whose RECORD lists the file, if any."""
        import os
        from importlib.metadata import distributions

        if self.file is None:
            return None
        file = os.path.realpath(self.file)
        for distribution in distributions():
            root = os.path.realpath(str(distribution.locate_file("")))
            if not file.startswith(root + os.sep):
                continue
            inside = file[len(root) + 1 :].replace(os.sep, "/")
            if any(str(path).replace(os.sep, "/") == inside for path in distribution.files or ()):
                return distribution.metadata["Name"], distribution.version
        return None


class Culprit(LoadedModule):
    """An extension module that enabled the GIL, or would have enabled it."""

    __slots__ = ()


class Listener:
    """The standard error while an extension module is created: keeps CPython's messages, passes on the rest."""

    def __init__(self, behind: Any, silent: bool) -> None:
        self.behind = behind
        self.silent = silent
        """Whether the interpreter is verbose only for this module, so that its output is not for the user."""
        self.heard: set[tuple[int, str]] = set()

    def write(self, text: str) -> int:
        """Accept written text, as a file does."""
        import _thread

        if text.startswith("# " + BEFORE) and text.rstrip("\n").endswith(AFTER):
            self.heard.add((_thread.get_ident(), text[2 + len(BEFORE) : text.rindex(AFTER)]))
            if self.silent and not hasattr(self.behind, "heard"):  # Another watch listens too.
                return len(text)
        elif self.silent and text.startswith(("# ", "import ")):
            return len(text)
        if self.behind is not None:
            self.behind.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)


class Watch:
    """Calls `tell` with each culprit, in the thread that loads it, before the import returns.

    The import raises the exceptions of `tell`. Call `start` and `stop` at most once each. The cost is one function call
    for each extension module loaded between the two, and nothing before and after.
    """

    def __init__(
        self,
        tell: Callable[[Culprit], None],
        see: Callable[[LoadedModule, bool | None, bool], None] | None = None,
    ) -> None:
        self.tell = tell
        self.see = see
        """Receives each extension module outside the standard library that is loaded, after `tell` has accepted it;
        whether it requires the GIL, if that is known; and whether it turned the GIL on.
        """
        self.running = False
        self.complete = False
        """Whether every culprit is detected, instead of only the first (CPython 3.13 cannot be made verbose)."""
        self._stays_on = False

    def start(self) -> None:
        """Start watching."""
        import _imp
        import _thread

        self._lock = _thread.allocate_lock()
        self._loading = 0
        self._listener: Listener | None = None
        self._messages: list[Any] = []
        self._set_verbose: Callable[[int], None] | None = None
        self._listens = is_free_threaded() and forced() is None
        """Whether CPython says which modules require the GIL."""
        self._prepared = bool(sys.flags.verbose) or not self._listens
        self.complete = self._listens and (bool(sys.flags.verbose) or sys.version_info >= (3, 14))
        self._stays_on = gil_is_on()
        importer: Any = _imp
        self._create_dynamic = importer.create_dynamic
        # `importlib` looks up the function at each call, so replacing it is enough.
        importer.create_dynamic = self._load
        self.running = True

    def stop(self) -> None:
        """Stop watching."""
        import _imp

        importer: Any = _imp
        if self.running and importer.create_dynamic == self._load:
            importer.create_dynamic = self._create_dynamic
        self.running = False

    def _load(self, spec: Any, file: Any = None) -> ModuleType:
        """Replaces `_imp.create_dynamic`, which loads every extension module."""
        if not self.running:
            module: ModuleType = self._create_dynamic(spec, file)
            return module
        if _is_stdlib(str(spec.origin)):
            # None of these enables the GIL; if one does so first, it is detected anyway.
            module = self._create_dynamic(spec, file)
            if not self._stays_on and not self._loading and gil_is_on():
                self._stays_on = True
                self.tell(_describe(Culprit, spec.name, spec.origin, sys._getframe(1)))
            return module
        with self._lock:
            if not self._prepared:
                # `ctypes` costs some milliseconds, which a program without such a module does not have to pay.
                self._set_verbose = _find_verbose_setter()
                self.complete = self._set_verbose is not None
                self._prepared = True
        if not self._listens:
            module = self._create_dynamic(spec, file)
            self._saw(spec, requires_gil=None, turned_on=False)
            return module
        listener, was_on = self._enter(), self._stays_on
        try:
            module = self._create_dynamic(spec, file)
        except BaseException:
            # CPython's own warning is an error under `-W error`, and appears when the GIL is already on.
            if self._is_guilty(spec.name, listener):
                self.tell(_describe(Culprit, spec.name, spec.origin, sys._getframe(1)))
            raise
        guilty = self._is_guilty(spec.name, listener)
        try:
            if guilty:
                self.tell(_describe(Culprit, spec.name, spec.origin, sys._getframe(1)))
        finally:
            # Without the messages, only the module that turned the GIL on is known.
            known = guilty or self.complete or not self._stays_on
            self._saw(spec, requires_gil=guilty if known else None, turned_on=guilty and not was_on)
        return module

    def _saw(self, spec: Any, *, requires_gil: bool | None, turned_on: bool) -> None:
        if self.see is not None:
            module = _describe(LoadedModule, spec.name, spec.origin, sys._getframe(2))
            self.see(module, requires_gil, turned_on)

    def _is_guilty(self, name: str, listener: Listener) -> bool:
        """Return whether the module that this thread just created requires the GIL."""
        import _thread

        alone = self._leave()
        key = (_thread.get_ident(), name)
        guilty = key in listener.heard
        listener.heard.discard(key)
        # A module that replaced the listener with another object is still detected if it is the first. While another
        # module is being created, CPython keeps the GIL for that one.
        if not guilty and alone and not self._stays_on:
            guilty = gil_is_on()
        self._stays_on = self._stays_on or guilty
        return guilty

    def _enter(self) -> Listener:
        """Listen; all threads that load modules at the same time share one listener."""
        with self._lock:
            self._loading += 1
            if self._listener is None:
                self._listener = Listener(sys.stderr, silent=self._set_verbose is not None)
                sys.stderr = self._listener
                if self._set_verbose is not None:
                    self._python_messages(wanted=False)
                    self._set_verbose(1)
            return self._listener

    def _leave(self) -> bool:
        """Stop listening if nothing is being created; return whether listening stopped."""
        with self._lock:
            self._loading -= 1
            if self._loading:
                return False
            if self._set_verbose is not None:
                self._set_verbose(0)
                self._python_messages(wanted=True)
            if self._listener is not None and sys.stderr is self._listener:
                sys.stderr = self._listener.behind
            self._listener = None
            return True

    def _python_messages(self, *, wanted: bool) -> None:
        """Disable, and enable again, what `importlib` prints if the interpreter is verbose."""
        bootstrap: Any = sys.modules["_frozen_importlib"]
        if wanted:
            bootstrap._verbose_message = self._messages.pop()
        else:
            self._messages.append(bootstrap._verbose_message)
            bootstrap._verbose_message = _say_nothing


def is_free_threaded() -> bool:
    """Return whether this interpreter was built with `Py_GIL_DISABLED`."""
    return "free-threading" in sys.version


def gil_is_on() -> bool:
    """Return whether the GIL is enabled now (`sys._is_gil_enabled`, CPython 3.13)."""
    ask: Callable[[], bool] | None = getattr(sys, "_is_gil_enabled", None)
    return ask is None or ask()


def forced() -> bool | None:
    """Return the value of `PYTHON_GIL` or `-X gil`, or `None` if neither is set: CPython then decides."""
    flag: int | None = getattr(sys.flags, "gil", None)
    return None if flag is None else bool(flag)


def find_loaded() -> list[str]:
    """Return the names of the extension modules loaded from files outside the standard library."""
    from importlib.machinery import ExtensionFileLoader

    found = []
    for name, module in sorted(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        if isinstance(getattr(spec, "loader", None), ExtensionFileLoader) and not _is_stdlib(
            str(getattr(spec, "origin", ""))
        ):
            found.append(name)
    return found


def explain(culprit: LoadedModule) -> list[tuple[str, str]]:
    """Return the facts about a module, as labels and texts."""
    distribution = culprit.find_distribution()
    where = f"{culprit.code}:{culprit.line}" if culprit.code else "(none: only installed code)"
    return [
        ("Module", culprit.name),
        ("File", culprit.file or "(unknown)"),
        ("Distribution", " ".join(distribution) if distribution else "(in none that is installed here)"),
        ("Import chain", " → ".join(culprit.chain)),
        *([("Lazy import", "resolved by {}:{}".format(*culprit.lazy))] if culprit.lazy else []),
        ("Your code", f"{where}: {culprit.source_line}" if culprit.source_line else where),
    ]


def _describe(kind: type[_M], name: str, file: str | None, frame: FrameType | None) -> _M:
    """Read the imports in progress, and the code that started them, from the stack."""
    chain: list[str] = []
    functions: list[str] = []
    code: str | None = None
    lazy: tuple[str, int] | None = None
    program: str | None = None
    line = 0
    importing = in_outer = False
    while frame is not None:
        path, name_of_code = frame.f_code.co_filename, frame.f_code.co_name
        if importing and not path.startswith("<frozen importlib") and _resolves(frame):
            lazy = path, frame.f_lineno
        importing = path == "<frozen importlib._bootstrap>"
        if importing:
            if name_of_code == "_find_and_load":
                chain.append(str(frame.f_locals.get("name")))
                if not in_outer:
                    functions.clear()
        elif _is_own(path):
            if code is None:
                code, line = path, frame.f_lineno
            if not in_outer and frame.f_code.co_flags & _IS_FUNCTION:
                functions.append(_function_name(frame))
        if not in_outer and name_of_code == "<module>" and frame.f_globals.get("__name__") == "__main__":
            program, in_outer = _program_name(frame), True
        frame = frame.f_back
    chain.reverse()
    functions.reverse()
    if not chain or chain[-1] != name:
        chain.append(name)
    return kind(name, file, tuple(chain), code, line, lazy, program, tuple(functions))


_IS_FUNCTION = 1
"""`CO_OPTIMIZED`: the code of a function, and not of a module or a class."""


def _function_name(frame: FrameType) -> str:
    name = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)
    return f"{frame.f_globals.get('__name__')}:{name}"


def _program_name(frame: FrameType) -> str | None:
    """Return the module that `-m` runs, or the path of a script; `None` for other text."""
    spec = frame.f_globals.get("__spec__")
    if spec is not None:
        return str(spec.name)
    path = frame.f_code.co_filename
    return None if path.startswith("<") else path


def _resolves(frame: FrameType) -> bool:
    """Return whether the importing code only read a name: the import was lazy, and happens now."""
    import opcode

    return opcode.opname[frame.f_code.co_code[frame.f_lasti]].startswith("LOAD_")


def _is_own(path: str) -> bool:
    """Return whether a code object's file is the user's: neither installed nor part of the standard library."""
    return not (path.startswith("<frozen ") or path == __file__ or _is_installed(path) or _is_stdlib(path))


def _is_installed(path: str) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(path.replace("\\", "/").split("/"))


def _is_stdlib(path: str) -> bool:
    import os

    library = os.path.realpath(os.__file__)[: -len("os.py")]
    return os.path.realpath(path).startswith(library) and not _is_installed(path)


def _find_verbose_setter() -> Callable[[int], None] | None:
    """Return a function that switches this interpreter's verbosity at run time; `None` if there is no such function."""
    try:
        import ctypes

        configure = ctypes.pythonapi.PyConfig_Set
    except (ImportError, AttributeError):
        return None
    configure.argtypes = [ctypes.c_char_p, ctypes.py_object]
    configure.restype = ctypes.c_int

    def set_verbose(level: int) -> None:
        configure(b"verbose", level)

    return set_verbose


def _say_nothing(*arguments: object, **options: object) -> None:
    """Replaces `importlib._bootstrap._verbose_message`."""
