"""FT204: a module's file name names another build of CPython than the wheel's tag."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, PackageFacts, Severity
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import GIL_LINUX, extension, installed, package
from ftaudit_rules.package._tags import suffix_abi, tags_of


class SoabiTagMismatch(PackageRule):
    """CPython searches only for its own suffixes: it cannot import a module with the suffix of another build. Such a
    wheel was usually built with the wrong interpreter, or retagged. Renaming the file does not help: the module was
    compiled for another object layout and would corrupt memory.
    """

    info = RuleInfo(
        code="FT204",
        name="soabi-tag-mismatch",
        summary="The suffix of a module's file name is for a different CPython build than the wheel's tag.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Build the wheel with the interpreter in its tag. Do not rename or retag wheels.",
        links=(
            "https://docs.python.org/3/howto/free-threading-extensions.html#building-extensions-for-the-free-threaded-build",
        ),
    )
    VALID = (
        PackageExample(title="the suffix of the file matches the tag", facts=installed(modules=(extension(),))),
        PackageExample(title="the name of the file has no ABI", facts=installed(modules=(extension(suffix=".so"),))),
        PackageExample(
            title="the wheel has a file for each build",
            facts=installed(modules=(extension(suffix=".cpython-314-x86_64-linux-gnu.so"), extension())),
        ),
    )
    INVALID = (
        PackageExample(
            title="a cp314t wheel contains a file for the GIL-enabled build",
            facts=installed(modules=(extension(suffix=".cpython-314-x86_64-linux-gnu.so"),)),
            findings=1,
        ),
        PackageExample(
            title="a cp314 wheel contains a file for the free-threaded build",
            facts=package(GIL_LINUX, chosen=GIL_LINUX, modules=(extension(),)),
            findings=1,
        ),
        PackageExample(
            title="a wheel for Windows contains a file for the GIL-enabled build",
            facts=package(
                "cp314-cp314t-win_amd64", chosen="cp314t", modules=(extension(suffix=".cp314-win_amd64.pyd"),)
            ),
            findings=1,
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield each module whose suffix names an ABI that the wheel's tags do not."""
        if facts.index.wheel is None:
            return
        tagged = {tag.abi for tag in tags_of((facts.index.wheel,)) if tag.abi.startswith("cp")}
        if not tagged:
            return
        modules = facts.binary.modules or facts.modules
        fitting = {module.name for module in modules if suffix_abi(module.path) in tagged}
        for module in modules:
            abi = suffix_abi(module.path)
            if abi is not None and abi not in tagged and module.name not in fitting:
                yield self.finding(
                    (
                        f"the file name of `{module.path}` is for `{abi}`, but the wheel is tagged "
                        f"`{', '.join(sorted(tagged))}`"
                    ),
                    module=module.name,
                )
