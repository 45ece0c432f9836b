"""Modules whose declaration depends on a machine-specific unknown, and their honest twins, compiled on the fly."""

from __future__ import annotations

import functools
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from support.freethreaded import interpreter

FOLDER = Path(__file__).parents[2] / "fixtures" / "depends"
SHAPES = (1, 2, 3, 4, 5)
"""How a module declares: `skeleton.h` defines each number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One question that a module may ask the machine."""

    folder: str
    """The class of questions, named like its file."""
    name: str
    cpp: bool
    code: str

    @property
    def label(self) -> str:
        """Return class and name."""
        return f"{self.folder}/{self.name}"


def cases(folder: Path = FOLDER) -> tuple[Case, ...]:
    """Return every case of the fixtures, in order."""
    found = []
    for file in sorted(folder.glob("*.c")):
        _, *parts = re.split(r"^//# ", file.read_text(), flags=re.MULTILINE)
        for part in parts:
            head, _, code = part.partition("\n")
            name, _, language = head.partition(" ")
            found.append(Case(folder=file.stem, name=name, cpp=language == "c++", code=code))
    return tuple(found)


@functools.cache
def _include() -> str:
    code = "import sysconfig; print(sysconfig.get_paths()['include'])"
    ran = subprocess.run([interpreter().path, "-I", "-c", code], capture_output=True, check=True, text=True)
    return ran.stdout.strip()


def compiled(case: Case, shape: int, *, honest: bool, optimize: str = "-O1") -> bytes:
    """Return the image of a case. Raise `CalledProcessError` if the compiler refuses it."""
    compiler = "g++" if case.cpp else "gcc"
    with tempfile.TemporaryDirectory() as folder:
        source, image = Path(folder) / ("subject.cpp" if case.cpp else "subject.c"), Path(folder) / "subject.so"
        source.write_text(f'#include "skeleton.h"\n{case.code}')
        flags = ["-shared", "-fPIC", "-w", optimize, f"-DSHAPE={shape}", *(["-DHONEST"] if honest else [])]
        if case.cpp:
            flags.append("-fpermissive")
        subprocess.run(
            [compiler, *flags, f"-I{_include()}", f"-I{FOLDER}", source, "-o", image, "-lm", "-ldl", "-lpthread"],
            check=True,
            capture_output=True,
        )
        return image.read_bytes()


def compiled_file(source: Path, *flags: str) -> bytes:
    """Return the image of a C file. Raise `CalledProcessError` if the compiler refuses it."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "subject.so"
        command = ["gcc", "-shared", "-fPIC", *flags, f"-I{_include()}", source, "-o", image]
        subprocess.run(command, check=True, capture_output=True)
        return image.read_bytes()


def turns_gil_on(image: bytes) -> bool | None:
    """Return whether importing the module turns the GIL on here; `None` if it cannot be imported."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "subject.so").write_bytes(image)
        code = f"import sys; sys.path.insert(0, {folder!r}); import subject; print('GIL', sys._is_gil_enabled())"
        ran = subprocess.run(
            [interpreter().path, "-I", "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60
        )
    found = re.search(r"GIL (True|False)", ran.stdout)
    return found[1] == "True" if ran.returncode == 0 and found else None
