"""Small wheels and sdists for a test's index, made on the fly."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from support.index_server import ServedFile


def wheel(
    name: str, version: str, *, requires: Iterable[str] = (), extras: Iterable[str] = (), tag: str = "py3-none-any"
) -> ServedFile:
    """Return a wheel that holds nothing but its metadata."""
    stem = f"{name.replace('-', '_')}-{version}"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{stem}.dist-info/METADATA", _metadata(name, version, requires, extras))
        archive.writestr(
            f"{stem}.dist-info/WHEEL", f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n"
        )
        archive.writestr(f"{stem}.dist-info/RECORD", "")
    return ServedFile(filename=f"{stem}-{tag}.whl", data=buffer.getvalue())


def with_members(empty: ServedFile, members: Mapping[str, str | bytes]) -> ServedFile:
    """Return a wheel with more members, which its RECORD lists."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(empty.data)) as source, zipfile.ZipFile(buffer, "w") as archive:
        for name in source.namelist():
            listed = "".join(f"{member},,\n" for member in (*source.namelist(), *members))
            archive.writestr(name, listed if name.endswith("/RECORD") else source.read(name))
        for name, content in members.items():
            archive.writestr(name, content)
    return ServedFile(filename=empty.filename, data=buffer.getvalue())


def trapped_sdist(name: str, version: str, canary: Path) -> ServedFile:
    """Return an sdist without static metadata whose build writes the canary file."""
    stem = f"{name.replace('-', '_')}-{version}"
    spring = f"open({str(canary)!r}, 'a').write('built')\n"
    setup = f"{spring}from setuptools import setup\nsetup(name={name!r}, version={version!r})\n"
    backend = (
        f"{spring}"
        "def get_requires_for_build_wheel(*a, **k): return []\n"
        "def prepare_metadata_for_build_wheel(*a, **k): raise SystemExit(1)\n"
    )
    project = '[build-system]\nrequires = []\nbuild-backend = "trap"\nbackend-path = ["."]\n'
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in (("setup.py", setup), ("trap.py", backend), ("pyproject.toml", project)):
            member = tarfile.TarInfo(f"{stem}/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return ServedFile(filename=f"{stem}.tar.gz", data=buffer.getvalue())


def _metadata(name: str, version: str, requires: Iterable[str], extras: Iterable[str]) -> str:
    lines = ["Metadata-Version: 2.2", f"Name: {name}", f"Version: {version}"]
    lines += [f"Provides-Extra: {extra}" for extra in extras]
    lines += [f"Requires-Dist: {line}" for line in requires]
    return "\n".join((*lines, "", ""))


def sdist(name: str, version: str, files: Mapping[str, str], *, requires_python: str | None = None) -> ServedFile:
    """Return an sdist that holds the files."""
    stem = f"{name.replace('-', '_')}-{version}"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{stem}/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return ServedFile(filename=f"{stem}.tar.gz", data=buffer.getvalue(), requires_python=requires_python)
