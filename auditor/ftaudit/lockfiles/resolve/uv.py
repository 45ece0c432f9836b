"""Calls uv's resolver and parses its answers; uv never builds anything."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from ftaudit.errors import ResolutionError
from ftaudit.lockfiles.direct import parse_file
from ftaudit.lockfiles.resolve.uv_failures import Failure, FailureKind, parse_failure
from ftaudit.target import Platform, Target

ROOTS: Final = "requirements.in"
CONSTRAINTS: Final = "constraints.txt"
OVERRIDES: Final = "overrides.txt"
CONFIG: Final = "uv.toml"
UV_GLIBCS: Final = (17, 28, *range(31, 41))
"""The minor versions of glibc 2 that `uv pip compile --python-platform` supports."""
STAND_INS: Final = "stand-ins"

_KEPT_VARIABLES: Final = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|INDEX_STRATEGY|INDEX_.*_(USERNAME|PASSWORD)"
    r"|KEYRING_PROVIDER|CREDENTIALS_DIR|NATIVE_TLS|SYSTEM_CERTS|INSECURE_HOST|HTTP_.*|REQUEST_TIMEOUT|CACHE_DIR"
    r"|NO_CACHE|OFFLINE|EXCLUDE_NEWER|PRERELEASE|CONCURRENT_DOWNLOADS)"
)
"""uv's variables for the sources of packages. Variables that change its behavior are not passed on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """One package of uv's answer."""

    name: NormalizedName
    version: Version | None
    extras: tuple[str, ...]
    wanted_by: tuple[NormalizedName, ...]
    is_root: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class UvRequest:
    """The question to uv. Every line consists of parsed parts, never of the user's text."""

    roots: Sequence[str]
    constraints: Sequence[str] = ()
    overrides: Sequence[str] = ()
    stand_ins: Mapping[tuple[NormalizedName, Version], tuple[str, ...]] = field(default_factory=dict)
    """`Requires-Dist` lines for versions without a wheel to read them from."""
    any_sdist: frozenset[NormalizedName] = frozenset()
    """Packages whose newest sdist is treated as having no dependencies, to learn its version without a build."""
    target: Target
    platform: Platform
    no_deps: bool = False
    offline: bool = False
    no_cache: bool = False
    cache_dir: Path | None = None
    index_urls: Sequence[str] | None = None
    """In order of priority, the default last; `None` uses uv's environment, empty uses no index."""
    find_links: Sequence[str] | None = None
    trusted_hosts: Sequence[str] = ()
    cert: str | None = None
    proxy: str | None = None
    pre: bool = False
    lowest: bool = False
    """Choose the lowest possible versions of the roots instead of the highest."""
    interpreter: str | None = None
    """The Python whose wheels count; `None` is the GIL-enabled build of the target."""


def find_uv() -> str:
    """Return the path of uv; raise `ResolutionError` if uv is not installed."""
    try:
        from uv import find_uv_bin

        return os.fspath(find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        if found := shutil.which("uv"):
            return found
        raise ResolutionError(
            "uv, which resolves unpinned requirements, was not found",
            hint="run `pip install uv`, or check only the listed packages with --no-deps",
        ) from error


def ask(question: UvRequest, folder: Path, timeout: float) -> tuple[Resolved, ...] | Failure:
    """Run uv on the question in an empty temporary folder, within `timeout` seconds.

    Raise `ResolutionError` if uv cannot be run.
    """
    _write(question, folder)
    try:
        done = subprocess.run(
            [find_uv(), *_arguments(question)],
            cwd=folder,
            env=_environment(question),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=max(timeout, 0.1),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Failure(kind=FailureKind.OUT_OF_REACH, message=f"uv did not finish in {timeout:.0f} s")
    except OSError as error:
        raise ResolutionError(f"uv cannot be run: {error.strerror}", hint="pip install --force-reinstall uv") from error
    if done.returncode == 0:
        return parse_answer(done.stdout.decode("utf-8", "replace"))
    return parse_failure(done.stderr.decode("utf-8", "replace"))


def _environment(question: UvRequest) -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("UV_") or _KEPT_VARIABLES.fullmatch(k)}
    environment.setdefault("UV_HTTP_RETRIES", "1")
    environment.setdefault("UV_HTTP_CONNECT_TIMEOUT", "3")
    if question.index_urls is not None:
        for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_NO_INDEX"):
            environment.pop(name, None)
    if question.find_links is not None:
        environment["UV_FIND_LINKS"] = ",".join((*question.find_links, STAND_INS))
    elif question.stand_ins:
        environment["UV_FIND_LINKS"] = ",".join(filter(None, (environment.get("UV_FIND_LINKS"), STAND_INS)))
    if question.trusted_hosts:
        environment["UV_INSECURE_HOST"] = " ".join(question.trusted_hosts)
    if question.cert:
        environment["SSL_CERT_FILE"] = question.cert
    environment |= system_version(question.platform)
    if question.proxy:
        environment |= {"HTTP_PROXY": question.proxy, "HTTPS_PROXY": question.proxy, "ALL_PROXY": question.proxy}
    return environment


def _arguments(question: UvRequest) -> list[str]:
    version = ".".join(map(str, question.target.version))
    arguments = ["pip", "compile", ROOTS, "--quiet", "--no-header", "--no-progress", "--color", "never"]
    arguments += ["--annotation-style", "line", "--no-strip-extras", "--config-file", CONFIG]
    # uv takes the tags from the interpreter's kind: those of a GIL-enabled build are wanted, because for a
    # free-threaded one uv would reject every set with a package that is not ready.
    ordinary = not sysconfig.get_config_var("Py_GIL_DISABLED")
    if question.interpreter is not None:
        arguments += ["--python", question.interpreter]
    else:
        arguments += ["--python", sys.executable] if ordinary else ["--system"]
    if question.lowest:
        arguments += ["--resolution", "lowest-direct"]
    arguments += ["--no-python-downloads", "--python-version", version]
    arguments += ["--python-platform", uv_platform(question.platform)]
    # Resolving must not build. The only exceptions are packages whose metadata our own uv.toml states for every
    # version: uv uses that metadata instead of building.
    arguments += ["--only-binary", ":all:"]
    for name in sorted(question.any_sdist):
        arguments += ["--no-binary", name]
    if question.constraints:
        arguments += ["--constraints", CONSTRAINTS]
    if question.overrides:
        arguments += ["--overrides", OVERRIDES]
    if question.pre:
        arguments += ["--prerelease", "allow"]
    if question.cache_dir:
        arguments += ["--cache-dir", str(question.cache_dir)]
    flags = {
        "--no-deps": question.no_deps,
        "--offline": question.offline,
        "--no-cache": question.no_cache,
        "--no-index": question.index_urls is not None and not question.index_urls,
    }
    return [*arguments, *(flag for flag, is_set in flags.items() if is_set)]


def uv_platform(platform: Platform) -> str:
    """Return the platform by a name that uv supports: the nearest glibc that is not newer, or else the oldest.

    It only determines the wheels from which uv can read metadata; the wheel that is judged is chosen elsewhere.
    """
    arch, _, libc = platform.uv_name.partition("-manylinux_2_")
    if not libc.isdecimal():
        return platform.uv_name
    return f"{arch}-manylinux_2_{max((n for n in UV_GLIBCS if n <= int(libc)), default=UV_GLIBCS[0])}"


def system_version(platform: Platform) -> dict[str, str]:
    """Return the variable that tells uv the version of macOS, which the names of its platforms do not contain."""
    newest = next((tag for tag in platform.tags if tag.startswith("macosx_")), None)
    return {} if newest is None else {"MACOSX_DEPLOYMENT_TARGET": ".".join(newest.split("_")[1:3])}


def _write(question: UvRequest, folder: Path) -> None:
    for name, lines in ((ROOTS, question.roots), (CONSTRAINTS, question.constraints), (OVERRIDES, question.overrides)):
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    tables = [f'[[dependency-metadata]]\nname = "{name}"\nrequires-dist = []\n' for name in question.any_sdist]
    tables += [_index_table(url, default=False) for url in (question.index_urls or ())[:-1]]
    tables += [_index_table(url, default=True) for url in (question.index_urls or ())[-1:]]
    (folder / CONFIG).write_text("\n".join(tables), encoding="utf-8")
    (folder / STAND_INS).mkdir(exist_ok=True)
    for (name, version), requires in question.stand_ins.items():
        _write_stand_in(folder / STAND_INS, name, version, requires)


def _index_table(url: str, *, default: bool) -> str:
    """Return one index for uv.toml, which is in a private folder because URLs can contain credentials.

    Pages stay fresh for ten minutes, as on the largest index; many mirrors state no lifetime, and uv would fetch every
    page again for every call. Files never change under their name.
    """
    lines = ["[[index]]", f"url = {json.dumps(url, ensure_ascii=False)}", f"default = {str(default).lower()}"]
    lines.append('cache-control = { api = "max-age=600", files = "max-age=365000000, immutable" }')
    return "\n".join((*lines, ""))


def _write_stand_in(folder: Path, name: NormalizedName, version: Version, requires: Iterable[str]) -> None:
    """Write a wheel that contains only metadata, so that uv can resolve a version without a wheel."""
    stem = f"{name.replace('-', '_')}-{version}"
    lines = ["Metadata-Version: 2.2", f"Name: {name}", f"Version: {version}"]
    extras = {extra for line in requires for extra in re.findall(r"""\bextra\s*==\s*["']([\w.-]+)["']""", line)}
    lines += [f"Provides-Extra: {extra}" for extra in sorted(extras)]
    lines += [f"Requires-Dist: {line}" for line in requires if _is_named(line)]
    wheel = "Wheel-Version: 1.0\nGenerator: ftaudit\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{stem}.dist-info/METADATA", "\n".join((*lines, "", "")))
        archive.writestr(f"{stem}.dist-info/WHEEL", wheel)
        archive.writestr(f"{stem}.dist-info/RECORD", "")


def _is_named(line: str) -> bool:
    """Return whether an index can answer a `Requires-Dist`; uv rejects URLs in a dependency's metadata."""
    try:
        return Requirement(line).url is None and "\n" not in line
    except InvalidRequirement:
        return False


def parse_answer(text: str) -> tuple[Resolved, ...]:
    """Return the packages of `uv pip compile --annotation-style line`."""
    found = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        requirement, _, via = line.partition("  # via ")
        try:
            parsed = Requirement(requirement.strip())
        except InvalidRequirement as error:
            raise ResolutionError(f"uv printed something that ftaudit cannot read: {requirement.strip()!r}") from error
        version = next((Version(s.version) for s in parsed.specifier if s.operator in ("==", "===")), None)
        if parsed.url and (named := parse_file(parsed.url)):
            version = named[1]
        sources = [source.strip() for source in via.split(",") if source.strip()]
        found.append(
            Resolved(
                name=canonicalize_name(parsed.name),
                version=version,
                extras=tuple(sorted(canonicalize_name(extra) for extra in parsed.extras)),
                wanted_by=tuple(canonicalize_name(source) for source in sources if " " not in source),
                is_root=f"-r {ROOTS}" in sources,
            )
        )
    return tuple(found)
