"""Import modules one after another and report on each: runs in the audited interpreter, standard library only.

Started as `python -v -I -S child.py RESULTS`, where RESULTS is the descriptor that reports go to; the job is one
line of JSON on standard input. CPython prints `# loading module 'X', which requires the GIL` on `sys.stderr` for every
module that does (`_PyImport_CheckGILForModule` in `Python/import.c`), if it runs verbosely and `PYTHON_GIL` and
`-X gil` are unset. Each call that loads an extension module therefore gets our own standard error to listen to.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any, NoReturn


WARNING = "The global interpreter lock (GIL) has been enabled to load module"
"""The start of the RuntimeWarning, which from 3.15 on is the only text that names the first culprit."""


MOST_LAZY = 1000
"""Lazy imports that are made for one package."""


class ErrorListener:
    """A standard error that keeps CPython's message about one module and forwards everything else."""

    def __init__(self, name: str, behind: Any) -> None:
        self.sentence = f"# loading module '{name}', which requires the GIL\n"
        self.warning = f"{WARNING} '{name}'"
        self.behind = behind
        self.heard = False

    def write(self, text: str) -> int:
        """Accept text, as a file does."""
        if text == self.sentence:
            self.heard = True
            return len(text)
        self.heard = self.heard or self.warning in text
        if self.behind is not None:
            self.behind.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)


class Frame:
    """One import under way."""

    __slots__ = ("culprits", "gil_after", "gil_before", "name")

    def __init__(self, name: str, gil_before: bool) -> None:
        self.name = name
        self.gil_before = gil_before
        self.gil_after = gil_before
        self.culprits: list[list[str]] = []


class Tracker:
    """Sees every module being loaded, and which of them turned the GIL on through which imports."""

    def __init__(self) -> None:
        import _imp
        import _thread

        self.gil_enabled: Callable[[], bool] = getattr(sys, "_is_gil_enabled")  # noqa: B009 - not in every stub
        self.loading = 0
        self.stays_on = False
        self.local = _thread._local()
        self.loads: dict[str, Frame] = {}
        self.files: dict[str, bool] = {}
        self.guilty: list[tuple[str, str]] = []
        """Name and file of each module that required the GIL, in any thread."""
        self.loaded: list[tuple[str, str, bool, list[str]]] = []
        """Name and file of each extension module, whether it required the GIL, and the imports that led to it."""
        importer: Any = _imp
        self.create_dynamic = importer.create_dynamic
        importer.create_dynamic = self.load_extension
        bootstrap: Any = sys.modules["_frozen_importlib"]
        external: Any = sys.modules["_frozen_importlib_external"]
        self.find_and_load = bootstrap._find_and_load
        bootstrap._find_and_load = self.load_module
        # The output of `-v` from Python code is long and not needed.
        bootstrap._verbose_message = external._verbose_message = lambda *arguments, **options: None

    def gil_stays_on(self) -> bool:
        """Return whether the GIL is on permanently, and not only while an init hook runs.

        CPython enables it while it runs one, and disables it again for a module that does not need it
        (`_PyEval_EnableGILTransient` in `Python/ceval_gil.c`).
        """
        if not self.loading and self.gil_enabled():
            self.stays_on = True
        return self.stays_on

    def stack(self) -> list[Frame]:
        """Return the imports under way in this thread, the outermost first."""
        stack: list[Frame] = self.local.__dict__.setdefault("stack", [])
        return stack

    def load_module(self, name: str, import_: Any) -> ModuleType:
        """Stand in for `importlib._bootstrap._find_and_load`, which every import that is not cached goes through."""
        stack = self.stack()
        frame = Frame(name, self.gil_stays_on())
        stack.append(frame)
        try:
            module: ModuleType = self.find_and_load(name, import_)
        finally:
            stack.remove(frame)
        frame.gil_after = self.gil_stays_on()
        if not any(outer.name == name for outer in stack):
            # A module that is imported again while it is being imported is not done yet: the outer import counts.
            self.loads.setdefault(name, frame)
        return module

    def load_extension(self, spec: Any, file: Any = None) -> ModuleType:
        """Stand in for `_imp.create_dynamic`, which loads every extension module."""
        stack = self.stack()
        on_before = self.gil_stays_on()
        behind = sys.stderr
        sys.stderr = listener = ErrorListener(spec.name, behind)
        depth = sum(len(frame.culprits) for frame in stack)
        self.loading += 1
        try:
            module: ModuleType = self.create_dynamic(spec, file)
        finally:
            self.loading -= 1
            if sys.stderr is listener:
                sys.stderr = behind
        nested = sum(len(frame.culprits) for frame in stack) > depth
        # A module that put another object in place of our listener is still caught, if it is the first.
        guilty = listener.heard or (self.gil_stays_on() and not on_before and not nested)
        self.stays_on = self.stays_on or guilty
        self.files[spec.origin] = guilty
        names = [frame.name for frame in stack]
        if not names or names[-1] != spec.name:
            names.append(spec.name)
        self.loaded.append((spec.name, str(spec.origin), guilty, names))
        if guilty:
            self.guilty.append((spec.name, str(spec.origin)))
            for position, frame in enumerate(stack):
                frame.culprits.append(names[position:])
        return module


class Child:
    """Runs the job and reports."""

    def __init__(self, results: int) -> None:
        import contextlib
        import fcntl
        import json
        import os
        import signal
        import site

        self.os, self.dumps = os, json.dumps
        # A high number survives `close(3)` and the like, and nothing that is started inherits it.
        self.results = fcntl.fcntl(results, fcntl.F_DUPFD_CLOEXEC, 200)
        os.close(results)
        self.write = os.write
        self.suppress = contextlib.suppress
        self.exit: Callable[[int], NoReturn] = os._exit
        job = json.loads(sys.stdin.buffer.readline())
        self.pause = signal.pause
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        self.nonce, self.mark = job["nonce"], job["mark"].encode("ascii")
        self.output = fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 200)
        self.steps = job["steps"]
        self.stdout, self.stderr = sys.stdout, sys.stderr
        self.tracker = Tracker()
        if job["pycache"]:
            self.keep_bytecode(job["site"], job["pycache"])
        sys.argv[:] = ["-c"]
        self.site = job["site"]
        sys.path += [*job["roots"], self.site, *job["paths"]]
        if job["startup"]:
            # Start-up code of the environment: only if imports failed without it.
            site.addsitedir(self.site)
        self.stdlib = sys.stdlib_module_names

    def keep_bytecode(self, site: str, pycache: str) -> None:
        """Read and write the compiled Python code of the environment in a folder that only this distribution uses.

        `sys.pycache_prefix` would do the same to the standard library, whose compiled code is there already.
        """
        external: Any = sys.modules["_frozen_importlib_external"]
        original = external.cache_from_source

        def cache_from_source(*arguments: Any, **options: Any) -> str:
            path: str = original(*arguments, **options)
            return pycache + path[len(site) :] if path.startswith(site) else path

        external.cache_from_source = cache_from_source

    def run(self) -> NoReturn:
        """Run one step after another, then wait to be ended: the parent inspects this process once more first."""
        self.flush()
        version, is_free = list(sys.version_info[:3]), "t" in sys.abiflags
        self.send({"ready": {"version": version, "free_threaded": is_free, "build": sys.version}})
        for index, (name, path, startup, lazy, loads) in enumerate(self.steps):
            self.send({"begin": index})
            before = len(self.tracker.loaded)
            report = self.step(name, path, startup=startup, lazy=lazy)
            if loads:
                report["loads"] = self.loads_since(before)
            self.flush()
            self.send({"end": index, **report})
        self.send({"done": len(self.steps)})
        while True:
            self.pause()

    def send(self, message: dict[str, object]) -> None:
        """Write one frame."""
        payload = (self.nonce + self.dumps(message)).encode("ascii", "backslashreplace")
        frame = len(payload).to_bytes(4, "big") + payload
        try:
            while frame:
                frame = frame[self.write(self.results, frame) :]
        except OSError:
            # Some code closed the descriptor, so no further report can be sent.
            self.exit(113)

    def flush(self) -> None:
        """Forward the output so far, and mark its end."""
        for stream in (self.stdout, self.stderr):
            # A module may have closed or replaced it.
            with self.suppress(BaseException):
                stream.flush()
        with self.suppress(OSError):
            self.write(self.output, self.mark)

    def start_up(self, name: str) -> None:
        """Run one file as an interpreter that starts in the environment does (`Lib/site.py`)."""
        import site

        if name.endswith(".pth"):
            site.addpackage(self.site, name, set())
        elif name.endswith(".start"):
            state: Any = getattr(site, "StartupState")(set())  # noqa: B009 - 3.15, PEP 829
            state._read_start_file(self.site, name)
            state.process()
        else:
            __import__(name.partition("/")[0].removesuffix(".py"))

    def resolve_lazy(self) -> None:
        """Perform the deferred imports, and those that they defer; a failure here also happens to a user."""
        tried: set[str] = set()
        while len(tried) < MOST_LAZY:
            waiting = sorted(self.waiting() - tried)[: MOST_LAZY - len(tried)]
            if not waiting:
                return
            for name in waiting:
                tried.add(name)
                with self.suppress(Exception):
                    __import__(name)

    def waiting(self) -> set[str]:
        """Return the names of modules whose import was deferred (`sys.lazy_modules`, CPython 3.15)."""
        names = getattr(sys, "lazy_modules", ())
        return {name for name in list(names) if type(name) is str}

    def step(self, name: str, path: str | None, *, startup: bool, lazy: bool) -> dict[str, object]:
        """Import one module, run one start-up file or make lazy imports, and return the facts about it."""
        tracker = self.tracker
        frame = Frame(name, tracker.gil_stays_on())
        stack = tracker.stack()
        del stack[:]
        stack.append(frame)
        report: dict[str, object] = {"error": None}
        before = len(tracker.guilty)
        try:
            if startup:
                self.start_up(name)
            elif lazy:
                self.resolve_lazy()
            else:
                __import__(name)
            if path and path not in tracker.files and self.origin(name) == path:
                self.load_itself(name, path)
        except BaseException as error:
            report["error"] = self.describe(error)
        del stack[:]
        frame.gil_after = tracker.gil_stays_on()
        first = frame if lazy else tracker.loads.get(name, frame)
        chains = first.culprits
        explained = not first.gil_before or bool(chains)
        if not chains and first.gil_before:
            # A parent package that was imported earlier may be the one that reached the culprit.
            parts = name.split(".")
            for end in range(1, len(parts)):
                parent = tracker.loads.get(".".join(parts[:end]))
                if parent is not None and parent.culprits:
                    chains = [[name, *chain] for chain in parent.culprits]
                    explained = True
                    break
        guilty = tracker.guilty[before:]
        if not chains and not first.gil_before and guilty:
            # Other threads have their own stacks of imports.
            chains = [[name, culprit] for culprit, _ in guilty]
            explained = True
        report["guilty"] = [[str(culprit), str(file)] for culprit, file in guilty]
        report["requires_gil"] = tracker.files.get(path) if path else None
        report["loaded"] = path is None or path in tracker.files
        report["origin"] = self.origin(name)
        report["gil"] = first.gil_after
        report["explained"] = explained
        report["lazy"] = len(self.waiting())
        report["chains"] = [[str(part) for part in chain] for chain in chains]
        return report

    def loads_since(self, before: int) -> list[list[object]]:
        """Return the extension modules of the environment that were loaded since, with the imports that led to each."""
        return [
            [str(name)[:200], guilty, [str(part)[:200] for part in (*chain[:6], *chain[6:][-6:])]]
            for name, file, guilty, chain in self.tracker.loaded[before:]
            if file.startswith(self.site)
        ]

    def load_itself(self, name: str, path: str) -> None:
        """Create the module from its own file if another module had already put one of that name in place.

        mypyc's group module does so for all the modules of its group. CPython asks a file about the GIL when the
        module is created, so nothing is executed a second time.
        """
        from importlib.machinery import ModuleSpec

        self.tracker.load_extension(ModuleSpec(name, None, origin=path))

    def origin(self, name: str) -> str | None:
        """Return where the module of that name came from."""
        try:
            return str(getattr(sys.modules[name].__spec__, "origin", None))[:1000]
        except BaseException:
            return None

    def importer(self, error: BaseException) -> str | None:
        """Return the name of the module in which the exception was raised."""
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        name = None if trace is None else trace.tb_frame.f_globals.get("__name__")
        return name if type(name) is str else None

    def describe(self, error: BaseException, *, with_causes: bool = True) -> dict[str, object]:
        """Return an exception as plain data."""

        def text(value: object) -> str:
            try:
                return str(value)[:2000]
            except BaseException as second:
                return f"<{type(second).__name__} while describing it>"

        kinds = [kind.__name__ for kind in type(error).__mro__ if kind is not object]
        missing = getattr(error, "name", None) if "ImportError" in kinds else None
        number = getattr(error, "errno", None) if "OSError" in kinds else None
        return {
            "kinds": kinds[:8],
            "message": text(error),
            "name": missing if isinstance(missing, str) else None,
            "errno": number if isinstance(number, int) else None,
            "importer": self.importer(error),
            "stdlib": isinstance(missing, str) and missing.partition(".")[0] in self.stdlib,
            "causes": self.causes(error) if with_causes else [],
        }

    def causes(self, error: BaseException) -> list[dict[str, object]]:
        """Return the exceptions that led to this one as plain data, the nearest first."""
        found: list[dict[str, object]] = []
        seen = {id(error)}
        while len(found) < 8:
            try:
                cause = error.__cause__ or error.__context__
            except BaseException:
                break
            if not isinstance(cause, BaseException) or id(cause) in seen:
                break
            seen.add(id(cause))
            found.append(self.describe(cause, with_causes=False))
            error = cause
        return found


if __name__ == "__main__":
    Child(int(sys.argv[1])).run()
