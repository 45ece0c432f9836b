"""The rule API: the description of a rule, and one base class for each kind of fact that a rule can check."""

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
    """The description of a rule; docs, `ftaudit explain`, and SARIF entries are made from it."""

    code: str
    """The letters `FT` and three digits, the first of which is the group."""
    name: str
    """kebab-case; the rule's file has the same name with underscores."""
    summary: str
    """One sentence: what is wrong if this rule has a finding."""
    severity: Severity
    confidence: Confidence
    since: str
    """The first ftaudit release with the rule."""
    remedy: str
    """How to fix it, in one or two sentences."""
    links: tuple[str, ...] = ()
    default: bool = True
    """Whether it runs without `--pedantic` or an explicit `--select`."""

    # The fields of a rule's findings that the engine and the reports need.
    restates_verdict: bool = False
    """The reasons of the package's verdict already cover its findings; reports do not repeat them."""
    about_package: bool = False
    """Its findings in an sdist are about the whole package: reports list them with the package, not with the code."""
    for_authors: Severity | None = None
    """The severity for the publishers of the release (`ftaudit wheel`), if it differs from `severity`."""
    gates: bool = False
    """Whether `ftaudit wheel` rejects every wheel with a finding of the rule, whatever the verdict."""
    declares: GilDeclaration | None = None
    """What a module with such a finding declares after it is built; `None` if a finding does not show that."""
    asks_to_declare: bool = False
    """Its findings request the declaration that a module runs without the GIL: the last step, not the first."""
    speaks_as: tuple[str, ...] = ()
    """Codes of other rules for its findings: it finds their problem in another language. Selected with them."""
    migration: bool = False
    """It lists work for the migration to the stable ABI for free-threaded builds (PEP 803). It runs if it is named,
    also by a prefix of its code, and in a project that uses the limited API; only for targets that have that ABI.
    """
    accompanies: bool = False
    """It is selected with every rule that reads source, unless the user ignores it."""
    silenced_by: tuple[str, ...] = ()
    """Markers of other tools that silence it: `some-marker` is equivalent to a comment with `noqa: some-marker OK`."""


class Rule:
    """The base of every rule. The class docstring explains why the problem is dangerous without the GIL."""

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

        `declared` is the declaration of the variable that is written at `location`, if it is elsewhere.
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
    """Facts for which a package rule has no findings, or exactly `findings` findings."""

    title: str
    facts: PackageFacts
    findings: int = 0


class PackageRule(Rule):
    """A rule that checks the facts of one package: its wheels, declarations, and imports."""

    VALID: ClassVar[tuple[PackageExample, ...]] = ()
    INVALID: ClassVar[tuple[PackageExample, ...]] = ()

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield the findings. Pure: reads only `facts`."""
        raise NotImplementedError


class Language(StrEnum):
    """What a source rule reads."""

    PYTHON = "python"
    C = "c"
    CPP = "c++"
    CYTHON = "cython"
    RUST = "rust"
    BUILD = "build"
    """`setup.py`, `pyproject.toml`, `meson.build`, `CMakeLists.txt`, `Cargo.toml`, and similar files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceExample:
    """A piece of source without findings of a rule, or with findings on exactly the given lines."""

    code: str
    lines: tuple[int, ...] = ()
    """Lines (from 1) that the rule flags; empty in `VALID`."""
    path: str | None = None
    """Name of the file that contains it, if the name matters."""
    others: tuple[tuple[str, str], ...] = ()
    """Further files of the same tree, as pairs of path and text."""
    target: str = "3.14t"
    instead: bool = False
    """In `VALID`: whether it shows what to write instead of flagged code."""


class SourceRule(Rule):
    """A rule that checks source code; `ftaudit.source` has one base class for each kind of tree."""

    languages: ClassVar[frozenset[Language]]
    companions: ClassVar[tuple[SourceRule, ...]] = ()
    """Rules whose findings its examples need: they run together in the examples."""
    VALID: ClassVar[tuple[SourceExample, ...]] = ()
    INVALID: ClassVar[tuple[SourceExample, ...]] = ()

    def shown_examples(self) -> Iterator[tuple[str, SourceExample]]:
        """Yield the examples for a short description, with their titles: flagged code, and what to write instead."""
        yield from (("Flagged", example) for example in self.INVALID[:1])
        instead = [example for example in self.VALID if example.instead]
        yield from (("Use instead", example) for example in instead[:1])
        if not instead:
            yield from (("Not flagged", example) for example in self.VALID[:1])

    def fix(self, unit: Any, finding: Finding) -> Fix | NoFix | None:
        """Return the edits that remove one of the rule's findings, or the reason why it has no edits; `None` if it
        has no fix.

        `unit` is the parsed file that contains the finding, as passed to `check`; for a rule that checks the whole
        project, it is the file's text (`ftaudit.source.Unit`). `unit.edit` makes an edit. Pure, like `check`.
        """
        return None
