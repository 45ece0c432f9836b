"""Fetches the source distribution of a release into the cache, and checks its hash."""

from __future__ import annotations

import functools
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from ftaudit.errors import ArchiveError, IndexUnreachable, InputError, UsageError
from ftaudit.index.client import Index
from ftaudit.index.release import Query, ReleaseFiles
from ftaudit.model import DistributionFile, GapKind, Status
from ftaudit.model.sentences import gap_phrase
from ftaudit.once import Once
from ftaudit.wheel import local_path, read_body
from ftaudit.whole_files import digest_of, unfinished

MAX_BYTES: Final = 500_000_000
"""A larger sdist is not fetched."""
SUFFIXES: Final = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar", ".zip")


def parse_release(text: str) -> tuple[str, Version] | None:
    """Return name and version of `NAME==VERSION`, or `None` for any other text (a path)."""
    if "==" not in text or os.path.lexists(text):
        return None
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise UsageError(f"{text!r} is neither a path nor NAME==VERSION", hint=str(error).split("\n")[0]) from error
    versions = list(requirement.specifier)
    if len(versions) != 1 or versions[0].operator != "==" or "*" in versions[0].version:
        raise UsageError(f"{text!r} does not name one version", hint="write NAME==VERSION")
    return canonicalize_name(requirement.name), Version(versions[0].version)


class Sdists:
    """Fetches each sdist once in a run, however many callers request it. Usable from many threads."""

    def __init__(self, index: Index, folder: Path) -> None:
        self._index, self._folder = index, folder
        self._fetched = Once[tuple[str, Version], Path]()
        self.unsettled: set[str] = set()
        """The names of projects with an sdist that another run may read otherwise, although the index names the same
        file: it could not be fetched, it is on this machine, or it has no digest.
        """

    def fetch(self, name: str, version: Version) -> Path:
        """Return the file of the release's sdist, from the folder or the index.

        Raise `IndexUnreachable` if no index answers or the download fails, `InputError` for a release without an sdist,
        `ArchiveError` for one that is too large or has a different hash than on the index.
        """
        fetch = functools.partial(self._fetch, name, version)
        return self._fetched.get((canonicalize_name(name), version), fetch)

    def fetch_file(self, name: str, version: Version, sdist: DistributionFile, *, index_url: str | None = None) -> Path:
        """Return the sdist that an input or an index names, from the folder or from its URL.

        If the input has only the file name, the URL comes from the index. Errors as in `fetch`.
        """
        if sdist.url is None:
            place = self.find_listed(name, version, sdist, index_url=index_url)
            sdist = sdist if place is None else replace(place, hashes=sdist.hashes or place.hashes)
        return self._fetch_listed(name, sdist)

    def find_listed(
        self, name: str, version: Version, sdist: DistributionFile, *, index_url: str | None = None
    ) -> DistributionFile | None:
        """Return the file of that name from an index; `None` if no index answers or lists it with a URL."""
        query = Query(name=canonicalize_name(name), version=version, index_url=index_url)
        files = self._index.find_releases([query])[query].files
        return next((file for file in files if file.filename == sdist.filename and file.url), None)

    def _fetch(self, name: str, version: Version) -> Path:
        query = Query(name=canonicalize_name(name), version=version)
        release = self._index.find_releases([query])[query]
        if release.status is not Status.DONE and release.page is not None:
            raise InputError(f"{name}: {_told(release)}", hint="check the version")
        if release.status is not Status.DONE:
            offline = release.reason is not None and release.reason.kind is GapKind.OFFLINE
            hint = "leave out --offline" if offline else "check the network and --index-url"
            raise IndexUnreachable(f"{name} {version}: {_told(release)}", hint=hint)
        sdist = next((file for file in release.files if file.filename.endswith(SUFFIXES)), None)
        if sdist is None or sdist.url is None:
            raise InputError(f"{name} {version} has no source distribution", hint="scan its repository instead")
        return self._fetch_listed(name, sdist)

    def _fetch_listed(self, name: str, sdist: DistributionFile) -> Path:
        if sdist.sha256 is None or not sdist.is_remote:
            self.unsettled.add(canonicalize_name(name))
        try:
            return _fetch_file(sdist, self._index, self._folder)
        except BaseException:
            self.unsettled.add(canonicalize_name(name))
            raise


def _fetch_file(sdist: DistributionFile, index: Index, folder: Path) -> Path:
    if sdist.url is None:
        raise IndexUnreachable(f"the index has no URL of {sdist.filename}", hint="check the index")
    here = local_path(sdist.url)
    if here is not None:
        return here
    kept = folder / "sdists"
    target = kept / Path(sdist.filename).name
    if target.is_file() and _matches(target, sdist):
        return target
    kept.mkdir(parents=True, exist_ok=True)
    _download(index, sdist, target)
    return target


def _download(index: Index, sdist: DistributionFile, target: Path) -> None:
    if index.settings.offline:
        raise IndexUnreachable(f"{sdist.filename} is not in the cache", hint="leave out --offline")
    import requests
    import urllib3

    digest, size = hashlib.sha256(), 0
    try:
        with unfinished(target.parent) as (file, part):
            with index.session().get(sdist.url or "", stream=True) as answer:
                answer.raise_for_status()
                for chunk in read_body(answer, seconds=index.settings.timeout, name=sdist.filename):
                    size += len(chunk)
                    if size > MAX_BYTES:
                        raise ArchiveError(f"{sdist.filename} is larger than {MAX_BYTES // 1_000_000} MB")
                    digest.update(chunk)
                    file.write(chunk)
            file.close()
            if sdist.sha256 is not None and digest.hexdigest() != sdist.sha256:
                raise ArchiveError(f"{sdist.filename} has a different SHA-256 than the index says")
            part.replace(target)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise IndexUnreachable(f"{sdist.filename} cannot be fetched: {type(error).__name__}") from error


def _matches(path: Path, sdist: DistributionFile) -> bool:
    if sdist.sha256 is None:
        return sdist.size is not None and path.stat().st_size == sdist.size
    return digest_of(path) == sdist.sha256


def _told(release: ReleaseFiles) -> str:
    return "the index did not respond" if release.reason is None else gap_phrase(release.reason)
