"""Small facts for the examples of package rules."""

from __future__ import annotations

from dataclasses import replace

from packaging.utils import canonicalize_name
from packaging.version import Version

from ftaudit.model import (
    BinaryFacts,
    DistributionFile,
    ExtensionModule,
    GilDeclaration,
    IndexFacts,
    ModuleBinary,
    ModuleRuntime,
    PackageFacts,
    Pin,
    RuntimeFacts,
    Status,
    StressFacts,
    StressFailure,
    StressFailureKind,
    StressUnit,
    WheelKind,
)

T_LINUX = "cp314-cp314t-manylinux_2_28_x86_64"
GIL_LINUX = "cp314-cp314-manylinux_2_28_x86_64"


def package(
    *wheels: str,
    chosen: str | None = None,
    modules: tuple[ExtensionModule, ...] = (),
    classifiers: tuple[str, ...] = (),
    target: str = "3.14t",
    elsewhere: tuple[tuple[str, tuple[ExtensionModule, ...]], ...] = (),
) -> PackageFacts:
    """Return the facts of `spam 1.0`, with wheels of these tags, of which the target installs the chosen one."""
    files = tuple(DistributionFile(filename=f"spam-1.0-{tags}.whl") for tags in wheels)
    wheel = next((file for file in files if chosen is not None and chosen in file.filename), None)
    kind = WheelKind.NONE if wheel is None else WheelKind.FREE_THREADED
    if chosen is not None and chosen.endswith("-any"):
        kind = WheelKind.PURE
    read = BinaryFacts(status=Status.DONE, modules=modules, classifiers=classifiers)
    ran = any(module.runtime for module in modules)
    return PackageFacts(
        pin=Pin(name=canonicalize_name("spam"), version=Version("1.0")),
        target=target,
        platform="linux-x86_64",
        index=IndexFacts(
            status=Status.DONE,
            kind=kind,
            wheel=wheel,
            wheels=files,
            compiled=any(not tags.endswith("-any") for tags in wheels),
        ),
        binary=read if modules or classifiers or wheel else BinaryFacts(status=Status.SKIPPED),
        runtime=RuntimeFacts(status=Status.DONE if ran else Status.SKIPPED, modules=modules if ran else ()),
        modules=modules,
        elsewhere=elsewhere,
    )


def installed(
    *,
    modules: tuple[ExtensionModule, ...] = (),
    classifiers: tuple[str, ...] = (),
    elsewhere: tuple[tuple[str, tuple[ExtensionModule, ...]], ...] = (),
) -> PackageFacts:
    """Return the facts of `spam 1.0` whose one wheel, free-threaded, the target installs."""
    return package(T_LINUX, chosen="cp314t", modules=modules, classifiers=classifiers, elsewhere=elsewhere)


def extension(
    declares: GilDeclaration | None = None,
    *,
    name: str = "spam._core",
    suffix: str = ".cpython-314t-x86_64-linux-gnu.so",
    framework: str | None = None,
    free_threaded_build: bool | None = None,
    runtime: ModuleRuntime | None = None,
) -> ExtensionModule:
    """Return one extension module with this declaration; without it and without a build, one that was not read."""
    path = name.replace(".", "/") + suffix
    if declares is None and free_threaded_build is None:
        return ExtensionModule(name=name, path=path, runtime=runtime)
    binary = ModuleBinary(
        declaration=declares or GilDeclaration.UNDETERMINED,
        how="emulated",
        framework=framework,
        free_threaded_build=free_threaded_build,
        free_threaded_evidence="imports _Py_DecRefShared" if free_threaded_build else "imports _Py_Dealloc",
    )
    return ExtensionModule(name=name, path=path, binary=binary, runtime=runtime)


def imported(*, requires_gil: bool) -> ModuleRuntime:
    """Return the record of an import that worked."""
    return ModuleRuntime(imported=True, requires_gil=requires_gil, gil_enabled_after=requires_gil)


def failed(outcome: str, error: str, *, environmental: bool = False) -> ModuleRuntime:
    """Return the record of an import that did not work."""
    return ModuleRuntime(imported=False, outcome=outcome, error=error, environmental=environmental)


def stressed(*failures: StressFailure) -> PackageFacts:
    """Return the facts of a package that many threads used at once."""
    facts = StressFacts(status=Status.DONE, reason=None, failures=failures, calls=1000)
    return replace(installed(modules=(extension(runtime=imported(requires_gil=False)),)), stress=facts)


def failure(kind: StressFailureKind = StressFailureKind.CRASH) -> StressFailure:
    """Return a failure of two threads."""
    unit = StressUnit(schedule="pair of methods", target="spam.Egg", operations=("o.boil()", "len(o)"))
    return StressFailure(kind=kind, unit=unit, failed=5, tries=5, threads=2, signal=11)
