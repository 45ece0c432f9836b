"""Reachability: which extension modules the user's own code loads, when, and through what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ftaudit.model.words import StrEnum

MOST_SOURCE: Final = 3 << 20
"""Bytes of the largest Python file that is followed."""


class ReachClass(StrEnum):
    """When a start point loads a module."""

    START = "start"
    """When the start point is imported, on every run."""
    START_IF = "start-if"
    """When the start point is imported, if conditions hold that are decided only at run time."""
    RUN = "run"
    """When a function runs."""
    NONE = "none"
    """No import chain was found. That is not a proof."""
    UNSURE = "unsure"
    """Something that could load it could not be followed."""


class ConditionKind(StrEnum):
    """What decides at run time whether an import happens."""

    BRANCH = "branch"
    """An `if` or a conditional expression: `text` is its condition."""
    NOT_BRANCH = "not-branch"
    """The same, but the condition must be false."""
    LOOP = "loop"
    """A loop that may not run at all: `text` is what it iterates over."""
    HANDLER = "handler"
    """An exception handler: `text` is the exception that it catches."""
    BODY = "body"
    """The rest of a `try` whose import of `text` can fail."""
    SEVERAL = "several"
    """One of several values is used: `text` is the expression."""
    NAMED = "named"
    """The module is named in the binary of the module `text`."""
    CALL = "call"
    """A call of the function `text` gets there: the analysis did not follow it to its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """An undecided step in the chain."""

    kind: ConditionKind
    file: str
    line: int
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportSite:
    """Where an import happens."""

    module: str
    """The module that the file belongs to."""
    file: str
    """Path below the source root or site-packages; for the user's own code, as the user sees it."""
    line: int
    function: str | None = None
    """Qualified name of the enclosing function."""
    own: bool = False
    """Whether it is in the user's code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReachStep:
    """One module is loaded from one place."""

    site: ImportSite
    target: str
    """The module that is loaded."""
    conditions: tuple[Condition, ...] = ()


class OpenKind(StrEnum):
    """Why something that may import could not be followed."""

    COMPUTED = "computed"
    """The name of the module is computed."""
    EXECUTED = "executed"
    """Text is executed as code."""
    UNPARSED = "unparsed"
    """A file is not Python, or not of the target's version."""
    TOO_LARGE = "too-large"
    """A Python file is too large to be parsed."""
    UNREAD = "unread"
    """A file or a package could not be read."""
    BINARY = "binary"
    """What an extension module imports could not be read."""
    BUDGET = "budget"
    """The step limit of one analysis was reached."""
    MISSING = "missing"
    """A start point does not exist."""
    ERROR = "error"
    """An error in ftaudit: a statement that it could not evaluate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenSite:
    """A place that could not be followed."""

    kind: OpenKind
    package: str
    """The distribution or top-level name that contains it."""
    module: str
    file: str
    line: int
    prefix: str = ""
    """The known beginning of the computed name."""
    function: str | None = None
    at_start: bool = False
    """Whether it runs when the start point is imported."""
    own: bool = False
    """Whether it is in the user's own code."""

    @property
    def hides_everything(self) -> bool:
        """Whether nothing is known of what it loads: a missing start point, a file of the user that was not read, or a
        statement that an error in ftaudit left out.
        """
        unread = self.own and self.kind in (OpenKind.UNPARSED, OpenKind.TOO_LARGE, OpenKind.UNREAD)
        return unread or self.kind in (OpenKind.MISSING, OpenKind.ERROR)


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenLoad:
    """A run that loaded a module."""

    run: str
    """The file with the record of the run, or the interpreter that imported the start points in the sandbox."""
    chain: tuple[str, ...]
    """The imports that were in progress, the outermost first; empty if that is unknown."""
    at_start: bool
    """Whether the import of a start point was in progress."""
    requires_gil: bool | None
    """Whether the module requires the GIL, if the run showed it."""
    file: str | None = None
    """The innermost file of the user's own code on the way."""
    line: int = 0
    in_start: bool = False
    """Whether a function of the user did it while a start point ran as a program, or was called. That is "at start",
    unless the analysis finds that a function loads the module.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class StartPoint:
    """Where a program starts."""

    module: str
    function: str | None = None
    """It is called after the module is imported: a console script."""
    is_main: bool = False
    """Whether the module runs as a program, so that its `__name__` is `__main__`."""
    text: str = ""
    """The name that the user gave."""

    @property
    def label(self) -> str:
        """The name for readers."""
        return self.text or self.module


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestedExtra:
    """An extra of a package that the user requires: `standard` of `uvicorn[standard]`."""

    package: str
    extra: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleReach:
    """When the start points load one extension module."""

    module: str
    reached: ReachClass
    path: tuple[ReachStep, ...] = ()
    """One import chain, with the user's step first; empty without one."""
    ways: int = 0
    """Imports in the user's code that reach it in this class."""
    cuts: tuple[ImportSite, ...] = ()
    """The imports in the user's code that every chain at start goes through."""
    optional: bool = False
    """Every import that leads into its package handles `ImportError`: without the package the program still starts."""
    extras: tuple[RequestedExtra, ...] = ()
    """The user's extras without any one of which its package is not installed; empty if that is unknown."""
    open_sites: tuple[OpenSite, ...] = ()
    """What could not be followed and could load it."""
    seen: SeenLoad | None = None
    """The run that loaded it, if any did. The class is then at least `RUN`, whatever the analysis said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockerReach:
    """When the start points load the modules of one package on one platform."""

    name: str
    version: str | None
    platform: str
    modules: tuple[ModuleReach, ...]
    """The modules that matter, the most urgent first; empty if the files of the package could not be read."""

    @property
    def reached(self) -> ReachClass:
        """When the first of its modules is loaded; `UNSURE` without files."""
        return self.modules[0].reached if self.modules else ReachClass.UNSURE

    @property
    def cuts(self) -> tuple[ImportSite, ...]:
        """The user's imports through which all of its modules are loaded at start."""
        at_start = (ReachClass.START, ReachClass.START_IF)
        sites = {site for each in self.modules if each.reached in at_start for site in each.cuts}
        return tuple(sorted(sites, key=lambda site: (site.file, site.line)))


@dataclass(frozen=True, kw_only=True, slots=True)
class ReachAnswer:
    """What the start points load on one platform."""

    platform: str
    starts: tuple[StartPoint, ...]
    modules: tuple[ModuleReach, ...]
    """Every extension module of the packages, by name; then the imported names of packages without files."""
    open_sites: tuple[OpenSite, ...] = ()
    """Everything that could not be followed."""
    files: int = 0
    """Python files that were analyzed."""
    steps: int = 0
    bytes_read: int = 0
    """Bytes that were fetched for the analysis."""
    own: tuple[str, ...] = ()
    """The top-level names of the user's own modules that were followed."""
    runs: tuple[ComparedRun, ...] = ()
    """The runs that the analysis was compared with."""
    differences: tuple[Difference, ...] = ()
    """Where a run gave a different result."""

    def of(self, module: str) -> ModuleReach | None:
        """Return the facts about a module."""
        return next((each for each in self.modules if each.module == module), None)


class RunKind(StrEnum):
    """What kind of run the analysis was compared with."""

    SANDBOX = "sandbox"
    """The start points were imported in the sandbox."""
    RECORDED = "recorded"
    """The user's own runs, from a file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedRun:
    """A run that the analysis was compared with."""

    kind: RunKind
    run: str
    """The file, or the interpreter."""
    completed: tuple[str, ...] = ()
    """The start points whose import it completed."""
    failed: tuple[tuple[str, str], ...] = ()
    """The start points whose import ended with an error, and the error."""
    other: str | None = None
    """The interpreter and the machine of a record that does not fit the target, and was not compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A module on which the analysis and a run disagree."""

    module: str
    predicted: ReachClass
    loaded: bool
    """Whether the run loaded it."""
    at_start: bool
    """Whether it did so, or should have done so, when a start point was imported."""
    outside: bool
    """Whether code that no start point imports loaded it, such as a test."""
    run: ComparedRun
