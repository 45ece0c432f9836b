"""A plan as JSON (`schema/plan-1.json` describes it)."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, Final

from ftaudit.__about__ import __version__
from ftaudit.model import Location
from ftaudit.model.plans import Candidate, Change, Plan, Proof, SourceEvidence, Switch, WayOut
from ftaudit.model.sentences import candidate_phrase, sentences
from ftaudit.planning import plan_sentences
from ftaudit.report.outlook.outlook_groups import outlook_as_dict
from ftaudit.report.package.reach_json import blockers_as_dicts

SCHEMA_VERSION: Final = 1


def render(plan: Plan) -> str:
    """Return the plan as JSON text, with a final newline."""
    return json.dumps(as_dict(plan), indent=2, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) that every rendered plan obeys."""
    text = resources.files("ftaudit.report").joinpath("schema/plan-1.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def as_dict(plan: Plan) -> dict[str, Any]:
    """Return the plan as plain JSON values."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "ftaudit", "version": __version__},
        "target": plan.target,
        "platforms": list(plan.platforms),
        "inputs": list(plan.inputs),
        "exit_code": plan.exit_code,
        "interpreter": plan.interpreter,
        "packages": plan.packages,
        "blocked": list(plan.blocked),
        "still_blocked": list(plan.still_blocked),
        "faster": list(plan.faster),
        "unknown": list(plan.unknown),
        "changes": [_change(change, plan) for change in plan.changes],
        "lock_commands": list(plan.lock_commands),
        "ways": [_way(way) for way in plan.ways],
        "proofs": [_proof(proof) for proof in plan.proofs],
        "notes": list(plan.notes),
        "incomplete": list(plan.incomplete),
        "traffic": dict(plan.traffic),
        "reach": blockers_as_dicts(plan.reach),
        "outlook": None if plan.outlook is None else outlook_as_dict(plan.outlook),
    }


def _change(change: Change, plan: Plan) -> dict[str, Any]:
    return {
        "name": str(change.name),
        "current": _text(change.current),
        "proposed": str(change.proposed),
        "kind": change.kind.value,
        "is_major": change.is_major,
        "old": change.old,
        "new": change.new,
        "reason": plan_sentences.change_reason(change),
        "evidence": list(plan_sentences.change_evidence(change, plan.ways)),
        "removes": list(change.removes),
        "needed_by": list(change.needed_by),
        "required_by": [list(chain) for chain in change.required_by],
        "location": _location(change.location),
    }


def _way(way: WayOut) -> dict[str, Any]:
    return {
        "name": str(way.name),
        "current": _text(way.current),
        "platform": way.platform,
        "verdict": way.verdict.value,
        "reasons": list(sentences(way.why, way.platform)),
        "kind": way.kind.value,
        "sentence": plan_sentences.way_out(way, way.platform),
        "solved": way.solved,
        "first_good": _text(way.first_good),
        "newest_good": _text(way.newest_good),
        "fallback": _text(way.fallback),
        "newest": _text(way.newest),
        "passed_over": [_candidate(candidate, way.platform) for candidate in way.passed_over],
        "source": None if way.source is None else _source(way.source),
        "switches": [_switch(switch) for switch in way.switches],
        "required_by": [list(chain) for chain in way.required_by],
        "location": _location(way.location),
    }


def _candidate(candidate: Candidate, platform: str) -> dict[str, Any]:
    return {
        "version": str(candidate.version),
        "fate": candidate.fate.value,
        "reason": candidate_phrase(candidate, platform),
        "wheel": candidate.wheel,
    }


def _source(source: SourceEvidence) -> dict[str, Any]:
    return {
        "sdist": source.sdist,
        "version": str(source.version),
        "would_declare": source.would_declare.value,
        "evidence": list(plan_sentences.source_evidence(source)),
    }


def _switch(switch: Switch) -> dict[str, Any]:
    return {
        "setting": switch.setting,
        "versions": switch.versions,
        "effect": switch.effect,
        "source": switch.source,
        "checked": switch.checked,
    }


def _proof(proof: Proof) -> dict[str, Any]:
    return {
        "input": proof.input,
        "platform": proof.platform,
        "status": proof.status.value,
        "reason": proof.reason,
        "command": proof.command,
        "requirements": list(proof.requirements),
        "resolved": {str(name): _text(version) for name, version in proof.resolved},
        "checked": [
            {
                "name": str(one.name),
                "version": _text(one.version),
                "verdict": one.verdict.value,
                "reasons": list(sentences(one.why, one.platform)),
            }
            for one in proof.checked
        ],
        "not_proven": list(proof.not_proven),
    }


def _location(location: Location | None) -> dict[str, Any] | None:
    return None if location is None else {"path": location.path, "line": location.line}


def _text(value: object) -> str | None:
    return None if value is None else str(value)
