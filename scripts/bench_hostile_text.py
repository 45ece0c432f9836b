#!/usr/bin/env python3
"""Print the hostile texts that cost the C rules most, next to the same amount of usual C, and how the cost grows.

Usage: scripts/bench_hostile_text.py [--size CHARACTERS] [--rows N]

Each text is one token or prefix over and over, or nested. `growth` is the time for four times the text divided by the
time for the text: about 4 is linear, 16 is quadratic. tree-sitter's query cursor is quadratic in the depth of nested
loops without braces; everything else is to stay below 8.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from pathlib import Path

from ftaudit.registry import load_rules
from ftaudit.rule import Language, SourceRule
from ftaudit.source.run_rules import check_texts
from ftaudit.target import parse_target

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support.hostile_text import C_BRACKETS, C_PIECES, nested, repeated  # type: ignore[import-not-found]

RULES = tuple(
    rule for rule in load_rules().rules if isinstance(rule, SourceRule) and rule.languages & {Language.C, Language.CPP}
)
USUAL = "int f_{}(PyObject *self) {{ int count = 0; if (self != NULL) {{ count += 1; }} return count; }}\n"
TIMES = 4


def seconds(text: str) -> float:
    """Return the least processor time of three runs, in seconds."""
    best = float("inf")
    for _ in range(3):
        gc.collect()
        start = time.process_time()
        check_texts({"a.c": text}, RULES, parse_target("3.14t"))
        best = min(best, time.process_time() - start)
    return best


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=16_000, metavar="CHARACTERS")
    parser.add_argument("--rows", type=int, default=10)
    options = parser.parse_args()
    texts = dict((*repeated(C_PIECES, options.size), *nested(C_BRACKETS, options.size)))
    longer = dict((*repeated(C_PIECES, TIMES * options.size), *nested(C_BRACKETS, TIMES * options.size)))
    usual = "".join(map(USUAL.format, range(1 + options.size // len(USUAL))))[: options.size]
    peer = seconds(usual)
    costs = {piece: seconds(text) for piece, text in texts.items()}
    print(f"{'text':40} {'seconds':>8} {'/ usual C':>9} {'growth':>7}")
    print(f"{'usual C':40} {peer:8.3f} {1:9.1f}")
    for piece in sorted(costs, key=lambda piece: -costs[piece])[: options.rows]:
        growth = seconds(longer[piece]) / costs[piece]
        print(f"{piece!r:40} {costs[piece]:8.3f} {costs[piece] / peer:9.1f} {growth:7.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
