"""Start one of the child's programs: `python -I -S boot.py director RESULTS` or `boot.py forking_host DESCRIPTORS`.

The child's modules are registered under their names in ftaudit, and nothing else of ftaudit is imported, because its
dependencies are not installed for the audited interpreter.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import types

PACKAGE = "ftaudit.stress.child"


def main() -> None:
    """Register the package, and run the program that the first argument names."""
    folder = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - quick start-up
    where = [folder]
    spec = importlib.util.spec_from_file_location(PACKAGE, f"{folder}/__init__.py", submodule_search_locations=where)
    if spec is None:
        raise ImportError(folder)
    package = importlib.util.module_from_spec(spec)
    for name in ("ftaudit", "ftaudit.stress"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules[PACKAGE] = package
    program = importlib.import_module(f"{PACKAGE}.{sys.argv[1]}")
    program.main([int(argument) for argument in sys.argv[2:]])


if __name__ == "__main__":
    main()
