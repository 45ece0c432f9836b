"""How the user's code reaches a package, as the parts of a SARIF result: its rank and its code flows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from ftaudit.model.reach_sentences import condition_phrase
from ftaudit.model.reachability import BlockerReach, ModuleReach, ReachClass, ReachStep
from ftaudit.report.console import clean
from ftaudit.report.results.result_places import Places

SITES: Final = "%SITE_PACKAGES%"
"""The base of the paths in packages."""
RANKS: Final = {
    ReachClass.START: 100.0,
    ReachClass.START_IF: 80.0,
    ReachClass.RUN: 60.0,
    ReachClass.UNSURE: 40.0,
    ReachClass.NONE: 10.0,
}
"""The priority of a result (§3.27.25): 100 is the most urgent."""
MOST_FLOWS: Final = 4
"""Import chains in one result."""


def rank(found: Sequence[BlockerReach]) -> float:
    """Return the priority of the module that is loaded first."""
    return max(RANKS[each.reached] for each in found)


def code_flows(found: Sequence[BlockerReach], places: Places, *, root: str) -> list[dict[str, Any]]:
    """Return the import chains to the modules, each once, the most urgent first. `root` is the base of own files."""
    chains: dict[tuple[ReachStep, ...], ModuleReach] = {}
    for each in found:
        for module in each.modules:
            if module.path:
                chains.setdefault(module.path, module)
    return [
        {
            "message": {"text": clean(f"{module.module} is loaded")},
            "threadFlows": [{"locations": [{"location": _location(step, places, root)} for step in path]}],
        }
        for path, module in list(chains.items())[:MOST_FLOWS]
    ]


def _location(step: ReachStep, places: Places, root: str) -> dict[str, Any]:
    site = step.site
    conditions = " and ".join(dict.fromkeys(map(condition_phrase, step.conditions)))
    text = f"loads {step.target}" + (f", if {conditions}" if conditions else "")
    made: dict[str, Any] = {"message": {"text": clean(text)}}
    if site.line:
        made["physicalLocation"] = {
            "artifactLocation": _artifact(step, places, root),
            "region": {"startLine": site.line},
        }
    name = f"{site.module}.{site.function}" if site.function else site.module
    made["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "function" if site.function else "module"}]
    return made


def _artifact(step: ReachStep, places: Places, root: str) -> dict[str, Any]:
    if not step.site.own:
        return {"uri": quote(step.site.file, errors="surrogateescape"), "uriBaseId": SITES}
    uri, inside = places.uri(step.site.file)
    return {"uri": uri} | ({"uriBaseId": root} if inside else {})
