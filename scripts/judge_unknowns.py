#!/usr/bin/env python3
"""Judge the binary tier by modules whose declaration depends on the machine: `judge_unknowns.py [CLASS ...]`.

Compiles each case of fixtures/depends twice in each of `--shapes` ways to declare: guilty and honest. The guilty one is
imported, and counts as wrong if the tier and the import disagree. The honest one asks the
same and declares the same for every answer: it counts as lost if the tier leaves it undetermined. The exit status
is 1 if more than 5 % are wrong.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.unknowns import SHAPES, Case, cases, compiled, turns_gil_on  # type: ignore[import-not-found]

from ftaudit.binary.declaration import read_declaration
from ftaudit.model import GilDeclaration, ModuleBinary

WANTED_PERCENT = 5.0


def main() -> int:
    """Print the wrong and lost cases, and the counts of each class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("classes", nargs="*")
    parser.add_argument("--shapes", type=int, default=1, help="in how many ways each case declares, 1 to 5")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    for number, case in enumerate(cases()):
        if options.classes and not {case.folder, case.label} & set(options.classes):
            continue
        for turn in range(options.shapes):
            shape = SHAPES[(number + turn) % len(SHAPES)]
            for honest in (False, True):
                outcome, how = judged(case, shape, honest=honest)
                counts[(case.folder, outcome)] += 1
                if options.verbose or outcome in ("wrong", "lost", "not built", "not imported"):
                    print(f"{outcome}: {case.label}, shape {shape}: {how}")
    for folder in sorted({folder for folder, _ in counts}):
        print(f"  {folder}: {', '.join(f'{n} {what}' for (f, what), n in sorted(counts.items()) if f == folder)}")
    total: Counter[str] = Counter()
    for (_, outcome), number in counts.items():
        total[outcome] += number
    guilty = total["wrong"] + total["right"] + total["undetermined"]
    percent = 100 * total["wrong"] / guilty if guilty else 0.0
    print(f"{guilty} guilty: {total['wrong']} wrong ({percent:.1f} %, wanted at most {WANTED_PERCENT}), "
          f"{total['undetermined']} undetermined, {total['right']} as imported; "
          f"honest: {total['kept']} decided, {total['lost']} lost, {total['blamed']} blamed")  # fmt: skip
    return int(percent > WANTED_PERCENT)


def judged(case: Case, shape: int, *, honest: bool) -> tuple[str, str]:
    """Return the outcome of one module, and the tier's words."""
    try:
        image = compiled(case, shape, honest=honest)
    except subprocess.CalledProcessError as error:
        return "not built", error.stderr.decode()[:300]
    try:
        binary = read(image)
    except Exception as error:
        return "wrong", f"{type(error).__name__}: {error}"
    if honest:
        match binary.declaration:
            case GilDeclaration.NOT_USED:
                return "kept", binary.how
            case GilDeclaration.UNDETERMINED:
                return "lost", binary.how
        return "blamed", binary.how
    if binary.declaration is GilDeclaration.UNDETERMINED:
        return "undetermined", binary.how
    truth = turns_gil_on(image)
    if truth is None:
        return "not imported", binary.how
    return ("right" if (binary.declaration is not GilDeclaration.NOT_USED) is truth else "wrong"), binary.how


def read(image: bytes) -> ModuleBinary:
    """Read one module as an audit does."""
    return read_declaration(
        image, module_name="subject", path="subject.cpython-314t-x86_64-linux-gnu.so", target_version=(3, 14)
    )


if __name__ == "__main__":
    sys.exit(main())
