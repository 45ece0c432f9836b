"""SARIF 2.1.0 (OASIS standard), within GitHub code scanning's limits: results, rules with help, skipped content."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ftaudit.__about__ import __version__
from ftaudit.model import Applicability, Confidence, Fix, Location, Severity, Verdict
from ftaudit.report.package.reach_json import blockers_as_dicts
from ftaudit.report.results.reach_flows import SITES, code_flows, rank
from ftaudit.report.results.result_places import Places
from ftaudit.report.results.results import Result, Results, Unchecked, worst_first
from ftaudit.rule import Rule, RuleInfo, SourceRule

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ROOT: Final = "%SRCROOT%"
MOST_RESULTS: Final = 25_000
"""GitHub rejects a run with more (docs.github.com, "SARIF support for code scanning")."""
_LONGEST: Final = 1024
"""Characters that GitHub accepts in a rule's descriptions."""

_LEVELS: Final = {
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "note",
    Severity.PEDANTIC: "note",
}
_PROBLEMS: Final = {
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "recommendation",
    Severity.PEDANTIC: "recommendation",
}

VERDICT_RULES: Final = {
    Verdict.REENABLES_GIL: (
        Severity.ERROR,
        "An extension module turns the GIL back on.",
        "A module that does not declare Py_MOD_GIL_NOT_USED makes free-threaded CPython turn the GIL on, for the whole "
        "process and every thread, at its first import (PEP 703).",
        "Use a version whose modules leave the GIL off, or avoid the named modules.",
    ),
    Verdict.SOURCE_ONLY: (
        Severity.ERROR,
        "No wheel fits the target, but an sdist exists.",
        "Installers have to build it. The build needs a compiler and may fail, and ftaudit has not checked the result.",
        "Use a version with a wheel for the free-threaded build, or build and audit one: `ftaudit wheel`.",
    ),
    Verdict.UNAVAILABLE: (
        Severity.ERROR,
        "No wheel fits the target, and there is no sdist.",
        "Installers find no file of this version for the target and the platform.",
        "Use another version, platform or package.",
    ),
    Verdict.BROKEN: (
        Severity.ERROR,
        "Installers refuse its wheel, or importing it crashes, hangs or fails.",
        "Its own code fails on the free-threaded target. The reason has the details.",
        "Use another version, and report the crash upstream.",
    ),
    Verdict.UNKNOWN: (
        Severity.WARNING,
        "It could not be checked.",
        "ftaudit found no blocker, but could not check everything: the reason says what is missing.",
        "Fix the problem that the reason names (network, cache, lock file), and check again.",
    ),
    Verdict.FALLBACK: (
        Severity.INFO,
        "Installers choose the pure-Python wheel, although compiled wheels exist.",
        "It works, but more slowly than the wheel for the GIL-enabled build.",
        "Ask upstream for a wheel for the free-threaded build.",
    ),
}
"""The text for each verdict in the results: severity, summary, why, remedy."""


def render(results: Results, *, places: Places, rules: Sequence[Rule] = ()) -> str:
    """Return a SARIF log with one run. `rules` are the existing rules, whose descriptions become the help text."""
    return json.dumps(as_dict(results, places=places, rules=rules), indent=2, ensure_ascii=False) + "\n"


def render_each(each: Sequence[Results], *, places: Places, rules: Sequence[Rule] = ()) -> str:
    """Return a SARIF log with a run for each target, whose automation id ends with the target."""
    runs = [_run(one, f"{one.command}/{one.target}", places=places, rules=rules) for one in each]
    return json.dumps(_log(runs), indent=2, ensure_ascii=False) + "\n"


def as_dict(results: Results, *, places: Places, rules: Sequence[Rule] = ()) -> dict[str, Any]:
    """Return the log as plain JSON values."""
    return _log([_run(results, results.command, places=places, rules=rules)])


def _log(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": runs}


def _run(results: Results, category: str, *, places: Places, rules: Sequence[Rule]) -> dict[str, Any]:
    kept, unchecked = _within_limits(results)
    descriptors = _descriptors(kept, results.rules, {rule.info.code: rule for rule in rules})
    positions = {descriptor["id"]: number for number, descriptor in enumerate(descriptors)}
    invocation = {
        "executionSuccessful": True,
        "exitCode": results.exit_code,
        "toolExecutionNotifications": [_notification(each, places) for each in unchecked],
    }
    return {
        "tool": {
            "driver": {
                "name": "ftaudit",
                "fullName": f"ftaudit {__version__}",
                "version": __version__,
                "semanticVersion": __version__,
                "shortDescription": {"text": "Audits whether a Python stack is ready for free-threaded CPython."},
                "rules": descriptors,
            }
        },
        "automationDetails": {"id": f"ftaudit/{category}/"},
        "invocations": [invocation],
        "originalUriBaseIds": _bases(kept),
        "columnKind": "unicodeCodePoints",
        "results": [_result(each, positions, places) for each in kept],
        "properties": {"target": results.target, "summary": results.sentence},
    }


def _bases(results: Sequence[Result]) -> dict[str, Any]:
    bases = {ROOT: {"description": {"text": "The folder that holds the repository."}}}
    if any(result.reach for result in results):
        bases[SITES] = {"description": {"text": "The folder that the packages are installed into."}}
    return bases


def _within_limits(results: Results) -> tuple[list[Result], list[Unchecked]]:
    unchecked = list(results.unchecked)
    if len(results.results) <= MOST_RESULTS:
        return list(results.results), unchecked
    dropped = sorted(results.results, key=worst_first)[MOST_RESULTS:]
    text = f"{len(dropped)} results are left out, because a run holds at most {MOST_RESULTS}: --format json lists all"
    gone = set(dropped)
    return [each for each in results.results if each not in gone], [Unchecked(message=text), *unchecked]


def _result(result: Result, positions: Mapping[str, int], places: Places) -> dict[str, Any]:
    text = "\n".join((f"{result.subject}: {result.lines[0]}", *result.lines[1:]))
    made: dict[str, Any] = {
        "ruleId": result.rule,
        "ruleIndex": positions[result.rule],
        # An unknown is neither a failure nor a pass (§3.27.9: "open"), and then the level is "none" (§3.27.10).
        "kind": "open" if result.unknown else "fail",
        "level": "none" if result.unknown else _LEVELS[result.severity],
        "message": {"text": text},
        "locations": [_location(result.location, places, column=result.column, snippet=result.snippet)],
        "partialFingerprints": {
            "ftaudit/v1": result.fingerprint,
            # GitHub compares only this one, and computes it from the lines' text if a tool does not provide it.
            "primaryLocationLineHash": f"{result.fingerprint[:16]}:1",
        },
        "properties": {"confidence": result.confidence.value},
    }
    if result.platforms:
        made["properties"]["platforms"] = list(result.platforms)
    if result.rules:
        made["properties"]["rules"] = list(result.rules)
    if result.reach:
        made["rank"] = rank(result.reach)
        made["properties"]["reach"] = blockers_as_dicts(result.reach)
        if flows := code_flows(result.reach, places, root=ROOT):
            made["codeFlows"] = flows
    if result.fix is not None:
        made["fixes"] = [_fix(result.fix, places)]
    if result.suppression is not None:
        kind = "inSource" if result.suppression.in_source else "external"
        made["suppressions"] = [{"kind": kind, "status": "accepted"}]
        if result.suppression.reason:
            made["suppressions"][0]["justification"] = result.suppression.reason
    return made


def _fix(fix: Fix, places: Places) -> dict[str, Any]:
    changes = []
    for path in dict.fromkeys(edit.path for edit in fix.edits):
        uri, inside = places.uri(path)
        replacements = [
            {
                "deletedRegion": {"byteOffset": edit.start, "byteLength": edit.end - edit.start},
                "insertedContent": {"text": edit.replacement},
            }
            for edit in fix.edits
            if edit.path == path
        ]
        artifact = {"uri": uri} | ({"uriBaseId": ROOT} if inside else {})
        changes.append({"artifactLocation": artifact, "replacements": replacements})
    match fix.applicability:
        case Applicability.SAFE:
            text = "Safe: the code does the same on every supported Python."
        case Applicability.SUGGESTED:
            text = "Suggested: review it before you apply it."
    return {"description": {"text": text}, "artifactChanges": changes}


def _location(
    place: Location | None, places: Places, *, column: int | None = None, snippet: str | None = None
) -> dict[str, Any]:
    """Return a physical location; a result without a place of its own is located in the repository root."""
    uri, inside = places.uri(place.path) if place is not None else (".", True)
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri} | ({"uriBaseId": ROOT} if inside else {})}
    if place is not None and place.line is not None:
        physical["region"] = {"startLine": place.line}
        if column is not None:
            physical["region"]["startColumn"] = column
        if snippet is not None:
            physical["region"]["snippet"] = {"text": snippet}
    return {"physicalLocation": physical}


def _notification(unchecked: Unchecked, places: Places) -> dict[str, Any]:
    made: dict[str, Any] = {
        "level": "warning" if unchecked.matters else "note",
        "message": {"text": unchecked.message},
    }
    if unchecked.location is not None:
        made["locations"] = [_location(unchecked.location, places)]
    return made


def _descriptors(results: Iterable[Result], ran: Iterable[str], rules: Mapping[str, Rule]) -> list[dict[str, Any]]:
    """Return an entry for each rule that ran or has a result, by its id."""
    wanted = {result.rule: result for result in results}
    made = []
    for code in sorted({*wanted, *ran}):
        if code in rules:
            made.append(_of_rule(rules[code]))
        elif code in VERDICT_RULES:
            made.append(_of_verdict(Verdict(code)))
        elif code in wanted:
            # A rule of the scanner itself, or of a removed rule pack: its result is all that is known about it.
            made.append(_descriptor(code, wanted[code].name, wanted[code].severity, wanted[code].confidence))
    return made


def _of_verdict(verdict: Verdict) -> dict[str, Any]:
    severity, summary, why, remedy = VERDICT_RULES[verdict]
    return _descriptor(
        verdict.value,
        verdict.value,
        severity,
        Confidence.HIGH,
        summary=summary,
        why=why,
        text=f"{why}\n\nWhat to do: {remedy}",
        markdown=f"{why}\n\n**What to do:** {remedy}",
        tags=("free-threading", "verdict"),
    )


def _of_rule(rule: Rule) -> dict[str, Any]:
    info = rule.info
    why = inspect.cleandoc(type(rule).__doc__ or info.summary)
    languages = sorted(language.value for language in rule.languages) if isinstance(rule, SourceRule) else ["package"]
    made = _descriptor(
        info.code,
        info.name,
        info.severity,
        info.confidence,
        summary=info.summary,
        why=why,
        text=f"{why}\n\nWhat to do: {info.remedy}",
        markdown=_markdown(rule, info, why),
        tags=("free-threading", *languages),
    )
    made["defaultConfiguration"]["enabled"] = info.default
    if info.links:
        made["helpUri"] = info.links[0]
    return made


def _descriptor(
    code: str,
    name: str,
    severity: Severity,
    confidence: Confidence,
    *,
    summary: str | None = None,
    why: str | None = None,
    text: str | None = None,
    markdown: str | None = None,
    tags: Sequence[str] = ("free-threading",),
) -> dict[str, Any]:
    described = summary or name
    made: dict[str, Any] = {
        "id": code,
        "name": name,
        "shortDescription": {"text": described[:_LONGEST]},
        "fullDescription": {"text": (why or described)[:_LONGEST]},
        "help": {"text": text or described} | ({"markdown": markdown} if markdown else {}),
        "defaultConfiguration": {"level": _LEVELS[severity]},
        "properties": {
            "tags": list(tags),
            "precision": confidence.value,
            "problem.severity": _PROBLEMS[severity],
        },
    }
    return made


def _markdown(rule: Rule, info: RuleInfo, why: str) -> str:
    parts = [why, f"**What to do:** {info.remedy}"]
    for title, example in rule.shown_examples() if isinstance(rule, SourceRule) else ():
        fence = "````" if "```" in example.code else "```"
        parts.append(f"**{title}:**\n\n{fence}\n{example.code.rstrip()}\n{fence}")
    parts += ["\n".join(f"- <{link}>" for link in info.links)] if info.links else []
    return "\n\n".join(parts)
