"""Build a free-threaded CPython from the source that the machine's package archive offers, into the cache folder."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ftaudit.cores import count_cores
from ftaudit.errors import InterpreterError
from ftaudit.interpreters import debian
from ftaudit.interpreters.find import COMPLETE
from ftaudit.interpreters.probe import probe_interpreter
from ftaudit.model import Interpreter
from ftaudit.processes import run_tool
from ftaudit.target import Target

SOURCES: Final = {
    "3.15.0~rc2": "8d93af5eaaaea5adfd41bd786a7ba3f03f2ad1ab57c6a65e0b963deab91d5ad7",
    "3.14.7": "3b48dac8fb59f62eaa67ac83c1eb12bda1b7a08406dd286e252c11a66be27f81",
    "3.14.6": "143b1dddefaec3bd2e21e3b839b34a2b7fb9842272883c576420d605e9f30c63",
    "3.14.5": "7e32597b99e5d9a39abed35de4693fa169df3e5850d4c334337ffd6a19a36db6",
    "3.14.4": "d923c51303e38e249136fc1bdf3568d56ecb03214efdef48516176d3d7faaef8",
}
"""SHA-256 of the `orig.tar.xz` of each release that we have built, the newest of a series first.

A later release of a series that is known only as a candidate is built too, with the digest that the signed index of
Debian's development suite gives.
"""

HEADERS: Final = {
    "libffi-dev": ("ffi.h", "-lffi"),
    "libssl-dev": ("openssl/ssl.h", "-lssl"),
    "zlib1g-dev": ("zlib.h", "-lz"),
    "libbz2-dev": ("bzlib.h", "-lbz2"),
    "liblzma-dev": ("lzma.h", "-llzma"),
    "libsqlite3-dev": ("sqlite3.h", "-lsqlite3"),
    "libzstd-dev": ("zstd.h", "-lzstd"),
}
"""Each package with the header and the library of an optional standard-library module."""

CONFIGURE: Final = ("--disable-gil", "--disable-test-modules", "--with-ensurepip=no", "--with-openssl-rpath=no")
CONFIGURE_SECONDS: Final = 600.0
MAKE_SECONDS: Final = 3600.0
_HEARTBEAT: Final = 30.0
"""Seconds of silence after which a reader wonders whether the build still runs."""
_ROOM: Final = 1 << 30
"""A build tree and an installation take some 500 MB."""


def build_interpreter(
    target: Target, *, cache_dir: Path, progress: Callable[[str], None], attempts: tuple[str, ...] = ()
) -> Interpreter:
    """Build the newest known release of the target into `<cache_dir>/python/` and return it.

    Only one process builds at a time, and a prefix counts once its marker is written, so that an interrupted build
    leaves nothing that looks like an interpreter. Raise `InterpreterError` if the machine lacks
    something; the message names it.
    """
    series = target.name.rstrip("t")
    releases = {version: sha256 for version, sha256 in SOURCES.items() if version.startswith(f"{series}.")}
    _check_machine(target, releases, cache_dir)
    home = cache_dir / "python"
    home.mkdir(parents=True, exist_ok=True)
    with _lock(home, progress), tempfile.TemporaryDirectory(prefix="build-", dir=home) as folder:
        work = Path(folder)
        version, tarball = _fetch_source(_with_later(series, releases, work, progress), home, work, progress)
        prefix = home / f"{version}t"
        executable = prefix / "bin" / target.executable
        if not (prefix / COMPLETE).exists():
            # A folder without the marker is left over from an interrupted build.
            shutil.rmtree(prefix, ignore_errors=True)
            _build(version, tarball, prefix, work, home / "build.log", progress)
        found = probe_interpreter(executable, target)
        (prefix / COMPLETE).touch()
    if found.missing:
        progress(f"the interpreter has no {', '.join(found.missing)}: packages that import them cannot be checked")
    return dataclasses.replace(found, source="built by ftaudit from the package archive's source", attempts=attempts)


def _check_machine(target: Target, releases: dict[str, str], cache_dir: Path) -> None:
    if sys.platform != "linux":
        raise InterpreterError("ftaudit builds CPython only on Debian and its derivatives")
    if not releases:
        raise InterpreterError(f"ftaudit has no source for CPython {target.name}")
    if lacking := debian.missing_tools():
        raise InterpreterError(f"this is not a Debian system ({', '.join(lacking)} is missing)")
    if shutil.which("gcc") is None and shutil.which("cc") is None:
        raise InterpreterError("there is no C compiler", hint="as root: apt-get install gcc libc6-dev")
    if any(character.isspace() for character in str(cache_dir)):
        raise InterpreterError(f"CPython cannot be built below a folder with spaces in its name: {cache_dir}")
    existing = next(folder for folder in (cache_dir, *cache_dir.parents) if folder.exists())
    if shutil.disk_usage(existing).free < _ROOM:
        raise InterpreterError(f"less than {_ROOM >> 20} MB are free below {existing}")


def _with_later(series: str, releases: dict[str, str], work: Path, progress: Callable[[str], None]) -> dict[str, str]:
    """Return the releases with those of the archive's index before them that are later than a candidate."""
    if any("~" not in version for version in releases):
        return releases
    progress(f"asking the package archive for releases of CPython {series}")
    listed = debian.find_sources(f"python{series}", work / "sources")
    later = {version: sha256 for version, sha256 in listed.items() if version not in releases and "~" not in version}
    newest = sorted(later, key=_numbers, reverse=True)
    return {version: later[version] for version in newest} | releases


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


@contextlib.contextmanager
def _lock(home: Path, progress: Callable[[str], None]) -> Iterator[None]:
    import fcntl

    with (home / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another ftaudit process that is building an interpreter")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_source(
    releases: dict[str, str], home: Path, work: Path, progress: Callable[[str], None]
) -> tuple[str, Path]:
    """Return the newest release that is already built or whose source the archive has."""
    addresses = debian.archive_addresses()
    if not addresses:
        raise InterpreterError("apt has no package archive", hint="see /etc/apt/sources.list")
    for version, sha256 in releases.items():
        series = version.rsplit(".", 1)[0]
        name = f"python{series}_{version}.orig.tar.xz"
        if (home / f"{version}t" / COMPLETE).exists():
            return version, work / name
        for address in addresses:
            progress(f"looking for CPython {version} in the package archive")
            if debian.download(f"{address}pool/main/p/python{series}/{name}", work / name, sha256):
                return version, work / name
    raise InterpreterError(f"the package archive offers no known source of CPython (looked for {', '.join(releases)})")


def _build(version: str, tarball: Path, prefix: Path, work: Path, log: Path, progress: Callable[[str], None]) -> None:
    source = work / "source"
    _extract(tarball, source)
    env = _build_environment(prefix / "sysroot", work, progress)
    openssl = prefix / "sysroot" / "usr"
    extra = [f"--with-openssl={openssl}"] if (openssl / "include" / "openssl").is_dir() else []
    log.unlink(missing_ok=True)
    for what, command, seconds in (
        ("configuring", ["./configure", f"--prefix={prefix}", *CONFIGURE, *extra], CONFIGURE_SECONDS),
        ("compiling (two to five minutes)", ["make", f"-j{count_cores() + 1}"], MAKE_SECONDS),
        ("installing", ["make", "altinstall"], MAKE_SECONDS),
    ):
        progress(f"CPython {version}t: {what}; its output goes to {log}")
        ran = run_tool(
            command,
            timeout=seconds,
            env=env,
            cwd=source,
            log=log,
            every=_HEARTBEAT,
            waiting=lambda passed: progress(f"still running after {passed:.0f} s"),
        )
        if not ran.ok:
            why = ran.errors or f"it ended with {ran.code}"
            raise InterpreterError(f"{command[0]} failed while building CPython {version}: {why}", hint=f"see {log}")
    # Only the build needs headers and static libraries; the shared libraries stay because the interpreter needs them.
    shutil.rmtree(prefix / "sysroot" / "usr" / "include", ignore_errors=True)
    for archive in (prefix / "sysroot").glob("**/*.a"):
        archive.unlink()


def _extract(tarball: Path, destination: Path) -> None:
    """Unpack a CPython source whose SHA-256 was checked, without its top folder.

    `tarfile`'s own filters arrived in 3.11.4, after the Python of Debian 12, so the rule is spelled out: files
    and folders below the one top folder, links not at all (a CPython source has none that a build needs).
    """
    with tarfile.open(tarball, "r:xz") as archive:
        for member in archive:
            parts = Path(member.name).parts[1:]
            if not (member.isfile() or member.isdir()) or not parts or ".." in parts or member.name.startswith("/"):
                continue
            member.name = str(Path(*parts))
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            archive.extract(member, destination, set_attrs=True)


def _build_environment(sysroot: Path, work: Path, progress: Callable[[str], None]) -> dict[str, str]:
    """Return the environment to build in, after fetching the headers and the `make` that the machine lacks."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "TMPDIR", "LANG", "CC") or name.startswith("LC_")
    }
    # Without debugging information, which is not used here, it compiles in three quarters of the time.
    env["OPT"] = "-DNDEBUG -O2"
    wanted = [name for name, (header, library) in HEADERS.items() if not _compiles(header, library, work)]
    tools = [] if shutil.which("make") else ["make"]
    if not wanted and not tools:
        return env
    progress(f"fetching {', '.join(wanted + tools)} for this build only")
    debs = work / "debs"
    debs.mkdir()
    debian.unpack_packages([*wanted, *tools], sysroot, debs)
    folders = debian.library_folders(sysroot)
    env["PATH"] = f"{sysroot / 'usr' / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}"
    env["CPPFLAGS"] = " ".join(f"-I{folder}" for folder in debian.include_folders(sysroot))
    env["LDFLAGS"] = " ".join(f"-L{folder} -Wl,-rpath,{folder}" for folder in folders)
    env["PKG_CONFIG_PATH"] = os.pathsep.join(str(folder / "pkgconfig") for folder in folders)
    # `make` itself may be one of them.
    env["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, folders))
    return env


def _compiles(header: str, library: str, work: Path) -> bool:
    """Return whether the compiler finds the header and the linker finds the library."""
    probe = work / "probe.c"
    probe.write_text(f"#include <stddef.h>\n#include <stdio.h>\n#include <{header}>\nint main(void) {{ return 0; }}\n")
    compiler = shutil.which("gcc") or "cc"
    return run_tool([compiler, probe, "-o", work / "probe", library], timeout=60).ok
