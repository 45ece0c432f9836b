"""FT212: a wheel claims a stable ABI that its modules do not follow."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.cpython.conformity import Claim, Fault, FaultKind, find_faults
from ftaudit.model import (
    AbiInfo,
    Confidence,
    DistributionFile,
    ExtensionModule,
    Finding,
    GilDeclaration,
    Hook,
    ModuleBinary,
    PackageFacts,
    Severity,
)
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import package
from ftaudit_rules.package._tags import tags_of

_CPYTHON = re.compile(r"cp3(\d{1,3})")
_LISTED = 8


def _module(
    suffix: str = ".abi3t.so",
    hook: Hook = Hook.EXPORT,
    *,
    abi_info: AbiInfo | None = None,
    python_symbols: tuple[str, ...] = (),
    python_libraries: tuple[str, ...] = (),
) -> ExtensionModule:
    """Return a module with this reading."""
    binary = ModuleBinary(
        declaration=GilDeclaration.NOT_USED,
        how="emulated",
        hook=hook,
        abi_info=abi_info,
        python_symbols=python_symbols,
        python_libraries=python_libraries,
    )
    return ExtensionModule(name="spam._core", path=f"spam/_core{suffix}", binary=binary)


_BOTH = "cp315-abi3.abi3t-win_amd64"
_ABI = AbiInfo(major=1, minor=0, flags=7, build_version=0x030F0000, abi_version=0x030F0000)


class StableAbiBroken(PackageRule):
    """A wheel tagged `abi3` or `abi3t` promises to run on every later version of CPython.

    This is true only if its modules use only the stable ABI of the tag's version. Anything else may be missing, or have
    a different layout, in a later version or in the other build: the module then crashes or fails to load. `abi3t` does
    not even include `PyModuleDef`: a module needs a `PyModExport_` hook.
    """

    info = RuleInfo(
        code="FT212",
        name="stable-abi-broken",
        summary="A wheel's tag promises a stable ABI, but its modules do not follow it.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        gates=True,
        remedy=(
            "Compile with `Py_TARGET_ABI3T` (abi3t) or `Py_LIMITED_API` (abi3) set to the tag's version, and let the "
            "build tool name the module and the wheel. Do not rename or retag wheels."
        ),
        links=("https://peps.python.org/pep-0803/", "https://docs.python.org/3.15/howto/abi3t-migration.html"),
    )
    VALID = (
        PackageExample(
            title="the module follows abi3t",
            facts=package(
                _BOTH,
                chosen="abi3t",
                target="3.15t",
                modules=(
                    _module(
                        ".pyd",
                        abi_info=_ABI,
                        python_symbols=("PyList_New", "PyModule_FromSlotsAndSpec"),
                        python_libraries=("python3t.dll",),
                    ),
                ),
            ),
        ),
        PackageExample(
            title="the wheel is for one version of Python",
            facts=package(
                "cp315-cp315t-win_amd64",
                chosen="cp315t",
                target="3.15t",
                modules=(_module(python_symbols=("PyUnicode_New",)),),
            ),
        ),
    )
    INVALID = (
        PackageExample(
            title="the module uses a symbol that is not in the stable ABI",
            facts=package(
                _BOTH, chosen="abi3t", target="3.15t", modules=(_module(".pyd", python_symbols=("PyUnicode_New",)),)
            ),
            findings=1,
        ),
        PackageExample(
            title="a module for 3.14t was retagged",
            facts=package(
                _BOTH,
                chosen="abi3t",
                target="3.15t",
                modules=(_module(".pyd", Hook.INIT, python_libraries=("python314t.dll",)),),
            ),
            findings=2,
        ),
        PackageExample(
            title="the file name is for one version of Python",
            facts=package(
                "cp315-abi3.abi3t-manylinux_2_28_x86_64",
                chosen="abi3t",
                target="3.15t",
                modules=(_module(".cpython-315t-x86_64-linux-gnu.so"),),
            ),
            findings=1,
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield what each module does that its wheel's tags rule out."""
        claim = None if facts.index.wheel is None else _claim(facts.index.wheel)
        if claim is None:
            return
        for module in facts.binary.modules or facts.modules:
            binary = module.binary or module.would_declare
            if binary is None:
                continue
            for fault in find_faults(module.path, binary, claim):
                yield self.finding(f"`{module.path}` {_told(fault, claim)}", module=module.name)


def _claim(wheel: DistributionFile) -> Claim | None:
    """Return what a wheel's tags promise, or `None` if they do not name a stable ABI."""
    tags = [tag for tag in tags_of((wheel,)) if tag.abi in ("abi3", "abi3t")]
    versions = [(3, int(found[1])) for tag in tags if (found := _CPYTHON.fullmatch(tag.interpreter))]
    return Claim(abis=frozenset(tag.abi for tag in tags), since=min(versions)) if versions else None


def _told(fault: Fault, claim: Claim) -> str:
    names = ", ".join(f"`{name}`" for name in fault.names[:_LISTED]) + (
        f" and {len(fault.names) - _LISTED} more" if len(fault.names) > _LISTED else ""
    )
    version = "" if fault.version is None else f"{fault.version[0]}.{fault.version[1]}"
    since, abis = f"{claim.since[0]}.{claim.since[1]}", ".".join(sorted(claim.abis))
    match fault.kind:
        case FaultKind.TAG_TOO_OLD:
            return f"is in a wheel for CPython {version} and later, but abi3t exists only from 3.15 on"
        case FaultKind.NO_EXPORT_HOOK:
            return "has only a `PyInit_` function, but abi3t needs a `PyModExport_` hook"
        case FaultKind.NOT_STABLE:
            return f"declares the ABI of CPython {version} only (`Py_mod_abi`), but the wheel is tagged `{abis}`"
        case FaultKind.NOT_FOR_BOTH:
            return f"does not declare all builds that the tag `{abis}` promises (`Py_mod_abi`)"
        case FaultKind.ABI_TOO_NEW:
            return (
                f"declares the stable ABI of CPython {version} (`Py_mod_abi`), but the wheel is for {since} and later"
            )
        case FaultKind.OUTSIDE:
            return f"uses names that are not in the stable ABI: {names}"
        case FaultKind.TOO_NEW:
            return (
                f"needs the stable ABI of CPython {version} or later, but the wheel is for {since} and later: {names}"
            )
        case FaultKind.WRONG_LIBRARY:
            return f"is linked with {names}, which is not the library of the stable ABI `{abis}`"
        case FaultKind.WRONG_SUFFIX:
            return f"has a file name that some builds of the tag `{abis}` do not load: {names}"
