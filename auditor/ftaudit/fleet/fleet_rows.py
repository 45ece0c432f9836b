"""Judged packages as rows of the data set's tables."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, TypeAlias

from ftaudit.fleet.schema import FINDINGS, MODULES, PACKAGES, WHEELS, DataTable
from ftaudit.judge.gil import guilty_modules
from ftaudit.model import (
    BinaryFacts,
    DistributionFile,
    ExtensionModule,
    Finding,
    GilDeclaration,
    Package,
    Status,
    StoreOrigin,
    StrEnum,
)
from ftaudit.model.steps import NoGoodRelease, Upgrade

TableRow: TypeAlias = "tuple[str, dict[str, Any]]"
"""The name of a table, and a row of it."""
_STORE: Final = {"name": "store", "by": "store_by", "created": "store_created", "ftaudit": "store_ftaudit"}
"""The fields of a `StoreOrigin`, and the columns of `wheels` that have them."""


def rows_of_package(key: str, row: Package, *, newest: bool, released: datetime | None = None) -> Iterable[TableRow]:
    """Yield the rows of a judged package, its wheel, the wheel's modules, and the findings."""
    facts = row.facts
    index, binary = facts.index, facts.binary
    about = {"package": str(facts.pin.name), "version": row.version}
    judged = {"key": key, "platform": facts.platform, **about}
    yield (
        PACKAGES.name,
        {
            **judged,
            "released": None if released is None else released.isoformat(),
            "newest": newest,
            "verdict": row.verdict.value,
            "blocks": row.blocks,
            "reasons": list(row.reasons),
            "next_step": row.next_step,
            "step": _kind(row.step),
            "fix_version": None if row.fix_version is None else str(row.fix_version),
            "pre_release": _pre_release(row.step),
            "wheel_kind": index.kind.value,
            "wheel": None if index.wheel is None else index.wheel.filename,
            "sha256": None if index.wheel is None else index.wheel.sha256,
            "sdist": index.sdist is not None,
            "other_platforms": list(index.other_platforms),
            "modules": len(facts.modules),
            "guilty": [module.name for module in guilty_modules(facts)],
            "undetermined": [
                module.name
                for module in facts.modules
                if module.binary is not None and module.binary.declaration is GilDeclaration.UNDETERMINED
            ],
            "index_status": index.status.value,
            "index_gap": None if index.reason is None else index.reason.kind.value,
            "binary_status": binary.status.value,
            "binary_gap": None if binary.reason is None else binary.reason.kind.value,
            "classifiers": list(binary.classifiers),
            "died": None,
        },
    )
    read = index.wheel or index.gil_wheel
    if read is not None and (binary.status is Status.DONE or binary.modules or read.url is not None):
        yield from _wheel(read, binary, about, rebuild=index.wheel is None)
    for finding in row.findings:
        yield FINDINGS.name, _finding(finding, judged)


def row_of_the_dead(key: str, platform: str, package: str, version: str | None, why: str) -> TableRow:
    """Return the row of a package whose judgment ended its worker, or failed."""
    return (
        PACKAGES.name,
        {
            "key": key,
            "platform": platform,
            "package": package,
            "version": version,
            "newest": False,
            "verdict": "unknown",
            "blocks": False,
            "reasons": [why],
            "wheel_kind": "none",
            "sdist": False,
            "other_platforms": [],
            "modules": 0,
            "guilty": [],
            "undetermined": [],
            "index_status": Status.FAILED.value,
            "binary_status": Status.FAILED.value,
            "classifiers": [],
            "died": why,
        },
    )


def row_key(table: DataTable, row: dict[str, Any]) -> str:
    """Return what a row is found and sorted by."""
    return "\0".join("" if row.get(name) is None else str(row[name]) for name in table.key)


def _kind(step: object) -> str | None:
    if step is None:
        return None
    return step.value if isinstance(step, StrEnum) else type(step).__name__


def _pre_release(step: object) -> str | None:
    """Return the good pre-release that a step names, if no final release is good."""
    if isinstance(step, Upgrade) and isinstance(step.lead, NoGoodRelease) and step.lead.early is not None:
        return str(step.lead.early.version)
    return None


def _wheel(file: DistributionFile, binary: BinaryFacts, about: dict[str, Any], *, rebuild: bool) -> Iterable[TableRow]:
    identity = {"sha256": file.sha256 or file.url or "", "wheel": file.filename, "rebuild": rebuild}
    yield (
        WHEELS.name,
        {
            **identity,
            **about,
            "status": binary.status.value,
            "gap": None if binary.reason is None else binary.reason.kind.value,
            "detail": None if binary.reason is None else binary.reason.detail or None,
            "bytes": binary.bytes_total,
            "modules": len(binary.modules),
            "problems": list(binary.problems),
            "refused": list(binary.refused),
            "startup": list(binary.startup),
            "classifiers": list(binary.classifiers),
            **_origin(binary.store),
        },
    )
    for module in binary.modules:
        yield MODULES.name, {**identity, **about, **_module(module)}


def _origin(store: StoreOrigin | None) -> dict[str, Any]:
    return {} if store is None else {column: getattr(store, field) for field, column in _STORE.items()}


def store_of(row: dict[str, Any]) -> StoreOrigin:
    """Return the facts store that a row of `wheels` names."""
    return StoreOrigin(**{field: row[column] for field, column in _STORE.items()})


def _module(module: ExtensionModule) -> dict[str, Any]:
    found = module.binary or module.would_declare
    told: dict[str, Any] = {"module": module.name, "path": module.path}
    if found is None:
        return {**told, "declaration": GilDeclaration.UNDETERMINED.value, "how": ""}
    return {
        **told,
        "declaration": found.declaration.value,
        "how": found.how,
        "framework": found.framework,
        "framework_version": found.framework_version,
        "format": found.format,
        "machine": found.machine,
        "free_threaded_build": found.free_threaded_build,
        "multi_phase": found.multi_phase,
        "hook": None if found.hook is None else found.hook.value,
        "refusal": None if found.refusal is None else found.refusal.kind.value,
    }


def _finding(finding: Finding, judged: dict[str, Any]) -> dict[str, Any]:
    return {
        **judged,
        "code": finding.code,
        "rule": finding.rule,
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "module": finding.module,
        "message": finding.message,
        "remedy": finding.remedy or None,
        "blocks": finding.blocks,
    }
