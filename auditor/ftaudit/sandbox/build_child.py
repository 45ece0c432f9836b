"""The build program in the sandbox: runs one hook of a build backend (PEP 517) with only the standard library."""

from __future__ import annotations

import importlib
import json
import os
import sys


def main() -> None:
    """Call the hook that the job names, and write what it returns into the job's result file."""
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123 - quick start-up
        job = json.load(file)
    os.chdir(job["source"])
    sys.path[:0] = [os.path.join(job["source"], folder) for folder in job["backend_path"]]  # noqa: PTH118
    module, _, attribute = job["backend"].partition(":")
    backend = importlib.import_module(module)
    for name in filter(None, attribute.split(".")):
        backend = getattr(backend, name)
    if job["hook"] == "build_wheel":
        result = backend.build_wheel(job["out"], {}, None)
    else:
        ask = getattr(backend, "get_requires_for_build_wheel", None)
        result = [] if ask is None else ask({})
    with open(job["result"], "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(result, file)


if __name__ == "__main__":
    main()
