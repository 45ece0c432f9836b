#!/usr/bin/env python3
"""Counts the fixes that releases which do not declare get, and whether they may declare.

scripts/judge_fixes.py                  the releases below (needs the index)
scripts/judge_fixes.py NAME==VERSION…   others
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

RELEASES = (
    "lru-dict==1.3.0",
    "lz4==4.4.4",
    "netifaces==0.11.0",
    "rcssmin==1.2.1",
    "rjsmin==1.2.4",
    "crc32c==2.4",
    "pyahocorasick==2.1.0",
    "python-ldap==3.4.4",
    "mysqlclient==2.2.7",
    "psycopg2==2.9.10",
    "zstandard==0.23.0",
    "python-Levenshtein==0.12.2",
    "line-profiler==4.1.3",
    "fastrlock==0.8.3",
    "cchardet==2.1.7",
)


def ftaudit(*arguments: str) -> tuple[int, str, str]:
    """Run the command; return its exit code and both outputs."""
    done = subprocess.run(
        [sys.executable, "-m", "ftaudit", "scan", *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def main() -> None:
    """Print a row for each release, and the sums."""
    total: Counter[str] = Counter()
    print(f"{'release':28} {'findings':>8} {'safe':>5} {'sugg.':>5} {'refused':>7} {'none':>5}  declare")
    for release in sys.argv[1:] or RELEASES:
        _, text, _ = ftaudit(release, "--format", "json")
        try:
            findings = json.loads(text)["findings"]
        except ValueError:
            print(f"{release:28} cannot be scanned")
            continue
        kinds = Counter(
            "none" if fix is None else fix["applicability"] or f"refused {fix['obstacle']}"
            for fix in (finding["fix"] for finding in findings)
        )
        total += kinds
        refused = sum(count for kind, count in kinds.items() if kind.startswith("refused"))
        code, _, told = ftaudit(release, "--declare")
        first = told.splitlines()[0].removeprefix("ftaudit: ")[:70] if told else ""
        print(
            f"{release:28} {len(findings):8} {kinds['safe']:5} {kinds['suggested']:5} {refused:7} {kinds['none']:5}  "
            f"exit {code}: {first}",
            flush=True,
        )
    for kind, count in total.most_common():
        print(f"  {kind}: {count}")


if __name__ == "__main__":
    main()
