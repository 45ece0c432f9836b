"""The runtime tier: strangers' modules imported under the free-threaded interpreter, within walls."""

from ftaudit.sandbox.runner import import_distributions
from ftaudit.sandbox.sandbox_settings import SandboxSettings, WheelToImport

__all__ = ["SandboxSettings", "WheelToImport", "import_distributions"]
