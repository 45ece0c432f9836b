"""The free-threaded interpreter that tests run modules under, and wheels made on the fly for it."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from ftaudit.errors import InterpreterError
from ftaudit.interpreters import find_interpreter
from ftaudit.interpreters.find import VARIABLE
from ftaudit.model import Interpreter
from ftaudit.sandbox import WheelToImport
from ftaudit.settings import default_cache_dir
from ftaudit.target import parse_target

FIXTURES = Path(__file__).parents[2] / "fixtures"


@functools.cache
def interpreter() -> Interpreter:
    """Return the interpreter that `scripts/test` provided, or one on the machine; raise if there is none."""
    return find_interpreter(parse_target("3.14t"), cache_dir=default_cache_dir())


@functools.cache
def interpreter_of(target: str) -> str:
    """Return the path of the interpreter of one target, whatever `$FTAUDIT_PYTHON` names; raise if there is none."""
    named = os.environ.pop(VARIABLE, None)
    try:
        if named is not None:
            try:
                return find_interpreter(parse_target(target), explicit=Path(named), cache_dir=default_cache_dir()).path
            except InterpreterError:
                pass
        return find_interpreter(parse_target(target), cache_dir=default_cache_dir()).path
    finally:
        if named is not None:
            os.environ[VARIABLE] = named


@functools.cache
def suffix() -> str:
    """Return the interpreter's own suffix of extension modules."""
    return _ask("import importlib.machinery as m; print(m.EXTENSION_SUFFIXES[0])")


@functools.cache
def behaviours() -> bytes:
    """Return the image that `fixtures/extensions/behaviours.c` compiles to."""
    include = _ask("import sysconfig; print(sysconfig.get_paths()['include'])")
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "behaviours.so"
        source = FIXTURES / "extensions" / "behaviours.c"
        subprocess.run(["gcc", "-shared", "-fPIC", f"-I{include}", source, "-o", image], check=True)
        return image.read_bytes()


def make_wheel(folder: Path, name: str, files: Mapping[str, str | bytes], *, version: str = "1.0") -> WheelToImport:
    """Write a wheel and return it in the form that the sandbox needs.

    A file whose content is the text `extension` gets the compiled image; its name's suffix `.EXT` becomes the
    interpreter's own.
    """
    normal = canonicalize_name(name).replace("-", "_")
    path = folder / f"{normal}-{version}-cp314-cp314t-linux_x86_64.whl"
    info = f"{normal}-{version}.dist-info"
    members: dict[str, bytes] = {}
    for file, content in files.items():
        data = behaviours() if content == "extension" else content
        members[file.replace(".EXT", suffix())] = data.encode() if isinstance(data, str) else data
    members[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    members[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp314-cp314t-linux_x86_64\n"
    record = "".join(f"{file},sha256={_record_hash(data)},{len(data)}\n" for file, data in members.items())
    members[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in members.items():
            archive.writestr(file, data)
    return WheelToImport(
        name=canonicalize_name(name),
        version=version,
        filename=path.name,
        location=str(path),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _ask(code: str) -> str:
    ran = subprocess.run([interpreter().path, "-I", "-c", code], capture_output=True, check=True, text=True)
    return ran.stdout.strip()
