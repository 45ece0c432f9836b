"""The rule API: what a rule says about itself, and one base class for each kind of fact that a rule can look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from ftaudit.model import (
    Confidence,
    Finding,
    Fix,
    GilDeclaration,
    Location,
    NoFix,
    PackageFacts,
    Severity,
    Site,
    StrEnum,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleInfo:
    """What a rule says about itself; docs, `ftaudit explain` and SARIF entries are made from it."""

    code: str
    """The letters `FT` and three digits, the first of which names the group."""
    name: str
    """kebab-case; the rule's file has the same name with underscores."""
    summary: str
    """One sentence: what is wrong when this rule finds something."""
    severity: Severity
    confidence: Confidence
    since: str
    """The ftaudit release that first had it."""
    remedy: str
    """What to do about it, in one or two sentences."""
    links: tuple[str, ...] = ()
    default: bool = True
    """Whether it runs without `--pedantic` or an explicit `--select`."""

    # The fields of a rule's findings that the engine and the reports need.
    restates_verdict: bool = False
    """The reasons of the package's verdict already say what its findings say; reports do not say it twice."""
    about_package: bool = False
    """Its findings in an sdist are about the whole package: reports list them with the package, not with the code."""
    for_authors: Severity | None = None
    """The severity for the people who publish the release (`ftaudit wheel`), where it differs from `severity`."""
    gates: bool = False
    """Whether `ftaudit wheel` lets no wheel pass with a finding of the rule, whatever the verdict."""
    declares: GilDeclaration | None = None
    """What a module with such a finding declares once it is built; `None` if a finding says nothing about that."""
    asks_to_declare: bool = False
    """Its findings ask for the declaration that a module does without the GIL: the last thing to do, not the first."""
    speaks_as: tuple[str, ...] = ()
    """Codes of other rules that its findings bear: it looks for their fault in another language. Selected with them."""
    migration: bool = False
    """It lists work of the migration to the stable ABI for free-threaded builds (PEP 803). It runs where it is named,
    also by a prefix of its code, and in a project that asks for the limited API; for targets that have that ABI."""
    accompanies: bool = False
    """It is selected with every rule that reads source, unless the user ignores it."""
    silenced_by: tuple[str, ...] = ()
    """Markers of other tools that silence it: `some-marker` stands for a comment with `noqa: some-marker OK`."""


class Rule:
    """What every rule has. The class docstring says why the thing is dangerous without the GIL."""

    info: ClassVar[RuleInfo]

    def finding(
        self,
        message: str,
        *,
        location: Location | None = None,
        declared: Location | None = None,
        module: str | None = None,
        severity: Severity | None = None,
        confidence: Confidence | None = None,
        remedy: str | None = None,
        interleaving: tuple[str, ...] = (),
        sites: tuple[Site, ...] = (),
        declares: GilDeclaration | None = None,
    ) -> Finding:
        """Return a finding of this rule; severity, confidence, remedy and `declares` default to the rule's own.

        `declared` is where the variable is declared that is written at `location`, if elsewhere.
        """
        return Finding(
            rule=self.info.name,
            code=self.info.code,
            severity=severity or self.info.severity,
            confidence=confidence or self.info.confidence,
            message=message,
            location=location,
            declared=declared,
            module=module,
            remedy=remedy or self.info.remedy,
            interleaving=interleaving,
            sites=sites,
            declares=declares or self.info.declares,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageExample:
    """Facts on which a package rule is silent, or finds exactly `findings` things."""

    title: str
    facts: PackageFacts
    findings: int = 0


class PackageRule(Rule):
    """A rule that looks at the facts of one package: its wheels, declarations and imports."""

    VALID: ClassVar[tuple[PackageExample, ...]] = ()
    INVALID: ClassVar[tuple[PackageExample, ...]] = ()

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield what is wrong. Pure: reads nothing but `facts`."""
        raise NotImplementedError


class Language(StrEnum):
    """What a source rule reads."""

    PYTHON = "python"
    C = "c"
    CPP = "c++"
    CYTHON = "cython"
    RUST = "rust"
    BUILD = "build"
    """`setup.py`, `pyproject.toml`, `meson.build`, `CMakeLists.txt`, `Cargo.toml` and their like."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceExample:
    """A piece of source on which a rule is silent, or finds something on exactly the given lines."""

    code: str
    lines: tuple[int, ...] = ()
    """Lines (from 1) that the rule flags; empty in `VALID`."""
    path: str | None = None
    """Name of the file that contains it, if the name matters."""
    others: tuple[tuple[str, str], ...] = ()
    """Further files of the same tree, as pairs of path and text."""
    target: str = "3.14t"


class SourceRule(Rule):
    """A rule that looks at source code; `ftaudit.source` has one base class for each kind of tree it is handed."""

    languages: ClassVar[frozenset[Language]]
    companions: ClassVar[tuple[SourceRule, ...]] = ()
    """Rules whose findings its examples need: they run with it there."""
    VALID: ClassVar[tuple[SourceExample, ...]] = ()
    INVALID: ClassVar[tuple[SourceExample, ...]] = ()

    def fix(self, unit: Any, finding: Finding) -> Fix | NoFix | None:
        """Return the edits that remove one of the rule's findings, or the reason that there are no edits; `None` if it
        has no fix.

        `unit` is the parsed file that contains the finding, as passed to `check`; for a rule that checks the whole
        project, it is the file's text (`ftaudit.source.Unit`). `unit.edit` makes an edit. Pure, like `check`.
        """
        return None
