#!/usr/bin/env python3
"""Make the change that `--reach` names ("change these imports and it is not loaded at start"), and run it.

    scripts/judge_cuts.py [NAME...] [--keep FOLDER]

For each small application below: ask which of the user's imports lead to a module at start, put exactly these imports
into a function, ask again, and run the application before and after. Prints a line for each; exits with 1 if the module
is loaded after the change, or was not loaded before.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from judge_reach import ask, install, run


@dataclass(frozen=True, kw_only=True)
class Case:
    """An application and the module that it should not load at start."""

    requirements: tuple[str, ...]
    files: dict[str, str]
    module: str


CASES: Final = {
    "feed": Case(
        requirements=("lxml", "beautifulsoup4"),
        files={
            "app/__init__.py": "from app import feed, page\n",
            "app/feed.py": "import json\nimport lxml.html\n",
            "app/page.py": "from bs4 import BeautifulSoup\n",
        },
        module="lxml.etree",
    ),
    "frames": Case(
        requirements=("pandas",),
        files={
            "app/__init__.py": "from .report import write\n",
            "app/report.py": "from app import numbers\nimport pandas as pd, csv\n\ndef write(): ...\n",
            "app/numbers.py": "try:\n    import numpy as np\nexcept ImportError:\n    np = None\n",
        },
        module="numpy._core._multiarray_umath",
    ),
    "shapes": Case(
        requirements=("shapely", "pyproj"),
        files={
            "app/__init__.py": "import pyproj\nfrom app.area import size\n",
            "app/area.py": "from shapely import geometry as g\nfrom shapely.ops import unary_union\nsize = 1\n",
        },
        module="shapely.lib",
    ),
    "client": Case(
        requirements=("aiohttp",),
        files={
            "app/__init__.py": "from app.client import get\n",
            "app/client.py": "import asyncio\n\nimport aiohttp\nfrom yarl import URL\n\ndef get(): ...\n",
        },
        module="yarl._quoting_c",
    ),
    "secrets": Case(
        requirements=("pynacl", "argon2-cffi"),
        files={
            "app/__init__.py": "import app.keys\nimport app.passwords\n",
            "app/keys.py": "import nacl.secret\n",
            "app/passwords.py": "import argon2\n",
        },
        module="_cffi_backend",
    ),
    "config": Case(
        requirements=("pyyaml", "pydantic-settings"),
        files={
            "app/__init__.py": "from .settings import load\n",
            "app/settings.py": "if True:\n    import yaml\n\nimport pydantic_settings as ps\n\ndef load(): ...\n",
        },
        module="yaml._yaml",
    ),
}


def defer(text: str, line: int) -> str:
    """Return a module's text with one import statement put into a function."""
    lines = text.split("\n")
    statement = lines[line - 1]
    indent = statement[: len(statement) - len(statement.lstrip())]
    lines[line - 1] = f"{indent}def _later_{line}(): {statement.lstrip()}"
    return "\n".join(lines)


def judge(name: str, case: Case, folder: Path) -> bool:
    """Judge one application; return whether the change does what the answer says."""
    site = install(list(case.requirements), folder)
    if site is None:
        print(f"{name:10} has no wheels for 3.14t", flush=True)
        return True
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch)
        for path, text in case.files.items():
            (source / path).parent.mkdir(exist_ok=True)
            (source / path).write_text(text)
        found = ask(source, site)[0].of(case.module)
        before = case.module in run(source, folder / "bin" / "python", "").start
        cuts = () if found is None else found.cuts
        for cut in sorted(cuts, key=lambda cut: -cut.line):
            file = source / cut.file
            file.write_text(defer(file.read_text(), cut.line))
        again = ask(source, site)[0].of(case.module)
        after = run(source, folder / "bin" / "python", "")
    places = ", ".join(f"{cut.file}:{cut.line}" for cut in cuts)
    told = f"{case.module} {found and found.reached.value} by {places or 'no import'}; loaded before: {before}"
    print(
        f"{name:10} {told}; after the change {again and again.reached.value}, loaded: {case.module in after.start}"
        f"{' ' + after.printed[-200:] if 'failed:' in after.printed else ''}",
        flush=True,
    )
    return before and bool(cuts) and case.module not in after.start and "failed:" not in after.printed


def main() -> int:
    """Judge the applications that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        good = [judge(name, CASES[name], folder / f"cut_{name}") for name in options.names or CASES]
    print(f"{sum(good)} of {len(good)} changes keep the module from being loaded at start")
    return not all(good)


if __name__ == "__main__":
    sys.exit(main())
