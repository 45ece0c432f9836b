"""The JSON report: the contract that other programs rely on (`schema/check-1.json` describes it)."""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib import resources
from typing import Any, Final

from ftaudit.__about__ import __version__
from ftaudit.model import (
    Acceptance,
    AcceptedBy,
    BinaryFacts,
    DistributionFile,
    ExtensionModule,
    Finding,
    Gap,
    IndexFacts,
    Location,
    ModuleBinary,
    ModuleRuntime,
    Package,
    Report,
    RuntimeFacts,
    SourceFacts,
    StressFacts,
    StressFailure,
    StressUnit,
    Verdict,
)
from ftaudit.model.reachability import ModuleReach
from ftaudit.model.sentences import exclusion, gap_phrase
from ftaudit.report.package.agreeing_rows import restates_verdict
from ftaudit.report.package.local_build_rows import build_as_dict
from ftaudit.report.package.reach_json import module_reach_as_dict, reach_as_dict
from ftaudit.report.package.readiness import count_ready

SCHEMA_VERSION: Final = 1


def render(report: Report) -> str:
    """Return the report as JSON text, with a final newline."""
    return json.dumps(as_dict(report), indent=2, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) that every rendered report obeys."""
    text = resources.files("ftaudit.report").joinpath("schema/check-1.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def as_dict(report: Report) -> dict[str, Any]:
    """Return the report as plain JSON values."""
    counts = Counter(package.verdict for package in report.packages)
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "ftaudit", "version": __version__},
        "created": None if report.created is None else report.created.isoformat(timespec="seconds"),
        "target": report.target,
        "platforms": list(report.platforms),
        "inputs": list(report.inputs),
        "exit_code": report.exit_code,
        "interpreter": report.interpreter,
        "summary": {verdict.value: counts.get(verdict, 0) for verdict in Verdict},
        "readiness": {state.value: count for state, count in count_ready(report).items()},
        "accepted": _accepted_counts(report),
        "coverage": {tier: {"done": seen.done, "total": seen.total} for tier, seen in report.coverage},
        "traffic": dict(report.traffic),
        "notes": list(report.notes),
        "incomplete": list(report.incomplete),
        "reach": [reach_as_dict(reach) for reach in report.reach],
        "packages": [_package(package, report) for package in report.packages],
    } | ({"builds": [build_as_dict(build) for build in report.builds]} if report.builds else {})


def _package(package: Package, report: Report) -> dict[str, Any]:
    facts = package.facts
    reach = report.reach_on(facts.platform)
    known = {} if reach is None else {each.module: each for each in reach.modules}
    return {
        "name": str(facts.pin.name),
        "version": None if facts.pin.version is None else str(facts.pin.version),
        "extras": list(facts.pin.extras),
        "platform": facts.platform,
        "verdict": package.verdict.value,
        "blocks": package.blocks,
        "accepted": accepted_as_dict(package.accepted),
        "reasons": list(package.reasons),
        "reason_kinds": [reason.kind for reason in package.why],
        "next_step": package.next_step,
        "next_step_kind": None if package.step is None else package.step.kind,
        "fix_version": None if package.fix_version is None else str(package.fix_version),
        "blocked_by": list(package.blocked_by),
        "required_by": [list(chain) for chain in facts.pin.required_by],
        "source": _location(facts.pin.source),
        "also": [_location(place) for place in facts.pin.also],
        "wheel": _file(facts.index.wheel),
        "modules": [_module(module, known.get(module.name)) for module in facts.modules],
        "findings": [_finding(finding) for finding in package.findings],
        "evidence": {
            "index": _index(facts.index),
            "binary": _binary(facts.binary),
            "runtime": _runtime(facts.runtime),
            "source": _source(facts.source),
            "stress": stress_as_dict(facts.stress),
        },
    }


def _location(location: Location | None) -> dict[str, Any] | None:
    if location is None:
        return None
    return {"path": location.path, "line": location.line}


def _file(file: DistributionFile | None) -> dict[str, Any] | None:
    if file is None:
        return None
    url = None if file.url is None else re.sub(r"(?<=://)[^/@]*@", "", file.url)  # Never print credentials.
    return {"filename": file.filename, "url": url, "sha256": file.sha256, "size": file.size}


def _module(module: ExtensionModule, reached: ModuleReach | None) -> dict[str, Any]:
    return {
        "name": module.name,
        "path": module.path,
        "binary": module.binary.declaration.value if module.binary else None,
        "binary_evidence": _module_binary(module.binary),
        "would_declare": module.would_declare.declaration.value if module.would_declare else None,
        "runtime": _module_runtime(module.runtime),
        "reach": module_reach_as_dict(reached),
    }


def _module_binary(binary: ModuleBinary | None) -> dict[str, Any] | None:
    if binary is None:
        return None
    return {
        "how": binary.how,
        "framework": binary.framework,
        "framework_version": binary.framework_version,
        "format": binary.format,
        "machine": binary.machine,
        "free_threaded_build": binary.free_threaded_build,
        "free_threaded_evidence": binary.free_threaded_evidence,
    }


def _module_runtime(runtime: ModuleRuntime | None) -> dict[str, Any] | None:
    if runtime is None:
        return None
    return {
        "imported": runtime.imported,
        "requires_gil": runtime.requires_gil,
        "gil_enabled_after": runtime.gil_enabled_after,
        "culprits": list(runtime.culprits),
        "chain": list(runtime.chain),
        "lazy_chain": list(runtime.lazy_chain),
        "outcome": runtime.outcome,
        "error": runtime.error,
        "environmental": runtime.environmental,
        "output": runtime.output,
        "unexplained": runtime.unexplained,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    location = _location(finding.location)
    return {
        "rule": finding.rule,
        "code": finding.code,
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "message": finding.message,
        "module": finding.module,
        "remedy": finding.remedy,
        "restates_verdict": restates_verdict(finding),
        "location": location,
        "accepted": accepted_as_dict(finding.accepted),
    }


def accepted_as_dict(accepted: Acceptance | None) -> dict[str, Any] | None:
    """Return why something does not count, or `None` if it counts."""
    if accepted is None:
        return None
    return {
        "by": accepted.by.value,
        "reason": accepted.reason,
        "source": _location(accepted.source),
        "expires": None if accepted.expires is None else accepted.expires.isoformat(),
    }


def _accepted_counts(report: Report) -> dict[str, int]:
    counts = Counter(package.accepted.by for package in report.packages if package.accepted is not None)
    return {by.value: counts.get(by, 0) for by in AcceptedBy}


def _index(index: IndexFacts) -> dict[str, Any]:
    return {
        "status": index.status.value,
        "reason": _gap(index.reason),
        "origin": index.origin,
        "kind": index.kind.value,
        "wheels": len(index.wheels),
        "sdist": None if index.sdist is None else index.sdist.filename,
        "compiled": index.compiled,
        "excluded": [f"{file.filename}: {exclusion(file)}" for file in index.excluded],
        "other_platforms": list(index.other_platforms),
        "gil_wheel": None if index.gil_wheel is None else index.gil_wheel.filename,
    }


def _gap(gap: Gap | None) -> str | None:
    return None if gap is None else gap_phrase(gap)


def _binary(binary: BinaryFacts) -> dict[str, Any]:
    return {
        "status": binary.status.value,
        "reason": _gap(binary.reason),
        "bytes_read": binary.bytes_read,
        "bytes_total": binary.bytes_total,
        "classifiers": list(binary.classifiers),
        "problems": list(binary.problems),
        "store": None if binary.store is None else binary.store.name,
    }


def _source(source: SourceFacts) -> dict[str, Any]:
    return {
        "status": source.status.value,
        "reason": _gap(source.reason),
        "sdist": source.sdist,
        "findings": len(source.findings),
        "unread": source.unread,
    }


def _runtime(runtime: RuntimeFacts) -> dict[str, Any]:
    return {
        "status": runtime.status.value,
        "reason": _gap(runtime.reason),
        "interpreter": runtime.interpreter,
        "network_cut": runtime.network_cut,
        "toplevels": {name: _module_runtime(found) for name, found in runtime.toplevels},
        "startup": {file: _module_runtime(ran) for file, ran in runtime.startup},
        "unlisted": list(runtime.unlisted),
        "contested": dict(runtime.contested),
    }


def stress_as_dict(stress: StressFacts) -> dict[str, Any]:
    """Return the stress results of a package as plain JSON values."""
    return {
        "status": stress.status.value,
        "reason": _gap(stress.reason),
        "interpreter": stress.interpreter,
        "seed": stress.seed,
        "budget": stress.budget,
        "cpu_seconds": stress.cpu_seconds,
        "wall_seconds": stress.wall_seconds,
        "types": stress.types,
        "types_driven": list(stress.types_driven),
        "callables": [
            {"name": each.name, "driven": each.driven, "by_recipe": each.by_recipe, "reason": each.reason or None}
            for each in stress.callables
        ],
        "left_out": stress.left_out,
        "units": stress.units,
        "rounds": stress.rounds,
        "overlapped": stress.overlapped,
        "calls": stress.calls,
        "alone": [{"call": call, "signal": number} for call, number in stress.alone],
        "with_gil": list(map(_stress_unit, stress.with_gil)),
        "in_interpreter": list(map(_stress_unit, stress.in_interpreter)),
        "rare": list(map(_stress_unit, stress.rare)),
        "ended": None if stress.ended is None else stress.ended.value,
        "failures": list(map(_stress_failure, stress.failures)),
    }


def _stress_unit(unit: StressUnit) -> dict[str, Any]:
    return {"schedule": unit.schedule, "target": unit.target, "operations": list(unit.operations)}


def _stress_failure(failure: StressFailure) -> dict[str, Any]:
    return {
        **_stress_unit(failure.unit),
        "kind": failure.kind.value,
        "signal": failure.signal or None,
        "message": failure.message or None,
        "failed": failure.failed,
        "failed_with_gil": failure.control,
        "tries": failure.tries,
        "threads": failure.threads,
        "by_recipe": failure.by_recipe,
        "also": list(failure.also),
        "native": failure.native or None,
        "stack": failure.stack,
        "script": failure.script,
        "explained_by": [{"rule": code, "path": path, "line": line} for code, path, line in failure.explained_by],
    }
