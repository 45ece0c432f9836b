"""The tables of a fleet's data set, column by column. `docs/fleet.md` is for their readers.

A data set is a folder: `run.json` (a `RunInfo`), and for each table `TABLE/target=TARGET/part-NNNNN.parquet`. Every row
is about one target, whose name (`3.14t`) is the value of the partition `target`, and not a column of the files.
Columns are added, never renamed or redefined, within one `SCHEMA_VERSION`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ftaudit.model import StoreOrigin, StrEnum

SCHEMA_VERSION: Final = 1
"""Raised if a column is removed or gets another meaning."""


class ColumnType(StrEnum):
    """The type of a column, named after its type in Arrow."""

    STRING = "string"
    STRINGS = "list<string>"
    """Never null; it can be empty."""
    INTEGER = "int64"
    BOOLEAN = "bool"
    TIME = "timestamp[us, UTC]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    type: ColumnType
    about: str
    """What a value means, with its unit."""
    nullable: bool = False
    """Whether a row may have no value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataTable:
    """One table of the data set."""

    name: str
    about: str
    """What one row is."""
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    """The columns that identify a row within one target; the rows are sorted by them."""


_S: Final = ColumnType.STRING
_L: Final = ColumnType.STRINGS
_I: Final = ColumnType.INTEGER
_B: Final = ColumnType.BOOLEAN
_T: Final = ColumnType.TIME


def _column(name: str, kind: ColumnType, about: str) -> Column:
    return Column(name=name, type=kind, about=about)


def _maybe(name: str, kind: ColumnType, about: str) -> Column:
    return Column(name=name, type=kind, about=about, nullable=True)


PROJECTS: Final = DataTable(
    name="projects",
    about="One project of `fleet check`. `fleet survey` writes no rows.",
    key=("project",),
    columns=(
        _column("project", _S, "the input as you named it, or the path of its repository"),
        _column(
            "name",
            _S,
            "the name in the manifest, or else that of the project's folder: `ml` for `repositories/ml/poetry.lock`",
        ),
        _maybe("owner", _S, "the owner in the manifest"),
        _maybe("input", _S, "the file that ftaudit read; null if there was none"),
        _column("status", _S, "`judged`, or `failed` if the input could not be read"),
        _maybe("problem", _S, "why it failed, in one sentence"),
        _column(
            "exit_code",
            _I,
            "the exit code of `ftaudit check`: 0 nothing blocks, 1 something blocks, 2 failed, 3 not all was checked",
        ),
        _column("platforms", _L, "the platforms of the audit"),
        _column("pins", _I, "rows of `pins`"),
        _column("blocking", _I, "the number of rows of `pins` with a verdict that blocks"),
        _column("unknown", _I, "the number of rows of `pins` with the verdict `unknown`"),
        _column("incomplete", _L, "what ftaudit did not check and has no row for, one sentence each"),
        _column("notes", _L, "notes about the input, one sentence each"),
    ),
)

PINS: Final = DataTable(
    name="pins",
    about="One package that a project pins on one platform.",
    key=("project", "platform", "package", "version"),
    columns=(
        _column("project", _S, "`projects.project`"),
        _column("platform", _S, "`linux-x86_64`, …, as in `ftaudit check --platform`"),
        _column("package", _S, "the normalized name"),
        _maybe("version", _S, "the pinned version; null if none was found"),
        _column("key", _S, "`packages.key`: the row of `packages` that this pin shares with other projects"),
        _column("verdict", _S, "a copy of `packages.verdict`"),
        _column("blocks", _B, "a copy of `packages.blocks`"),
        _column("direct", _B, "whether the project itself requires the package"),
        _column("chain", _L, "the shortest chain of names from a requirement of the project to this package"),
        _maybe("file", _S, "the file that lists the package"),
        _maybe("line", _I, "the line in that file, starting at 1"),
        _column("blocked_by", _L, "names of packages that block and that this package needs, directly or indirectly"),
    ),
)

PACKAGES: Final = DataTable(
    name="packages",
    about="One audited release, with the files that can be installed, on one platform.",
    key=("key", "platform"),
    columns=(
        _column("key", _S, "identifies the release, its files and the platforms; 32 hexadecimal digits"),
        _column("platform", _S, "`linux-x86_64`, …"),
        _column("package", _S, "the normalized name"),
        _maybe("version", _S, "the audited version; null if none was found"),
        _maybe(
            "released", _T, "when the first file of the release was uploaded; null if the index does not provide this"
        ),
        _column(
            "newest",
            _B,
            "in a survey, whether it is the newest release of its package in this run; in a check, always false",
        ),
        _column("verdict", _S, "`ready`, `pure`, `fallback`, `reenables-gil`, … (docs/verdicts.md)"),
        _column("blocks", _B, "whether the verdict blocks the target"),
        _column("reasons", _L, "the reasons, the most important first, one sentence each"),
        _maybe("next_step", _S, "what to do, in one sentence"),
        _maybe("step", _S, "the kind of the next step: the name of its type in `ftaudit.model.steps`"),
        _maybe("fix_version", _S, "the nearest later version that is ready or pure"),
        _maybe("pre_release", _S, "the newest good pre-release, if no final release is ready or pure"),
        _column("wheel_kind", _S, "`free-threaded`, `abi3t`, `native`, `pure` or `none`"),
        _maybe("wheel", _S, "the file name of the wheel that installers choose"),
        _maybe("sha256", _S, "the digest of the wheel: `wheels.sha256`; null if the source does not provide it"),
        _column("sdist", _B, "whether the release has a source distribution"),
        _column("other_platforms", _L, "platform tags of the release's free-threaded wheels for other platforms"),
        _column("modules", _I, "the number of extension modules in the wheel"),
        _column("guilty", _L, "names of the modules that turn the GIL on"),
        _column("undetermined", _L, "names of the modules whose declaration could not be determined"),
        _column("index_status", _S, "whether ftaudit looked up the files: `done`, `skipped` or `failed`"),
        _maybe("index_gap", _S, "why this was skipped or failed: a value of `ftaudit.model.GapKind`"),
        _column("binary_status", _S, "whether ftaudit read the wheel: `done`, `skipped` or `failed`"),
        _maybe("binary_gap", _S, "why this was skipped or failed: a value of `ftaudit.model.GapKind`"),
        _column("classifiers", _L, "the `Free Threading` classifiers of the wheel's METADATA: a claim, not evidence"),
        _maybe("died", _S, "why the audit of the package failed: it crashed its worker three times"),
    ),
)

WHEELS: Final = DataTable(
    name="wheels",
    about="One wheel that was read.",
    key=("sha256", "wheel", "rebuild"),
    columns=(
        _column("sha256", _S, "the digest of the file; the URL if the source does not provide a digest"),
        _column("wheel", _S, "the file name"),
        _column("package", _S, "the normalized name"),
        _maybe("version", _S, "the version"),
        _column("rebuild", _B, "whether the wheel is for the GIL-enabled build; it shows what a rebuild would declare"),
        _column("status", _S, "`done`, `skipped` or `failed`"),
        _maybe("gap", _S, "why this was skipped or failed: a value of `ftaudit.model.GapKind`"),
        _maybe("detail", _S, "the details of that reason"),
        _column("bytes", _I, "the size of the whole file in bytes; 0 if unknown"),
        _column("modules", _I, "the number of rows of `modules`"),
        _column("problems", _L, "problems of the archive, one sentence each"),
        _column("refused", _L, "why installers refuse the wheel, one sentence each"),
        _column("startup", _L, "files that run when an interpreter starts"),
        _column("classifiers", _L, "the `Free Threading` classifiers of its METADATA"),
        _maybe(
            "store",
            _S,
            "the facts store that supplied the facts; null if ftaudit read the wheel, in this run or an earlier one",
        ),
        _maybe("store_by", _S, "who made the store, in the words of its maker"),
        _maybe("store_created", _S, "when the store was made, in UTC, ISO 8601"),
        _maybe("store_ftaudit", _S, "the version of ftaudit that made the store"),
    ),
)

MODULES: Final = DataTable(
    name="modules",
    about="One extension module of a wheel.",
    key=("sha256", "wheel", "rebuild", "path", "module"),
    columns=(
        _column("sha256", _S, "`wheels.sha256`"),
        _column("wheel", _S, "`wheels.wheel`"),
        _column("rebuild", _B, "`wheels.rebuild`"),
        _column("package", _S, "the normalized name"),
        _maybe("version", _S, "the version"),
        _column("module", _S, "the dotted name, such as `lxml.etree`"),
        _column("path", _S, "the path of the file in the wheel"),
        _column("declaration", _S, "`not_used`, `used`, `undeclared` or `undetermined`"),
        _column("how", _S, "how the declaration was found, or why it was not"),
        _maybe("framework", _S, "C, C++, Cython, pybind11, nanobind, PyO3, mypyc, cffi, …"),
        _maybe("framework_version", _S, "the version of the framework"),
        _maybe("format", _S, "`elf`, `macho` or `pe`"),
        _maybe("machine", _S, "`x86_64`, `aarch64`, …"),
        _maybe("free_threaded_build", _B, "whether it was compiled with `Py_GIL_DISABLED`"),
        _maybe("multi_phase", _B, "whether it uses multi-phase initialization"),
        _maybe("hook", _S, "`PyInit` or `PyModExport`"),
        _maybe("refusal", _S, "why the target refuses to load the module: a value of `ftaudit.model.RefusalKind`"),
    ),
)

FINDINGS: Final = DataTable(
    name="findings",
    about="One finding about an audited package.",
    key=("key", "platform", "code", "module", "message"),
    columns=(
        _column("key", _S, "`packages.key`"),
        _column("platform", _S, "`packages.platform`"),
        _column("package", _S, "the normalized name"),
        _maybe("version", _S, "the version"),
        _column("code", _S, "the code of the rule: letters and digits"),
        _column("rule", _S, "the name of the rule"),
        _column("severity", _S, "`error`, `warning`, `info` or `pedantic`"),
        _column("confidence", _S, "`high`, `medium` or `low`"),
        _maybe("module", _S, "the module that the finding is about"),
        _column("message", _S, "what was found"),
        _maybe("remedy", _S, "what the author can do"),
        _column("blocks", _B, "whether the finding blocks by itself"),
    ),
)

TABLES: Final = (PROJECTS, PINS, PACKAGES, WHEELS, MODULES, FINDINGS)
"""Every table of a data set."""


class Mode(StrEnum):
    """What a run judged."""

    CHECK = "check"
    """Projects, with what they pin."""
    SURVEY = "survey"
    """Releases by their names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UsedStore:
    """A facts store that answered, as the table `wheels` names it."""

    store: StoreOrigin
    wheels: int
    """The number of distinct wheels that it answered for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """The facts about a run as a whole: `run.json`, with these fields."""

    schema: int = SCHEMA_VERSION
    mode: Mode
    ftaudit: str
    """The version of ftaudit."""
    analysis: str
    """The version of the analysis of wheels."""
    targets: tuple[str, ...]
    platforms: tuple[str, ...]
    started: str
    """When the run started, in UTC, ISO 8601. A run that was resumed keeps its first start."""
    ended: str
    rows: dict[str, int] = field(default_factory=dict)
    """The number of rows of each table."""
    facts_stores: tuple[UsedStore, ...] = ()
    """The facts stores that answered."""
    kept: int = 0
    """The number of packages whose answer is of an earlier run, because nothing that it depends on has changed."""
    notes: tuple[str, ...] = ()
    """Notes on the run as a whole, one sentence each."""
