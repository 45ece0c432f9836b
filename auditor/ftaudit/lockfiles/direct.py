"""Direct requirements: a URL, a file, or a folder instead of an index."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from packaging.utils import NormalizedName, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from ftaudit.lockfiles.input_files import file_name
from ftaudit.lockfiles.requirements import Reference, ReferenceKind
from ftaudit.model import DistributionFile

VCS_SCHEMES: Final = ("git+", "hg+", "svn+", "bzr+", "git:", "ssh:")
ARCHIVES: Final = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar")


def parse_reference(target: str, folder: Path) -> Reference:
    """Return the target of a URL or path; relative paths are relative to `folder`.

    Nothing is fetched. A `file:` URL or path of an archive is a file, any other local path is a tree.
    """
    bare = target.partition("#")[0]
    if bare.lower().startswith(VCS_SCHEMES):
        return Reference(kind=ReferenceKind.VCS, url=bare)
    scheme = urlsplit(bare).scheme.lower()
    if scheme in ("http", "https"):
        kind = ReferenceKind.VCS if urlsplit(bare).path.endswith(".git") else ReferenceKind.FILE
        return Reference(kind=kind, url=bare)
    path = local_path(bare, folder)
    if bare.lower().endswith(ARCHIVES):
        return Reference(kind=ReferenceKind.FILE, url=path.as_uri())
    return Reference(kind=ReferenceKind.TREE, url=str(path))


def local_path(target: str, folder: Path) -> Path:
    """Return the absolute path for a `file:` URL or a path relative to `folder`."""
    if target.lower().startswith("file:"):
        target = target[5:]
        if target.startswith("//"):
            target = "/" + target[2:].partition("/")[2]
        from urllib.request import url2pathname  # It imports http.client, which lock files never need.

        target = url2pathname(target)
    return Path(folder, target).absolute().resolve()


def fragment_hashes(target: str) -> frozenset[str]:
    """Return the `algorithm:digest`s of a URL's fragment (`#sha256=…`)."""
    pairs = parse_qs(target.partition("#")[2])
    known = ("sha256", "sha384", "sha512", "blake2b")
    return frozenset(f"{name}:{values[0].lower()}" for name, values in pairs.items() if name in known)


def parse_file(url: str) -> tuple[NormalizedName, Version] | None:
    """Return name and version from a wheel's or sdist's file name, or `None` if the name has none."""
    name = file_name(url)
    try:
        if name.endswith(".whl"):
            project, version, _, _ = parse_wheel_filename(name)
            return project, version
        return parse_sdist_filename(name)
    except ValueError:  # InvalidWheelFilename, InvalidSdistFilename, or more digits than Python converts.
        return None


def distribution_file(url: str, hashes: frozenset[str]) -> DistributionFile:
    """Return the only file that a direct requirement allows."""
    pairs = tuple(tuple(item.split(":", 1)) for item in sorted(hashes))
    return DistributionFile(filename=file_name(url), url=url, hashes=tuple((p[0], p[1]) for p in pairs))
