"""The source tier: the sdists of the packages, scanned with the rules that read source (`check --source`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import Version

from ftaudit.engine.session import AuditSession
from ftaudit.engine.tiers.collect import Key
from ftaudit.errors import FtauditError, InputError
from ftaudit.model import Gap, GapKind, IndexFacts, PackageFacts, SourceFacts, Status
from ftaudit.model.sentences import gap_phrase
from ftaudit.rule import SourceRule

if TYPE_CHECKING:
    from ftaudit.source.tree_scan import ScanResult


def find_source_facts(session: AuditSession, indexed: Mapping[Key, IndexFacts]) -> dict[Key, SourceFacts]:
    """Scan the sdist of each version once, if the settings request it; a failure affects only its row."""
    if not session.settings.source:
        return dict.fromkeys(indexed, SourceFacts())
    releases = list(dict.fromkeys((pin.name, pin.version) for pin, _ in indexed if pin.version is not None))
    rules, _ = session.rules(SourceRule)
    session.progress.stage("sources", len(releases))
    found = {}
    for name, version in releases:
        found[name, version] = _scan(session, name, version, rules)
        session.progress.done(f"{name} {version}")
    nothing = SourceFacts(reason=Gap(kind=GapKind.NO_VERSION))
    return {key: found[key[0].name, key[0].version] if key[0].version else nothing for key in indexed}


def scan_sdist(
    session: AuditSession, name: str, version: Version, rules: Sequence[SourceRule], *, declarations: bool = False
) -> tuple[Path, ScanResult]:
    """Unpack the sdist of a release and scan it; return its file and the findings.

    With `declarations`, the rules are about declarations only, and files that cannot hold one are not read. Raise
    `InputError` for a release without an sdist, and for an sdist without source; another `FtauditError` if it cannot be
    downloaded.
    """
    from ftaudit.source.declaring_files import declaring_files
    from ftaudit.source.result_cache import open_results
    from ftaudit.source.sdist import found_in
    from ftaudit.source.tree_scan import scan

    settings = session.settings
    archive = session.sdists.fetch(name, version)
    only = declaring_files(rules) if declarations else None
    with found_in(archive, session.folder / "unpacked", only=only) as found:
        result = scan(
            found,
            rules=rules,
            target=session.target,
            known=[rule.info for rule in rules],
            cache=None if settings.no_cache else open_results(settings.cache),
            jobs=settings.jobs,
        )
    if result.unread:
        session.sdists.unsettled.add(canonicalize_name(name))
    return archive, result


def _scan(session: AuditSession, name: str, version: Version, rules: Sequence[SourceRule]) -> SourceFacts:
    try:
        archive, result = scan_sdist(session, name, version, rules)
    except InputError as error:
        return SourceFacts(reason=_gap(error))
    except FtauditError as error:
        return SourceFacts(status=Status.FAILED, reason=_gap(error))
    return SourceFacts(
        status=Status.DONE,
        reason=None,
        sdist=archive.name,
        findings=tuple(result.findings),
        unread=result.unread,
    )


def unread_sources(every: Iterable[PackageFacts]) -> Iterator[str]:
    """Yield a sentence for each requested sdist that could not be scanned completely."""
    for facts in every:
        pin, source = facts.pin, facts.source
        if source.status is Status.FAILED and source.reason is not None:
            yield f"the source of {pin.name} {pin.version}: {gap_phrase(source.reason)}"
        elif source.unread:
            files = "1 file" if source.unread == 1 else f"{source.unread} files"
            yield f"{files} of {source.sdist}: `ftaudit scan {pin.name}=={pin.version}` says why"


def _gap(error: FtauditError) -> Gap:
    return Gap(kind=GapKind.FAILED, detail=error.what, subject=error.about)
