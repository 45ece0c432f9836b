"""FT205: a module whose image is for another system or machine than the wheel's tag."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ftaudit.judge.misfits import find_misfits
from ftaudit.model import Confidence, ExtensionModule, Finding, GilDeclaration, PackageFacts, Severity
from ftaudit.model.sentences import misfit_phrase
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import GIL_LINUX, extension, installed, package

_WINDOWS = "cp314-cp314t-win_amd64"


def _image(image_format: str | None, machine: str | None, suffix: str) -> ExtensionModule:
    """Return a module whose image is of this format and machine."""
    module = extension(GilDeclaration.NOT_USED, suffix=suffix)
    if module.binary is None:
        return module
    return dataclasses.replace(module, binary=dataclasses.replace(module.binary, format=image_format, machine=machine))


_LINUX_SUFFIX = ".cpython-314t-x86_64-linux-gnu.so"


class ImageTagMismatch(PackageRule):
    """An installer selects a wheel by its tag, but the system's loader rejects a binary for another system or machine,
    so the import fails. The cause is usually a cross build that used the compiler of the build machine, or a
    `universal2` wheel that contains only one of the two architectures.
    """

    info = RuleInfo(
        code="FT205",
        name="image-tag-mismatch",
        summary="A module is compiled for a different system or machine than the wheel's tag says.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Build the wheel for the machine in its tag. Do not rename or retag wheels.",
        links=("https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/#platform-tag",),
        restates_verdict=True,
    )
    VALID = (
        PackageExample(
            title="the module is for the system and machine of the tag",
            facts=installed(modules=(_image("elf", "x86_64", _LINUX_SUFFIX),)),
        ),
        PackageExample(title="the module was not read", facts=installed(modules=(_image(None, None, _LINUX_SUFFIX),))),
        PackageExample(
            title="installers do not choose the wheel for the target",
            facts=package(GIL_LINUX, modules=(_image("pe", "x86_64", ".pyd"),)),
        ),
    )
    INVALID = (
        PackageExample(
            title="the module is for another machine",
            facts=installed(modules=(_image("elf", "aarch64", _LINUX_SUFFIX),)),
            findings=1,
        ),
        PackageExample(
            title="the module is for another system",
            facts=dataclasses.replace(
                package(_WINDOWS, chosen="cp314t", modules=(_image("elf", "x86_64", ".cp314t-win_amd64.pyd"),)),
                platform="win_amd64",
            ),
            findings=1,
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield each module whose image contradicts the platform tags."""
        misfits = find_misfits(facts)
        for module in facts.modules:
            misfit = misfits.get(module.path)
            if misfit is not None and misfit.of_image:
                yield self.finding(f"`{module.path}`: {misfit_phrase(misfit)}", module=module.name)
