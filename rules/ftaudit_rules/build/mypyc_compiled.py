"""FT450: mypyc declares the project's modules safe without the GIL, even if no one has reviewed them."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, GilDeclaration, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Room
from ftaudit.source.build import BuildContext, FactKind
from ftaudit.source.build.required_versions import admits_from, applies, build_requirements

_MEMORY_SAFE = "2.3"


class MypycCompiled(BuildRule):
    """mypyc adds `Py_MOD_GIL_NOT_USED` to every module that it compiles: the tool makes this declaration, not the
    author. The GIL stays off even if no one has reviewed the code. Modules compiled by mypyc are memory-safe with
    threads only from mypy 2.3 on.
    """

    info = RuleInfo(
        code="FT450",
        name="mypyc-compiled",
        summary="mypyc compiles these modules and declares that they do not use the GIL.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Check the modules for shared state, and require `mypy>=2.3` for the build.",
        links=("https://mypyc.readthedocs.io/en/latest/differences_from_python.html",),
        declares=GilDeclaration.NOT_USED,
    )

    VALID = (SourceExample(code="setup(ext_modules=[])\n"),)
    INVALID = (
        SourceExample(code="from mypyc.build import mypycify\nsetup(ext_modules=mypycify(['m.py']))\n", lines=(2,)),
        SourceExample(
            path="pyproject.toml",
            code='[build-system]\nrequires = ["mypy==1.14.1"]\n',
            others=(("setup.py", "from mypyc.build import mypycify\nsetup(ext_modules=mypycify(['m.py']))\n"),),
            lines=(2,),
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield each call of mypyc, and an error for a pinned version that is not memory-safe in threads."""
        build = project.context.of(Room.BUILD, BuildContext)
        calls = build.of(FactKind.MYPYC)
        for fact in calls[:1]:
            yield self.finding(
                "mypyc declares that every module that it compiles here does not use the GIL, even without a review",
                location=project.location(fact.path, fact.line, fact.column),
            )
        for fact, requirement in build_requirements(build, "mypy") if calls else ():
            if applies(requirement, project.target) and not admits_from(requirement.specifier, _MEMORY_SAFE):
                yield self.finding(
                    (
                        f"`{requirement}` excludes mypy {_MEMORY_SAFE}, the first version whose compiled modules are "
                        "memory-safe with threads"
                    ),
                    location=project.location(fact.path, fact.line, fact.column),
                    severity=Severity.ERROR,
                )
