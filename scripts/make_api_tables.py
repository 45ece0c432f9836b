#!/usr/bin/env python3
"""Make `auditor/ftaudit/source/c/api_tables.py` from a CPython source tree.

    scripts/make_api_tables.py CPYTHON-SOURCE [--check]

Two files of CPython's documentation say by function what the rules of borrowed references need:
`Doc/data/refcounts.dat`, which functions lend their result (`name:PyObject*::0:`), and `Doc/data/threadsafety.dat`
(late 3.14 releases on), which functions need a lock of the caller's. The release is read from
`Include/patchlevel.h`. With `--check`, nothing is written: the exit code is 1 when the file is not what would be made.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

OUTPUT = Path(__file__).resolve().parent.parent / "auditor" / "ftaudit" / "source" / "c" / "api_tables.py"

HEADER = '''"""Which functions of the C API lend their result, and how safe each is without the GIL: made, not written.

Made by `scripts/make_api_tables.py` from `Doc/data/refcounts.dat` and `Doc/data/threadsafety.dat` of CPython {release}.
"""

from __future__ import annotations

from typing import Final

RELEASE: Final = "{release}"
"""The CPython release whose documentation says this."""
'''


def main() -> int:
    """Write the module, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="an unpacked CPython source tree")
    parser.add_argument("--check", action="store_true", help="only say whether the file is up to date")
    options = parser.parse_args()
    text = make(options.source)
    if options.check:
        same = OUTPUT.read_text(encoding="utf-8") == text
        print("up to date" if same else f"{OUTPUT.name} is not what {options.source} gives")
        return 0 if same else 1
    OUTPUT.write_text(text, encoding="utf-8")
    print(f"{OUTPUT}: {text.count(chr(10))} lines")
    return 0


def make(source: Path) -> str:
    """Return the text of the module."""
    patchlevel = (source / "Include" / "patchlevel.h").read_text(encoding="utf-8")
    version = re.search(r'#define\s+PY_VERSION\s+"([^"]+)"', patchlevel)
    if version is None:
        raise SystemExit(f"{source}: no PY_VERSION in Include/patchlevel.h")
    lends = sorted(read_lenders(source / "Doc" / "data" / "refcounts.dat"))
    levels = dict(read_levels(source / "Doc" / "data" / "threadsafety.dat"))
    lines = [HEADER.format(release=version[1])]
    lines.append("LENDS: Final = frozenset(\n    {\n" + "".join(f'        "{name}",\n' for name in lends) + "    }\n)")
    lines.append('"""Functions that return a borrowed reference."""\n')
    rows = "".join(f'    "{name}": "{level}",\n' for name, level in sorted(levels.items()))
    lines.append("LEVELS: Final[dict[str, str]] = {\n" + rows + "}")
    lines.append(
        '"""atomic, shared (safe on one object), distinct (safe on distinct objects), compatible (the caller\n'
        'must lock), incompatible (not even then)."""\n'
    )
    return "\n".join(lines)


def read_lenders(path: Path) -> Iterator[str]:
    """Yield the functions whose result is a reference with a count of 0, that is borrowed."""
    for line in path.read_text(encoding="utf-8").splitlines():
        found = re.match(r"(\w+):[^:]*\*:\s*:0:", line)
        if found:
            yield found[1]


def read_levels(path: Path) -> Iterator[tuple[str, str]]:
    """Yield functions with their level of thread safety."""
    for line in path.read_text(encoding="utf-8").splitlines():
        found = re.match(r"(\w+):(\w+):", line)
        if found and not line.startswith("#"):
            yield found[1], found[2]


if __name__ == "__main__":
    sys.exit(main())
