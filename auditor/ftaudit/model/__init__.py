"""The domain model: pins, facts, findings, verdicts, reports, and plans, as frozen values without I/O.

Collectors make facts, rules make findings, and `ftaudit.judge` makes verdicts. This package makes no decisions.
"""

from ftaudit.model.binaries import AbiInfo, Hook, Refusal, RefusalKind
from ftaudit.model.facts import (
    BinaryFacts,
    ExtensionModule,
    IndexFacts,
    Interpreter,
    ModuleBinary,
    ModuleRuntime,
    PackageFacts,
    RuntimeFacts,
    SourceFacts,
    StoreOrigin,
)
from ftaudit.model.findings import Acceptance, AcceptedBy, Finding, Site
from ftaudit.model.fixes import Applicability, Fix, NoFix, Obstacle, SourceEdit
from ftaudit.model.gaps import Gap, GapKind
from ftaudit.model.pins import DistributionFile, OnDisk, Pin
from ftaudit.model.reports import Package, Report, TierCoverage, worst_exit_code
from ftaudit.model.stress_facts import (
    StressedCallable,
    StressEnd,
    StressFacts,
    StressFailure,
    StressFailureKind,
    StressUnit,
)
from ftaudit.model.words import (
    BLOCKING,
    Confidence,
    GilDeclaration,
    Location,
    Severity,
    Status,
    StrEnum,
    Verdict,
    WheelKind,
)

__all__ = [
    "BLOCKING",
    "AbiInfo",
    "Acceptance",
    "AcceptedBy",
    "Applicability",
    "BinaryFacts",
    "Confidence",
    "DistributionFile",
    "ExtensionModule",
    "Finding",
    "Fix",
    "Gap",
    "GapKind",
    "GilDeclaration",
    "Hook",
    "IndexFacts",
    "Interpreter",
    "Location",
    "ModuleBinary",
    "ModuleRuntime",
    "NoFix",
    "Obstacle",
    "OnDisk",
    "Package",
    "PackageFacts",
    "Pin",
    "Refusal",
    "RefusalKind",
    "Report",
    "RuntimeFacts",
    "Severity",
    "Site",
    "SourceEdit",
    "SourceFacts",
    "Status",
    "StoreOrigin",
    "StrEnum",
    "StressEnd",
    "StressFacts",
    "StressFailure",
    "StressFailureKind",
    "StressUnit",
    "StressedCallable",
    "TierCoverage",
    "Verdict",
    "WheelKind",
    "worst_exit_code",
]
