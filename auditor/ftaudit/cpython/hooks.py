"""The names of the hooks through which CPython initializes an extension module, and the one that it takes."""

from __future__ import annotations

from collections.abc import Container

from ftaudit.cpython.versions import EXPORT_HOOK_SINCE, Version
from ftaudit.model import Hook


def hook_name(module_name: str, hook: Hook) -> str:
    """Return the symbol of a hook for a module's dotted name (PEP 489, PEP 793: `Python/importdl.c`)."""
    last = module_name.rpartition(".")[2]
    if last.isascii():
        return f"{hook.value}_{last}"
    return f"{hook.value}U_{last.encode('punycode').decode().replace('-', '_')}"


def choose_hook(exports: Container[str], module_name: str, version: Version) -> Hook | None:
    """Return the hook that a version takes of those that an image exports, or `None` where it finds none.

    `PyModExport_` comes first where a version knows it. The image's other hook is then not called.
    """
    known = (Hook.EXPORT, Hook.INIT) if version >= EXPORT_HOOK_SINCE else (Hook.INIT,)
    return next((hook for hook in known if hook_name(module_name, hook) in exports), None)
