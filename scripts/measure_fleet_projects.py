#!/usr/bin/env python3
"""Measure `ftaudit fleet check` over many lock files whose wheels are known.

    scripts/measure_fleet_projects.py --projects 2000 --pins 150 --wheels 20000      # limit: 5 minutes

The lock files name wheels of the synthetic index. The first run learns the facts and exports them to a store; the
second one starts with an empty cache, the store and without a network, and is the one that is measured.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from measure_fleet import Measured, measure
from synthetic_index import package_name, wheel

URL = "https://files.example/{}"


def lock(numbers: list[int]) -> str:
    """Return a uv.lock with these packages, each with twenty files as real ones have."""
    needs = ", ".join(f'{{ name = "{package_name(number)}" }}' for number in numbers)
    blocks = ['version = 1\nrevision = 3\nrequires-python = ">=3.14"\n']
    blocks.append(f'[[package]]\nname = "app"\nversion = "1"\nsource = {{ virtual = "." }}\ndependencies = [{needs}]\n')
    for number in sorted(numbers):
        filename, data, digest = wheel(number)
        stem = package_name(number).replace("-", "_")
        others = [f"{stem}-2.0-cp3{minor}-cp3{minor}-win_amd64.whl" for minor in range(5, 24) if minor != 14]
        files = [(filename, digest, len(data)), *((name, "0" * 64, 1000) for name in others)]
        wheels = "".join(
            f'    {{ url = "{URL.format(name)}", hash = "sha256:{sha256}", size = {size} }},\n'
            for name, sha256, size in files
        )
        blocks.append(
            f'[[package]]\nname = "{package_name(number)}"\nversion = "2.0"\n'
            f'source = {{ registry = "https://index.example/simple" }}\nwheels = [\n{wheels}]\n'
        )
    return "\n".join(blocks)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", type=int, default=2000)
    parser.add_argument("--pins", type=int, default=150)
    parser.add_argument("--wheels", type=int, default=20000)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="measure-projects-"))
    try:
        chance = random.Random(1)
        every = list(range(options.wheels))
        wheelhouse = folder / "wheelhouse"
        wheelhouse.mkdir()
        for number in every:
            filename, data, _ = wheel(number)
            (wheelhouse / filename).write_bytes(data)
        for number in range(options.projects):
            place = folder / "projects" / f"{number:05}"
            place.mkdir(parents=True)
            (place / "uv.lock").write_text(lock(chance.sample(every, options.pins)))
        store = folder / "known.ftfacts"
        cache = ("--cache-dir", str(folder / "learned"))
        wheels = folder / "wheels.csv"
        wheels.write_text(f"{wheelhouse}\n")
        common = ("--quiet", "--workers", "2", "--platform", "linux-x86_64")
        _say("learning", measure("fleet", "check", "--manifest", str(wheels), "-o", str(folder / "a"), *cache, *common))
        subprocess.run([sys.executable, "-m", "ftaudit", "facts", "export", "-o", str(store), *cache], check=True)
        cold = ("--cache-dir", str(folder / "empty"), "--facts", str(store), "--offline")
        _say("known", measure("fleet", "check", str(folder / "projects"), "-o", str(folder / "b"), *cold, *common))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _say(what: str, found: Measured) -> None:
    print(
        f"{what:10} {found.seconds:8.1f} s {found.processor:8.1f} s of processor time"
        f" {found.peak / (1 << 20):6.0f} MiB, exit code {found.code}",
        flush=True,
    )


if __name__ == "__main__":
    main()
