"""Reads pip's requirements files, with the files that they include."""

from __future__ import annotations

import codecs
import locale
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ftaudit.errors import InputError
from ftaudit.lockfiles.direct import fragment_hashes, local_path, parse_file, parse_reference
from ftaudit.lockfiles.input_files import how_to_repair, read_bytes
from ftaudit.lockfiles.requirements import (
    ALL,
    InputFormat,
    InputIndexes,
    InputRequirement,
    Reference,
    ReferenceKind,
    Requirements,
)
from ftaudit.model import Location
from ftaudit.urls import public

if TYPE_CHECKING:
    from pip_requirements_parser import InstallRequirement, RequirementsFile

MAX_FILES: Final = 200
"""How many files one requirements file can include in total."""
PROJECT_FILES: Final = ("pyproject.toml", "setup.py", "setup.cfg")
"""Files that make a folder installable."""
MAX_REQUIREMENT: Final = 8192
"""Characters of a requirement without its options; comments also count."""
MAX_LINES: Final = 20_000

_BOMS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CODING: Final = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_VARIABLE: Final = re.compile(r"\$\{([A-Z0-9_]+)\}")
_CONFIG_SETTINGS: Final = re.compile(r"(?<=\s)(?:--config-settings?|-C)(?:=|[ \t]+)(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s\\]+)")
"""Per-requirement options of newer pip versions that the parser does not support; only builds need them."""


def read(path: Path) -> Requirements:
    """Return the requirements of a requirements file and of those that it includes.

    Raise `InputError`, with file and line, for a line that pip rejects, or a file that is missing or includes itself.
    """
    if not _decode(path).strip():
        # The command that writes it may have failed: without an error, a broken pipeline would pass. A comment shows
        # that the input is empty on purpose.
        where = "standard input" if str(path) == "-" else str(path)
        raise InputError(
            f"{where} is empty",
            hint=("check the command that writes the file; if there is nothing to install, add a comment line (#)"),
        )
    reader = _RequirementsReader(here_first=True)
    reader.read(path, constraint=False, chain=())
    return Requirements(
        path=path,
        format=InputFormat.REQUIREMENTS_TXT,
        roots=tuple(reader.roots),
        constraints=tuple(reader.constraints),
        index=reader.index(),
    )


def read_lines(path: Path, lines: Mapping[int, str]) -> Requirements:
    """Return the requirements from numbered lines inside a file of another format, as `read` does.

    Relative paths are relative to that file.
    """
    reader = _RequirementsReader(here_first=False)
    text = "\n".join(lines.get(number, "") for number in range(1, max(lines, default=0) + 1))
    reader.take(_checked(text, path), path, constraint=False, chain=(path.resolve(),))
    return Requirements(
        path=path,
        format=InputFormat.REQUIREMENTS_TXT,
        roots=tuple(reader.roots),
        constraints=tuple(reader.constraints),
        index=reader.index(),
    )


class _RequirementsReader:
    """Collects the requirements, constraints, and options of one file and those that it includes."""

    def __init__(self, *, here_first: bool) -> None:
        self._here_first = here_first
        self.roots: list[InputRequirement] = []
        self.constraints: list[InputRequirement] = []
        self._options: dict[str, Any] = {}
        self._count = 0
        self._seen: set[tuple[Path, bool]] = set()

    def read(self, path: Path, *, constraint: bool, chain: tuple[Path, ...]) -> None:
        """Read one file; `chain` has the files that include it."""
        resolved = path.resolve()
        if resolved in chain:
            loop = " -> ".join(file.name for file in (*chain[chain.index(resolved) :], resolved))
            raise InputError(f"{chain[-1]} includes itself: {loop}")
        if (resolved, constraint) in self._seen:
            return
        self._seen.add((resolved, constraint))
        self._count += 1
        if self._count > MAX_FILES:
            raise InputError(f"{chain[0]} includes more than {MAX_FILES} files")
        self.take(_decode(path), path, constraint=constraint, chain=(*chain, resolved))

    def take(self, text: str, path: Path, *, constraint: bool, chain: tuple[Path, ...]) -> None:
        """Read a text that is part of a file; `chain` ends with that file."""
        for line, entry in _entries(text, path):
            place = Location(path=str(path), line=line)
            if isinstance(entry, dict):
                self._take_options(entry, place, constraint=constraint, chain=chain)
            else:
                requirement = _requirement(entry, place, here_first=self._here_first)
                (self.constraints if constraint else self.roots).append(requirement)

    def index(self) -> InputIndexes:
        """Return the options for the sources of packages."""
        options = self._options
        return InputIndexes(
            index_url=options.get("index_url"),
            extra_index_urls=tuple(options.get("extra_index_urls", ())),
            no_index=options.get("no_index", False),
            find_links=tuple(options.get("find_links", ())),
            pre=options.get("pre", False),
            only_binary=tuple(options.get("only_binary", ())),
            no_binary=tuple(options.get("no_binary", ())),
            trusted_hosts=tuple(options.get("trusted_hosts", ())),
        )

    def _take_options(
        self, options: dict[str, Any], place: Location, *, constraint: bool, chain: tuple[Path, ...]
    ) -> None:
        folder = Path(place.path).parent
        for name, value in options.items():
            match name:
                case "requirements" | "constraints":
                    for target in value:
                        nested = _included(target, place)
                        self.read(nested, constraint=constraint or name == "constraints", chain=chain)
                case "editables":
                    raise InputError(f"{place}: -e cannot be combined with another option on one line")
                case "index_url":
                    _check_set(value, place)
                    self._options[name] = value
                case "extra_index_urls" | "trusted_hosts":
                    for target in value:
                        _check_set(target, place)
                    self._options.setdefault(name, []).extend(value)
                case "find_links":
                    self._options.setdefault(name, []).extend(_links(target, folder) for target in value)
                case "only_binary" | "no_binary":
                    for target in value:
                        self._take_control(name, target)
                case "no_index" | "pre":
                    self._options[name] = True
                case _:
                    # --prefer-binary, --require-hashes, --use-feature: they do not change the result.
                    pass

    def _take_control(self, name: str, target: str) -> None:
        """Apply `--no-binary` or `--only-binary` as pip does: each removes its names from the other, `:all:` removes
        all.
        """
        other = "only_binary" if name == "no_binary" else "no_binary"
        own_names, other_names = self._options.setdefault(name, []), self._options.setdefault(other, [])
        for item in filter(None, (item.strip() for item in target.split(","))):
            if item == ALL:
                own_names[:], other_names[:] = [ALL], []
            elif item == ":none:":
                own_names.clear()
            else:
                own_names.append(canonicalize_name(item))
                other_names[:] = [each for each in other_names if each != canonicalize_name(item)]


def _unset(text: str) -> str | None:
    """Return the first unset environment variable that a text names."""
    return next((match[1] for match in _VARIABLE.finditer(text) if not os.environ.get(match[1])), None)


def _check_set(url: str, place: Location) -> None:
    """Raise `InputError` for text that would be a URL if an environment variable were set."""
    unset = _unset(url)
    if unset is not None and "://" not in url:
        raise InputError(f"{place}: the environment variable {unset} is not set", hint="set it, or use --index-url")


def _included(target: str, place: Location) -> Path:
    if "://" in target and not target.lower().startswith("file:"):
        raise InputError(
            f"{place}: {public(target)} is not fetched",
            hint="download the file and include the local copy",
        )
    nested = local_path(target, Path(place.path).parent) if target.startswith("file:") else None
    path = nested or Path(place.path).parent / target
    if not path.exists():
        raise InputError(f"{place}: the included file {path} does not exist")
    return path


def _links(target: str, folder: Path) -> str:
    """Return a find-links place; a relative path is relative to the file if it exists there, as in pip, otherwise to
    here.
    """
    if "://" in target:
        return target
    beside = local_path(target, folder)
    here = local_path(target, Path.cwd())
    return str(here if here.exists() and not beside.exists() else beside)


def _entries(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any] | InstallRequirement]]:
    """Yield line and options or requirement, in the file's order; raise `InputError` for the first invalid line."""
    parsed = _parse(text, path)
    if parsed.invalid_lines:
        wrong = min(parsed.invalid_lines, key=lambda line: line.line_number or 0)
        reason = str(wrong.error_message).strip().splitlines()[0].removeprefix("pip_requirements_parser: error: ")
        unset = _unset(wrong.line or "")
        reason = f"the environment variable {unset} is not set" if unset else reason
        what = f"{path}:{wrong.line_number}: {reason}: {_shown(wrong.line)}"
        raise InputError(what, hint="set it, then run the command again" if unset else how_to_repair(path, text))
    entries: list[tuple[int, dict[str, Any] | InstallRequirement]] = []
    entries += [(option.line_number or 0, option.options) for option in parsed.options]
    entries += [(requirement.line_number or 0, requirement) for requirement in parsed.requirements]
    yield from sorted(entries, key=lambda entry: entry[0])


def _shown(line: str | None) -> str:
    """Return the line for an error message: short, printable, without credentials."""
    text = re.sub(r"://[^/\s@]*@", "://", line or "")
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= 120 else text[:119] + "…"


def _parse(text: str, path: Path) -> RequirementsFile:
    from pip_requirements_parser import RequirementsFile

    # The library reads only files, and decodes by locale unless there is a byte-order mark.
    with tempfile.TemporaryDirectory(prefix="ftaudit-") as folder:
        copy = Path(folder, "requirements.txt")
        copy.write_text(text, encoding="utf-8-sig", newline="\n")
        try:
            return RequirementsFile.from_file(str(copy), include_nested=False)
        except Exception as error:
            # The library does not catch the exceptions of its vendored pip code.
            raise InputError(f"{path} is not a requirements file: {error}") from error


def _decode(path: Path) -> str:
    data = read_bytes(path)
    mark, encoding = next(((mark, name) for mark, name in _BOMS if data.startswith(mark)), (b"", "utf-8"))
    data = data[len(mark) :]
    declared = next(filter(None, map(_CODING.match, data.split(b"\n", 2)[:2])), None)
    if declared and not mark:
        encoding = declared.group(1).decode("ascii", "replace")
    try:
        text = data.decode(encoding)
    except LookupError as error:
        raise InputError(f"{path} declares an unknown encoding, {encoding!r}") from error
    except UnicodeDecodeError as error:
        try:
            text = data.decode(locale.getpreferredencoding(False))
        except (UnicodeDecodeError, LookupError):
            raise InputError(f"{path} is not a text file: invalid {encoding} at byte {error.start}") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{path}:{line}: a NUL character: this is not a text file")
    return _checked(text, path)


def _checked(text: str, path: Path) -> str:
    """Expand environment variables, as pip does, and reject a line that is too long."""
    text = _VARIABLE.sub(lambda match: os.environ.get(match.group(1)) or match.group(0), text)
    text = _CONFIG_SETTINGS.sub("", text)
    _check_size(text, path)
    return text


def _check_size(text: str, path: Path) -> None:
    """Reject input that the parser needs minutes for: its time grows with the square of a requirement's length."""
    start, before_options, count = 1, 0, 0
    options = False
    for number, line in enumerate(text.splitlines(), start=1):
        if not options:
            part, dash, _ = line.partition(" -")
            before_options, options = before_options + len(part), bool(dash)
        if before_options > MAX_REQUIREMENT:
            raise InputError(f"{path}:{start}: a requirement of more than {MAX_REQUIREMENT:,} characters")
        if not line.endswith("\\"):
            start, before_options, options, count = number + 1, 0, False, count + bool(line.strip())
    if count > MAX_LINES:
        raise InputError(f"{path} has {count:,} lines of requirements; ftaudit reads at most {MAX_LINES:,}")


def _reference(target: str, folder: Path, *, here_first: bool) -> Reference:
    """Return the target of a URL or path: for pip and uv, relative paths are relative to the folder in which they run.

    If nothing exists there, the path is relative to the file's own `folder`, which the author may have meant.
    """
    beside = parse_reference(target, folder)
    if not here_first:
        return beside
    here = parse_reference(target, Path.cwd())
    return here if _is_there(here) else beside


def _is_there(reference: Reference) -> bool:
    match reference.kind:
        case ReferenceKind.VCS:
            return True
        case ReferenceKind.TREE:
            return any(Path(reference.url, name).is_file() for name in PROJECT_FILES)
        case ReferenceKind.FILE:
            return not reference.url.startswith("file:") or local_path(reference.url, Path()).is_file()


def _requirement(parsed: InstallRequirement, place: Location, *, here_first: bool) -> InputRequirement:
    target = parsed.link.url if parsed.link else None
    hashes = frozenset(_hash(item, place) for item in parsed.hash_options)
    reference: Reference | None = None
    name, specifier = parsed.name, parsed.specifier or SpecifierSet()
    if target is not None:
        reference = _reference(target, Path(place.path).parent, here_first=here_first)
        hashes |= fragment_hashes(target)
        if name is None and reference.kind is ReferenceKind.FILE and (found := parse_file(reference.url)):
            name = found[0]
    return InputRequirement(
        name=canonicalize_name(name) if name else None,
        specifier=specifier if reference is None else SpecifierSet(),
        extras=tuple(sorted(canonicalize_name(extra) for extra in parsed.extras)),
        marker=str(parsed.marker) if parsed.marker else None,
        location=place,
        hashes=hashes,
        reference=reference,
    )


def _hash(item: str, place: Location) -> str:
    algorithm, separator, digest = item.partition(":")
    if not separator or not algorithm or not digest:
        raise InputError(f"{place}: --hash={item} is not ALGORITHM:DIGEST")
    return f"{algorithm.lower()}:{digest.lower()}"
