"""Reads an installed environment from the metadata that installers leave; no code in it is run or imported."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from packaging.utils import canonicalize_name

from ftaudit.errors import InputError
from ftaudit.lockfiles.direct import local_path
from ftaudit.lockfiles.fields import listing
from ftaudit.lockfiles.formats.distinfo import Distribution, read_distribution
from ftaudit.lockfiles.formats.on_disk import CondaPackage, InstalledFiles, conda_owners, find_on_disk, read_conda
from ftaudit.lockfiles.input_files import read_bytes
from ftaudit.lockfiles.requirements import Edge, InputFormat, LockData, LockedPackage, Requirements
from ftaudit.model import DistributionFile, Location, OnDisk
from ftaudit.urls import public

MAX_ENTRIES: Final = 100_000
"""Maximum number of entries in a packages folder."""
_PLACES: Final = (
    "lib/python*/site-packages",
    "lib64/python*/site-packages",
    "lib/pypy*/site-packages",
    "Lib/site-packages",
    "lib/python*/dist-packages",
    "local/lib/python*/dist-packages",
    "usr/lib/python*/site-packages",
    "usr/lib/python*/dist-packages",
    "usr/lib64/python*/site-packages",
    "usr/local/lib/python*/site-packages",
    "usr/local/lib/python*/dist-packages",
    "opt/*/lib/python*/site-packages",
    "app/.venv/lib/python*/site-packages",
    ".venv/lib/python*/site-packages",
)
"""The packages folders of virtual environments and prefixes (sysconfig's schemes, and Debian's)."""
_WHAT: Final = "specify a virtual environment, a prefix or a site-packages folder"


def read(path: Path) -> Requirements:
    """Return the packages installed in a virtual environment, a prefix, or a packages folder.

    Each distribution is a pin of its version; its dependencies come from `Requires-Dist`. The roots are the
    distributions that the installer marked (REQUESTED, PEP 376) and those that nothing else needs. Raise `InputError`
    for any other folder or an empty one; an error in one distribution is a row.
    """
    folders = find_folders(path)
    found = [read_distribution(entry) for folder in folders for entry in _entries(folder)]
    requested = [each for each in found if each.requested]
    is_chosen = len(requested) < len(found)
    prefix = next((each for each in (path, *list(path.absolute().parents)[:3]) if (each / "conda-meta").is_dir()), path)
    conda = read_conda(prefix)
    on_disk = find_on_disk(folders, found, conda)
    packages = (
        *(_package(each, on_disk.by_metadata.get(each.path)) for each in found),
        *_unlisted(prefix, folders, on_disk, conda),
    )
    return Requirements(
        path=path,
        format=InputFormat.ENVIRONMENT,
        lock=LockData(
            packages=packages,
            direct=tuple(
                Edge(name=each.name, version=str(each.version)) for each in requested if is_chosen and each.version
            ),
            tolerant=True,
            notes=tuple(_notes(path, found)),
            incomplete=tuple(
                f"{each.name}: skipped an invalid requirement: {line!r}"
                for each in found
                for line in each.needs.malformed
            ),
        ),
    )


def find_folders(path: Path) -> list[Path]:
    """Return the folders of packages: the path itself, or the prefix's package folders for one Python.

    Raise `InputError` if there is no such folder, or if it has packages of several Pythons.
    """
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise InputError(f"{path} {what}", hint=_WHAT)
    if any(_is_metadata(entry.name) for entry in _listing(path)):
        return [path]
    places = [place for pattern in _PLACES for place in sorted(path.glob(pattern)) if place.is_dir()]
    found = {place.resolve(): place for place in reversed(places)}
    folders = [place for place in found.values() if any(_is_metadata(entry.name) for entry in _listing(place))]
    versions = {place.parent.name for place in folders if place.parent.name.startswith("python3.")}
    if len(versions) > 1:
        raise InputError(
            f"{path} has packages for several Python versions: {', '.join(sorted(versions))}",
            hint=f"specify one, for example {folders[0]}",
        )
    if path.name in ("site-packages", "dist-packages"):
        return [path]
    if not folders and (path / "pyvenv.cfg").is_file():
        return list(found.values())[:1]
    if not folders:
        raise InputError(f"{path} has no installed package", hint=_WHAT)
    return folders


def _listing(folder: Path) -> list[Path]:
    try:
        entries = list(itertools.islice(folder.iterdir(), MAX_ENTRIES + 1))
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}") from error
    if len(entries) > MAX_ENTRIES:
        raise InputError(f"{folder} has more than {MAX_ENTRIES:,} entries")
    return sorted(entries)


def _entries(folder: Path) -> list[Path]:
    return [entry for entry in _listing(folder) if _is_metadata(entry.name)]


def _is_metadata(name: str) -> bool:
    """Return the metadata of distributions by name; pip renames leftovers to `~name`."""
    return name.endswith((".dist-info", ".egg-info", ".egg-link")) and not name.startswith(("~", "."))


def _unlisted(
    path: Path, folders: Sequence[Path], on_disk: InstalledFiles, conda: Sequence[CondaPackage]
) -> Iterator[LockedPackage]:
    """Yield files that no distribution lists: conda packages without one, and extension modules of unknown origin."""
    owners: dict[str, CondaPackage] = {}
    for folder in folders:
        owners |= conda_owners(conda, folder, path)
    for top, found in sorted(on_disk.others.items()):
        if not (found.abi or "").endswith("t"):
            continue  # Installed files are judged only in free-threaded environments.
        package = next((owners[file] for file in found.modules if file in owners), None)
        yield LockedPackage(
            name=package.name if package is not None else canonicalize_name(top.strip("-._") or "nameless"),
            version=package.version if package is not None else None,
            location=Location(path=str(package.path if package is not None else Path(found.root, found.modules[0]))),
            source=str(Path(found.root, top)),
            on_disk=found,
            from_index=False,
            problem=None if package is not None else "no installed distribution lists it",
        )


def _package(each: Distribution, on_disk: OnDisk | None) -> LockedPackage:
    files, tree, problem = _origin(each.direct_url) if each.direct_url is not None else (None, each.source_tree, None)
    return LockedPackage(
        name=each.name,
        version=each.version,
        location=Location(path=str(each.path)),
        source=str(each.path),
        files=files,
        edges=each.needs.edges,
        extra_edges=each.needs.extra_edges,
        source_tree=tree,
        on_disk=None if each.problem else on_disk,
        origin=_installed_how(each),
        from_index=files is None and tree is None,
        problem=each.problem or problem or (None if each.version or tree else "its metadata has no version"),
    )


def _installed_how(each: Distribution) -> str | None:
    if each.built_here:
        return "built on this machine"
    return "installed by conda" if each.installer == "conda" else None


def _origin(record: Any) -> tuple[tuple[DistributionFile, ...] | None, str | None, str | None]:
    """Return the file, the folder, or the problem that a `direct_url.json` describes (PEP 610)."""
    url = record.get("url") if isinstance(record, dict) else None
    if not isinstance(url, str):
        return None, None, "its direct_url.json does not say where it comes from"
    shown = public(url)
    if "vcs_info" in record:
        return None, None, f"it comes from a repository ({shown}), which ftaudit does not build"
    if "dir_info" in record:
        return None, str(local_path(url, Path())), None
    if url.lower().startswith("file:") and not local_path(url, Path()).is_file():
        return None, None, f"it was installed from a file that no longer exists: {shown}"
    info = record.get("archive_info")
    hashes = info.get("hashes") if isinstance(info, dict) else None
    pairs = sorted(hashes.items()) if isinstance(hashes, dict) else []
    file = DistributionFile(
        filename=url.partition("#")[0].partition("?")[0].rpartition("/")[2],
        url=url.partition("#")[0],
        hashes=tuple((name, digest.lower()) for name, digest in pairs if isinstance(digest, str)),
    )
    return (file,), None, None


def _notes(path: Path, found: Sequence[Distribution]) -> Iterable[str]:
    """Return notes on what differs from an index in the environment, and on what was not checked."""
    settings = _pyvenv(path)
    version = settings.get("version_info") or settings.get("version")
    if version:
        yield (
            f"{path} is an environment of Python {version[:20]}: for the free-threaded build of that version, ftaudit "
            "checks the installed files; for any other Python, it checks the files of the same versions on the index"
        )
    if settings.get("include-system-site-packages", "").lower() == "true":
        yield f"{path} also uses the system's packages, which were not checked: specify their folder with --env"
    odd = {
        "installed in an obsolete way (egg-info)": [e for e in found if e.path.suffix != ".dist-info"],
        "installed without a RECORD of its files": [
            e for e in found if not e.has_record and e.path.suffix == ".dist-info" and not e.problem
        ],
    }
    counts = Counter(each.name for each in found)
    odd["installed more than once"] = [each for each in found if counts[each.name] > 1]
    for what, which in odd.items():
        if which:
            yield f"{what}: {listing(each.name for each in which)}"


def _pyvenv(path: Path) -> dict[str, str]:
    """Return the content of the environment's `pyvenv.cfg` (PEP 405), from its top or from three folders below."""
    for folder in (path, *list(path.absolute().parents)[:3]):
        try:
            text = read_bytes(folder / "pyvenv.cfg")[:10_000].decode("utf-8", "replace")
        except InputError:
            continue
        pairs = (line.partition("=") for line in text.splitlines())
        return {key.strip().lower(): value.strip() for key, _, value in pairs}
    return {}
