"""Wheels of the modules with planted races, and of their fixed twins, compiled for the interpreter of the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.freethreaded import FIXTURES, interpreter, make_wheel

from ftaudit.sandbox import WheelToImport

RACES = FIXTURES / "extensions" / "races"
NAMES = tuple(sorted(path.stem for path in RACES.glob("*.c")))


def race_wheel(folder: Path, name: str, *, fixed: bool, races: Path = RACES) -> WheelToImport:
    """Return a wheel with the module of `NAME.c` in a folder, that of the fixtures unless another one is given."""
    code = "import sysconfig; print(sysconfig.get_paths()['include'])"
    asked = subprocess.run([interpreter().path, "-I", "-c", code], capture_output=True, check=True, text=True)
    image = folder / f"{name}.so"
    flags = ["-DFIXED"] if fixed else []
    command = ["gcc", "-O1", "-shared", "-fPIC", *flags, f"-I{asked.stdout.strip()}", races / f"{name}.c", "-o", image]
    subprocess.run(command, check=True)
    return make_wheel(folder, name, {f"{name}.EXT": image.read_bytes()})
