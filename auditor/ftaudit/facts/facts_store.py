"""A facts store: one file with the facts of many wheels, by digest, that is checked before it is believed.

The file is a zip archive. `store.json` says who made it, with what, and when; its `parts` map the name of each other
member to its SHA-256 digest, and `checksum` is the digest of all of that. Each part is a JSON object: the facts of the
wheels whose digests begin with the part's name. A lookup reads one part, so that a large store costs no more than a
small one. The head can also list files of `REACH`, each with its digest: what `--reach` reads of wheels.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ftaudit.__about__ import __version__
from ftaudit.binary.facts_cache import analysis_version, parse_facts
from ftaudit.errors import InputError
from ftaudit.model import BinaryFacts, StoreOrigin
from ftaudit.model.plain import from_plain
from ftaudit.whole_files import replace_content

FORMAT: Final = 1
"""Raised if an older ftaudit cannot read what a newer one writes."""
SUFFIX: Final = ".ftfacts"
HEAD: Final = "store.json"
REACH: Final = "reach/"
"""The folder of the files that `--reach` reads of wheels."""
_WHEELS_IN_PART: Final = 24
"""About so many wheels share a part: fewer cost space, more cost time."""
_PARTS_IN_MEMORY: Final = 64
_LARGEST_PART: Final = 64 << 20
_LARGEST_FILE: Final = 1 << 30
_LARGEST_HEAD: Final = 16 << 20
_UNREADABLE: Final = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, RuntimeError)
"""What `zipfile` raises for a damaged archive; `RuntimeError` is for one that is encrypted or too new."""
_DATE: Final = (1980, 1, 1, 0, 0, 0)
"""The date of every member: the same facts give the same parts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Who made a store, with what, and when."""

    ftaudit: str
    """The version of ftaudit that made it."""
    analysis: str
    """The analysis that read the wheels: another one does not use these facts."""
    created: str
    """When, in UTC, ISO 8601."""
    by: str
    """By whom, in the words of the maker."""
    wheels: int
    """The number of wheels."""
    answers: int
    """The number of answers: a wheel has one for each target that was asked about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReachFiles:
    """What `--reach` reads of wheels, as the cache of `ftaudit.reach` names it."""

    analysis: str
    """The code that read the wheels: another one does not use these files."""
    files: dict[str, str]
    """The digest of each file, by its name."""


class FactsStore:
    """One opened store. Usable from many threads. Each part is compared with its digest when it is read."""

    def __init__(self, path: Path, *, name: str | None = None) -> None:
        """Open a store. Raise `InputError` for a file that is not a store, is damaged, or is of a newer format."""
        self.path = path
        self.name = name or path.name.removesuffix(SUFFIX)
        self._lock = threading.Lock()
        self._read: OrderedDict[str, dict[str, Any]] = OrderedDict()
        try:
            if path.exists() and not path.is_file():
                raise ValueError("a pipe or a device, which may have no end")
            self._archive = zipfile.ZipFile(path)
            head = _parse(self._member(HEAD, _LARGEST_HEAD))
        except OSError as error:
            raise InputError(f"the facts store {path} cannot be read: {error.strerror or error}") from error
        except _UNREADABLE as error:
            raise InputError(f"{path} is not a facts store", hint="create one with `ftaudit facts export`") from error
        form = head.get("format")
        if isinstance(form, int) and form > FORMAT:
            raise InputError(
                f"the facts store {path} has format {form}, but this version of ftaudit reads only up to {FORMAT}",
                hint="upgrade ftaudit, or use a store that this version can read",
            )
        try:
            self._parts: dict[str, str] = {
                from_plain(str, part): from_plain(str, digest) for part, digest in head["parts"].items()
            }
            self._digits: int = from_plain(int, head["digits"])
            self.provenance: Provenance = from_plain(Provenance, head["provenance"], named=False)
            reach = head.get("reach")
            self.reach: ReachFiles | None = None if reach is None else from_plain(ReachFiles, reach, named=False)
            least = min(from_plain(int, form) - 1, self.provenance.wheels, self.provenance.answers)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._damaged(HEAD) from error
        is_found = all(len(part) == self._digits for part in self._parts)  # A lookup reads no other part.
        if least < 0 or not is_found or head.get("checksum") != _checksum(head):
            raise self._damaged(HEAD)

    @property
    def origin(self) -> StoreOrigin:
        """What it is called, and who made it."""
        made = self.provenance
        return StoreOrigin(name=self.name, by=made.by, created=made.created, ftaudit=made.ftaudit)

    @property
    def is_usable(self) -> bool:
        """Whether the facts are those of the analysis of this ftaudit."""
        return self.provenance.analysis == analysis_version()

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def find(self, sha256: str, key: str) -> BinaryFacts | None:
        """Return the facts of a wheel, or `None`; raise `InputError` if the part is not what the maker wrote."""
        part = sha256.lower()[: self._digits]
        if part not in self._parts:
            return None
        found = self._part(part).get(f"{sha256.lower()}-{key}")
        if found is None:
            return None
        try:
            return parse_facts(found)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise self._damaged(part) from error

    def find_reach(self, analysis: str, name: str) -> bytes | None:
        """Return a file that `--reach` with this analysis reads, or `None`.

        Raise `InputError` if the file is not what the maker wrote.
        """
        if self.reach is None or self.reach.analysis != analysis or name not in self.reach.files:
            return None
        return self._reach_file(name)

    def _reach_file(self, name: str) -> bytes:
        try:
            with self._lock:
                data = self._member(f"{REACH}{name}", _LARGEST_FILE)
        except (OSError, *_UNREADABLE) as error:
            raise self._damaged(name) from error
        if self.reach is None or hashlib.sha256(data).hexdigest() != self.reach.files[name]:
            raise self._damaged(name)
        return data

    def check_parts(self) -> None:
        """Compare every part with its digest; raise `InputError` for one that the maker did not write."""
        for part in sorted(self._parts):
            self._part(part)
        for name in () if self.reach is None else sorted(self.reach.files):
            self._reach_file(name)

    def check(self) -> Iterator[tuple[str, str, BinaryFacts]]:
        """Yield every answer (digest, key and facts); raise `InputError` for a part that does not match its digest."""
        self.check_parts()
        for part in sorted(self._parts):
            for name in sorted(self._part(part)):
                sha256, _, key = name.partition("-")
                facts = self.find(sha256, key)
                if facts is None:
                    raise self._damaged(part)
                yield sha256, key, facts
            with self._lock:
                self._read.clear()

    def _part(self, part: str) -> dict[str, Any]:
        with self._lock:
            known = self._read.get(part)
            if known is None:
                try:
                    data = self._member(f"{part}.json", _LARGEST_PART)
                    if hashlib.sha256(data).hexdigest() != self._parts[part]:
                        raise self._damaged(part)
                    known = self._read[part] = _parse(data)
                except (OSError, *_UNREADABLE) as error:
                    raise self._damaged(part) from error
                if len(self._read) > _PARTS_IN_MEMORY:
                    self._read.popitem(last=False)
            return known

    def _member(self, name: str, most: int) -> bytes:
        """Return a member; raise `ValueError` for one that is not deflated, or has more than `most` bytes."""
        if self._archive.getinfo(name).compress_type not in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
            raise ValueError("another compression")
        with self._archive.open(name) as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise ValueError("too large")
        return data

    def _damaged(self, part: str) -> InputError:
        return InputError(
            f"the facts store {self.path} is damaged or was modified: {part} does not match its digest",
            hint="get a new copy from its maker, or remove it",
        )


def write_store(
    path: Path,
    answers: Mapping[str, Mapping[str, bytes]],
    *,
    by: str,
    created: str,
    analysis: str | None = None,
    reach_analysis: str = "",
    reach: Mapping[str, bytes] | None = None,
) -> tuple[Provenance, int]:
    """Write a store, whole or not at all; return its size in bytes too. Raise `OSError` if that is not possible.

    `answers` map the digest of each wheel to its answers, by key, in the form of the cache of facts; `reach` has the
    files that `--reach` reads, by name.
    """
    digits = 0
    while len(answers) > _WHEELS_IN_PART * 16**digits and digits < 4:
        digits += 1
    provenance = Provenance(
        ftaudit=__version__,
        analysis=analysis or analysis_version(),
        created=created,
        by=by,
        wheels=len(answers),
        answers=sum(map(len, answers.values())),
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        digests = {}
        for name, wheels in _parts(sorted(answers), digits):
            data = b",".join(
                json.dumps(f"{sha256}-{key}").encode() + b":" + answers[sha256][key]
                for sha256 in wheels
                for key in sorted(answers[sha256])
            )
            digests[name] = hashlib.sha256(b"{" + data + b"}").hexdigest()
            archive.writestr(_entry(f"{name}.json"), b"{" + data + b"}")
        head: dict[str, Any] = {
            "format": FORMAT,
            "provenance": {slot: getattr(provenance, slot) for slot in Provenance.__dataclass_fields__},
            "digits": digits,
            "parts": digests,
        }
        if reach is not None:
            files = {name: hashlib.sha256(reach[name]).hexdigest() for name in sorted(reach)}
            head["reach"] = {"analysis": reach_analysis, "files": files}
            for name in files:
                archive.writestr(_entry(f"{REACH}{name}"), reach[name])
        head["checksum"] = _checksum(head)
        archive.writestr(_entry(HEAD), json.dumps(head, indent=1))
    data = file.getvalue()
    replace_content(path, data, mode=0o644)
    return provenance, len(data)


def _entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _parts(digests: Iterable[str], digits: int) -> Iterator[tuple[str, list[str]]]:
    """Yield each part with the digests of its wheels, in order."""
    parts: dict[str, list[str]] = {}
    for digest in digests:
        parts.setdefault(digest[:digits], []).append(digest)
    yield from parts.items()


def _checksum(head: Mapping[str, Any]) -> str:
    """Return the digest of everything that a store's head says, and through it of all parts."""
    said = {key: value for key, value in head.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _parse(data: bytes) -> dict[str, Any]:
    """Return a JSON object; raise `ValueError` for anything else."""
    try:
        found = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("not an object")  # noqa: TRY004 - it is the file's fault.
    return found
