"""Reachability: which extension modules the user's own code loads, when, and through what."""

from __future__ import annotations

from dataclasses import dataclass

from ftaudit.model.words import StrEnum


class ReachClass(StrEnum):
    """When a start point loads a module."""

    START = "start"
    """When the start point is imported, on every run."""
    START_IF = "start-if"
    """When the start point is imported, if conditions hold that only a run decides."""
    RUN = "run"
    """When a function runs."""
    NONE = "none"
    """No way was found. That is not a proof."""
    UNSURE = "unsure"
    """Something that could load it could not be followed."""


class ConditionKind(StrEnum):
    """What decides at run time whether an import takes place."""

    BRANCH = "branch"
    """An `if` or a conditional expression: `text` is its condition."""
    NOT_BRANCH = "not-branch"
    """The same, where the condition must be false."""
    LOOP = "loop"
    """A loop that may run no time: `text` is what it runs over."""
    HANDLER = "handler"
    """An exception handler: `text` names what it catches."""
    BODY = "body"
    """The rest of a `try` whose import of `text` may fail."""
    SEVERAL = "several"
    """One of several values is used: `text` is the expression."""
    NAMED = "named"
    """The module is named in the binary of the module `text`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """Something undecided on the way."""

    kind: ConditionKind
    file: str
    line: int
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportSite:
    """Where an import takes place."""

    module: str
    """The module whose file it is."""
    file: str
    """Path below the source root or site-packages; of the user's own code as the user sees it."""
    line: int
    function: str | None = None
    """Qualified name of the function around it."""
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
    """A file is not Python of any version, or is too large to be parsed."""
    UNREAD = "unread"
    """A file or a package could not be read."""
    BINARY = "binary"
    """What an extension module imports could not be read."""
    BUDGET = "budget"
    """The number of steps that one analysis takes was used up."""
    MISSING = "missing"
    """A start point does not exist."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenSite:
    """A place that could not be followed."""

    kind: OpenKind
    package: str
    """The distribution or top-level name that it is in."""
    module: str
    file: str
    line: int
    prefix: str = ""
    """What is known of the beginning of the computed name."""
    function: str | None = None
    at_start: bool = False
    """Whether it is executed when the start point is imported."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleReach:
    """When the start points load one extension module."""

    module: str
    reached: ReachClass
    path: tuple[ReachStep, ...] = ()
    """One import chain, with the user's step first; empty if there is no chain."""
    ways: int = 0
    """Imports in the user's code from which it is reached in this class."""
    cuts: tuple[ImportSite, ...] = ()
    """The imports in the user's code that every way at start leads through."""
    optional: bool = False
    """Every import that leads into its package handles `ImportError`: without the package the program still starts."""
    open_sites: tuple[OpenSite, ...] = ()
    """What could not be followed and may load it."""
    seen: str | None = None
    """The recorded run or import that loaded it, where one did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReachAnswer:
    """What the start points load on one platform."""

    platform: str
    starts: tuple[str, ...]
    modules: tuple[ModuleReach, ...]
    """Every extension module of the packages, by name."""
    open_sites: tuple[OpenSite, ...] = ()
    """Everything that could not be followed."""
    files: int = 0
    """Files of Python that were run."""
    steps: int = 0
    bytes_read: int = 0
    """Bytes that were fetched for this."""
    differences: tuple[Difference, ...] = ()
    """Where importing the start points showed something else."""
    proof: str | None = None
    """The interpreter that imported the start points; `None` where they were not imported."""

    def of(self, module: str) -> ModuleReach | None:
        """Return what is known of a module."""
        return next((each for each in self.modules if each.module == module), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A module of which the analysis and a run disagree."""

    module: str
    said: ReachClass
    loaded: bool
    """Whether the run loaded it."""
