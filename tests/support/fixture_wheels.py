"""Wheels of the fixture modules, and lock files that name them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from support.index_server import ServedFile
from support.wheels import archive

BINARIES = Path(__file__).parents[2] / "fixtures" / "binaries" / "linux-x86_64"
GOOD, GUILTY = "multi_not_used", "multi_used"


def project_name(module: str) -> str:
    """Return the normalized name of a module's project."""
    return module.replace("_", "-")


@functools.cache
def wheel_of(module: str) -> ServedFile:
    """Return the wheel of a module, the same bytes each time."""
    name = f"{module}.cpython-314t-x86_64-linux-gnu.so"
    tag = "cp314-cp314t-manylinux_2_17_x86_64"
    folder = f"{module}-1.0.dist-info"
    members = {
        name: (BINARIES / name).read_bytes(),
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n".encode(),
        f"{folder}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
        f"{folder}/RECORD": b"",
    }
    return ServedFile(filename=f"{module}-1.0-{tag}.whl", data=archive(members.items()))


def uv_lock(wheels: Mapping[str, tuple[str, str]]) -> str:
    """Return a lock file of a project that needs these modules, each with the address and digest of its wheel."""
    needs = ", ".join(f'{{ name = "{project_name(module)}" }}' for module in wheels)
    blocks = [
        f'[[package]]\nname = "{project_name(module)}"\nversion = "1.0"\n'
        'source = { registry = "https://index.example/simple" }\n'
        f'wheels = [{{ url = "{url}", hash = "sha256:{digest}" }}]\n'
        for module, (url, digest) in wheels.items()
    ]
    project = f'[[package]]\nname = "app"\nversion = "1"\nsource = {{ virtual = "." }}\ndependencies = [{needs}]\n'
    return "\n".join(('version = 1\nrevision = 3\nrequires-python = ">=3.14"\n', project, *blocks))
