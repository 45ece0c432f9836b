"""The project's settings for uv (`uv.toml`, `[tool.uv]`) and Poetry (`poetry.toml`): indexes, wheels, and builds.

The settings of the user and of the machine are not part of the project and are not read.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from packaging.utils import canonicalize_name

from ftaudit.errors import InputError
from ftaudit.lockfiles.input_files import Table, read_toml
from ftaudit.lockfiles.requirements import ALL, InputIndexes


def uv_settings(folder: Path) -> Table:
    """Return the settings that uv uses for the project in a folder; empty without settings.

    The nearest folder with a `uv.toml` or a `[tool.uv]` counts, and there `uv.toml` replaces `[tool.uv]`
    (docs.astral.sh/uv/concepts/configuration-files). Raise `InputError` for a malformed `uv.toml`; like uv, pass over a
    malformed `pyproject.toml`.
    """
    for place in dict.fromkeys((folder, *folder.absolute().parents)):
        if (file := place / "uv.toml").is_file():
            return Table(file, "", read_toml(file)[0])
        with contextlib.suppress(InputError):
            project = place / "pyproject.toml"
            tool = Table(project, "", read_toml(project)[0]).table("tool")
            if "uv" in tool:
                return tool.table("uv")
    return Table(folder / "uv.toml", "", {})


def uv_binaries(settings: Table) -> InputIndexes:
    """Return the packages for which `no-binary` and `no-build` (or these with `-package`) exclude wheels or builds."""
    return InputIndexes(no_binary=_names(settings, "no-binary"), only_binary=_names(settings, "no-build"))


def _names(settings: Table, key: str) -> tuple[str, ...]:
    named = tuple(map(canonicalize_name, settings.texts(f"{key}-package")))
    return (ALL, *named) if settings.raw(key) is True else named


def poetry_binaries(folder: Path) -> InputIndexes:
    """Return the packages for which `poetry.toml` excludes wheels (`installer.no-binary`) or builds (`only-binary`).

    Raise `InputError` for a malformed file.
    """
    file = folder / "poetry.toml"
    if not file.is_file():
        return InputIndexes()
    installer = Table(file, "", read_toml(file)[0]).table("installer")
    return InputIndexes(no_binary=_policy(installer, "no-binary"), only_binary=_policy(installer, "only-binary"))


def _policy(installer: Table, key: str) -> tuple[str, ...]:
    """Return the value of a policy: `true`, `false`, `:all:`, `:none:`, or names with commas or as a list."""
    value = installer.raw(key)
    if value is True:
        return (ALL,)
    listed = installer.texts(key) if isinstance(value, list) else str(value or "").split(",")
    names = [each.strip() for each in listed]
    if ALL in names:
        return (ALL,)
    return tuple(canonicalize_name(name) for name in names if name and name not in (":none:", "null"))
