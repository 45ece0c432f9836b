"""Builds a source distribution on this machine, in the sandbox, and judges the wheel with all tiers."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tomli
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from ftaudit.engine.setup import cache_folder, open_index
from ftaudit.engine.tiers.sdists import Sdists
from ftaudit.errors import FtauditError, IndexUnreachable
from ftaudit.folders import remove_tree, temporary_folder
from ftaudit.index.index_settings import IndexSettings
from ftaudit.interpreters import find_interpreter
from ftaudit.judge.build_log import BuildFailure, classify_log
from ftaudit.judge.gil import guilty_modules
from ftaudit.model import Interpreter, Package, Report, Verdict
from ftaudit.model.local_builds import BuildAnswer, BuildProblem, LocalBuild
from ftaudit.processes import find_uv, run_tool
from ftaudit.progress import ProgressListener, Silent
from ftaudit.sandbox.confined_build import BuildEnd, BuildLimits, ConfinedBuild, run_build
from ftaudit.settings import Settings
from ftaudit.source.sdist import unpack
from ftaudit.target import parse_target
from ftaudit.urls import redact
from ftaudit.whole_files import digest_of, write_whole

FORMAT: Final = "1"
"""Increase this number if the cached data of a build changes."""
_LEGACY: Final = ("setuptools.build_meta:__legacy__", ("setuptools>=40.8.0",))
"""The build requirements of a source distribution without a `[build-system]` (PEP 517)."""
_CHILD: Final = Path(__file__).parents[1] / "sandbox" / "build_child.py"
_ENVIRONMENT_SECONDS: Final = 900.0
_LIMITS: Final = {
    BuildEnd.TIME: BuildProblem.TIME,
    BuildEnd.MEMORY: BuildProblem.MEMORY,
    BuildEnd.DISK: BuildProblem.DISK,
    BuildEnd.OUTPUT: BuildProblem.OUTPUT,
    BuildEnd.NOT_CONFINED: BuildProblem.SANDBOX,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildSystem:
    """The `[build-system]` table of a source distribution (PEP 518)."""

    requires: tuple[str, ...]
    backend: str
    backend_path: tuple[str, ...]


class _Unbuilt(Exception):
    """There is no wheel."""

    def __init__(self, failure: BuildFailure, log: str = "", seconds: float = 0.0) -> None:
        super().__init__(failure.problem)
        self.failure, self.log, self.seconds = failure, log, seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class _Built:
    """The cached data of a build."""

    folder: Path
    wheel: Path | None
    failure: BuildFailure | None
    seconds: float
    cached: bool


def build_releases(
    releases: Sequence[tuple[str, Version]],
    settings: Settings,
    *,
    limits: BuildLimits | None = None,
    wheel_dir: Path | None = None,
    progress: ProgressListener | None = None,
) -> Iterator[LocalBuild]:
    """Build each release from its source distribution, and yield the result.

    Build requirements are installed only from wheels, so only the build itself runs third-party code, and the build
    runs in the sandbox. Wheels are copied to `wheel_dir`. Raise `FtauditError` without an interpreter or an index.
    """
    progress = progress or Silent()
    target = parse_target(settings.target)
    progress.stage("builds", len(releases))
    with cache_folder(settings) as folder, open_index(settings) as index:
        interpreter = find_interpreter(target, explicit=settings.python, cache_dir=settings.cache)
        sdists = Sdists(index, folder)
        maker = _Maker(settings, interpreter, limits or BuildLimits(), folder / "builds", index.settings)
        for name, version in releases:
            yield _build(maker, sdists, name, version, wheel_dir)
            progress.done(f"{name} {version}")


def _build(maker: _Maker, sdists: Sdists, name: str, version: Version, wheel_dir: Path | None) -> LocalBuild:
    try:
        sdist = sdists.fetch(name, version)
    except FtauditError as error:
        return LocalBuild(
            name=name,
            version=str(version),
            answer=BuildAnswer.FAILS,
            problem=BuildProblem.UNREACHABLE if isinstance(error, IndexUnreachable) else BuildProblem.SDIST,
            error=error.problem,
        )
    built = maker.make(sdist)
    row = LocalBuild(
        name=name,
        version=str(version),
        answer=BuildAnswer.FAILS,
        sdist=sdist.name,
        interpreter=maker.interpreter.build,
        log=str(built.folder / "build.log"),
        seconds=round(built.seconds, 1),
        cached=built.cached,
    )
    if built.failure is not None:
        failure = built.failure
        return dataclasses.replace(
            row,
            answer=BuildAnswer.REFUSES if failure.refuses else BuildAnswer.FAILS,
            problem=None if failure.refuses else failure.problem,
            missing=failure.missing,
            packages=failure.packages,
            error=failure.error,
        )
    wheel = built.wheel
    if wheel is None:
        return dataclasses.replace(row, problem=BuildProblem.ERROR)
    if wheel_dir is not None:
        wheel_dir.mkdir(parents=True, exist_ok=True)
        kept = wheel_dir / wheel.name
        write_whole(kept, wheel.read_bytes(), mode=0o644)
        wheel = kept
    return judge_build(dataclasses.replace(row, wheel=str(wheel)), built.folder, maker.settings)


def judge_build(row: LocalBuild, folder: Path, settings: Settings) -> LocalBuild:
    """Return the row of a build with the facts of all tiers about its wheel, installed with its dependencies."""
    from ftaudit.engine import audit

    with temporary_folder("built-") as scratch:
        asked = scratch / "requirements.txt"
        asked.write_text(f"{row.name}=={row.version}\n", encoding="utf-8")
        links = (*settings.find_links, str(folder))
        report: Report = audit([str(asked)], dataclasses.replace(settings, find_links=links, platforms=()))
    package = next((each for each in report.packages if each.facts.pin.name == row.name), None)
    if package is None:
        return dataclasses.replace(row, answer=BuildAnswer.UNDECIDED)
    return dataclasses.replace(
        row,
        answer=_answer(package),
        verdict=package.verdict,
        reasons=package.reasons,
        culprits=tuple(module.name for module in guilty_modules(package.facts)),
    )


def _answer(package: Package) -> BuildAnswer:
    match package.verdict:
        case Verdict.READY:
            return BuildAnswer.LEAVES_GIL_OFF
        case Verdict.PURE | Verdict.FALLBACK:
            return BuildAnswer.PURE
        case Verdict.REENABLES_GIL:
            return BuildAnswer.TURNS_GIL_ON
        case Verdict.BROKEN:
            return BuildAnswer.BROKEN
        case Verdict.UNKNOWN | Verdict.SOURCE_ONLY | Verdict.UNAVAILABLE:
            return BuildAnswer.UNDECIDED


@dataclass(frozen=True, slots=True)
class _Maker:
    settings: Settings
    interpreter: Interpreter
    limits: BuildLimits
    home: Path
    index: IndexSettings

    def make(self, sdist: Path) -> _Built:
        """Return the wheel of a source distribution, from the cache or built now, or the reason that it has no wheel.

        Try again after a failure caused by a time, memory, or disk limit, or by the network.
        """
        key = hashlib.sha256(f"{FORMAT} {digest_of(sdist)} {self.interpreter.path} {self.interpreter.build}".encode())
        folder = self.home / key.hexdigest()[:32]
        kept = None if self.settings.no_cache else _read(folder)
        if kept is not None:
            return kept
        remove_tree(folder)
        folder.mkdir(parents=True)
        failure: BuildFailure | None = None
        with temporary_folder("build-") as scratch:
            try:
                run = self._build(sdist, scratch.resolve())
                wheel = _only_wheel(scratch / "out")
                (folder / wheel.name).write_bytes(wheel.read_bytes())
                log, seconds = run.log, run.seconds
            except _Unbuilt as unbuilt:
                failure, log, seconds = unbuilt.failure, unbuilt.log, unbuilt.seconds
        write_whole(folder / "build.log", log.encode("utf-8", "replace"), mode=0o644)
        lasting = failure is None or failure.problem not in (*_LIMITS.values(), BuildProblem.REQUIREMENTS)
        if lasting:
            told = {"seconds": seconds, "failed": failure is not None}
            write_whole(folder / "done.json", json.dumps(told).encode())
        found = next(iter(folder.glob("*.whl")), None)
        return _Built(folder=folder, wheel=found, failure=failure, seconds=seconds, cached=False)

    def _build(self, sdist: Path, scratch: Path) -> ConfinedBuild:
        source = _unpacked(sdist, scratch / "source")
        system = _build_system(source)
        python = self._environment(scratch / "first", system.requires)
        asked = self._run(scratch, source, system, python, "requires")
        more = tuple(_requirements(asked[1]))
        if more:
            python = self._environment(scratch / "second", (*system.requires, *more))
        run, result = self._run(scratch, source, system, python, "build_wheel")
        if not isinstance(result, str):
            raise _Unbuilt(classify_log(run.log), run.log, run.seconds)
        return run

    def _environment(self, folder: Path, requires: Sequence[str]) -> Path:
        """Make a virtual environment with the build requirements, only from wheels; return its interpreter.

        The environment is filled once: uv does not start its interpreter after third-party files are in it.
        """
        uv = find_uv()
        made = run_tool([uv, "venv", "--quiet", "--python", self.interpreter.path, folder], timeout=120)
        if not made.ok:
            raise _Unbuilt(BuildFailure(problem=BuildProblem.ERROR, error=made.errors[-300:]), made.errors)
        python = folder / "bin" / "python"
        if not requires:
            return python
        listed = folder / "requirements.txt"
        listed.write_text("".join(f"{line}\n" for line in requires), encoding="utf-8")
        command: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", python, "--only-binary", ":all:"]
        command += ["--no-progress", "--color", "never", "--link-mode", "copy", "-r", listed]
        if self.settings.offline:
            command.append("--offline")
        ran = run_tool(command, timeout=_ENVIRONMENT_SECONDS, cwd=folder, env=_uv_variables(self.index))
        if not ran.ok:
            errors = redact(ran.errors)
            lines = [" ".join(line.split()) for line in errors.splitlines() if line.strip()]
            error = "; ".join(lines[:1] + lines[-1:])[:300]
            missing = ", ".join(requires)[:200]
            failure = BuildFailure(problem=BuildProblem.REQUIREMENTS, missing=missing, error=error)
            raise _Unbuilt(failure, errors)
        return python

    def _run(
        self, scratch: Path, source: Path, system: BuildSystem, python: Path, hook: str
    ) -> tuple[ConfinedBuild, Any]:
        """Run a hook of the backend in the sandbox; return its result and return value."""
        out, result, job = scratch / "out", scratch / f"{hook}.json", scratch / f"{hook}.job"
        out.mkdir(exist_ok=True)
        job.write_text(
            json.dumps(
                {
                    "source": str(source),
                    "backend": system.backend,
                    "backend_path": system.backend_path,
                    "hook": hook,
                    "out": str(out),
                    "result": str(result),
                }
            ),
            encoding="utf-8",
        )
        path = f"{python.parent}:{_path()}"
        run = run_build(
            [str(python), str(_CHILD), str(job)],
            scratch=scratch,
            cwd=source,
            variables={"PATH": path, "VIRTUAL_ENV": str(python.parents[1])},
            limits=self.limits,
        )
        if run.end in _LIMITS:
            raise _Unbuilt(BuildFailure(problem=_LIMITS[run.end]), run.log, run.seconds)
        if run.end is not BuildEnd.DONE:
            raise _Unbuilt(classify_log(run.log), run.log, run.seconds)
        try:
            # The output of the build is untrusted: it may be a link, or not JSON.
            returned = None if result.is_symlink() else json.loads(result.read_bytes()[: 1 << 20])
        except (OSError, ValueError, RecursionError) as error:
            raise _Unbuilt(BuildFailure(problem=BuildProblem.ERROR, error=str(error)), run.log, run.seconds) from error
        return run, returned


def _uv_variables(index: IndexSettings) -> dict[str, str]:
    """Return the environment that makes uv use the same indexes; their URLs may contain passwords."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_INDEX", "UV_EXTRA", "UV_NO"))}
    urls = [source.with_credentials() for source in index.sources]
    asked = {"UV_DEFAULT_INDEX": urls[-1], "UV_INDEX": " ".join(urls[:-1])} if urls else {"UV_NO_INDEX": "1"}
    asked["UV_FIND_LINKS"] = ",".join(source.with_credentials() for source in index.find_links)
    if index.cert:
        asked["SSL_CERT_FILE"] = index.cert
    if index.proxy:
        asked |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), index.proxy)
    return kept | {name: value for name, value in asked.items() if value}


def _path() -> str:
    return os.environ.get("PATH", "/usr/bin:/bin")


def _read(folder: Path) -> _Built | None:
    """Return the cached data of a build, or `None`."""
    try:
        told = json.loads((folder / "done.json").read_text("utf-8"))
        log = (folder / "build.log").read_text("utf-8", "replace")
    except (OSError, ValueError):
        return None
    wheel = next(iter(folder.glob("*.whl")), None)
    failure = classify_log(log) if told.get("failed") else None
    if failure is None and wheel is None:
        return None
    return _Built(folder=folder, wheel=wheel, failure=failure, seconds=float(told.get("seconds", 0)), cached=True)


def _unpacked(sdist: Path, folder: Path) -> Path:
    folder.mkdir()
    try:
        unpack(sdist, folder)
    except FtauditError as error:
        raise _Unbuilt(BuildFailure(problem=BuildProblem.SDIST, error=error.problem)) from error
    inner = [each for each in folder.iterdir() if each.is_dir()]
    return inner[0] if len(inner) == 1 else folder


def _build_system(source: Path) -> BuildSystem:
    """Return the `[build-system]` of a source tree; raise `_Unbuilt` for an invalid one."""
    try:
        text = (source / "pyproject.toml").read_text("utf-8")
    except OSError:
        text = ""
    failure = BuildFailure(problem=BuildProblem.SDIST, error="its [build-system] table is not valid")
    try:
        table = tomli.loads(text).get("build-system")
        backend, requires = _LEGACY
        if table is None:
            return BuildSystem(requires=requires, backend=backend, backend_path=())
        backend = str(table.get("build-backend", backend))
        named = tuple(str(Requirement(each)) for each in table["requires"])
        folders = tuple(str(each) for each in table.get("backend-path", ()))
    except (ValueError, KeyError, TypeError, AttributeError, InvalidRequirement) as error:
        raise _Unbuilt(failure) from error
    if any(Path(each).is_absolute() or ".." in Path(each).parts for each in folders):
        raise _Unbuilt(failure)
    return BuildSystem(requires=named, backend=backend, backend_path=folders)


def _requirements(returned: Any) -> Iterator[str]:
    """Yield the valid requirements that a hook returned."""
    for each in returned if isinstance(returned, list) else ():
        with contextlib.suppress(InvalidRequirement, TypeError):
            yield str(Requirement(each))


def _only_wheel(folder: Path) -> Path:
    wheels = [each for each in folder.glob("*.whl") if each.is_file() and not each.is_symlink()]
    if len(wheels) != 1:
        raise _Unbuilt(BuildFailure(problem=BuildProblem.ERROR, error="the build made no wheel"))
    return wheels[0]
