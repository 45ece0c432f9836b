"""What the given files lack and the index has, and which of the files a row is about."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from packaging.utils import parse_wheel_filename

from ftaudit.engine.rows import Judged
from ftaudit.index.choose import choose_wheel
from ftaudit.index.client import Index
from ftaudit.index.release import Query
from ftaudit.model import DistributionFile, IndexFacts, Location, PackageFacts, Pin, Verdict, WheelKind
from ftaudit.model.steps import Download
from ftaudit.target import Platform, Target

GIVEN: Final = "file"
"""The origin of facts from files of the user, as the index tier spells it."""


def at_its_file(pin: Pin, facts: IndexFacts) -> Pin:
    """Return the pin at the judged wheel, if its place is another file of the same release."""
    if facts.origin != GIVEN or facts.wheel is None or pin.source is None or pin.source.line is not None:
        return pin
    place = Path(pin.source.path)
    if place.name not in {file.conda_package or file.filename for file in pin.files or ()}:
        return pin
    name = facts.wheel.conda_package or facts.wheel.filename
    return replace(pin, source=Location(path=str(place.with_name(name))))


def find_lacking(
    judged: Sequence[Judged],
    *,
    target: Target,
    platforms: Sequence[Platform],
    index: Index,
) -> dict[tuple[str, str], Download]:
    """Map (name, platform) to how to get the wheel that the user's files lack, if the index has it.

    An index that does not answer adds no entry.
    """
    by_name = {platform.name: platform for platform in platforms}
    asked = {
        (str(facts.pin.name), facts.platform): (facts, Query(name=facts.pin.name, version=facts.pin.version))
        for facts, verdict, _ in judged
        if verdict in (Verdict.SOURCE_ONLY, Verdict.UNAVAILABLE)
        and facts.index.origin == GIVEN
        and facts.pin.version is not None
        and not any(file.conda_package for file in facts.pin.files or ())
    }
    releases = index.find_releases({query for _, query in asked.values()}) if asked else {}
    found = {}
    for key, (facts, query) in asked.items():
        pin = replace(facts.pin, files=None, allowed_hashes=frozenset(), source_tree=None)
        chosen = choose_wheel(pin, releases[query], target, by_name[key[1]])
        if chosen.wheel is not None:
            found[key] = Download(command=_download(facts, chosen, target))
    return found


def _download(facts: PackageFacts, chosen: IndexFacts, target: Target) -> str:
    """Return the command that downloads the wheel into the folder of the given files."""
    words = ["pip", "download", "--no-deps"]
    if chosen.kind is not WheelKind.PURE and chosen.wheel is not None:
        tag = min(parse_wheel_filename(chosen.wheel.filename)[3], key=str)
        version = ".".join(map(str, target.version))
        words += ["--only-binary", ":all:", "--python-version", version, "--abi", tag.abi, "--platform", tag.platform]
    folder = next(filter(None, map(_folder, facts.pin.files or ())), ".")
    return shlex.join([*words, "--dest", folder, f"{facts.pin.name}=={facts.pin.version}"])


def _folder(file: DistributionFile) -> str | None:
    path = Path(unquote(urlsplit(file.url or "").path)).parent
    if not file.url:
        return None
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
