"""Pre-migration reports for tests: one with every part in it, and the same with untrusted text in every field."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date, datetime, timezone
from enum import Enum
from typing import Any, TypeVar

from packaging.utils import canonicalize_name
from packaging.version import Version
from support.facts import SDIST, facts, failed, gap, imported, module
from support.reports import UPGRADE, package, report

from ftaudit.engine.reproduce import Reproduction
from ftaudit.judge.reach_exit import reach_by_urgency
from ftaudit.model import (
    Acceptance,
    AcceptedBy,
    Confidence,
    Finding,
    GilDeclaration,
    Location,
    Report,
    RuntimeFacts,
    Severity,
    SourceFacts,
    Status,
    Verdict,
    WheelKind,
)
from ftaudit.model.plans import (
    Aim,
    Candidate,
    Change,
    ChangeKind,
    ChangeReason,
    CheckedPackage,
    Fate,
    Plan,
    Proof,
    ProofStatus,
    SourceEvidence,
    Switch,
    Wanted,
    WayKind,
    WayOut,
)
from ftaudit.model.reachability import (
    Condition,
    ConditionKind,
    ImportSite,
    ModuleReach,
    OpenKind,
    OpenSite,
    ReachAnswer,
    ReachClass,
    ReachStep,
    StartPoint,
)
from ftaudit.model.reasons import Excluded, Exclusion, InSource
from ftaudit.report.migration.migration_contents import Migration
from ftaudit.rule import RuleInfo
from ftaudit.source.run_rules import Skipped
from ftaudit.source.tree_scan import ScanResult

LINUX, WINDOWS = "linux-x86_64", "windows-amd64"


def _finding(**given: Any) -> Finding:
    defaults: dict[str, Any] = {
        "rule": "global-lazy-init",
        "code": "FT501",
        "severity": Severity.WARNING,
        "confidence": Confidence.HIGH,
        "message": "two threads can both be first",
    }
    return Finding(**defaults | given)


_guilty = module(
    "guilty._core",
    binary=GilDeclaration.USED,
    framework="Cython",
    framework_version="3.1.4",
    runtime=imported(requires_gil=True, culprits=("guilty._core",), chain=("guilty._core",)),
)
_innocent = module("guilty._fine", binary=GilDeclaration.NOT_USED, runtime=imported())
_absent = module("quick._gpu", binary=GilDeclaration.NOT_USED, runtime=failed(environmental=True))
_ran = RuntimeFacts(
    status=Status.DONE,
    modules=(_guilty, _innocent),
    toplevels=(("guilty", imported()),),
    network_cut=False,
    notes=("the network could not be isolated",),
)
_scanned = SourceFacts(
    status=Status.DONE, reason=None, sdist="guilty-1.0.tar.gz", findings=(_finding(severity=Severity.ERROR),), unread=1
)


_FEED = ImportSite(module="app.feed", file="app/feed.py", line=3, own=True)
_CUT = ReachStep(site=_FEED, target="guilty")
_OPEN = OpenSite(kind=OpenKind.COMPUTED, package="web", module="web.load", file="web/load.py", line=9, prefix="web.x")
REACH = ReachAnswer(
    platform=LINUX,
    starts=(StartPoint(module="app.main"),),
    files=12,
    open_sites=(_OPEN,),
    modules=(
        ModuleReach(
            module="guilty._core",
            reached=ReachClass.START,
            ways=1,
            path=(
                ReachStep(site=ImportSite(module="app.main", file="app/main.py", line=1, own=True), target="app.feed"),
                _CUT,
                ReachStep(
                    site=ImportSite(module="guilty", file="guilty/__init__.py", line=7),
                    target="guilty._core",
                    conditions=(
                        Condition(kind=ConditionKind.BRANCH, file="guilty/__init__.py", line=6, text="os.environ"),
                    ),
                ),
            ),
            cuts=(_FEED,),
            optional=True,
        ),
        ModuleReach(module="quick._gpu", reached=ReachClass.UNSURE, open_sites=(_OPEN,)),
    ),
)
"""What the user's own code loads on Linux."""


def _report() -> Report:
    through = {"required_by": (("web", "guilty-pkg"), ("shop", "web", "guilty-pkg"))}
    rows = (
        package(
            facts(_guilty, _innocent, name="guilty-pkg", pin=through, runtime=_ran, source=_scanned),
            findings=(_finding(rule="runtime-needs-gil", code="FT203", module="guilty._core", remedy="declare it"),),
            step=UPGRADE,
        ),
        package(facts(_guilty, name="guilty-pkg", pin=through, platform=WINDOWS), step=UPGRADE),
        dataclasses.replace(
            package(facts(name="old-pkg", kind=WheelKind.NONE, index={"sdist": SDIST, "other_platforms": ("win32",)})),
            accepted=Acceptance(by=AcceptedBy.CONFIGURATION, reason="replaced in the spring", expires=date(2027, 3, 1)),
        ),
        dataclasses.replace(
            package(
                facts(
                    name="web",
                    kind=WheelKind.PURE,
                    index={"excluded": (Excluded(filename="web-1.0.whl", by=Exclusion.HASH),)},
                )
            ),
            blocked_by=("guilty-pkg",),
        ),
        package(facts(_absent, name="quick")),
        package(facts(name="quick", kind=WheelKind.PURE, platform=WINDOWS)),
        package(facts(name="slow", kind=WheelKind.PURE, index={"compiled": True})),
        package(facts(name="dark", index={"status": Status.FAILED, "reason": gap("the index timed out")})),
    )
    made = report(*rows, platforms=(LINUX, WINDOWS))
    made = dataclasses.replace(made, reach=(REACH,))
    return dataclasses.replace(
        made,
        package_reach=reach_by_urgency(made),
        notes=("this machine cannot run windows-amd64: binaries were read",),
        incomplete=("the dependencies of dark",),
        indexes=("https://index.example/simple/",),
        interpreter="3.14.7 free-threading build",
    )


def _plan() -> Plan:
    name = canonicalize_name("guilty-pkg")
    way = WayOut(
        name=name,
        current=Version("1.0"),
        platform=LINUX,
        verdict=Verdict.REENABLES_GIL,
        why=_report().packages[0].why,
        kind=WayKind.UPGRADE,
        first=Candidate(version=Version("2.0"), fate=Fate.GOOD, verdict=Verdict.PURE),
        newest_good=Version("2.1"),
        passed_over=(Candidate(version=Version("1.1"), fate=Fate.YANKED, yanked="broken metadata"),),
        source=SourceEvidence(
            sdist="guilty-1.0.tar.gz",
            version=Version("1.0"),
            would_declare=GilDeclaration.NOT_USED,
            evidence=(
                InSource(
                    sdist="guilty-1.0.tar.gz",
                    declares=GilDeclaration.NOT_USED,
                    places=(Location(path="src/core.c", line=7),),
                ),
            ),
        ),
        switches=(
            Switch(
                package=name,
                versions="",
                setting="GUILTY_PURE=1",
                effect="The Python code is taken: slower.",
                source="https://guilty.example/docs",
                checked="2026-11-21",
            ),
        ),
        required_by=(("web", "guilty-pkg"),),
        location=Location(path="requirements.txt", line=3),
        solved=True,
    )
    old = dataclasses.replace(
        way,
        name=canonicalize_name("old-pkg"),
        kind=WayKind.NONE,
        first=None,
        newest_good=None,
        switches=(),
        solved=False,
    )
    checked = CheckedPackage(
        name=name, version=Version("2.0"), platform=LINUX, verdict=Verdict.READY, why=_report().packages[4].why
    )
    return Plan(
        reach=_report().package_reach,
        target="3.14t",
        platforms=(LINUX, WINDOWS),
        inputs=("requirements.txt",),
        packages=6,
        ways=(way, dataclasses.replace(way, platform=WINDOWS), old),
        changes=(
            Change(
                name=name,
                current=Version("1.0"),
                proposed=Version("2.0"),
                wanted=Wanted(version=Version("2.0")),
                kind=ChangeKind.REQUIREMENT,
                old="guilty-pkg==1.0",
                new="guilty-pkg==2.0",
                reason=ChangeReason(aim=Aim.REMOVE),
                evidence=(checked,),
                removes=(name,),
                location=Location(path="requirements.txt", line=3),
            ),
        ),
        proofs=(
            Proof(
                input="requirements.txt",
                platform=LINUX,
                status=ProofStatus.RESOLVED,
                command="uv pip compile requirements.txt",
                checked=(checked,),
                not_proven=("nothing was imported on Windows",),
            ),
            Proof(input="requirements.txt", platform=WINDOWS, status=ProofStatus.UNRESOLVED, reason="no solution"),
        ),
        lock_commands=("uv lock --upgrade-package guilty-pkg==2.0",),
        notes=("a note of the plan",),
        incomplete=("the pages of dark",),
    )


_LAZY = RuleInfo(
    code="FT501",
    name="global-lazy-init",
    summary="A global is initialized on first use.",
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    since="0.1",
    remedy="Use `functools.cache`.",
    links=("https://docs.example/lazy",),
)


def scan(findings: int = 3) -> ScanResult:
    """Return a scan with that many findings of one rule, each with its lines, and one of another rule."""
    found = tuple(
        _finding(location=Location(path="src/shop.py", line=10 * number), remedy="Use `functools.cache`.")
        for number in range(1, findings + 1)
    )
    frames = {
        ("src/shop.py", 10 * number): (
            (10 * number - 1, "def state():"),
            (10 * number, "    if STATE is None:"),
            (10 * number + 1, "\t\tSTATE = load('<b>&amp;</b>')"),
        )
        for number in range(1, findings + 1)
    }
    whole = _finding(rule="cython-missing-directive", code="FT401", severity=Severity.ERROR)
    return ScanResult(
        findings=(*found, whole),
        skipped=(Skipped(path="src/big.c", reason="larger than 10 MB"),),
        files=7,
        lines=1234,
        left_out={"test": 3},
        rules=(_LAZY,),
        target="3.14t",
        frames=frames,
    )


def migration(**given: Any) -> Migration:
    """Return a report with every part in it, or with the given parts."""
    defaults: dict[str, Any] = {
        "report": _report(),
        "plan": _plan(),
        "scan": scan(),
        "scanned": ("src",),
        "reproduction": Reproduction(
            made=datetime(2026, 11, 21, 12, 30, tzinfo=timezone.utc),
            commands=("ftaudit report requirements.txt -o report.html",),
            versions=(("ftaudit", "0.1.0"), ("index", "https://index.example/simple/")),
            inputs=(("requirements.txt", "0" * 64), ("lib", None)),
        ),
    }
    return Migration(**defaults | given)


T = TypeVar("T")


def poisoned(value: T, text: str) -> T:
    """Return the same data with `text` in place of every string in it, the keys of mappings included.

    The names of platforms get a mark: sentences that hold one are printed once for all of them.
    """
    made: Any
    match value:
        case Enum() | bool() | int() | float() | None | Version() | date():
            return value
        case str():
            made = text
        case tuple():
            made = tuple(poisoned(item, text) for item in value)
        case frozenset():
            made = frozenset(poisoned(item, text) for item in value)
        case Mapping():
            made = {poisoned(key, text): poisoned(item, text) for key, item in value.items()}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            marked = {"platform": f"{text} (platform)", "platforms": f"{text} (platform)"}
            fields = {
                field.name: poisoned(getattr(value, field.name), marked.get(field.name, text))
                for field in dataclasses.fields(value)
            }
            made = dataclasses.replace(value, **fields)
        case _:
            raise TypeError(f"what is {value!r}?")
    return made  # type: ignore[no-any-return]
