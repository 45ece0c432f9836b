"""What a build of a package without a wheel would declare, read from its sdist; nothing is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

from packaging.version import Version

from ftaudit.engine.rows import Judged
from ftaudit.engine.sdist_declarations import find_declaration
from ftaudit.engine.session import AuditSession
from ftaudit.judge.rebuild import find_rebuild
from ftaudit.model import GilDeclaration, PackageFacts, Verdict
from ftaudit.model.reasons import InSource
from ftaudit.model.steps import GoodRelease, Lead

FETCHED_AT_ONCE: Final = 4
Release: TypeAlias = tuple[str, Version]


def find_forecasts(
    session: AuditSession, judged: Sequence[Judged], later: Mapping[tuple[str, str], Lead]
) -> dict[Release, InSource]:
    """Read the sdists of packages without a wheel and without a good later release, each release once.

    The wheel of the GIL-enabled build, where it was read, is better evidence. An sdist that cannot be read, or shows
    nothing, has no entry: the verdict does not depend on it.
    """
    wanted = {
        (str(facts.pin.name), facts.pin.version): facts
        for facts, verdict, _ in judged
        if verdict is Verdict.SOURCE_ONLY
        and facts.pin.version is not None
        and facts.index.sdist is not None
        and not isinstance(later.get((str(facts.pin.name), facts.platform)), GoodRelease)
        and _is_open(facts)
    }
    if not wanted:
        return {}
    session.progress.stage("sources", len(wanted))

    def read(release: Release) -> InSource | None:
        sdist = wanted[release].index.sdist
        found = sdist and find_declaration(session, *release, sdist.filename, sdist.size)
        session.progress.done(f"{release[0]} {release[1]}")
        return found if isinstance(found, InSource) else None

    with ThreadPoolExecutor(FETCHED_AT_ONCE) as pool:
        found = dict(zip(wanted, pool.map(read, wanted), strict=True))
    return {
        release: source
        for release, source in found.items()
        if source is not None and (source.declares is not GilDeclaration.UNDETERMINED or source.unread)
    }


def _is_open(facts: PackageFacts) -> bool:
    """Return whether no wheel of the GIL-enabled build says what a build would declare."""
    rebuild = find_rebuild(facts.modules)
    return rebuild is None or not rebuild.tells
