"""The main figures of a fleet in sentences: they count only what was judged, and name what was not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ftaudit.fleet.fleet_summary import FleetProject, FleetTarget
from ftaudit.fleet.freeing import Freeing
from ftaudit.fleet.schema import Mode
from ftaudit.report.package.agreeing_rows import counted
from ftaudit.target import parse_target


def headline(target: FleetTarget) -> str:
    """Return the main figure of a target in one sentence, without a full stop."""
    abi = parse_target(target.name).abi
    judged, packages = target.with_judged_wheel, len(target.packages)
    whole = not target.unread and not target.unsought
    if not packages:
        return "no package was judged"
    if not judged:
        if whole:
            return f"no package of {packages:,} has a {abi} wheel"
        if target.unread:
            wheels = (
                f"the {abi} wheel of 1 package"
                if target.unread == 1
                else f"the {abi} wheels of {target.unread:,} packages"
            )
            return f"{wheels} could not be judged"
        some = "the one package" if packages == 1 else f"{target.unsought:,} of {packages:,} packages"
        have = "has" if target.unsought == 1 else "have"
        return f"ftaudit could not look up whether {some} {have} a {abi} wheel"
    which = f"with a {abi} wheel" if whole else f"whose {abi} wheel was judged"
    if judged == 1:
        return f"the one package {which} {'turns' if target.enabling else 'does not turn'} the GIL back on"
    if not target.enabling and not whole:
        return f"the {abi} wheels that were judged, of {judged:,} packages, do not turn the GIL back on"
    return f"of {judged:,} packages {which}, {100 * target.enabling / judged:.1f}% turn the GIL back on"


def lede(target: FleetTarget, freeing: Freeing, mode: Mode) -> Iterator[str]:
    """Yield the sentences below the headline."""
    judged = target.with_judged_wheel
    if judged > 1 and (target.enabling or not (target.unread or target.unsought)):
        yield f"{target.enabling:,} of {judged:,}, on CPython {target.name}."
    else:
        yield f"On CPython {target.name}."
    if target.unread and judged:
        wheels = (
            "the wheel of 1 more package" if target.unread == 1 else f"the wheels of {target.unread:,} more packages"
        )
        yield f"{wheels[:1].upper()}{wheels[1:]} could not be judged."
    if target.unsought and (judged or target.unread):
        have = "has" if target.unsought == 1 else "have"
        yield f"ftaudit could not look up whether {counted(target.unsought, 'more package')} {have} one."
    if mode is Mode.CHECK:
        yield from _of_projects(target.projects, freeing)


def _of_projects(projects: Sequence[FleetProject], freeing: Freeing) -> Iterator[str]:
    read = [project for project in projects if project.problem is None]
    failed = len(projects) - len(read)
    blocked = sum(project.exit_code == 1 for project in read)
    unsure = sum(not project.is_checked for project in read)
    which = counted(len(read), "project") + (" that could be read" if failed else "")
    if blocked:
        yield f"Something blocks {blocked:,} of {which}."
        if freeing.fixes and freeing.fixes[-1].freed:
            freed = freeing.fixes[-1].freed
            used = max(place for place, fix in enumerate(freeing.fixes, 1) if fix.frees)
            yield f"To unblock {freed:,} of them, upgrade {counted(used, 'package')} to existing releases."
    elif read and unsure:
        yield "Nothing is known to block."
    elif read:
        yield f"Nothing blocks in {which}."
    if unsure:
        yield f"In {counted(unsure, 'project')}, not everything was checked."
    if failed:
        yield f"{counted(failed, 'project')} could not be read."
