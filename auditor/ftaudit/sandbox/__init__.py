"""The runtime tier: third-party modules imported under the free-threaded interpreter, within walls."""

from ftaudit.sandbox.in_place import InstalledPackage, import_in_place
from ftaudit.sandbox.runner import import_distributions
from ftaudit.sandbox.sandbox_settings import SandboxSettings, WheelToImport
from ftaudit.sandbox.start_imports import StartImport, import_starts

__all__ = [
    "InstalledPackage",
    "SandboxSettings",
    "StartImport",
    "WheelToImport",
    "import_distributions",
    "import_in_place",
    "import_starts",
]
