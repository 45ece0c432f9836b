#!/usr/bin/env python3
"""Make the generated modules of `auditor/ftaudit/cpython/` from CPython's sources and interpreters.

    scripts/make_cpython_data.py tables CPYTHON-SOURCE [--check]    api_tables.py: Doc/data/{refcounts,threadsafety}.dat
    scripts/make_cpython_data.py slots CPYTHON-SOURCE [--check]     module_slots.py: Python/slots.toml (3.15)
    scripts/make_cpython_data.py exports PYTHON... [--check]        exports.txt: what each interpreter exports (nm -D)
    scripts/make_cpython_data.py abi3t PYTHON3.15T [--check]        outside_abi3t.txt: what the headers hide (gcc -E)

The release is read from `Include/patchlevel.h`. With `--check`, nothing is written: the exit code is 1 when the file
is not what would be made. `exports` needs a free-threaded interpreter of each version, linked statically on Linux, and
binutils' `nm`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import tomli

ROOM = Path(__file__).resolve().parent.parent / "auditor" / "ftaudit" / "cpython"

TABLES_HEADER = '''"""Which functions of the C API lend their result, and how safe each is without the GIL: generated.

Made by `scripts/make_cpython_data.py tables` from `Doc/data/refcounts.dat` and `Doc/data/threadsafety.dat` of CPython
{release}.
"""

from __future__ import annotations

from typing import Final

RELEASE: Final = "{release}"
"""The CPython release whose documentation says this."""
'''

SLOTS_HEADER = '''"""The module slots of CPython {release}, by number: generated.

Made by `scripts/make_cpython_data.py slots` from `Python/slots.toml` (PEP 820).
"""

from __future__ import annotations

from typing import Final

RELEASE: Final = "{release}"
"""The CPython release whose source says this."""
'''


def main() -> int:
    """Write one module, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=MAKERS, help="which file")
    parser.add_argument("sources", type=Path, nargs="+", help="an unpacked CPython source tree, or interpreters")
    parser.add_argument("--check", action="store_true", help="only print whether the file is up to date")
    options = parser.parse_args()
    name, make = MAKERS[options.what]
    output, text = ROOM / name, make(options.sources)
    if options.check:
        same = output.read_text(encoding="utf-8") == text
        print("up to date" if same else f"{output.name} is not what {', '.join(map(str, options.sources))} gives")
        return 0 if same else 1
    output.write_text(text, encoding="utf-8")
    print(f"{output}: {text.count(chr(10))} lines")
    return 0


def read_release(source: Path) -> str:
    """Return the version of a CPython source tree."""
    patchlevel = (source / "Include" / "patchlevel.h").read_text(encoding="utf-8")
    version = re.search(r'#define\s+PY_VERSION\s+"([^"]+)"', patchlevel)
    if version is None:
        raise SystemExit(f"{source}: no PY_VERSION in Include/patchlevel.h")
    return version[1]


def make_tables(sources: list[Path]) -> str:
    """Return the text of `api_tables.py`."""
    source = sources[0]
    lends = sorted(read_lenders(source / "Doc" / "data" / "refcounts.dat"))
    levels = dict(read_levels(source / "Doc" / "data" / "threadsafety.dat"))
    lines = [TABLES_HEADER.format(release=read_release(source))]
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


def make_slots(sources: list[Path]) -> str:
    """Return the text of `module_slots.py`: the slots that a module may have, and the aliases that stand for them."""
    table = tomli.loads((sources[0] / "Python" / "slots.toml").read_text(encoding="utf-8"))
    slots = {int(number): entry for number, entry in table.items()}
    mine = {number: entry for number, entry in slots.items() if entry["kind"] in ("mod", "slot")}
    numbers = {entry["name"]: number for number, entry in mine.items()}
    aliases = {
        number: numbers[entry["equivalents"]["mod"]]
        for number, entry in slots.items()
        if entry["kind"] == "compat" and "mod" in entry["equivalents"]
    }
    pointers = ("ptr", "func")
    facts: tuple[tuple[str, str, dict[int, str] | dict[int, int] | list[int]], ...] = (
        ("NAMES", "Names of the slots that may be in a module's arrays.", {n: e["name"] for n, e in mine.items()}),
        ("ALIASES", "The numbers that slots had up to 3.14, with those that they have now.", aliases),
        (
            "UNIQUE",
            "Slots of which there may be only one.",
            [n for n, e in mine.items() if e.get("duplicates", "reject") == "reject"],
        ),
        (
            "NEVER_NULL",
            "Slots whose value may not be null.",
            [n for n, e in mine.items() if e["dtype"] in pointers and e.get("nulls", "reject") == "reject"],
        ),
        (
            "STATIC",
            "Slots that need the flag `PySlot_STATIC` in a `PySlot` array.",
            [n for n, e in mine.items() if e.get("must_be_static", False)],
        ),
    )
    lines = [SLOTS_HEADER.format(release=read_release(sources[0]))]
    for name, what, values in facts:
        if isinstance(values, dict):
            kind = "str" if name == "NAMES" else "int"
            quote = '"' if name == "NAMES" else ""
            rows = "".join(f"    {number}: {quote}{value}{quote},\n" for number, value in values.items())
            lines.append(f"{name}: Final[dict[int, {kind}]] = {{\n{rows}}}")
        else:
            lines.append(f"{name}: Final[frozenset[int]] = frozenset({{{', '.join(map(str, values))}}})")
        lines.append(f'"""{what}"""\n')
    return "\n".join(lines)


def make_exports(interpreters: list[Path]) -> str:
    """Return the text of `exports.txt`: each symbol with the versions whose free-threaded build exports it on Linux."""
    found: dict[str, list[str]] = {}
    names = []
    for interpreter in interpreters:
        ask = "import sys; print('%d.%d' % sys.version_info[:2] + sys.abiflags, sys.version.split()[0])"
        version, release = subprocess.check_output([interpreter, "-I", "-c", ask], text=True).split()
        names.append(f"{version} ({release})")
        dynamic = subprocess.check_output(["nm", "-D", "--defined-only", interpreter], text=True)
        for line in dynamic.splitlines():
            symbol = line.split()[-1]
            if re.match(r"_?Py(?!Init_)\w+$", symbol):
                found.setdefault(symbol, []).append(version)
    rows = "".join(f"{symbol} {' '.join(versions)}\n" for symbol, versions in sorted(found.items()))
    return f"# Made by scripts/make_cpython_data.py exports, from {', '.join(names)}.\n{rows}"


def make_outside_abi3t(interpreters: list[Path]) -> str:
    """Return the text of `outside_abi3t.txt`: names of the headers that `Py_TARGET_ABI3T` hides."""
    ask = "import sys, sysconfig; print(sysconfig.get_path('include'), sys.version.split()[0])"
    folder, release = subprocess.check_output([interpreters[0], "-I", "-c", ask], text=True).split()
    source = "".join(f"#include <{name}>\n" for name in ("Python.h", "datetime.h", "structmember.h"))

    def names(*flags: str) -> set[str]:
        command = ["gcc", "-E", "-dD", "-x", "c", "-I", folder, *flags, "-"]
        text = subprocess.run(command, input=source, text=True, check=True, capture_output=True).stdout
        return set(re.findall(r"\b_?Py[A-Z_]\w*", text))

    hidden = names() - names("-DPy_TARGET_ABI3T=0x030f0000")
    rows = "".join(f"{name}\n" for name in sorted(hidden) if not name.endswith("_H"))
    return f"# Made by scripts/make_cpython_data.py abi3t, from the headers of 3.15t ({release}).\n{rows}"


MAKERS: dict[str, tuple[str, Callable[[list[Path]], str]]] = {
    "tables": ("api_tables.py", make_tables),
    "slots": ("module_slots.py", make_slots),
    "exports": ("exports.txt", make_exports),
    "abi3t": ("outside_abi3t.txt", make_outside_abi3t),
}


if __name__ == "__main__":
    sys.exit(main())
