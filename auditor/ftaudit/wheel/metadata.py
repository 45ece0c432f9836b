"""The content of a wheel's `.dist-info`: tags (WHEEL), trove classifiers (METADATA), the list of files (RECORD)."""

from __future__ import annotations

import csv
import email.parser
import io
from dataclasses import dataclass
from email.message import Message
from typing import Final

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from ftaudit.errors import ArchiveError
from ftaudit.wheel.archive import WheelArchive
from ftaudit.wheel.directory import ArchiveMember, shown_name

FREE_THREADING: Final = "Programming Language :: Python :: Free Threading"
LARGEST: Final = 32 << 20
"""Bytes of METADATA, WHEEL or RECORD that are read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WheelMetadata:
    """The wheel's own metadata."""

    tags: frozenset[str] = frozenset()
    """Of WHEEL, `cp314-cp314t-win_amd64`; a compressed set is spelt out."""
    requires: tuple[str, ...] | None = None
    """The `Requires-Dist` lines of METADATA; `None` if METADATA is missing."""
    classifiers: tuple[str, ...] = ()
    """Those of `FREE_THREADING`."""
    problems: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    """Those of the problems for which installers refuse a wheel."""


def read_metadata(archive: WheelArchive, filename: str, *, record: bool = False) -> WheelMetadata:
    """Return the wheel's own account, with what in it contradicts the file name or the archive.

    With `record`, RECORD is held against the members too. A connection that breaks raises `ArchiveError`.
    """
    problems: list[str] = []
    folder = _dist_info(archive, filename, problems)
    refused = tuple(problems)
    if folder is None:
        return WheelMetadata(problems=tuple(problems), refused=refused)
    metadata = _text(archive, f"{folder}/METADATA", problems)
    if metadata is not None and (other := _other_release(metadata, filename)) is not None:
        refused = (*refused, other)
        problems.append(other)
    wheel = _text(archive, f"{folder}/WHEEL", problems)
    tags = frozenset(_expanded(_headers(wheel, "Tag"))) if wheel is not None else frozenset()
    if tags and (named := _named_tags(filename)) and tags != named:
        problems.append(
            f"WHEEL has the tags {_listed(tags - named or tags)}, but the file name has "
            f"{_listed(named - tags or named)}"
        )
    if record and (listing := _text(archive, f"{folder}/RECORD", problems)) is not None:
        problems += _record_problems(archive, folder, listing)
    return WheelMetadata(
        tags=tags,
        requires=None if metadata is None else tuple(_headers(metadata, "Requires-Dist")),
        classifiers=tuple(
            classifier
            for classifier in _headers(metadata or "", "Classifier")
            if classifier == FREE_THREADING or classifier.startswith(f"{FREE_THREADING} ::")
        ),
        problems=tuple(problems),
        refused=refused,
    )


def parse_headers(text: str) -> Message:
    """Return the headers of METADATA, PKG-INFO or WHEEL; the body, which is the description, is ignored."""
    return email.parser.HeaderParser().parsestr(text.replace("\r\n", "\n").partition("\n\n")[0])


def _other_release(metadata: str, filename: str) -> str | None:
    """Return how METADATA contradicts the file name, which pip and uv do not put up with, or `None`."""
    names, versions = _headers(metadata, "Name"), _headers(metadata, "Version")
    try:
        name, version = parse_wheel_filename(filename)[:2]
        same = canonicalize_name(names[0]) == name and Version(versions[0]) == version
    except (InvalidWheelFilename, InvalidVersion, IndexError):
        return None
    shown = shown_name(f"{names[0]} {versions[0]}")
    return None if same else f"METADATA is for {shown}, but the file name is for {name} {version}"


def _dist_info(archive: WheelArchive, filename: str, problems: list[str]) -> str | None:
    """Return the one `NAME-VERSION.dist-info` folder."""
    folders = {
        top
        for member in archive.members
        if (top := member.name.split("/", 1)[0]).endswith(".dist-info") and "/" in member.name
    }
    if len(folders) == 1:
        return folders.pop()
    problems.append("it has no .dist-info folder" if not folders else f"it has {len(folders)} .dist-info folders")
    wanted = "-".join(filename.split("-")[:2])
    return next((folder for folder in folders if folder == f"{wanted}.dist-info"), None)


def _text(archive: WheelArchive, name: str, problems: list[str]) -> str | None:
    member = archive.member(name)
    if member is None:
        problems.append(f"{name.rpartition('/')[2]} is missing")
        return None
    if member.size > LARGEST:
        problems.append(f"{name.rpartition('/')[2]} is larger than {LARGEST} bytes")
        return None
    try:
        return archive.read(member).decode("utf-8", "replace")
    except ArchiveError as error:
        problems.append(error.what)
        return None


def _headers(text: str, name: str) -> list[str]:
    """Return the values of a header."""
    return [str(value).strip() for value in parse_headers(text).get_all(name, [])]


def _expanded(tags: list[str]) -> list[str]:
    """Spell out compressed tag sets (PEP 425)."""
    spelt = []
    for tag in tags:
        parts = tag.split("-")
        if len(parts) == 3:
            spelt += [
                f"{python}-{abi}-{platform}"
                for python in parts[0].split(".")
                for abi in parts[1].split(".")
                for platform in parts[2].split(".")
            ]
    return spelt


def _named_tags(filename: str) -> frozenset[str]:
    try:
        return frozenset(str(tag) for tag in parse_wheel_filename(filename)[3])
    except InvalidWheelFilename:
        return frozenset()


def _listed(tags: frozenset[str]) -> str:
    return ", ".join(sorted(tags)[:4]) + (" …" if len(tags) > 4 else "")


def _record_problems(archive: WheelArchive, folder: str, listing: str) -> list[str]:
    """Compare RECORD with the members (PEP 427); signatures are not listed there."""
    try:
        listed = {row[0] for row in csv.reader(io.StringIO(listing)) if row}
    except csv.Error as error:
        return [f"RECORD cannot be read: {error}"]
    unlisted = {f"{folder}/RECORD.jws", f"{folder}/RECORD.p7s"}
    present = {member.name for member in archive.members if not _is_folder(member)}
    problems = []
    if missing := sorted(listed - present):
        problems.append(f"RECORD lists {shown_name(missing[0])}{_more(missing)}, which is missing")
    if extra := sorted(present - listed - unlisted):
        problems.append(f"RECORD does not list {shown_name(extra[0])}{_more(extra)}")
    return problems


def _is_folder(member: ArchiveMember) -> bool:
    return member.name.endswith("/")


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
