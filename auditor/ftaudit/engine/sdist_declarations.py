"""What a build of an sdist would declare about the GIL: the source scanner's answer, by the rules about declarations.

No code is built or run.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from packaging.version import Version

from ftaudit.engine.session import AuditSession
from ftaudit.engine.sources import scan_sdist
from ftaudit.errors import FtauditError
from ftaudit.model import DistributionFile, GilDeclaration
from ftaudit.model.plain import from_plain, to_plain
from ftaudit.model.plans import NotRead
from ftaudit.model.reasons import WORST_FIRST, InSource
from ftaudit.registry import load_rules
from ftaudit.rule import SourceRule

if TYPE_CHECKING:
    from ftaudit.source.tree_scan import ScanResult

LARGEST: Final = 30_000_000
"""Size limit in bytes; a larger sdist is not fetched only to read its declarations."""


def find_declaration(session: AuditSession, name: str, version: Version, sdist: DistributionFile) -> InSource | NotRead:
    """Return what the modules of a release's sdist would declare, combined; the worst of them counts.

    The rules are all those with `RuleInfo.declares`, whatever the settings select. A project without a declaration that
    the rules recognize is `undetermined`, and so is one that declares no use of the GIL while some of its files could
    not be read.
    """
    if sdist.size is not None and sdist.size > LARGEST:
        return NotRead(sdist=sdist.filename, problem=None)
    kept = None if session.settings.no_cache else _Kept(session, sdist)
    if kept is not None and (known := kept.read()) is not None:
        return known
    try:
        # The rules load in a quarter of a second, which a run without network does not need.
        session.sdists.fetch(name, version)
        registry = load_rules(session.settings.rules)
        rules = [rule for rule in registry.rules if isinstance(rule, SourceRule) and rule.info.declares is not None]
        archive, result = scan_sdist(session, name, version, rules, declarations=True)
    except FtauditError as error:
        return NotRead(sdist=sdist.filename, problem=error.problem)
    found = judge_scan(archive.name, result, whole=not registry.problems)
    if kept is not None and not registry.problems:
        kept.write(found)
    return found


class _Kept:
    """The answer of an earlier run for the same sdist by the same rules. One with unread files is not kept."""

    def __init__(self, session: AuditSession, sdist: DistributionFile) -> None:
        from ftaudit.source.result_cache import open_results

        self._sdist = sdist
        self._cache = open_results(session.settings.cache)
        question = f"{session.target.name} {sdist.filename} {sdist.sha256}"
        self._key = hashlib.sha256(session.declaration_rules() + question.encode()).digest()

    def read(self) -> InSource | None:
        """Return the answer, or `None`."""
        if self._sdist.sha256 is None:
            return None
        try:
            found: InSource = from_plain(InSource, self._cache.load([self._key])[self._key])
        except (KeyError, ValueError, TypeError):
            return None
        return found

    def write(self, found: InSource) -> None:
        """Keep an answer."""
        if self._sdist.sha256 is not None and found.sdist == self._sdist.filename and not found.unread:
            self._cache.store({self._key: to_plain(found)})


def judge_scan(sdist: str, result: ScanResult, *, whole: bool = True) -> InSource:
    """Return what the findings of a scan say about the declaration; `whole` means that every rule ran.

    A comment that silences a finding does not change what the module declares.
    """
    said = [finding for finding in (*result.findings, *result.silenced) if finding.declares is not None]
    declares = next((one for one in WORST_FIRST if any(finding.declares is one for finding in said)), None)
    if declares is GilDeclaration.NOT_USED and (result.unread or not whole):
        declares = GilDeclaration.UNDETERMINED
    places = (finding.location for finding in said if finding.declares is declares and finding.location is not None)
    return InSource(
        sdist=sdist,
        declares=declares or GilDeclaration.UNDETERMINED,
        places=tuple(dict.fromkeys(places)),
        unread=result.unread,
    )
