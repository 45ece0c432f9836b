"""What reachability found, as plain JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ftaudit.model.reachability import (
    BlockerReach,
    ComparedRun,
    Condition,
    ImportSite,
    ModuleReach,
    OpenSite,
    ReachAnswer,
    ReachStep,
    SeenLoad,
)


def module_reach_as_dict(found: ModuleReach | None) -> dict[str, Any] | None:
    """Return the facts about one module, or `None` if they were not requested."""
    if found is None:
        return None
    return {
        "class": found.reached.value,
        "path": [_step(step) for step in found.path],
        "ways": found.ways,
        "cuts": [_site(site) for site in found.cuts],
        "optional": found.optional,
        "extras": [{"package": each.package, "extra": each.extra} for each in found.extras],
        "open_sites": [_open(site) for site in found.open_sites],
        "seen": None if found.seen is None else _seen(found.seen),
    }


def blockers_as_dicts(found: Sequence[BlockerReach]) -> list[dict[str, Any]]:
    """Return when the modules of packages are loaded, a package and platform each."""
    return [
        {
            "name": each.name,
            "version": each.version,
            "platform": each.platform,
            "class": each.reached.value,
            "modules": [{"module": module.module, **(module_reach_as_dict(module) or {})} for module in each.modules],
        }
        for each in found
    ]


def reach_as_dict(reach: ReachAnswer) -> dict[str, Any]:
    """Return the facts about a platform as a whole."""
    return {
        "platform": reach.platform,
        "starts": [start.label for start in reach.starts],
        "files": reach.files,
        "steps": reach.steps,
        "bytes_read": reach.bytes_read,
        "open_sites": [_open(site) for site in reach.open_sites],
        "runs": [_run(run) for run in reach.runs],
        "differences": [
            {
                "module": each.module,
                "class": each.predicted.value,
                "loaded": each.loaded,
                "at_start": each.at_start,
                "outside": each.outside,
                "run": each.run.run,
            }
            for each in reach.differences
        ],
    }


def _seen(seen: SeenLoad) -> dict[str, Any]:
    return {
        "run": seen.run,
        "chain": list(seen.chain),
        "at_start": seen.at_start,
        "requires_gil": seen.requires_gil,
        "path": seen.file,
        "line": seen.line or None,
    }


def _run(run: ComparedRun) -> dict[str, Any]:
    return {
        "kind": run.kind.value,
        "run": run.run,
        "compared": run.other is None,
        "completed": list(run.completed),
        "failed": [{"start": start, "error": error} for start, error in run.failed],
    }


def _step(step: ReachStep) -> dict[str, Any]:
    return {**_site(step.site), "loads": step.target, "conditions": [_condition(each) for each in step.conditions]}


def _site(site: ImportSite) -> dict[str, Any]:
    return {
        "module": site.module,
        "path": site.file,
        "line": site.line or None,
        "function": site.function,
        "own": site.own,
    }


def _condition(condition: Condition) -> dict[str, Any]:
    return {
        "kind": condition.kind.value,
        "path": condition.file,
        "line": condition.line or None,
        "text": condition.text,
    }


def _open(site: OpenSite) -> dict[str, Any]:
    return {
        "kind": site.kind.value,
        "package": site.package,
        "module": site.module,
        "path": site.file,
        "line": site.line or None,
        "prefix": site.prefix,
        "at_start": site.at_start,
    }
