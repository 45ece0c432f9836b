"""Facts: what each tier of evidence found about a package. Collectors make facts and never judge them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ftaudit.model.binaries import AbiInfo, Hook, Refusal
from ftaudit.model.findings import Finding
from ftaudit.model.gaps import Gap, GapKind
from ftaudit.model.pins import DistributionFile, Pin
from ftaudit.model.reasons import Excluded
from ftaudit.model.stress_facts import StressFacts
from ftaudit.model.words import GilDeclaration, Status, WheelKind

_NOT_ASKED: Final = Gap(kind=GapKind.SOURCE_NOT_ASKED)


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexFacts:
    """Which files of the pinned version exist, and which the target's installer accepts."""

    status: Status
    reason: Gap | None = None
    """Why it was skipped or failed; `None` if it was done."""
    origin: str | None = None
    """`lock file`, `index`, `cache` (offline or fresh), `file`."""
    kind: WheelKind = WheelKind.NONE
    wheel: DistributionFile | None = None
    """The wheel that the target installs on the platform, by tag priority."""
    no_place: Gap | None = None
    """Why the wheel's location is unknown, if the input names it without a URL and the index did not help."""
    wheels: tuple[DistributionFile, ...] = ()
    """Every wheel of the version, yanked or not."""
    sdist: DistributionFile | None = None
    """The sdist that an installer can build from."""
    built_from_source: bool = False
    """No wheel can be installed, and an installer builds a pure-Python one from the sdist."""
    compiled: bool = False
    """Whether any wheel of the version is not `none-any`."""
    excluded: tuple[Excluded, ...] = ()
    """Files that the target would install except for `requires-python`, hashes, or a system that is too old."""
    other_platforms: tuple[str, ...] = ()
    """Platform tags of the free-threaded wheels of the version that other platforms install."""
    gil_wheel: DistributionFile | None = None
    """The wheel that the GIL-enabled build of the same version installs on the platform, if any."""
    warnings: tuple[str, ...] = ()
    """Notes that a reader of this answer needs: a yanked wheel was chosen, a page is old, files were skipped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleBinary:
    """What the image of one extension module says, read without running it."""

    declaration: GilDeclaration
    how: str
    """How the answer was reached, or for `undetermined` why it was not, as a phrase."""
    framework: str | None = None
    """C, C++, Cython, pybind11, nanobind, PyO3, mypyc, cffi, Pythran, f2py, SWIG …"""
    framework_version: str | None = None
    format: str | None = None
    """`elf`, `macho` or `pe`."""
    machine: str | None = None
    """`x86_64`, `aarch64`, … as `packaging` spells the platform's machine."""
    free_threaded_build: bool | None = None
    """Whether it was compiled with `Py_GIL_DISABLED`; `None` if nothing in it shows that."""
    free_threaded_evidence: str | None = None
    multi_phase: bool | None = None
    not_emulated: bool = False
    """Undetermined only because ftaudit does not emulate the machine."""
    engine_missing: bool = False
    """Undetermined only because an engine is not installed."""
    hook: Hook | None = None
    """The hook that the target uses; `None` if it finds no hook, or the image could not be read."""
    refusal: Refusal | None = None
    """Why the target refuses the module, if that is certain."""
    abi_info: AbiInfo | None = None
    """The target of `Py_mod_abi`, if the module has one."""
    python_symbols: tuple[str, ...] = ()
    """The CPython symbols that a stable-ABI module imports, sorted; empty for any other module."""
    python_libraries: tuple[str, ...] = ()
    """CPython's own libraries that such a module links to: `python3t.dll`, `python315t.dll`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleRuntime:
    """The result of importing one module under the target."""

    imported: bool
    requires_gil: bool | None = None
    """Whether CPython reported that this module requires the GIL; `None` if the import ended before the report."""
    gil_enabled_after: bool | None = None
    """`sys._is_gil_enabled()` after the import of this module, in its process."""
    culprits: tuple[str, ...] = ()
    """Every module that required the GIL while this one was imported, itself included, in order."""
    chain: tuple[str, ...] = ()
    """The imports that lead from this module to the first culprit."""
    lazy_culprits: tuple[str, ...] = ()
    """Modules that require the GIL and that only the deferred lazy imports of this import reach (PEP 810)."""
    lazy_chain: tuple[str, ...] = ()
    """The imports that lead to the first of these modules."""
    outcome: str = "imported"
    """`imported`, `exception`, `signal`, `timeout`, `exit`, `memory` or `not-run`."""
    error: str | None = None
    """Type and message of the exception, name of the signal or limit; shortened and escaped."""
    environmental: bool = False
    """The import fails because something outside the distribution is missing (a dependency, library, or device)."""
    output: str | None = None
    """What the module printed, shortened and escaped."""
    unexplained: bool = False
    """The GIL was on afterwards, and no module is known to have enabled it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtensionModule:
    """One extension module of a wheel."""

    name: str
    """Dotted import name, `lxml.etree`."""
    path: str
    """Member of the wheel, `lxml/etree.cpython-314t-x86_64-linux-gnu.so`."""
    binary: ModuleBinary | None = None
    would_declare: ModuleBinary | None = None
    """What the same module in the GIL-enabled wheel declares, which predicts a rebuild and is never a verdict."""
    runtime: ModuleRuntime | None = None


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class StoreOrigin:
    """A facts store, and who made it, in the words of the maker."""

    name: str
    by: str
    created: str
    """When, in UTC, ISO 8601."""
    ftaudit: str
    """The version of ftaudit that made it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BinaryFacts:
    """What the wheel's extension modules declare."""

    status: Status
    reason: Gap | None = None
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
    startup: tuple[str, ...] = ()
    """Files that an interpreter runs when it starts in an environment with the wheel."""
    store: StoreOrigin | None = None
    """The facts store that answered; `None` if ftaudit read the wheel, in this run or earlier."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """A free-threaded CPython that was started once and reported its version."""

    path: str
    """The executable, absolute."""
    version: str
    """`3.14.7`."""
    build: str
    """`sys.version` on one line: `3.14.7 free-threading build (main, …) [GCC 12.2.0]`."""
    source: str = ""
    """Why this interpreter was chosen, as a phrase."""
    attempts: tuple[str, ...] = ()
    """The sources that were tried before it, one sentence each."""
    missing: tuple[str, ...] = ()
    """Optional standard-library modules that it was built without (`ssl`, `ctypes`, …)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeFacts:
    """The result of loading the wheel's modules with `python3.14t`."""

    status: Status
    reason: Gap | None = None
    modules: tuple[ExtensionModule, ...] = ()
    """With `runtime` set."""
    toplevels: tuple[tuple[str, ModuleRuntime], ...] = ()
    """Each top-level import name of the distribution, and the outcome of a plain `import NAME`."""
    startup: tuple[tuple[str, ModuleRuntime], ...] = ()
    """Each file that runs when an interpreter starts (`.pth`, `.start`, `sitecustomize.py`), and its outcome."""
    unlisted: tuple[str, ...] = ()
    """Modules that enabled the GIL and that no wheel lists: each name with its file."""
    contested: tuple[tuple[str, str], ...] = ()
    """Pairs of a file of this distribution and the name of another distribution with a different file of that name."""
    interpreter: str | None = None
    """`3.14.7 free-threading build`, as the interpreter reports it."""
    network_cut: bool | None = None
    """Whether the sandbox had no network."""
    notes: tuple[str, ...] = ()
    """What the sandbox could not block, one sentence each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFacts:
    """What the scan of the version's sdist found."""

    status: Status = Status.SKIPPED
    reason: Gap | None = _NOT_ASKED
    sdist: str | None = None
    findings: tuple[Finding, ...] = ()
    """With locations inside the sdist."""
    unread: int = 0
    """Files that should have been checked but could not be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageFacts:
    """Everything known about one pin on one platform, before judging."""

    pin: Pin
    target: str
    """`3.14t`."""
    platform: str
    """`linux-x86_64`, or the exact tag that the user gave."""
    index: IndexFacts
    binary: BinaryFacts
    runtime: RuntimeFacts
    modules: tuple[ExtensionModule, ...] = ()
    """The combined facts of all tiers about each module, by path."""
    source: SourceFacts = SourceFacts()
    stress: StressFacts = field(default_factory=StressFacts)
    elsewhere: tuple[tuple[str, tuple[ExtensionModule, ...]], ...] = ()
    """Pairs of another audited platform and the modules of the same version's wheel for it."""
