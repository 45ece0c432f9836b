"""Determines the format of an input from its name, and from its content if the name is not enough."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from ftaudit.errors import InputError
from ftaudit.lockfiles.input_files import is_stream, read_text, read_toml
from ftaudit.lockfiles.requirements import KNOWN_FORMATS, InputFormat

_BY_NAME: Final = {
    "uv.lock": InputFormat.UV_LOCK,
    "pylock.toml": InputFormat.PYLOCK,
    "poetry.lock": InputFormat.POETRY_LOCK,
    "pdm.lock": InputFormat.PDM_LOCK,
    "pipfile.lock": InputFormat.PIPFILE_LOCK,
    "pyproject.toml": InputFormat.PYPROJECT,
    "setup.cfg": InputFormat.SETUPTOOLS,
    "setup.py": InputFormat.SETUPTOOLS,
    "tox.ini": InputFormat.TOX,
    "tox.toml": InputFormat.TOX,
    "pixi.lock": InputFormat.PIXI_LOCK,
    "conda-lock.yml": InputFormat.CONDA_LOCK,
    "conda-lock.yaml": InputFormat.CONDA_LOCK,
}
_INSTEAD: Final = {
    "pipfile": "run `pipenv lock`, then specify the Pipfile.lock",
    "pixi.toml": "run `pixi lock`, then specify the pixi.lock",
    "hatch.toml": "specify the pyproject.toml, with --group for an environment",
    "noxfile.py": "ftaudit does not run it; specify the requirements file or group that it installs",
    "bom.xml": "convert it to JSON, and specify that file: `cyclonedx-py --output-format JSON`",
    "meta.yaml": "this is a recipe; use --env with an environment in which the package is installed",
    "spec.txt": "use --env with the environment that was created from it",
    "package.json": "this file is for JavaScript",
    "package-lock.json": "this file is for JavaScript",
    "cargo.lock": "this file is for Rust",
    "cargo.toml": "this file is for Rust; `ftaudit scan` checks the source of an extension",
}
"""What to name instead of a common but unsupported file."""
_TOML_LINE: Final = re.compile(r"\[{1,2}[^\[\]]+\]{1,2}\s*(#.*)?$|[\w.\"'-]+\s*=(?!=)")
_REQUIREMENT_LINE: Final = re.compile(r"--?\w|[A-Za-z0-9][\w.-]*\s*(\[[^\]]*\])?\s*(===?|[<>~!]=|[<>]|;|@\s)")
"""A single word is also a requirement, but many other files start with one."""


def format_of(path: Path) -> InputFormat:
    """Return the format of an input file; raise `InputError` for an unknown one, with a file to name instead."""
    name = path.name.lower()
    if name in _BY_NAME:
        return _BY_NAME[name]
    if name.startswith("pylock.") and name.endswith(".toml"):
        return InputFormat.PYLOCK
    if name in _INSTEAD:
        raise InputError(
            f"{path} is not in a format that ftaudit supports", hint=f"{_INSTEAD[name]}; ftaudit reads {KNOWN_FORMATS}"
        )
    if is_stream(path):
        return _by_content(path, read_text(path, "an input")) or InputFormat.REQUIREMENTS_TXT
    if name.endswith((".py", ".pyw")):
        return InputFormat.SCRIPT
    if name.endswith((".xml", ".spdx")):
        hint = (
            "convert it to JSON, and specify that file: `cyclonedx convert --output-format json`, or `pyspdxtools -o "
            "FILE.json`"
        )
        raise InputError(f"{path} is not in a format that ftaudit supports", hint=hint)
    if name.endswith((".whl", ".conda")):
        raise InputError(f"{path} is a single package", hint=f"ftaudit wheel {path}, or specify its folder")
    if name.endswith((".conda-lock.yml", "-conda-lock.yml")):
        return InputFormat.CONDA_LOCK
    if name.endswith((".txt", ".in")):
        return InputFormat.REQUIREMENTS_TXT
    if name.endswith((".yml", ".yaml")):
        return InputFormat.CONDA
    found = _by_content(path, read_text(path, "an input")) if name.endswith(_OPEN) or "." not in name else None
    if found is None:
        raise InputError(f"{path} is not in a format that ftaudit supports", hint=f"ftaudit reads {KNOWN_FORMATS}")
    return found


_OPEN: Final = (".toml", ".lock", ".json", ".pip", ".pin", ".pinned", ".reqs", ".requirements")
"""Suffixes that do not determine the format."""


def _by_content(path: Path, text: str) -> InputFormat | None:
    first = next((line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")), "")[:1000]
    if first.startswith("{") or re.match(r"\[\s*(?:[{\]]|$)", first):
        return _of_json(path, text)
    if path.suffix.lower() == ".toml" or _TOML_LINE.match(first):
        return _of_toml(path)
    return InputFormat.REQUIREMENTS_TXT if _REQUIREMENT_LINE.match(first) else None


def _of_json(path: Path, text: str) -> InputFormat | None:
    if '"pipfile-spec"' in text:
        return InputFormat.PIPFILE_LOCK
    from ftaudit.lockfiles.formats import records

    kind = records.kind_of(records.load(path, text))
    if kind is None:
        raise InputError(
            f"{path} is JSON, but not in a format that ftaudit supports", hint=f"ftaudit reads {KNOWN_FORMATS}"
        )
    return kind


def _of_toml(path: Path) -> InputFormat | None:
    document, _ = read_toml(path)
    match document:
        case {"lock-version": _}:
            return InputFormat.PYLOCK
        case {"version": _, "requires-python": _}:
            return InputFormat.UV_LOCK
        case {"metadata": {"lock-version": _}}:
            return InputFormat.POETRY_LOCK
        case {"metadata": {"lock_version": _}}:
            return InputFormat.PDM_LOCK
        case {"project": _} | {"dependency-groups": _}:
            return InputFormat.PYPROJECT
        case _:
            return None
