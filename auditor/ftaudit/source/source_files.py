"""The files that a scan checks: without files that git ignores; tests and vendored code only on request."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import Final

from ftaudit.errors import UsageError
from ftaudit.source.base import Role
from ftaudit.source.languages import may_be_source
from ftaudit.source.run_rules import Skipped

_TEST_FOLDERS: Final = frozenset(
    [
        "test",
        "tests",
        "testing",
        "_testing",
        "_test",
        "_tests",
        "unittests",
        "testdata",
        "test_data",
        "testsuite",
        "conformance",
        "fixtures",
        "doc",
        "docs",
        "example",
        "examples",
        "sample",
        "samples",
        "demo",
        "demos",
        "tutorial",
        "tutorials",
        "bench",
        "benches",
        "benchmark",
        "benchmarks",
        "asv_bench",
        "benchmarking",
        "perf",
    ]
)
"""Tests, and similar files that are not installed: documentation, examples, benchmarks."""
_TEST_NAMES: Final = frozenset({"conftest.py", "tests.py", "test.py", "noxfile.py"})
_VENDOR_FOLDERS: Final = frozenset(
    [
        "_vendor",
        "vendor",
        "vendored",
        "_vendored",
        "third_party",
        "thirdparty",
        "third-party",
        "3rdparty",
        "extern",
        "externs",
        "external",
        "externals",
        "cextern",
        "bundled",
        "subprojects",
        "submodules",
        "deps",
        "node_modules",
        "_third_party",
        "third_parties",
        "thirdparties",
        "3rd_party",
        "3rd-party",
        "vendors",
        "_extern",
        "_externals",
        "external_libs",
        "extlib",
        "extlibs",
        "_bundled",
        "site-packages",
    ]
)
_VENDORED_NAMES: Final = re.compile(
    r"(?:pythoncapi_compat\.h|ut(?:hash|list|array|string|ringbuffer)\.h|k(?:hash|vec|btree|sort)\.h|stb_\w+\.h|miniz\w*\.[ch]"
    r"|sqlite3(?:ext)?\.[ch]|cjson\.[ch]|catch(?:_amalgamated)?\.(?:hpp|cpp)|doctest\.h|pugixml\.[ch]pp|pugiconfig\.hpp"
    r"|tinyxml2\.(?:h|cpp)|lodepng\.\w+|yyjson\.[ch]|simdjson\.(?:h|cpp)|robin_hood\.h|unordered_dense\.h|fast_float\.h"
    r"|(?:blocking)?concurrentqueue\.h|nanoarrow\.(?:c|h|hpp)|dlpack\.h|tomlc99\.[ch]|jsmn\.[ch]|linenoise\.[ch]"
    r"|versioneer\.py|ez_setup\.py|distribute_setup\.py)\Z",
    re.IGNORECASE,
)
"""Single files that projects copy: headers of data structures, parsers, databases, helpers of `setup.py`."""
_BUILT: Final = re.compile(
    r"\Abuild/(?:lib|temp)/|(?:\A|/)(?:build/(?:lib|temp|scripts|bdist)[.-][^/]+/|build/cp3\d+t?/|_skbuild/|cmake-build-\w+/)"
)
"""Folders that setuptools, meson-python, scikit-build and CMake write to."""
_SCRIPT_FOLDERS: Final = frozenset(
    [
        *("tasks", "tools", "scripts", "ci", ".ci", ".github", "dev", "devtools", "maint", "release", "packaging"),
        *("build_tools", "buildtools", "buildconfig", "pep517_backend", "build_backend", "_build_backend", "contrib"),
    ]
)
"""Folders next to the project's file whose Python builds, checks or releases it."""
_LICENCES: Final = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING", "COPYING.txt", "LICENSE.rst")
_RELEASE: Final = re.compile(r"[a-z][\w.-]*-\d+\.\d+\.\d+(?:[.+-]\w+)*\Z")
"""A folder that holds one release of something, as `cargo vendor` and unpacked archives name it: `pyo3-ffi-0.21.2`."""
_NEVER_FOLDERS: Final = frozenset(
    [
        ".git",
        ".hg",
        ".svn",
        ".bzr",
        ".tox",
        ".nox",
        ".venv",
        ".eggs",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".hypothesis",
        "__pycache__",
        "node_modules",
        "__pypackages__",
        ".direnv",
    ]
)
_MADE_BY_TOOLS: Final = frozenset({"pyvenv.cfg", "CACHEDIR.TAG", "meson-private"})
"""Markers of a folder that a tool made: an environment, a cache, the build folders of Cargo and Meson."""
_PROJECTS: Final = ("pyproject.toml", "setup.py", "Cargo.toml")
_PROJECT_MARKS: Final = (".git", "pyproject.toml", "setup.py", "PKG-INFO", "meson.build", "CMakeLists.txt")
_SDIST_MARK: Final = "PKG-INFO"
"""What every source distribution has at its top (PEP 643), and no checkout."""
_NATIVE_BUILDS: Final = ("CMakeLists.txt", "meson.build", "configure.ac", "Makefile")
_GIT_TIMEOUT: Final = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundFile:
    """One file of the tree."""

    path: Path
    shown: str
    """As findings name it."""
    role: Role
    context_only: bool = False
    """Read only for what other files need to know about it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundFiles:
    """The result of `find_files`."""

    files: tuple[FoundFile, ...]
    skipped: tuple[Skipped, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many source files were not checked because of their role, by role."""


def find_files(
    paths: Sequence[Path],
    *,
    include_tests: bool = False,
    include_vendored: bool = False,
    changed: str | None = None,
    trust_git: bool = True,
    base: Path | None = None,
) -> FoundFiles:
    """Return the source files below the paths, sorted.

    A file that is named itself is checked whatever its role, with the rest of its project as context. `changed`
    names a git revision: only files that differ from its merge base with HEAD (or are new) are checked; the rest is
    context. `trust_git=False` is for untrusted trees: git is not run in them. Paths are shown relative to `base`.
    Raise `UsageError` for a path that does not exist or a revision that git does not know.
    """
    wanted = {role for role, asked in ((Role.TEST, include_tests), (Role.VENDORED, include_vendored)) if asked}
    wanted |= {Role.OWN, Role.GENERATED, Role.SCRIPT}
    found: dict[str, FoundFile] = {}
    skipped: list[Skipped] = []
    left_out: Counter[str] = Counter()
    contexts: set[Path | None] = set()
    for path in paths:
        if not os.path.lexists(path):
            raise UsageError(f"{path} does not exist", hint="specify files or folders that exist")
        if path.is_dir():
            within_project = any((path / mark).exists() for mark in _PROJECT_MARKS)
            below = [*_below(path, skipped, trust_git=trust_git)]
            roles = _Roles(path, below)
            for relative in below:
                role = role_of(relative, within_project=within_project)
                file = _found(path / relative, roles.refined(relative) if role is Role.OWN else role, base)
                if file.role in wanted:
                    found[file.shown] = file
                else:
                    left_out[file.role] += 1
        else:
            root = _project_of(path)
            if root not in contexts:
                contexts.add(root)
                for file in _context_of(path, root, base, trust_git=trust_git):
                    # A file that is named itself, before or after this one, is more than context.
                    found.setdefault(file.shown, file)
            own = _found(path, Role.OWN, base)
            found[own.shown] = own
    files = sorted(found.values(), key=lambda file: file.shown)
    if changed is not None:
        differing = _changed(paths, changed)
        files = [_demoted(file) if file.path.resolve() not in differing else file for file in files]
    return FoundFiles(files=tuple(files), skipped=tuple(skipped), left_out=dict(left_out))


def role_of(relative: PurePath, *, within_project: bool = True) -> Role:
    """Return the role of a file by its path below the scanned folder.

    A folder that is named after a release is vendored within a project; next to others it is an unpacked sdist.
    """
    folders = [part.lower() for part in relative.parts[:-1]]
    if "build" in relative.as_posix() and _BUILT.search(relative.as_posix()):
        return Role.BUILT
    if any(part in _VENDOR_FOLDERS or part.startswith("extern-") for part in folders):
        return Role.VENDORED
    if any(_RELEASE.match(part) for part in folders[0 if within_project else 1 :]):
        return Role.VENDORED
    name = relative.name.lower()
    if within_project and _VENDORED_NAMES.match(name):
        return Role.VENDORED
    if any(part in _TEST_FOLDERS for part in folders) or name in _TEST_NAMES or _is_test_name(name):
        return Role.TEST
    return Role.OWN


def decides_roles(relative: PurePath) -> bool:
    """Return whether the name of a file can change the role of other files, or whether they are found."""
    name = relative.name
    return (
        name in (*_PROJECTS, *_LICENCES, *_PROJECT_MARKS, "__init__.py", ".gitignore")
        or not _MADE_BY_TOOLS.isdisjoint(relative.parts)
    )  # fmt: skip


class _Roles:
    """Roles that depend on the other files of a tree."""

    def __init__(self, root: Path, below: Sequence[PurePath]) -> None:
        self.root = root
        self.projects = {file.parent for file in below if file.name in _PROJECTS}
        """Folders with a project of their own."""
        self.above = {parent for folder in self.projects for parent in (folder, *folder.parents)}
        python = {file.parent for file in below if file.name in ("pyproject.toml", "setup.py")}
        self.above_python = {parent for folder in python for parent in (folder, *folder.parents)}
        self.packages = {file.parent for file in below if file.name == "__init__.py"}
        self.copied: dict[PurePath, bool] = {}

    def refined(self, relative: PurePath) -> Role:
        """Return the role of a file that is the project's own by its path alone."""
        if relative.suffix.lower() in (".py", ".pyw"):
            return Role.SCRIPT if self._is_script(relative) else Role.OWN
        return Role.VENDORED if self.projects and self._is_copied(relative.parent) else Role.OWN

    def _is_script(self, relative: PurePath) -> bool:
        for folder in relative.parents:
            if folder.name.lower() in _SCRIPT_FOLDERS and folder.parent in self.projects:
                backend = relative.parts[len(folder.parts)] if relative.parent != folder else ""
                return folder not in self.packages or backend in _SCRIPT_FOLDERS
        return False

    def _is_copied(self, folder: PurePath) -> bool:
        """Return whether a folder is a copy of another project: it has a license, and no Python project in it."""
        if folder == PurePath():
            return False
        if folder not in self.copied:
            if folder in self.above or folder in self.packages:
                found = self._is_library(folder)
            else:
                found = any((self.root / folder / name).is_file() for name in _LICENCES)
            # Crates in the copy of a library of C are part of the copy.
            within = self._is_copied(folder.parent)
            self.copied[folder] = found or (within and (folder not in self.above or self._is_in_library(folder)))
        return self.copied[folder]

    def _is_in_library(self, folder: PurePath) -> bool:
        return any(map(self._is_library, folder.parents))

    def _is_library(self, folder: PurePath) -> bool:
        """Return whether a folder within a project is a library of C with its own license and build."""
        if folder in self.projects or folder in self.above_python or self.projects.isdisjoint(folder.parents):
            return False
        files = self.root / folder
        return any((files / name).is_file() for name in _LICENCES) and any(
            (files / name).is_file() for name in _NATIVE_BUILDS
        )


def _is_test_name(name: str) -> bool:
    stem = name.split(".", 1)[0]
    return stem.startswith("test_") or stem.endswith(("_test", "_tests"))


def _found(path: Path, role: Role, base: Path | None) -> FoundFile:
    shown = path
    if base is not None and path.is_relative_to(base):
        shown = path.relative_to(base)
    elif path.is_absolute() and path.is_relative_to(Path.cwd()):
        shown = path.relative_to(Path.cwd())
    return FoundFile(path=path, shown=PurePosixPath(os.path.normpath(shown).replace(os.sep, "/")).as_posix(), role=role)


def _demoted(file: FoundFile) -> FoundFile:
    return FoundFile(path=file.path, shown=file.shown, role=file.role, context_only=True)


def _context_of(path: Path, root: Path | None, base: Path | None, *, trust_git: bool) -> Iterator[FoundFile]:
    """Yield the files of the project that a single named file belongs to, as context."""
    if root is None or not path.is_file():
        return
    ignored: list[Skipped] = []
    for relative in _below(root, ignored, trust_git=trust_git):
        role = role_of(relative)
        if role in (Role.OWN, Role.GENERATED):
            yield _demoted(_found(root / relative, role, base))


def _project_of(path: Path) -> Path | None:
    """Return the outermost of the folders directly above the file that look like a project, at most eight levels up."""
    best = None
    for folder in [*path.absolute().parents][:8]:
        if any((folder / mark).exists() for mark in _PROJECT_MARKS):
            best = folder
            if (folder / ".git").exists():
                break
    return best


def _below(root: Path, skipped: list[Skipped], *, trust_git: bool) -> Iterator[PurePath]:
    listed = _git_files(root) if trust_git and not (root / _SDIST_MARK).is_file() else None
    if listed is not None:
        for name in listed:
            relative = PurePath(name)
            if may_be_source(relative) and not _NEVER_FOLDERS.intersection(relative.parts):
                yield relative
        return
    yield from _walk(root, skipped)


def _walk(root: Path, skipped: list[Skipped]) -> Iterator[PurePath]:
    """Yield the files below the folder without following links, obeying `.gitignore` files on the way.

    An unpacked source distribution ships what git ignores: the C files that Cython and SWIG make.
    """
    import pathspec

    shipped: set[str] = set()
    pending: list[tuple[str, tuple[tuple[str, pathspec.PathSpec], ...]]] = [("", ())]  # type: ignore[type-arg]
    while pending:
        folder, specs = pending.pop()
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError as error:
            skipped.append(Skipped(path=str(root / folder), reason=f"cannot be listed: {error.strerror}"))
            continue
        names = {entry.name for entry in entries}
        if folder and not _MADE_BY_TOOLS.isdisjoint(names):
            continue
        if _SDIST_MARK in names:
            shipped.add(folder)
        if ".gitignore" in names and not any(_is_in(folder, each) for each in shipped):
            specs = (*specs, (folder, _gitignore(root / folder / ".gitignore", pathspec)))
        for entry in entries:
            relative = f"{folder}/{entry.name}" if folder else entry.name
            directory = entry.is_dir(follow_symlinks=False)
            if any(spec.match_file(_under(relative, where) + ("/" if directory else "")) for where, spec in specs):
                continue
            if directory:
                if entry.name not in _NEVER_FOLDERS and not entry.name.endswith((".egg-info", ".dist-info")):
                    pending.append((relative, specs))
            elif not may_be_source(PurePath(relative)):
                continue
            elif entry.is_file(follow_symlinks=False):
                yield PurePath(relative)
            elif reason := _why_not(root, Path(entry.path)):
                skipped.append(Skipped(path=str(root / relative), reason=reason))


def _why_not(root: Path, path: Path) -> str | None:
    """Return why something with a source file's name is not one; `None` for a link to what is found anyway."""
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        # Up to Python 3.12 `resolve` raises RuntimeError for links in a circle.
        return f"cannot be read: {getattr(error, 'strerror', None) or 'links form a loop'}"
    if not target.is_file():
        return "not a regular file"
    return None if target.is_relative_to(root.resolve()) else "a link that leads out of the folder and was not followed"


def _is_in(folder: str, outer: str) -> bool:
    return not outer or folder == outer or folder.startswith(f"{outer}/")


def _under(relative: str, folder: str) -> str:
    return relative[len(folder) + 1 :] if folder else relative


def _gitignore(path: Path, pathspec):  # type: ignore[no-untyped-def]
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return pathspec.GitIgnoreSpec.from_lines(text.splitlines())


def _git_files(root: Path) -> list[str] | None:
    """Return what git tracks or would add below the folder, or `None` without git or outside a repository."""
    if not any((folder / ".git").exists() for folder in (root.absolute(), *root.absolute().parents)):
        return None
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
    if listed is None:
        return None
    names = [os.fsdecode(name) for name in listed.split(b"\0") if name]
    # A folder that is itself ignored is listed as empty; it was named, so it is checked.
    return [name for name in names if _is_regular(root / name)] or None


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _changed(paths: Iterable[Path], revision: str) -> frozenset[Path]:
    """Return the files that differ from the revision, and the new ones, in the repositories of the paths."""
    differing: set[Path] = set()
    for path in paths:
        folder = path if path.is_dir() else path.parent
        top = _git(folder, "rev-parse", "--show-toplevel")
        if top is None:
            raise UsageError(f"{path} is not in a git repository", hint="leave out --changed")
        root = Path(os.fsdecode(top).rstrip("\n"))
        base = _git(root, "merge-base", "HEAD", "--end-of-options", revision)
        if base is None:
            raise UsageError(f"git finds no revision {revision!r} in the history of HEAD", hint="see `git log`")
        since = os.fsdecode(base).strip()
        names = _git(root, "diff", "--name-only", "-z", "--diff-filter=d", "--no-ext-diff", since, "--") or b""
        names += _git(root, "ls-files", "-z", "--others", "--exclude-standard") or b""
        differing |= {(root / os.fsdecode(name)).resolve() for name in names.split(b"\0") if name}
    return frozenset(differing)


def _git(folder: Path, *arguments: str) -> bytes | None:
    """Run git, without the repository's hooks, and return its output, or `None` if it fails."""
    if shutil.which("git") is None:
        return None
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=_GIT_TIMEOUT, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
