"""The names of the hooks through which CPython initializes an extension module, and the one that it takes."""

from __future__ import annotations

from collections.abc import Container, Iterable

from ftaudit.cpython.versions import EXPORT_HOOK_SINCE, Version
from ftaudit.model import Hook


def hook_name(module_name: str, hook: Hook) -> str:
    """Return the symbol of a hook for a module's dotted name (PEP 489, PEP 793: `Python/importdl.c`).

    CPython replaces hyphens by underscores in every name, also in one that is ASCII.
    """
    return hook.value + hook_label(module_name)


def hook_label(module_name: str) -> str:
    """Return what follows `PyInit` or `PyModExport` in the names of a module's hooks: `_spam`, `U_tda`."""
    last = module_name.rpartition(".")[2]
    prefix, encoded = ("_", last) if last.isascii() else ("U_", last.encode("punycode").decode())
    return prefix + encoded.replace("-", "_")


def exported_labels(exports: Iterable[str]) -> tuple[str, ...]:
    """Return the labels of the hooks among an image's exports, sorted."""
    prefixes = tuple(hook.value for hook in Hook)
    found = {name.removeprefix(prefix) for name in exports for prefix in prefixes if name.startswith(prefix)}
    return tuple(sorted(label for label in found if label.startswith(("_", "U_"))))


def module_of_label(label: str) -> str | None:
    """Return a module name whose hooks have a label, or `None` if CPython does not search for it under any name."""
    if label.startswith("_"):
        return label[1:] or None
    encoded = label.removeprefix("U_")
    basic, _, rest = encoded.rpartition("_")
    try:
        name = (f"{basic}-{rest}" if basic else rest).encode().decode("punycode")
    except (UnicodeError, OverflowError):
        return None
    return name if hook_label(name) == label else None


def choose_hook(exports: Container[str], module_name: str, version: Version) -> Hook | None:
    """Return the hook that a version takes of those that an image exports, or `None` if it finds none.

    `PyModExport_` comes first if a version supports it. The image's other hook is then not called.
    """
    known = (Hook.EXPORT, Hook.INIT) if version >= EXPORT_HOOK_SINCE else (Hook.INIT,)
    return next((hook for hook in known if hook_name(module_name, hook) in exports), None)
