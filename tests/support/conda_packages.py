"""Conda packages of both formats, made on the fly as conda's documentation describes them."""

from __future__ import annotations

import bz2
import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

SITE = "lib/python3.14t/site-packages"


def compress(data: bytes) -> bytes:
    """Return the data as one Zstandard frame."""
    if sys.version_info >= (3, 14):
        from compression import zstd

        return zstd.compress(data)
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


def tar(files: Mapping[str, bytes], more: Iterable[tarfile.TarInfo] = ()) -> bytes:
    """Return a tar archive of the files, with further members that have no bytes (links, devices)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for member in more:
            archive.addfile(member)
    return buffer.getvalue()


def link(name: str, target: str) -> tarfile.TarInfo:
    """Return a symbolic link."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def index_json(name: str, **other: object) -> bytes:
    """Return `info/index.json` of a package for conda-forge's free-threaded Python 3.14."""
    table = {
        "name": name,
        "version": "1.0",
        "build": "py314_0",
        "build_number": 0,
        "subdir": "linux-64",
        "depends": ["__glibc >=2.17,<3.0.a0", "python >=3.14,<3.15.0a0", "python_abi 3.14.* *_cp314t"],
    }
    return json.dumps(table | other).encode()


def write_conda(
    folder: Path,
    name: str,
    files: Mapping[str, bytes],
    *,
    suffix: str = ".conda",
    more: Iterable[tarfile.TarInfo] = (),
    **index: object,
) -> Path:
    """Write a package whose `index.json` is `index_json` with the changes in `index`, and return its path."""
    info = {"info/index.json": index_json(name, **index)}
    stem = f"{name}-{index.get('version', '1.0')}-{index.get('build', 'py314_0')}"
    path = folder / f"{stem}{suffix}"
    if suffix == ".tar.bz2":
        path.write_bytes(bz2.compress(tar({**files, **info}, more)))
        return path
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        archive.writestr(f"pkg-{stem}.tar.zst", compress(tar(files, more)))
        archive.writestr(f"info-{stem}.tar.zst", compress(tar(info)))
    return path
