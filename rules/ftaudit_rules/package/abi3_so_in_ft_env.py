"""FT203: a stable-ABI module of the GIL-enabled build, which 3.13t and 3.14t load and crash on."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.cpython.suffixes import find_suffix
from ftaudit.cpython.versions import ABI3T_SINCE
from ftaudit.model import Confidence, Finding, PackageFacts, Severity
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import extension, installed, package
from ftaudit_rules.package._tags import target_of


class Abi3SoInFtEnv(PackageRule):
    """3.13t and 3.14t import files with the suffix `.abi3.so`, although these modules are compiled for the object
    layout of the GIL-enabled build. Such a module reads and writes reference counts and types at the wrong offsets,
    which corrupts memory. 3.15t does not import such files (PEP 803).
    """

    info = RuleInfo(
        code="FT203",
        name="abi3-so-in-ft-env",
        summary=(
            "A wheel for the target contains an `.abi3.so` file, which the target loads although its object layout is "
            "different."
        ),
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Compile without `Py_LIMITED_API` for the free-threaded build, so that the file gets the suffix of that "
            "build."
        ),
        links=("https://peps.python.org/pep-0803/",),
    )
    VALID = (
        PackageExample(title="the suffix of the file is that of the target", facts=installed(modules=(extension(),))),
        PackageExample(
            title="the target is 3.15t, which does not load the file",
            facts=package(
                "cp315-cp315t-win_amd64", chosen="cp315t", target="3.15t", modules=(extension(suffix=".abi3.so"),)
            ),
        ),
        PackageExample(
            title="the suffix is wrong, but the module was compiled for the free-threaded build",
            facts=installed(modules=(extension(suffix=".abi3.so", free_threaded_build=True),)),
        ),
        PackageExample(
            title="the module uses abi3t",
            facts=installed(modules=(extension(suffix=".abi3t.so"),)),
        ),
    )
    INVALID = (
        PackageExample(
            title="a cp314t wheel contains an abi3 module",
            facts=installed(modules=(extension(suffix=".abi3.so"),)),
            findings=1,
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield each stable-ABI module in a wheel that the target installs."""
        target = target_of(facts)
        if target.version >= ABI3T_SINCE or facts.index.wheel is None:
            return
        for module in facts.binary.modules or facts.modules:
            right_build = module.binary is not None and module.binary.free_threaded_build
            suffix = find_suffix(module.path)
            if suffix is not None and suffix.abi == "abi3" and not suffix.is_windows and not right_build:
                yield self.finding(
                    (
                        f"`{module.path}` is a stable-ABI module for the GIL-enabled build, but {target.executable} "
                        "loads it"
                    ),
                    module=module.name,
                )
