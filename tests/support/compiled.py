"""Releases with compiled code for a test's index: the modules in their wheels are fixtures that declare one thing."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from support.distributions import wheel
from support.index_server import ServedFile

PLATFORM = "manylinux_2_17_x86_64"
OTHER = "manylinux_2_17_aarch64"
BINARIES = Path(__file__).parents[2] / "fixtures" / "binaries"
FOLDERS = {PLATFORM: BINARIES / "linux-x86_64", OTHER: BINARIES / "linux-aarch64"}
GOOD, BAD, UNSURE = "multi_not_used", "multi_used", "endless"


def release(
    name: str, version: str, case: str | None, *, requires: Sequence[str] = (), platform: str = PLATFORM
) -> tuple[ServedFile, ServedFile]:
    """Return the wheels of both builds; the free-threaded one's module is a fixture."""
    ordinary = wheel(name, version, tag=f"cp314-cp314-{platform}", requires=requires)
    if case is None:
        return ordinary, wheel(name, version, requires=requires)
    empty = wheel(name, version, tag=f"cp314-cp314t-{platform}", requires=requires)
    (image,) = FOLDERS[platform].glob(f"{case}.*")
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(empty.data)) as source, zipfile.ZipFile(buffer, "w") as archive:
        for member in source.namelist():
            archive.writestr(zipfile.ZipInfo(member), source.read(member))  # without today's time: the same each time
        archive.writestr(zipfile.ZipInfo(f"{name}/{image.name}"), image.read_bytes())
    return ordinary, ServedFile(filename=empty.filename, data=buffer.getvalue())
