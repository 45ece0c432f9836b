"""Wheels for tests: small, honest ones, and images that look like shared objects."""

from __future__ import annotations

import base64
import hashlib
import io
import struct
import warnings
import zipfile
from collections.abc import Mapping

NAME = "demo-1.0-cp314-cp314t-manylinux_2_17_x86_64.whl"
CORE = "demo/_core.cpython-314t-x86_64-linux-gnu.so"
TAG = "cp314-cp314t-manylinux_2_17_x86_64"


def elf(module: str = "_core", *, mapped: bytes = b"", unmapped: bytes = b"", hook: str = "PyInit_") -> bytes:
    """Return bytes that start like a 64-bit ELF file of one segment, with `unmapped` bytes behind it.

    It exports nothing: it merely contains the hook's name, as a string table does.
    """
    content = b"\0" + hook.encode() + module.encode() + b"\0" + mapped
    size = 64 + 56 + len(content)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, size + len(unmapped), 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 4096)
    return header + segment + content + unmapped


def metadata(*classifiers: str) -> bytes:
    """Return a METADATA file with these classifiers."""
    lines = ["Metadata-Version: 2.4", "Name: demo", "Version: 1.0", *(f"Classifier: {name}" for name in classifiers)]
    return ("\n".join(lines) + "\n\nClassifier: this is the description\n").encode()


def wheel(
    members: Mapping[str, bytes] | None = None,
    *,
    classifiers: tuple[str, ...] = (),
    tags: tuple[str, ...] = (TAG,),
    compression: int = zipfile.ZIP_DEFLATED,
    comment: bytes = b"",
    info: Mapping[str, bytes] | None = None,
) -> bytes:
    """Return a wheel of these members and a proper `.dist-info`, of which `info` replaces or (empty) drops files."""
    files = dict(members) if members is not None else {CORE: elf(), "demo/__init__.py": b""}
    folder = "demo-1.0.dist-info"
    files[f"{folder}/METADATA"] = metadata(*classifiers)
    files[f"{folder}/WHEEL"] = "".join(["Wheel-Version: 1.0\n", *(f"Tag: {tag}\n" for tag in tags)]).encode()
    files[f"{folder}/RECORD"] = (
        b"".join(b"%s,sha256=%s,%d\n" % (name.encode(), _record_hash(data), len(data)) for name, data in files.items())
        + f"{folder}/RECORD,,\n".encode()
    )
    for name, data in (info or {}).items():
        files[f"{folder}/{name}"] = data
        if not data:
            del files[f"{folder}/{name}"]
    return archive(files.items(), compression=compression, comment=comment)


def archive(files: object, *, compression: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    """Return a zip of pairs of name and bytes, in order, duplicates and all."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as file:
        warnings.simplefilter("ignore", UserWarning)
        for name, data in files:  # type: ignore[attr-defined]
            file.writestr(name, data)
        file.comment = comment
    return buffer.getvalue()


def incompressible(size: int, seed: bytes = b"") -> bytes:
    """Return the same bytes every time, which no compressor makes smaller."""
    return hashlib.shake_256(seed).digest(size)


def _record_hash(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
