"""Facts for tests, with harmless defaults for every field."""

from __future__ import annotations

from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from ftaudit.model import (
    BinaryFacts,
    DistributionFile,
    ExtensionModule,
    Gap,
    GapKind,
    GilDeclaration,
    IndexFacts,
    Location,
    ModuleBinary,
    ModuleRuntime,
    PackageFacts,
    Pin,
    RuntimeFacts,
    Status,
    WheelKind,
)


def gap(detail: str) -> Gap:
    """Return why a tier has no answer, whatever the kind."""
    return Gap(kind=GapKind.FAILED, detail=detail)


SKIPPED_BINARY = BinaryFacts(status=Status.SKIPPED, reason=gap("binary tier left out"))
SKIPPED_RUNTIME = RuntimeFacts(status=Status.SKIPPED, reason=gap("runtime tier left out"))
WHEEL = DistributionFile(
    filename="demo-1.0-cp314-cp314t-manylinux_2_17_x86_64.whl", url="https://files.example/demo.whl"
)
SDIST = DistributionFile(filename="demo-1.0.tar.gz", url="https://files.example/demo-1.0.tar.gz")


def module(
    name: str = "demo._core",
    *,
    binary: GilDeclaration | None = None,
    runtime: ModuleRuntime | None = None,
    **image: Any,
) -> ExtensionModule:
    """Return one extension module with its tiers' facts."""
    read = None if binary is None else ModuleBinary(declaration=binary, how="slot", **image)
    path = name.replace(".", "/") + ".cpython-314t-x86_64-linux-gnu.so"
    return ExtensionModule(name=name, path=path, binary=read, runtime=runtime)


def imported(*, requires_gil: bool = False, **more: Any) -> ModuleRuntime:
    """Return the record of an import that worked."""
    return ModuleRuntime(imported=True, requires_gil=requires_gil, gil_enabled_after=requires_gil, **more)


def failed(outcome: str = "exception", error: str = "ImportError: no", **more: Any) -> ModuleRuntime:
    """Return the record of an import that failed."""
    return ModuleRuntime(imported=False, outcome=outcome, error=error, **more)


def facts(
    *modules: ExtensionModule, name: str = "demo", kind: WheelKind = WheelKind.FREE_THREADED, **more: Any
) -> PackageFacts:
    """Return the facts of a package whose wheel has the given modules."""
    pin_fields = more.pop("pin", {})
    index_fields = more.pop("index", {})
    wheel = None if kind is WheelKind.NONE else WHEEL
    pin = {
        "name": canonicalize_name(name),
        "version": Version("1.0"),
        "required_by": ((name,),),
        "source": Location(path="requirements.txt", line=3),
    }
    index = {
        "status": Status.DONE,
        "origin": "index",
        "kind": kind,
        "wheel": wheel,
        "wheels": (wheel,) if wheel else (),
        "compiled": kind is not WheelKind.PURE,
    }
    read = any(module.binary for module in modules)
    ran = any(module.runtime for module in modules)
    defaults: dict[str, Any] = {
        "target": "3.14t",
        "platform": "linux-x86_64",
        "binary": BinaryFacts(status=Status.DONE, modules=modules) if read else SKIPPED_BINARY,
        "runtime": RuntimeFacts(status=Status.DONE, modules=modules) if ran else SKIPPED_RUNTIME,
    }
    return PackageFacts(
        pin=Pin(**(pin | pin_fields)), index=IndexFacts(**(index | index_fields)), modules=modules, **(defaults | more)
    )
