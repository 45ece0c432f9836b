"""The commands of locking tools that make a plan's changes in files that ftaudit does not edit."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ftaudit.lockfiles import Asked, ManifestPart
from ftaudit.lockfiles.requirements import InputFormat
from ftaudit.model.plans import Change
from ftaudit.planning.proposal import ProposalCase
from ftaudit.settings import Settings
from ftaudit.target import DEFAULT_TARGET
from ftaudit.urls import public

_COMMANDS: Final = {
    InputFormat.POETRY_LOCK: "poetry add --lock{folder}{options} '{name}>={version}'",
    InputFormat.PDM_LOCK: "pdm add --no-sync{folder}{options} '{name}>={version}'",
    InputFormat.PIPFILE_LOCK: "pipenv upgrade{options} {name}=={version}",
    InputFormat.ENVIRONMENT: "python -m pip install {name}=={version}",
    InputFormat.WHEELS: "python -m pip download --no-deps {name}=={version}",
    InputFormat.CONDA: "write {name}=={version} in {file}",
}
"""The command that changes one version, by the input's format; for other lock files the tool is unknown."""
_INDIRECT: Final = {
    InputFormat.POETRY_LOCK: "poetry update --lock{folder} {name}",
    InputFormat.PDM_LOCK: "pdm update --no-sync{folder} {name}",
}
"""The command if the project does not name the package itself."""
_LOCK: Final = {
    InputFormat.POETRY_LOCK: "poetry lock{folder}",
    InputFormat.PDM_LOCK: "pdm lock{folder}",
    InputFormat.PIPFILE_LOCK: "pipenv lock",
}
_FOLDER: Final = {
    InputFormat.UV_LOCK: "--project",
    InputFormat.POETRY_LOCK: "--directory",
    InputFormat.PDM_LOCK: "--project",
}
"""The option that names the project's folder."""
_OPTION: Final = {
    (InputFormat.POETRY_LOCK, ManifestPart.GROUP): "--group {name}",
    (InputFormat.POETRY_LOCK, ManifestPart.EXTRA): "--optional={name}",
    (InputFormat.PDM_LOCK, ManifestPart.GROUP): "--dev --group {name}",
    (InputFormat.PDM_LOCK, ManifestPart.EXTRA): "--group {name}",
    (InputFormat.PIPFILE_LOCK, ManifestPart.GROUP): "--{name}",
}
"""The option that names the part of the manifest that a command edits."""


def lock_commands(changes: Sequence[Change], cases: Iterable[ProposalCase], settings: Settings) -> tuple[str, ...]:
    """Return the commands, in order, that make the changes in inputs that ftaudit does not edit.

    The requirements of the project next to a lock file come first: its tool never locks what they exclude.
    """
    found: dict[str, None] = {}
    for case in cases:
        mine = [change for change in changes if change.name in case.versions]
        if case.editable or not mine:
            continue
        make = _of_uv if case.requirements.format is InputFormat.UV_LOCK else _of_others
        found |= dict.fromkeys(make(mine, case, settings))
    return tuple(found)


def _of_uv(changes: Iterable[Change], case: ProposalCase, settings: Settings) -> Iterator[str]:
    """Yield the edits of manifests, then one command for all packages: locked one by one, they may not fit together."""
    words, edited = ["uv", "lock", *_folder(case)], list[Asked]()
    for change in changes:
        asked = _excluding(change, case)
        # The requirements in the edited manifest determine the version.
        words += ["--upgrade-package", str(change.name) if asked else f"{change.name}=={change.proposed}"]
        yield from (_by_hand(one, change) for one in asked if one.part is ManifestPart.ELSEWHERE)
        edited += (one for one in asked if one.part is not ManifestPart.ELSEWHERE)
    for path in dict.fromkeys(one.path for one in edited):
        options = [f"--{one.part}={one.name}" for one in edited if one.path == path and one.name and _is_chosen(one)]
        yield shlex.join(["ftaudit", "plan", "--write", str(path), *dict.fromkeys(options), *_same(settings)])
    yield shlex.join(words)


def _is_chosen(asked: Asked) -> bool:
    return asked.part in (ManifestPart.EXTRA, ManifestPart.GROUP)


def _of_others(changes: Iterable[Change], case: ProposalCase, settings: Settings) -> Iterator[str]:
    form, folder = case.requirements.format, " ".join(("", *map(shlex.quote, _folder(case))))
    for change in changes:
        asked = _excluding(change, case)
        if len(asked) > 1:
            # A command edits one manifest, and then fails because the others do not agree.
            yield from (_by_hand(one, change) for one in asked)
            yield _LOCK[form].format(folder=folder)
            continue
        option = _OPTION.get((form, asked[0].part), "").format(name=shlex.quote(asked[0].name)) if asked else ""
        indirect = not asked and all(len(chain) > 1 for chain in change.required_by)
        command = _INDIRECT.get(form) if indirect else None
        command = command or _COMMANDS.get(form, "lock {file} again with {name}=={version}")
        yield command.format(
            name=change.name,
            version=change.proposed,
            file=case.requirements.path.name,
            folder=folder,
            options=f" {option}" if option else "",
        )


def _excluding(change: Change, case: ProposalCase) -> list[Asked]:
    return [one for one in case.asked if one.excludes(change.name, change.proposed)]


def _by_hand(asked: Asked, change: Change) -> str:
    table = f" ({asked.name})" if asked.part is ManifestPart.ELSEWHERE else ""
    return f"change {asked}{table} so that it admits {change.proposed}"


def _folder(case: ProposalCase) -> list[str]:
    folder, option = str(case.requirements.path.parent), _FOLDER.get(case.requirements.format)
    return [] if option is None or folder == "." else [option, folder]


def _same(settings: Settings) -> Iterator[str]:
    """Yield the options that make the plan of a manifest for the same interpreter, from the same index."""
    if settings.target != DEFAULT_TARGET:
        yield f"--target={settings.target}"
    yield from (f"--platform={name}" for name in settings.platforms)
    yield from ("--static",) if settings.static else ()
    if settings.index_url is not None:
        yield f"--index-url={public(settings.index_url)}"
    yield from (f"--extra-index-url={public(url)}" for url in settings.extra_index_urls)
    yield from (f"--find-links={public(str(link))}" for link in settings.find_links)
