"""The start-up hook of `ftaudit reach --run`: records what this process loads, then runs the next `sitecustomize`.

`ftaudit reach --run` puts this folder in front of PYTHONPATH, and CPython imports `sitecustomize` when it starts. An
error in here never reaches the program.
"""

import os
import sys


def _record() -> None:
    folder = os.environ.get("FTAUDIT_LOADS")
    if not folder:
        return
    from importlib.machinery import SourceFileLoader
    from types import ModuleType

    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    modules = []
    for name in ("gilwatch", "load_events"):
        path = os.path.join(package, name + ".py")
        module = ModuleType("_ftaudit_" + name)
        module.__file__ = path
        SourceFileLoader(module.__name__, path).exec_module(module)
        modules.append(module)
    modules[1].record_into(folder, modules[0])


def _run_next() -> None:
    """Import the `sitecustomize` of the environment, which this one hides."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]
    hidden = sys.modules.pop("sitecustomize")
    try:
        __import__("sitecustomize")
    except ImportError as error:
        if getattr(error, "name", None) != "sitecustomize":
            raise
        sys.modules["sitecustomize"] = hidden


try:
    _record()
except Exception as error:
    sys.stderr.write(f"ftaudit: this process is not recorded: {type(error).__name__}: {error}\n")
_run_next()
