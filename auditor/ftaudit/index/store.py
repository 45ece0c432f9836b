"""The cache of index pages on disk: the server's response, its lifetime, and the answers already read from it.

A page is two files named by the hash of its URL: `.page`, the body as the server sent it, and `.json`, small, with
validators, freshness, the body's length and digest, and the files of the versions requested so far. With a warm cache,
only the small file is read. Each file is replaced in one step, so that processes can share the folder: if a `.json`
does not match its `.page`, the digest shows it, and the page is dropped. No HTTP cache library fits: CacheControl and
hishel store responses, so that fifty pages of a megabyte would be read and parsed again on every run.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from ftaudit.model import DistributionFile

FORMAT: Final = 3
"""Increase this number if the meaning of the data changes; other formats are ignored."""
DEFAULT_MAX_AGE: Final = 600.0
"""Lifetime of a page in seconds if the server does not state one; the value of the real index."""
LONGEST_MAX_AGE: Final = 86400.0

Answers = dict[str, tuple[DistributionFile, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredPage:
    """The known facts about one page."""

    url: str
    """The URL of the page after redirects; relative links start from it."""
    form: str
    """`html`, `json`, or `absent` for a 404."""
    charset: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    checked: float = 0.0
    """When the server last confirmed the page, in seconds since the epoch."""
    max_age: float = DEFAULT_MAX_AGE
    length: int = 0
    digest: str = ""
    """The SHA-256 digest of the body."""
    skipped: int = 0
    """Links of the page that were skipped while the answers were read."""
    answers: Answers = field(default_factory=dict)
    """Files by `name version`, for the requests so far."""
    later: dict[str, list[Any]] = field(default_factory=dict)
    """Plain data of the files of later versions, by `name version`, for the requests so far."""

    @property
    def age(self) -> float:
        """Seconds since the server confirmed it."""
        return time.time() - self.checked

    def with_body(self, body: bytes) -> StoredPage:
        """Return the entry with the length and the digest of this body."""
        return replace(self, length=len(body), digest=sha256(body).hexdigest())

    @property
    def identity(self) -> str:
        """What is different for a page of another content; the text of a 404 does not count."""
        return f"{self.url} absent" if self.form == "absent" else f"{self.url} {self.length} {self.digest}"

    def describes(self, body: bytes) -> bool:
        """Whether the body is the one that was stored with this entry."""
        return len(body) == self.length and sha256(body).hexdigest() == self.digest


class PageStore:
    """A folder of pages; `None` stores nothing. A damaged entry is dropped, and a disk failure is not an error."""

    def __init__(self, folder: Path | None, *, least_max_age: float = 0.0) -> None:
        """`least_max_age` is the number of seconds for which a page needs no request, whatever the server says."""
        self._folder = folder
        self._least_max_age = least_max_age

    def is_fresh(self, entry: StoredPage) -> bool:
        """Return whether a page may be used without a request; a clock that was set back makes it stale."""
        return 0 <= entry.age < max(entry.max_age, self._least_max_age)

    @property
    def keeps(self) -> bool:
        """Whether there is a folder."""
        return self._folder is not None

    @property
    def is_empty(self) -> bool:
        """Whether no page was ever stored."""
        return self._folder is None or not (self._folder / "pages").is_dir()

    def load(self, url: str, user: str | None) -> StoredPage | None:
        """Return the entry of a page for that user, or `None`."""
        path = self._path(url, user, ".json")
        if path is None:
            return None
        try:
            return _parse(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self.drop(url, user)
            return None

    def load_body(self, url: str, user: str | None, entry: StoredPage) -> bytes | None:
        """Return the page's body, or `None` if it is missing or does not match the entry."""
        path = self._path(url, user, ".page")
        if path is None:
            return None
        try:
            body = path.read_bytes()
        except OSError:
            return None
        return body if entry.describes(body) else None

    def save(self, url: str, user: str | None, entry: StoredPage, body: bytes | None = None) -> StoredPage:
        """Store an entry, and its body if there is a new one; return the stored entry."""
        if body is not None:
            entry = entry.with_body(body)
            self._write(self._path(url, user, ".page"), body)
        self._write(self._path(url, user, ".json"), _render(entry))
        return entry

    def drop(self, url: str, user: str | None) -> None:
        """Remove a page."""
        for suffix in (".json", ".page"):
            path = self._path(url, user, suffix)
            if path is not None:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _path(self, url: str, user: str | None, suffix: str) -> Path | None:
        """The name separates users, who may see different pages; it does not protect secrets."""
        if self._folder is None:
            return None
        key = sha256(f"{user or ''}\n{url}".encode("utf-8", "surrogatepass")).hexdigest()[:40]
        return self._folder / "pages" / key[:2] / f"{key}{suffix}"

    def _write(self, path: Path | None, data: bytes) -> None:
        if path is None:
            return
        from ftaudit.whole_files import write_whole

        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, data)


def _render(entry: StoredPage) -> bytes:
    answers = {key: [file.as_list() for file in files] for key, files in entry.answers.items()}
    plain: dict[str, Any] = {name: getattr(entry, name) for name in StoredPage.__slots__}
    return json.dumps({"format": FORMAT, **plain, "answers": answers}, separators=(",", ":")).encode()


def _parse(data: bytes) -> StoredPage:
    """Parse the output of `_render`; raise Python's own exceptions for anything else."""
    raw = json.loads(data)
    if not isinstance(raw, dict) or raw.pop("format") != FORMAT:
        raise ValueError("another format")
    answers = {key: tuple(map(DistributionFile.from_list, files)) for key, files in raw.pop("answers").items()}
    entry = StoredPage(answers=answers, **raw)
    numbers = (entry.checked, entry.max_age, entry.length, entry.skipped)
    texts = (entry.url, entry.form, entry.digest)
    if not all(isinstance(n, (int, float)) for n in numbers) or not all(isinstance(t, str) for t in texts):
        raise TypeError("not what was written")
    if not isinstance(entry.later, dict):
        raise TypeError("not what was written")
    return entry
