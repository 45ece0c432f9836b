"""Values of the standard library that are known for the target: its version, system and machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ftaudit.reach.abstract_run import AbstractRun
from ftaudit.reach.abstract_values import UNKNOWN, Items, LibraryObject, Value
from ftaudit.reach.library_calls import LibraryCall, calls


def version_info(machine: AbstractRun) -> Items:
    """Return `sys.version_info` of the target: the third part is unknown."""
    return Items("tuple", [*machine.version, UNKNOWN, UNKNOWN, UNKNOWN])


_SYSTEMS: Final = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
VALUES: Final[dict[str, Callable[[AbstractRun, LibraryObject], Value]]] = {
    "sys.version_info": lambda machine, _: version_info(machine),
    "sys.version_info.major": lambda machine, _: machine.version[0],
    "sys.version_info.minor": lambda machine, _: machine.version[1],
    "sys.hexversion": lambda machine, _: machine.version[0] << 24 | machine.version[1] << 16 | 0x07F0,
    "sys.platform": lambda machine, _: machine.sys_platform,
    "sys.maxsize": lambda machine, _: (1 << 63) - 1,
    "sys.byteorder": lambda machine, _: "little",
    "sys.implementation.name": lambda machine, _: "cpython",
    "sys.dont_write_bytecode": lambda machine, _: UNKNOWN,
    "os.name": lambda machine, _: "nt" if machine.sys_platform == "win32" else "posix",
    "os.sep": lambda machine, _: "\\" if machine.sys_platform == "win32" else "/",
    "typing.TYPE_CHECKING": lambda machine, _: False,
    "string.ascii_letters": lambda machine, _: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "builtins.__debug__": lambda machine, _: True,
}


@calls("platform.system")
def _system(call: LibraryCall) -> Value:
    return _SYSTEMS.get(call.machine.sys_platform, UNKNOWN)


@calls("platform.machine")
def _machine(call: LibraryCall) -> Value:
    return call.machine.machine


@calls("platform.python_implementation")
def _implementation(call: LibraryCall) -> Value:
    return "CPython"


@calls("platform.python_version_tuple")
def _version_tuple(call: LibraryCall) -> Value:
    return Items("tuple", [*map(str, call.machine.version), UNKNOWN])


@calls("sysconfig.get_config_var")
def _config_var(call: LibraryCall) -> Value:
    return 1 if call.given and call.given[0] == "Py_GIL_DISABLED" else UNKNOWN
