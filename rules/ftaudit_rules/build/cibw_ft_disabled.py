"""FT115: cibuildwheel's configuration skips free-threaded wheels, or uses an option that was removed."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from packaging.version import Version

from ftaudit.model import Confidence, Finding, Fix, NoFix, Obstacle, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Room, Unit
from ftaudit.source.build import BuildContext, FactKind
from ftaudit.source.build.build_edits import drop_word, facts_at
from ftaudit.target import Target

_PLATFORMS: Final = (
    "manylinux_x86_64",
    "manylinux_aarch64",
    "musllinux_x86_64",
    "macosx_arm64",
    "macosx_x86_64",
    "win_amd64",
)
_BY_DEFAULT: Final = Version("3")
_ENABLE_GONE: Final = Version("4")
_MAX_ALTERNATIVES: Final = 200


class CibwFtDisabled(BuildRule):
    """cibuildwheel 3.1 and later builds free-threaded wheels by default, but an old `skip` pattern prevents that. Users
    of the free-threaded build then have to compile the package, or cannot install it.
    """

    info = RuleInfo(
        code="FT115",
        name="cibw-ft-disabled",
        summary="The configuration of cibuildwheel prevents free-threaded wheels.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Remove the pattern or option. cibuildwheel 3.1 and later builds `cp314t` wheels by default.",
        links=("https://py-free-threading.github.io/ci/", "https://cibuildwheel.pypa.io/en/stable/options/"),
    )

    VALID = (
        SourceExample(path="pyproject.toml", code='[tool.cibuildwheel]\nskip = [\n  "pp*",\n]\n', instead=True),
        SourceExample(
            path="pyproject.toml", code='[tool.cibuildwheel]\nskip = ["pp*", "cp314t-win_arm64", "cp313t-*"]\n'
        ),
        SourceExample(
            path="pyproject.toml",
            code="[tool.cibuildwheel]\nfree-threaded-support = true\n",
            others=((".github/workflows/w.yml", "- uses: pypa/cibuildwheel@v2.21.3\n"),),
        ),
        SourceExample(path="pyproject.toml", code='[tool.cibuildwheel]\nskip = "cp36-* *-musllinux_*"\n'),
    )
    INVALID = (
        SourceExample(
            path="pyproject.toml", code='[tool.cibuildwheel]\nskip = [\n  "pp*",\n  "cp3??t-*",\n]\n', lines=(4,)
        ),
        SourceExample(
            path="pyproject.toml", code='[tool.cibuildwheel]\nskip = "cp313t-*"\n', lines=(2,), target="3.13t"
        ),
        SourceExample(path="pyproject.toml", code="[tool.cibuildwheel]\nfree-threaded-support = true\n", lines=(2,)),
        SourceExample(
            path=".github/workflows/w.yml",
            code="- uses: pypa/cibuildwheel@v4.1\n  env:\n    CIBW_ENABLE: cpython-freethreading\n",
            lines=(3,),
        ),
        SourceExample(
            path=".github/workflows/w.yml", code='  env:\n    CIBW_SKIP: "cp38-* {cp313t,cp314t}-*"\n', lines=(2,)
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield each pattern that skips the target on every common platform, and each option without effect."""
        build = project.context.of(Room.BUILD, BuildContext)
        for fact in build.of(FactKind.CIBW_SKIP):
            if _skips(fact.value, project.target):
                yield self.finding(
                    f"cibuildwheel skips `{fact.value}`, so it builds no free-threaded wheel for {project.target.name}",
                    location=project.location(fact.path, fact.line),
                )
        versions = [Version(fact.value) for fact in build.of(FactKind.CIBW_VERSION)]
        needed = bool(versions) and max(versions) < _BY_DEFAULT
        for fact in build.of(FactKind.CIBW_OBSOLETE):
            if fact.settled and needed:
                continue
            yield self.finding(
                f"`{fact.value}` has no effect since cibuildwheel 3", location=project.location(fact.path, fact.line)
            )
        if versions and min(versions) >= _ENABLE_GONE:
            for fact in build.of(FactKind.CIBW_ENABLE):
                yield self.finding(
                    f"cibuildwheel {min(versions)} no longer supports `cpython-freethreading`",
                    location=project.location(fact.path, fact.line),
                )

    def fix(self, unit: Unit, finding: Finding) -> Fix | NoFix:
        """Remove the pattern or the option."""
        for fact in facts_at(unit, finding, FactKind.CIBW_SKIP, FactKind.CIBW_OBSOLETE, FactKind.CIBW_ENABLE):
            if fact.kind is FactKind.CIBW_SKIP and not _skips(fact.value, unit.target):
                continue
            if fact.kind is FactKind.CIBW_ENABLE:
                # A person has to decide about the rest of the option, and about the CI job that it is in.
                return NoFix(obstacle=Obstacle.NOT_MECHANICAL)
            return drop_word(unit, fact.line, fact.value)
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)


def _skips(pattern: str, target: Target) -> bool:
    """Return whether a pattern skips the target's wheels on all common platforms, but not all wheels."""
    tag = f"cp{target.version[0]}{target.version[1]}"
    alternatives = _expand(pattern)
    every = all(any(fnmatchcase(f"{tag}t-{name}", each) for each in alternatives) for name in _PLATFORMS)
    ordinary = any(fnmatchcase(f"{tag}-{name}", each) for each in alternatives for name in _PLATFORMS)
    return every and not ordinary


def _expand(pattern: str) -> list[str]:
    """Return the patterns that a pattern with braces stands for, as a shell would expand them."""
    found = [pattern]
    for _ in range(8):
        expanded: list[str] = []
        for each in found:
            head, opening, rest = each.partition("{")
            inner, closing, tail = rest.partition("}")
            if opening and closing:
                expanded.extend(f"{head}{choice}{tail}" for choice in inner.split(","))
            else:
                expanded.append(each)
        if expanded == found or len(expanded) > _MAX_ALTERNATIVES:
            break
        found = expanded
    return found
