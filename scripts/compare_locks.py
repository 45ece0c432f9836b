"""Compares the packages that ftaudit takes from real inputs with those that other tools export or install.

    python scripts/compare_locks.py [--no-pip] TOOLS FILE...

TOOLS is the `bin` folder of an environment with uv, poetry (with poetry-plugin-export), pdm, pipenv and pip. Each FILE
is a lock or requirements file in its project's folder. Prints a line for each file and platform, with every package
that only one side has and every version that differs, and the totals. A lock file is exported for all platforms at
once, and its markers are evaluated for each; requirements are resolved by `uv pip compile` for each platform, and on
Linux by `pip install --dry-run` under the interpreter of the target, which may build metadata of sdists. uv exports
the whole workspace, as ftaudit judges it; a compiled member of it is a row that no export has. `poetry export` can
differ from `poetry install --only main` for optional packages in a lock file of Poetry 1; ftaudit does as the latter.
pip obeys an upper limit of `requires-python`, which uv ignores. Needs a package index. Name real files that you
fetched; none is part of this repository.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from ftaudit.engine.session import open_session
from ftaudit.errors import FtauditError
from ftaudit.interpreters import find_interpreter
from ftaudit.lockfiles import InputFormat
from ftaudit.lockfiles.resolve import uv
from ftaudit.lockfiles.sniff import format_of
from ftaudit.processes import run_tool
from ftaudit.settings import Settings
from ftaudit.target import Platform, marker_environment, parse_platform, parse_target

TARGET: Final = parse_target("3.14t")
PLATFORMS: Final = tuple(map(parse_platform, ("linux-x86_64", "macos-arm64", "windows-amd64")))
SECONDS: Final = 120.0
EXPORT: Final = {
    InputFormat.UV_LOCK: [
        *("uv", "export", "--frozen", "--all-packages", "--no-default-groups", "--no-emit-workspace"),
        *("--no-hashes", "--no-annotate", "--no-header", "--quiet"),
    ],
    InputFormat.POETRY_LOCK: ["poetry", "export", "--without-hashes", "--no-interaction", "--no-ansi"],
    InputFormat.PDM_LOCK: ["pdm", "export", "--prod", "--no-hashes", "--format", "requirements"],
    InputFormat.PIPFILE_LOCK: ["pipenv", "requirements"],
}

Packages: TypeAlias = "dict[str, str]"
"""Versions by name; of what has none (a local project, a repository), an empty text."""


class NoAnswer(Exception):
    """One of the two sides gave no answer."""


def main() -> None:
    """Print the comparison; exit with 1 if anything differs."""
    with_pip = "--no-pip" not in sys.argv
    named = [Path(name) for name in sys.argv[1:] if name != "--no-pip"]
    tools, files = named[0].absolute(), named[1:]
    compared = differing = 0
    for file in files:
        try:
            for label, ours, ask in compare(file, tools, with_pip=with_pip):
                try:
                    theirs = ask()
                except NoAnswer as error:
                    print(f"{file} {label}: no comparison: {error}", flush=True)
                    continue
                told = list(differences(ours, theirs))
                compared, differing = compared + 1, differing + bool(told)
                counts = f"{len(ours)} and {len(theirs)} packages"
                print(f"{file} {label}: {'; '.join((counts, *told))}", flush=True)
        except FtauditError as error:
            print(f"{file}: no comparison: {error.problem}", flush=True)
    print(f"{compared} comparisons of {len(files)} files, {differing} with a difference")
    sys.exit(bool(differing))


def compare(file: Path, tools: Path, *, with_pip: bool) -> Iterator[tuple[str, Packages, Callable[[], Packages]]]:
    """Yield the inputs to compare, ftaudit's argument, and the command of the other tool."""
    kind = format_of(file)
    export = EXPORT.get(kind)
    exported = functools.cache(lambda: run(tools, export or [], file.parent))
    settings = Settings(static=True, platforms=tuple(each.name for each in PLATFORMS))
    with open_session([str(file)], settings) as session:
        for platform in PLATFORMS:
            selection = session.select(0, platform)
            ours = {str(pin.name): "" if pin.version is None else str(pin.version) for pin in selection.pins}
            if export is not None:
                yield platform.name, ours, functools.partial(lambda each: parse_export(exported(), each), platform)
                continue
            yield f"{platform.name} uv", ours, functools.partial(compile_by_uv, tools, file, platform)
            if with_pip and platform is PLATFORMS[0]:
                yield f"{platform.name} pip", ours, functools.partial(dry_run_of_pip, tools, file)


def differences(ours: Packages, theirs: Packages) -> Iterator[str]:
    """Yield what only one side has, and versions that differ."""
    if missing := sorted(set(theirs) - set(ours)):
        yield f"missing: {', '.join(missing)}"
    if more := sorted(set(ours) - set(theirs)):
        yield f"too many: {', '.join(more)}"
    for name in sorted(set(ours) & set(theirs)):
        if ours[name] and theirs[name] and Version(ours[name]) != Version(theirs[name]):
            yield f"{name} {ours[name]}, not {theirs[name]}"


def compile_by_uv(tools: Path, file: Path, platform: Platform) -> Packages:
    """Return what `uv pip compile` resolves for the platform."""
    version = ".".join(map(str, TARGET.version))
    words = ["uv", "pip", "compile", "--quiet", "--no-annotate", "--no-header", "--python-version", version]
    words += ["--python-platform", platform.uv_name, file.name]
    return parse(run(tools, words, file.parent, **uv.system_version(platform)), platform)


def dry_run_of_pip(tools: Path, file: Path) -> Packages:
    """Return what `pip install --dry-run` would install under the target's interpreter."""
    python = find_interpreter(TARGET, cache_dir=Settings().cache).path
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        words = ["pip", "--python", python, "install", "--quiet", "--dry-run", "--ignore-installed", "--report", report]
        run(tools, [*map(str, words), "-r", file.name], file.parent)
        document = json.loads(report.read_text("utf-8"))
    found = (item["metadata"] for item in document["install"])
    return {canonicalize_name(each["name"]): each["version"] for each in found}


def run(tools: Path, words: Sequence[str], folder: Path, **more: str) -> str:
    """Return what a tool prints; raise `NoAnswer` with the end of its output if it fails."""
    variables = os.environ | {"PIPENV_IGNORE_VIRTUALENVS": "1", "PIPENV_NO_INHERIT": "1", "PIP_QUIET": "1"} | more
    ran = run_tool([tools / words[0], *words[1:]], timeout=SECONDS, env=variables, cwd=folder)
    if not ran.ok:
        last = [line.strip() for line in (ran.errors or ran.output).splitlines() if line.strip()][-2:]
        raise NoAnswer(f"{words[0]}: {' '.join(last)[:300] or 'no answer in time'}")
    return ran.output


def parse_export(text: str, platform: Platform) -> Packages:
    """Return the packages of an exported lock file that apply; raise `NoAnswer` if none of many does.

    Poetry adds the Python range of the project to every line. ftaudit judges the packages of a lock file for another
    Python too, and reports that the range excludes the target.
    """
    found = parse(text, platform)
    if not found and ";" in text:
        raise NoAnswer("no exported line applies to the target's Python, which the project does not support")
    return found


def parse(text: str, platform: Platform) -> Packages:
    """Return the packages of an exported requirements file whose markers hold on the platform."""
    environment = marker_environment(TARGET, platform)
    found: Packages = {}
    for line in map(str.strip, text.splitlines()):
        bare = line.removeprefix("-e ").strip()
        if not bare or line.startswith(("#", "--", "-i ", "-c ", "-r ")):
            continue
        try:
            requirement = Requirement(bare)
        except InvalidRequirement:
            name, _, marker = bare.partition(" ; ")
            if not marker or Marker(marker).evaluate(environment):
                found[canonicalize_name(Path(name).name)] = ""
            continue
        if requirement.marker is None or requirement.marker.evaluate(environment):
            pins = [each.version for each in requirement.specifier if each.operator in ("==", "===")]
            found[canonicalize_name(requirement.name)] = pins[0] if pins else ""
    return found


if __name__ == "__main__":
    main()
