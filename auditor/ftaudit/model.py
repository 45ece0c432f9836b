"""The domain words: pins, distribution files, extension modules, facts, findings, verdicts and the report.

Everything here is plain frozen data. Collectors make facts, rules make findings, `verdict.py` makes verdicts;
nothing in this module decides anything or touches the outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum

from packaging.utils import NormalizedName
from packaging.version import Version


class StrEnum(str, Enum):
    """A string enumeration that prints as its value (`enum.StrEnum` arrived in Python 3.11)."""

    def __str__(self) -> str:
        return str(self.value)


class GilDeclaration(StrEnum):
    """What an extension module tells CPython about the GIL (PEP 703, `Py_mod_gil`).

    `UNDECLARED` (no slot: CPython treats the module as if it had said "used") and `UNDETERMINED` (we could not
    tell) are different answers to a user and are never folded.
    """

    NOT_USED = "not_used"
    USED = "used"
    UNDECLARED = "undeclared"
    UNDETERMINED = "undetermined"


class Verdict(StrEnum):
    """What happens to a package on one target and one platform."""

    READY = "ready"
    PURE = "pure"
    FALLBACK = "fallback"
    REENABLES_GIL = "reenables-gil"
    SOURCE_ONLY = "source-only"
    UNAVAILABLE = "unavailable"
    BROKEN = "broken"
    UNKNOWN = "unknown"


BLOCKING = frozenset({Verdict.REENABLES_GIL, Verdict.SOURCE_ONLY, Verdict.UNAVAILABLE, Verdict.BROKEN})
"""The verdicts that make `ftaudit check` exit with 1."""


class Severity(StrEnum):
    """How bad a finding is, were it true."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    PEDANTIC = "pedantic"


class Confidence(StrEnum):
    """How sure a finding is."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Status(StrEnum):
    """Whether a tier of evidence was looked at."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


class WheelKind(StrEnum):
    """What the target's installer finds among the wheels of a release (PEP 425 tags, PEP 803 for abi3t)."""

    FREE_THREADED = "free-threaded"
    """A wheel whose ABI tag is that of the free-threaded target, `cp314t`."""
    ABI3T = "abi3t"
    """A stable-ABI wheel for free-threaded builds (PEP 803), from 3.15t on."""
    NATIVE = "native"
    """A wheel for the platform with ABI tag `none`: compiled code, but not against the C API by its name."""
    PURE = "pure"
    """A `none-any` wheel."""
    NONE = "none"
    """No wheel that the target installs on the platform."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """A place in a file of the user's. Lines and columns count from 1."""

    path: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True, kw_only=True, slots=True)
class DistributionFile:
    """A wheel or sdist as an index page, a lock file or a folder names it (PEP 503, 691, 592, 658, 751)."""

    filename: str
    url: str | None = None
    """Where it is, `https://` or `file://`; `None` where the lock file gives the name alone."""
    hashes: tuple[tuple[str, str], ...] = ()
    """Pairs of algorithm and lower-case hexadecimal digest."""
    size: int | None = None
    """In bytes, where the source says it."""
    requires_python: str | None = None
    yanked: str | None = None
    """The reason for which it was yanked (PEP 592; may be empty), or `None` when it was not."""

    @property
    def sha256(self) -> str | None:
        """The SHA-256 digest, where the source gives one."""
        return dict(self.hashes).get("sha256")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """One package at one version, to be judged on one platform: what reading and resolving arrive at."""

    name: NormalizedName
    version: Version | None
    """`None` when no version could be found; `problem` then says why."""
    extras: tuple[str, ...] = ()
    required_by: tuple[tuple[str, ...], ...] = ()
    """Chains of names from a root requirement down to this package, shortest first; a root's own is `((name,),)`."""
    source: Location | None = None
    """Where the package's own entry stands in a lock file; else where the root requirement of the first chain does."""
    also: tuple[Location, ...] = ()
    """The other places at which the inputs list this package at this version."""
    files: tuple[DistributionFile, ...] | None = None
    """The files of this version when the input names them (lock files, direct URLs, local files), else `None`."""
    allowed_hashes: frozenset[str] = frozenset()
    """`algorithm:digest` of the files the input allows; empty allows all."""
    index_url: str | None = None
    """The one index that the lock file binds this package to, where it does."""
    problem: str | None = None
    """Why this package could not be resolved or cannot be looked up, in one sentence."""
    source_tree: str | None = None
    """The folder of a local project (`-e .`, `./lib`): never built, looked at as files."""
    yanked: str | None = None

    @property
    def places(self) -> tuple[Location, ...]:
        """Every place at which the package is listed, `source` first."""
        return (self.source, *self.also) if self.source is not None else self.also


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexFacts:
    """Which files of the pinned version exist, and which the target's installer takes."""

    status: Status
    reason: str | None = None
    """Why it was skipped or failed; `None` when done."""
    origin: str | None = None
    """`lock file`, `index`, `cache` (offline or fresh), `file`."""
    kind: WheelKind = WheelKind.NONE
    wheel: DistributionFile | None = None
    """The wheel that the target installs on the platform, by tag priority."""
    no_place: str | None = None
    """Why it is not known where that wheel is, where the input names it without a URL and the index did not help."""
    wheels: tuple[DistributionFile, ...] = ()
    """Every wheel of the version, yanked or not."""
    sdist: DistributionFile | None = None
    compiled: bool = False
    """Whether any wheel of the version is not `none-any`."""
    excluded: tuple[str, ...] = ()
    """Files that the target would match but for yanking, `requires-python` or hashes, each with the reason."""
    other_platforms: tuple[str, ...] = ()
    """Platform tags of the free-threaded wheels of the version that other platforms install."""
    gil_wheel: DistributionFile | None = None
    """The wheel that the ordinary (GIL) build of the same version installs on the platform, if any."""
    warnings: tuple[str, ...] = ()
    """What a reader must know of this answer: a yanked wheel taken, an old page, files passed over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleBinary:
    """What one extension module's image says, read without running it."""

    declaration: GilDeclaration
    how: str
    """How the answer was reached, or for `undetermined` why it was not, in a phrase."""
    framework: str | None = None
    """C, C++, Cython, pybind11, nanobind, PyO3, mypyc, cffi, Pythran, f2py, SWIG …"""
    framework_version: str | None = None
    format: str | None = None
    """`elf`, `macho` or `pe`."""
    machine: str | None = None
    """`x86_64`, `aarch64`, … as `packaging` spells the platform's machine."""
    free_threaded_build: bool | None = None
    """Whether it was compiled with `Py_GIL_DISABLED`; `None` when nothing in it tells."""
    free_threaded_evidence: str | None = None
    multi_phase: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleRuntime:
    """What happened when one module was imported under the target."""

    imported: bool
    requires_gil: bool | None = None
    """Whether CPython said that this module requires the GIL; `None` when the import ended before it could."""
    gil_enabled_after: bool | None = None
    """`sys._is_gil_enabled()` after the import of this module, in its process."""
    culprits: tuple[str, ...] = ()
    """Every module that required the GIL while this one was imported, itself included, in order."""
    chain: tuple[str, ...] = ()
    """The imports that lead from this module to the first culprit."""
    outcome: str = "imported"
    """`imported`, `exception`, `signal`, `timeout`, `exit`, `memory` or `not-run`."""
    error: str | None = None
    """Type and message of the exception, name of the signal or limit; cut and escaped."""
    environmental: bool = False
    """The failure is for want of something outside the distribution (a missing dependency, library or device)."""
    output: str | None = None
    """What the module printed, cut and escaped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtensionModule:
    """One extension module of a wheel."""

    name: str
    """Dotted import name, `lxml.etree`."""
    path: str
    """Member of the wheel, `lxml/etree.cpython-314t-x86_64-linux-gnu.so`."""
    binary: ModuleBinary | None = None
    would_declare: ModuleBinary | None = None
    """What the same module of the GIL build's wheel declares: what a rebuild would give, never a verdict."""
    runtime: ModuleRuntime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BinaryFacts:
    """What the wheel's extension modules declare."""

    status: Status
    reason: str | None = None
    modules: tuple[ExtensionModule, ...] = ()
    """With `binary` set."""
    bytes_read: int = 0
    """Bytes fetched for this wheel, in this run."""
    bytes_total: int = 0
    """Size of the whole wheel."""
    classifiers: tuple[str, ...] = ()
    """The `Free Threading` trove classifiers of the wheel's METADATA."""
    problems: tuple[str, ...] = ()
    """What is wrong with the archive itself, one sentence each."""
    refused: tuple[str, ...] = ()
    """Why installers refuse the wheel, one sentence each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """A free-threaded CPython that was started once and said what it is."""

    path: str
    """The executable, absolute."""
    version: str
    """`3.14.7`."""
    build: str
    """`sys.version` on one line: `3.14.7 free-threading build (main, …) [GCC 12.2.0]`."""
    source: str = ""
    """Why this one was taken, in one phrase."""
    attempts: tuple[str, ...] = ()
    """What was tried before it, one sentence each."""
    missing: tuple[str, ...] = ()
    """Optional standard-library modules that it was built without (`ssl`, `ctypes`, …)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeFacts:
    """What `python3.14t` did with the wheel's modules."""

    status: Status
    reason: str | None = None
    modules: tuple[ExtensionModule, ...] = ()
    """With `runtime` set."""
    toplevels: tuple[tuple[str, ModuleRuntime], ...] = ()
    """Each top-level import name of the distribution and what a plain `import NAME` did."""
    interpreter: str | None = None
    """`3.14.7 free-threading build`, as the interpreter says of itself."""
    network_cut: bool | None = None
    """Whether the sandbox had no network."""
    notes: tuple[str, ...] = ()
    """What the sandbox could not cut off, one sentence each."""


class AcceptedBy(StrEnum):
    """Who said that a known problem may stand."""

    CONFIGURATION = "configuration"
    """An `accept` entry with a reason."""
    BASELINE = "baseline"
    """It was there when the baseline was made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """Why a blocked package or a finding does not count for the exit code. It changes no verdict."""

    by: AcceptedBy
    reason: str
    """A sentence; of a configuration's entry, in the words of who wrote it."""
    source: Location | None = None
    """Where the entry stands; of a baseline, the file."""
    expires: date | None = None
    """The last day on which it counts; `None` is without end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that a rule says about a package, a module or a line."""

    rule: str
    """The rule's kebab-case name."""
    code: str
    severity: Severity
    confidence: Confidence
    message: str
    location: Location | None = None
    declared: Location | None = None
    """Where the variable is declared that is written at `location`: a comment there silences the finding as well."""
    module: str | None = None
    remedy: str | None = None
    accepted: Acceptance | None = None
    """Known and accepted: shown as such, and not counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFacts:
    """What the scan of the version's sdist found."""

    status: Status = Status.SKIPPED
    reason: str | None = "source not asked for (--source)"
    sdist: str | None = None
    findings: tuple[Finding, ...] = ()
    """With locations inside the sdist."""
    unread: int = 0
    """Files that should have been looked at and could not be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageFacts:
    """All that is known of one pin on one platform, before judging."""

    pin: Pin
    target: str
    """`3.14t`."""
    platform: str
    """`linux-x86_64`, or the exact tag the user gave."""
    index: IndexFacts
    binary: BinaryFacts
    runtime: RuntimeFacts
    modules: tuple[ExtensionModule, ...] = ()
    """The union of what the tiers know of each module, by path."""
    source: SourceFacts = SourceFacts()
    elsewhere: tuple[tuple[str, tuple[ExtensionModule, ...]], ...] = ()
    """Pairs of another audited platform and the modules of the same version's wheel for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """One row of the report."""

    facts: PackageFacts
    verdict: Verdict
    reasons: tuple[str, ...]
    """Sentences, the most important first. Never empty."""
    next_step: str | None = None
    blocked_by: tuple[str, ...] = ()
    """Names of blocked packages that this one needs, directly or through others."""
    findings: tuple[Finding, ...] = ()
    accepted: Acceptance | None = None
    """Known and accepted: the verdict stands, and does not count for the exit code."""

    @property
    def blocks(self) -> bool:
        """Whether the verdict keeps the stack from the target, accepted or not."""
        return self.verdict in BLOCKING


@dataclass(frozen=True, kw_only=True, slots=True)
class TierCoverage:
    """How much of what should have been looked at was looked at."""

    done: int = 0
    total: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What an audit arrives at."""

    target: str
    platforms: tuple[str, ...]
    inputs: tuple[str, ...]
    packages: tuple[Package, ...]
    coverage: tuple[tuple[str, TierCoverage], ...]
    """Per tier: `index` (packages), `binaries` (wheels), `imports` (modules)."""
    notes: tuple[str, ...] = ()
    """What a reader must know of how it was made: what the sandbox could not cut off, what was left out."""
    incomplete: tuple[str, ...] = ()
    """What was not looked at and has no row: dependencies that could not be found out."""
    interpreter: str | None = None
    traffic: tuple[tuple[str, int], ...] = ()
    """Bytes received and saved, and requests, by name."""
    indexes: tuple[str, ...] = ()
    """Where packages came from, in the order in which they are asked, without credentials."""

    @property
    def exit_code(self) -> int:
        """`1` something blocks that is not accepted, `3` not everything could be checked, else `0` (docs/usage.md)."""
        verdicts = {package.verdict for package in self.packages if package.accepted is None}
        if verdicts & BLOCKING:
            return 1
        return 3 if Verdict.UNKNOWN in verdicts or self.incomplete else 0
