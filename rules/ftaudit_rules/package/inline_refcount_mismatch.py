"""FT208: a module in a free-threaded wheel that was compiled for the GIL-enabled build, or the reverse."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.judge.misfits import find_misfits
from ftaudit.model import Confidence, Finding, GilDeclaration, PackageFacts, Severity
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import GIL_LINUX, extension, installed, package
from ftaudit_rules.package._tags import is_free_threaded, tags_of


class InlineRefcountMismatch(PackageRule):
    """`Py_INCREF` and `Py_DECREF` are compiled into the module, and the two builds of CPython store the reference count
    in different fields. Code compiled without `Py_GIL_DISABLED` writes to the wrong field on the free-threaded build
    and corrupts memory.
    """

    info = RuleInfo(
        code="FT208",
        name="inline-refcount-mismatch",
        summary="A module was compiled for a different build of CPython than the wheel's tag says.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Compile with the headers of the free-threaded build. On Windows, also pass `-DPy_GIL_DISABLED=1`.",
        links=("https://docs.python.org/3/howto/free-threading-extensions.html#windows",),
    )
    VALID = (
        PackageExample(
            title="the module was compiled for the free-threaded build",
            facts=installed(modules=(extension(GilDeclaration.NOT_USED, free_threaded_build=True),)),
        ),
        PackageExample(
            title="the module does not show for which build it was compiled",
            facts=installed(modules=(extension(GilDeclaration.NOT_USED),)),
        ),
    )
    INVALID = (
        PackageExample(
            title="a free-threaded wheel contains a module that was compiled for the GIL-enabled build",
            facts=installed(modules=(extension(GilDeclaration.NOT_USED, free_threaded_build=False),)),
            findings=1,
        ),
        PackageExample(
            title="a wheel for the GIL-enabled build contains a module that was compiled for the free-threaded build",
            facts=package(
                GIL_LINUX, chosen=GIL_LINUX, modules=(extension(GilDeclaration.NOT_USED, free_threaded_build=True),)
            ),
            findings=1,
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield each module whose imports show the other build."""
        if facts.index.wheel is None:
            return
        abis = {tag.abi for tag in tags_of((facts.index.wheel,)) if tag.abi.startswith(("cp", "abi3"))}
        wanted = {is_free_threaded(abi) or abi == "abi3t" for abi in abis}
        if len(wanted) != 1:
            return
        free_threaded = wanted.pop()
        loaded, misfits = {module.path for module in facts.modules}, find_misfits(facts)
        for module in facts.binary.modules:
            misfit = misfits.get(module.path)
            if module.path not in loaded or (misfit is not None and not misfit.certain):
                continue  # A stray copy: the target finds another file first, or does not search for this name.
            read = module.binary or module.would_declare
            if read is None or read.free_threaded_build in (None, free_threaded):
                continue
            was = "the free-threaded build" if read.free_threaded_build else "the GIL-enabled build"
            yield self.finding(
                f"`{module.path}` was compiled for {was} ({read.free_threaded_evidence}), but the wheel is tagged "
                f"`{', '.join(sorted(abis))}`",
                module=module.name,
            )
