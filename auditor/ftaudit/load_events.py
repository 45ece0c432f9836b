"""What one process reports while it loads extension modules, as plain JSON values. Standard library only, any CPython.

A process reports each load when it happens, so that nothing is lost if the process is killed or ends with `os._exit`.
The start-up hook executes this file and `gilwatch.py` in environments that do not have ftaudit, so this module imports
nothing of ftaudit: it receives `gilwatch` as an argument.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

VARIABLE = "FTAUDIT_LOADS"
"""The folder that the processes of a recorded run report to, each in its own file."""
SUFFIX = ".jsonl"
MOST_CHAIN = 200
"""Imports of one chain that are reported: the first and the last ones."""

MOST_FUNCTIONS = 50
"""Functions in progress that are reported: the outermost ones."""


class Recorder:
    """Reports what this process loads."""

    def __init__(self, gilwatch: ModuleType, report: Callable[[dict[str, Any]], object]) -> None:
        self.gilwatch = gilwatch
        self.report = report
        self.during: Callable[[], str | None] = lambda: None
        """Returns what the program does now, if that is known."""
        self.known = {"sitecustomize"}
        """Modules that were reported as imported."""

    def start(self) -> None:
        """Report this interpreter, and the extension modules that are loaded already."""
        self.report(about_this_process(self.gilwatch))
        for name in self.gilwatch.find_loaded():
            spec = getattr(sys.modules.get(name), "__spec__", None)
            self._load(self.gilwatch.LoadedModule(name, getattr(spec, "origin", None), (), None, 0), None, False)

    def see(self, module: Any, requires_gil: bool | None, turned_on: bool) -> None:
        """Report a module that was just loaded; see `gilwatch.Watch.see`."""
        self.report_imported()
        self._load(module, requires_gil, turned_on)

    def _load(self, module: Any, requires_gil: bool | None, turned_on: bool) -> None:
        chain = [str(name) for name in module.chain]
        if len(chain) > MOST_CHAIN:
            chain = [*chain[: MOST_CHAIN // 2], *chain[-MOST_CHAIN // 2 :]]
        self.report(
            {
                "event": "load",
                "name": str(module.name),
                "file": _below_path(module.file),
                "requires_gil": requires_gil,
                "turned_gil_on": turned_on,
                "chain": chain,
                "path": _absolute(module.code),
                "line": module.line,
                "during": self.during(),
                "program": module.program,
                "functions": [str(name) for name in module.functions[:MOST_FUNCTIONS]],
            }
        )

    def report_imported(self) -> None:
        """Report the Python modules outside the standard library whose import is complete, each once."""
        names = []
        stdlib: frozenset[str] = getattr(sys, "stdlib_module_names", frozenset())
        for name, module in sys.modules.copy().items():
            if name in self.known or type(name) is not str:
                continue
            if name.partition(".")[0] in stdlib:
                self.known.add(name)
                continue
            try:
                spec = object.__getattribute__(module, "__dict__").get("__spec__")
            except AttributeError:
                continue
            if spec is not None and not getattr(spec, "_initializing", False):
                self.known.add(name)
                names.append(name)
        if names:
            self.report({"event": "imported", "names": sorted(names)})

    def finish(self) -> None:
        """Report that the process ends in the usual way, what its main program was, and whether an error ended it."""
        self.report_imported()
        main = sys.modules.get("__main__")
        spec = getattr(main, "__spec__", None)
        # CPython removes `__file__` from a script's module when the script ends, but not its loader.
        loader = getattr(main, "__loader__", None)
        file = getattr(main, "__file__", None) or getattr(loader, "path", None)
        self.report(
            {
                "event": "end",
                "module": getattr(spec, "name", None),
                "file": file if spec is None else None,
                "complete": getattr(sys, "last_value", None) is None,
            }
        )


class Spool:
    """The folder that processes report to: one file for each process, one line of JSON for each event."""

    def __init__(self, folder: str, first: Callable[[], dict[str, Any]]) -> None:
        self.folder = folder
        self.first = first
        """Returns the event with which a process starts: a fork has its own file."""
        self.process = 0
        self.path = ""

    def report(self, event: dict[str, Any]) -> None:
        """Append an event. The file is open only meanwhile: a daemon closes every descriptor that it inherits."""
        import json

        lines = [event]
        if self.process != os.getpid():
            self.process = os.getpid()
            self.path = os.path.join(self.folder, f"{self.process}-{os.urandom(4).hex()}{SUFFIX}")
            if event["event"] != "start":
                lines.insert(0, self.first())
        data = "".join(json.dumps(line) + "\n" for line in lines).encode("ascii")
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError:
            return  # The run is over, and its folder is removed.
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)


def record_into(folder: str, gilwatch: ModuleType) -> None:
    """Record this process and its forks into a folder."""
    import atexit

    spool = Spool(folder, lambda: about_this_process(gilwatch))
    recorder = Recorder(gilwatch, spool.report)
    recorder.start()
    gilwatch.Watch(lambda culprit: None, recorder.see).start()
    atexit.register(recorder.finish)


def about_this_process(gilwatch: ModuleType) -> dict[str, Any]:
    """Return the event with which a process starts: the properties of its interpreter."""
    machine = os.uname().machine if hasattr(os, "uname") else os.environ.get("PROCESSOR_ARCHITECTURE", "")
    return {
        "event": "start",
        "python": "{}.{}".format(*sys.version_info[:2]),
        "free_threaded": gilwatch.is_free_threaded(),
        "platform": sys.platform,
        "machine": machine,
    }


def _absolute(file: str | None) -> str | None:
    """Return a code object's file, which may be relative to the folder that the process is in now."""
    return file if file is None or file.startswith("<") else os.path.abspath(file)


def _below_path(file: object) -> str | None:
    """Return the path of a module's file below the folder of `sys.path` that holds it."""
    if not isinstance(file, str):
        return None
    folders = [os.path.join(folder, "") for folder in sys.path if isinstance(folder, str) and folder]
    longest = max((folder for folder in folders if file.startswith(folder)), key=len, default="")
    return file[len(longest) :].replace(os.sep, "/")
