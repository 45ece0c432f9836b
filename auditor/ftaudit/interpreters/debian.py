"""The machine's Debian package archive: its address, files from its pool, and packages unpacked without root."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from ftaudit.errors import InterpreterError
from ftaudit.processes import run_tool
from ftaudit.whole_files import digest_of

APT_SECONDS: Final = 120.0
DOWNLOAD_SECONDS: Final = 300.0
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SUITE: Final = "sid"
_ORIGINAL: Final = r"(?m)^ ([0-9a-f]{{64}}) \d+ {}_([0-9][\w.~+]*)\.orig\.tar\.xz$"
"""A line of `Checksums-Sha256` in a source's paragraph."""
_HELPER: Final = Path("/usr/lib/apt/apt-helper")
_SOURCES: Final = Path("/etc/apt")


def archive_addresses() -> tuple[str, ...]:
    """Return the addresses of the archives that this machine's apt is configured with, in its order, each once.

    apt names them itself once it has lists; on a machine whose lists were cleared they are read from
    `/etc/apt/sources.list` and `/etc/apt/sources.list.d/` (`sources.list(5)`: one-line and deb822 forms).
    """
    ran = run_tool(["apt-get", "indextargets", "--format", "$(REPO_URI)"], timeout=APT_SECONDS)
    named = ran.output.split() if ran.ok else []
    files = [_SOURCES / "sources.list", *sorted((_SOURCES / "sources.list.d").glob("*"))]
    for path in files:
        if path.suffix not in (".list", ".sources") or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".list":
            named += re.findall(r"^\s*deb(?:-src)?\s+(?:\[[^\]]*\]\s*)?(\S+)", text, re.MULTILINE)
        else:
            for uris in re.findall(r"^URIs:(.*(?:\n[ \t].*)*)", text, re.MULTILINE | re.IGNORECASE):
                named += uris.split()
    return tuple(dict.fromkeys(address.rstrip("/") + "/" for address in named if "://" in address))


def download(address: str, destination: Path, sha256: str) -> bool:
    """Fetch a file with apt's own proxy and credentials, and return whether it arrived and has that SHA-256."""
    # apt-helper is not on PATH but part of apt; it reads apt.conf, auth.conf and apt's proxies.
    ran = run_tool([_HELPER, "download-file", address, destination, f"SHA256:{sha256}"], timeout=DOWNLOAD_SECONDS)
    if not (ran.ok and destination.is_file()):
        destination.unlink(missing_ok=True)
        return False
    return digest_of(destination) == sha256


def find_sources(package: str, work: Path) -> dict[str, str]:
    """Return the upstream versions of a source package in Debian's development suite, with their tarballs' SHA-256.

    apt checks the archive's signature with the keyring of the system. Returns nothing if that fails, if the
    suite is not available or the archive is not Debian's.
    """
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    if not _KEYRING.is_file():
        return {}
    found: dict[str, str] = {}
    for address in archive_addresses():
        if not address.rstrip("/").endswith("/debian"):
            continue
        (work / "sources.list").write_text(f"deb-src [signed-by={_KEYRING}] {address} {_SUITE} main\n")
        options = [
            *("-o", f"Dir::State::lists={work / 'lists'}", "-o", f"Dir::Cache={work / 'cache'}"),
            *("-o", f"Dir::Etc::sourcelist={work / 'sources.list'}", "-o", "Dir::Etc::sourceparts=/dev/null"),
            *("-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1"),
        ]
        if not run_tool(["apt-get", *options, "update", "--error-on=any"], timeout=DOWNLOAD_SECONDS).ok:
            continue
        ran = run_tool(["apt-cache", *options, "showsrc", "--only-source", package], timeout=APT_SECONDS)
        for sha256, version in re.findall(_ORIGINAL.format(re.escape(package)), ran.output if ran.ok else ""):
            found.setdefault(version, sha256)
    return found


def unpack_packages(names: Sequence[str], sysroot: Path, work: Path) -> None:
    """Unpack development packages, with the libraries they need, into the folder `sysroot`.

    The system is not changed: if apt has no lists, they are fetched into `work`, which any user may do.
    Raise `InterpreterError` that names the unavailable packages.
    """
    private = work / "apt"
    options: list[str] = []
    packages = _with_libraries(names, options)
    if packages is None or not _download_packages(packages, options, work):
        for folder in ("lists/partial", "cache/archives/partial"):
            (private / folder).mkdir(parents=True, exist_ok=True)
        options = [
            *("-o", f"Dir::State::lists={private / 'lists'}", "-o", f"Dir::Cache={private / 'cache'}"),
            *("-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1"),
        ]
        updated = run_tool(["apt-get", *options, "update"], timeout=APT_SECONDS)
        packages = _with_libraries(names, options)
        if packages is None or not _download_packages(packages, options, work):
            raise InterpreterError(
                (
                    f"the package archive does not provide {', '.join(names)}: "
                    f"{updated.errors or 'apt-get download failed'}"
                ),
                hint=f"as root: apt-get install {' '.join(names)}",
            )
    sysroot.mkdir(parents=True, exist_ok=True)
    for deb in sorted(work.glob("*.deb")):
        unpacked = run_tool(["dpkg", "-x", deb, sysroot], timeout=APT_SECONDS)
        if not unpacked.ok:
            raise InterpreterError(f"{deb.name} cannot be unpacked: {unpacked.errors}")
    _relink(sysroot)
    for package in sysroot.glob("**/pkgconfig/*.pc"):
        # `PKG_CONFIG_SYSROOT_DIR` would move the system's own packages there too.
        text = package.read_text(encoding="utf-8", errors="surrogateescape")
        moved = re.sub(r"=/usr\b", lambda _: f"={sysroot}/usr", text)
        package.write_text(moved, encoding="utf-8", errors="surrogateescape")


def library_folders(sysroot: Path) -> tuple[Path, ...]:
    """Return the folders below `sysroot` that hold shared libraries."""
    found = {path.parent for path in sysroot.glob("**/*.so*")}
    return tuple(sorted(found, key=lambda folder: (len(folder.parts), str(folder))))


def include_folders(sysroot: Path) -> tuple[Path, ...]:
    """Return `usr/include` and its per-architecture companion below `sysroot`."""
    include = sysroot / "usr" / "include"
    return (include, *sorted(path for path in include.glob("*-linux-gnu*") if path.is_dir()))


def _with_libraries(names: Iterable[str], options: Sequence[str]) -> list[str] | None:
    """Return the packages and the libraries that they depend on directly, or `None` if apt does not list them."""
    ran = run_tool(
        ["apt-cache", *options, "depends", "--important", *names],
        timeout=APT_SECONDS,
        env=os.environ | {"LC_ALL": "C"},
    )
    if not ran.ok:
        return None
    depends = re.findall(r"^\s*\|?Depends: ([a-z0-9][a-z0-9+.-]*)", ran.output, re.MULTILINE)
    # gcc itself needs the C library, so it is installed.
    libraries = [name for name in depends if name.startswith(("lib", "zlib")) and not name.startswith("libc6")]
    return list(dict.fromkeys([*names, *libraries]))


def _download_packages(packages: Sequence[str], options: Sequence[str], work: Path) -> bool:
    return run_tool(["apt-get", *options, "download", *packages], timeout=DOWNLOAD_SECONDS, cwd=work).ok


def _relink(sysroot: Path) -> None:
    """Turn absolute links (`libz.so -> /lib/…/libz.so.1`) into links within the sysroot, if the target is there."""
    for link in [path for path in sysroot.glob("**/*.so*") if path.is_symlink()]:
        goal = link.readlink()
        if goal.is_absolute() and (inside := sysroot / goal.relative_to("/")).exists():
            link.unlink()
            link.symlink_to(inside)


def missing_tools() -> tuple[str, ...]:
    """Return the missing ones of the programs that a download from the archive needs."""
    needed = ("apt-get", "apt-cache", "dpkg")
    return tuple(name for name in needed if shutil.which(name) is None) + (() if _HELPER.exists() else (str(_HELPER),))
