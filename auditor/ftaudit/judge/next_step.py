"""What to do about a verdict, in one sentence."""

from __future__ import annotations

from ftaudit.judge.rebuild import find_rebuild
from ftaudit.judge.table import left_out_by_hashes
from ftaudit.model import GilDeclaration, PackageFacts, Status, Verdict


def next_step(verdict: Verdict, facts: PackageFacts, *, later: str | None) -> str | None:
    """Return what to do about a verdict, in one sentence; `later` says what is known of later versions."""
    pin, upgrade = facts.pin, later
    if later and pin.required_by and len(pin.required_by[0]) > 1:
        upgrade = f"{later} (which version is taken is up to {pin.required_by[0][-2]})"
    match verdict:
        case Verdict.SOURCE_ONLY | Verdict.UNAVAILABLE if left_out_by_hashes(facts):
            return "lock again with the hashes of all the files of the release"
        case Verdict.REENABLES_GIL:
            return upgrade or "no later version to try: ask upstream, and name the modules above"
        case Verdict.SOURCE_ONLY:
            return upgrade or f"no later version has such a wheel{_build_or_ask(facts)}"
        case Verdict.UNAVAILABLE:
            return upgrade or "no later version has such a wheel: ask upstream for one"
        case Verdict.BROKEN:
            return upgrade or "report the failure upstream, with the lines above"
        case Verdict.UNKNOWN:
            if pin.source_tree:
                return "build a wheel of it and give that to ftaudit"
            said = " ".join(filter(None, (pin.problem, facts.index.reason, facts.binary.reason)))
            if "offline, and" in said:
                return "run `ftaudit` once with a network and without --offline: that fills the cache"
            if "cannot connect to" in said:
                return "check the network, the proxy and the index URL, then run it again"
            if facts.modules and facts.runtime.status is Status.SKIPPED:
                return (
                    f"import it under {facts.target} on {facts.platform}: run `ftaudit check` there, without --static"
                )
            return None
        case Verdict.READY | Verdict.PURE | Verdict.FALLBACK:
            return None


def _build_or_ask(facts: PackageFacts) -> str:
    """Say whether a build from the sdist is worth it, by what the ordinary build's wheel declares."""
    rebuild = find_rebuild(facts.modules)
    match None if rebuild is None else rebuild.worst:
        case GilDeclaration.NOT_USED:
            return ": build one from the sdist, which would leave the GIL off"
        case GilDeclaration.USED | GilDeclaration.UNDECLARED:
            return ", and a build from the sdist would turn the GIL on too: ask upstream"
        case _:
            return ": ask upstream; `ftaudit plan` says what a build from the sdist would give"
