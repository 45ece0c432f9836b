"""The text for why CPython refuses a module."""

from __future__ import annotations

from ftaudit.model.binaries import Refusal, RefusalKind

_LISTED = 3


def describe_refusal(refusal: Refusal, version: tuple[int, int]) -> str:
    """Return a phrase for why CPython of a version refuses a module; it continues a sentence about the module."""
    here = f"CPython {version[0]}.{version[1]}"
    asked = "" if refusal.version is None else f"{refusal.version[0]}.{refusal.version[1]}"
    slot = f"the slot {refusal.slot_name}" if refusal.slot_name else f"a slot with the number {refusal.slot}"
    match refusal.kind:
        case RefusalKind.NO_HOOK:
            return f"exports only a PyModExport hook, which {here} does not look for"
        case RefusalKind.NO_ABI_SLOT:
            return "its slots have no Py_mod_abi, which PyModExport needs (SystemError)"
        case RefusalKind.ABI_STRUCT_TOO_NEW:
            return f"its PyABIInfo has a layout that {here} does not support (ImportError)"
        case RefusalKind.INTERNAL_ABI:
            return f"its Py_mod_abi asks for the internals of CPython {asked} (ImportError)"
        case RefusalKind.STABLE_ABI_TOO_NEW:
            return (
                f"its Py_mod_abi asks for the stable ABI of CPython {asked}, which is newer than {here} (ImportError)"
            )
        case RefusalKind.STABLE_ABI_INVALID:
            return "its Py_mod_abi names a stable ABI that does not exist (ImportError)"
        case RefusalKind.OTHER_ABI_VERSION:
            return f"its Py_mod_abi asks for CPython {asked}'s own ABI (ImportError)"
        case RefusalKind.GIL_ONLY:
            return "its Py_mod_abi allows only GIL-enabled builds (ImportError)"
        case RefusalKind.UNKNOWN_SLOT:
            return f"it has {slot}, which {here} does not support (SystemError)"
        case RefusalKind.REPEATED_SLOT:
            return f"it has {slot} more than once (SystemError)"
        case RefusalKind.NULL_SLOT:
            return f"the value of {slot} is null (SystemError)"
        case RefusalKind.SLOT_NOT_STATIC:
            return f"{slot} is not marked PySlot_STATIC (SystemError)"
        case RefusalKind.SLOT_CONFLICT:
            return f"{slot} contradicts its PyModuleDef (SystemError)"
        case RefusalKind.BAD_NESTING:
            return "its slots are nested too deeply (SystemError)"
        case RefusalKind.NEGATIVE_STATE:
            return "its module state has a negative size, which multi-phase initialization does not allow (SystemError)"
        case RefusalKind.FOREIGN_DEFINITION:
            return "its PyModuleDef was compiled for another build, or for CPython 3.13 or older (SystemError)"
        case RefusalKind.MISSING_SYMBOLS:
            names = ", ".join(refusal.symbols[:_LISTED])
            more = f" and {len(refusal.symbols) - _LISTED} more" if len(refusal.symbols) > _LISTED else ""
            return f"imports {names}{more}, which free-threaded {here} does not export"
