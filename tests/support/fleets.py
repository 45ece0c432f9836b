"""Data sets of fleets, of any size, made with the writer of the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftaudit.fleet.dataset import DataSetWriter
from ftaudit.fleet.schema import FINDINGS, MODULES, PACKAGES, PINS, PROJECTS, Mode, RunInfo
from ftaudit.model import BLOCKING, Verdict

LINUX = "linux-x86_64"


@dataclass(frozen=True, kw_only=True)
class Release:
    """A judged release of the data set."""

    name: str
    verdict: Verdict
    version: str = "1.0"
    fix: str | None = None
    kind: str = "free-threaded"
    newest: bool = True
    platforms: tuple[str, ...] = (LINUX,)
    reason: str = "because"
    guilty: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    pre_release: str | None = None
    index: str = "done"
    gap: str | None = None
    """Why the wheel was not read."""

    @property
    def key(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project of the data set."""

    id: str
    pins: tuple[Release, ...] = ()
    name: str = ""
    owner: str | None = None
    problem: str | None = None
    incomplete: tuple[str, ...] = field(default=())


def write_fleet(
    folder: Path,
    releases: Sequence[Release],
    projects: Sequence[Project] = (),
    *,
    targets: tuple[str, ...] = ("3.14t",),
    platforms: tuple[str, ...] = (LINUX,),
    ended: str = "2026-11-30T06:00:00+00:00",
) -> Path:
    """Write a data set, of a survey if it has no projects; return its folder."""
    with DataSetWriter(folder) as writer:
        for target in targets:
            for release in sorted(releases, key=lambda one: one.key):
                for platform in release.platforms:
                    writer.add(PACKAGES, target, _package(release, platform))
                if release.kind == "free-threaded":
                    writer.add(MODULES, target, _module(release))
                if release.guilty:
                    writer.add(FINDINGS, target, _finding(release))
            for project in sorted(projects, key=lambda one: one.id):
                pins = [(release, platform) for release in project.pins for platform in release.platforms]
                blocking = [release for release, _ in pins if release.verdict in BLOCKING]
                writer.add(PROJECTS, target, _project(project, pins, blocking, platforms))
                for release, platform in sorted(pins, key=lambda pin: (pin[1], pin[0].key)):
                    writer.add(PINS, target, _pin(project, release, platform))
        info = RunInfo(
            mode=Mode.CHECK if projects else Mode.SURVEY,
            ftaudit="0.1.0",
            analysis="1",
            targets=targets,
            platforms=platforms,
            started="2026-11-30T05:00:00+00:00",
            ended=ended,
            rows=writer.rows,
        )
        writer.finish(info)
    return folder


def _package(release: Release, platform: str) -> dict[str, Any]:
    return {
        "key": release.key,
        "platform": platform,
        "package": release.name,
        "version": release.version,
        "newest": release.newest,
        "verdict": release.verdict.value,
        "blocks": release.verdict in BLOCKING,
        "reasons": [release.reason],
        "next_step": None if release.fix is None else f"{release.fix} is the first later version that is good",
        "step": None if release.fix is None else "Upgrade",
        "fix_version": release.fix,
        "pre_release": release.pre_release,
        "wheel_kind": release.kind,
        "wheel": f"{release.name}-{release.version}-cp314-cp314t-{platform}.whl" if release.kind != "none" else None,
        "sha256": release.key if release.kind != "none" else None,
        "sdist": False,
        "other_platforms": list(release.elsewhere),
        "modules": 1,
        "guilty": list(release.guilty),
        "undetermined": [],
        "index_status": release.index,
        "binary_status": "done" if release.gap is None else "skipped",
        "binary_gap": release.gap,
        "classifiers": [],
    }


def _module(release: Release) -> dict[str, Any]:
    return {
        "sha256": release.key,
        "wheel": f"{release.name}.whl",
        "rebuild": False,
        "package": release.name,
        "version": release.version,
        "module": f"{release.name}._core",
        "path": f"{release.name}/_core.so",
        "declaration": "used" if release.guilty else "not_used",
        "how": "emulated",
        "framework": "Cython",
    }


def _finding(release: Release) -> dict[str, Any]:
    return {
        "key": release.key,
        "platform": release.platforms[0],
        "package": release.name,
        "version": release.version,
        "code": "FT202",
        "rule": "binary-gil-used",
        "severity": "error",
        "confidence": "high",
        "module": release.guilty[0],
        "message": f"{release.guilty[0]} declares Py_MOD_GIL_USED",
        "blocks": True,
    }


def _project(
    project: Project, pins: Sequence[tuple[Release, str]], blocking: Sequence[Release], platforms: Sequence[str]
) -> dict[str, Any]:
    unknown = sum(release.verdict is Verdict.UNKNOWN for release, _ in pins)
    code = 2 if project.problem else 1 if blocking else 3 if unknown or project.incomplete else 0
    return {
        "project": project.id,
        "name": project.name or project.id.rpartition("/")[2],
        "owner": project.owner,
        "input": None if project.problem else f"{project.id}/uv.lock",
        "status": "failed" if project.problem else "judged",
        "problem": project.problem,
        "exit_code": code,
        "platforms": list(platforms),
        "pins": len(pins),
        "blocking": len(blocking),
        "unknown": unknown,
        "incomplete": list(project.incomplete),
        "notes": [],
    }


def _pin(project: Project, release: Release, platform: str) -> dict[str, Any]:
    return {
        "project": project.id,
        "platform": platform,
        "package": release.name,
        "version": release.version,
        "key": release.key,
        "verdict": release.verdict.value,
        "blocks": release.verdict in BLOCKING,
        "direct": True,
        "chain": [release.name],
        "file": f"{project.id}/uv.lock",
        "line": 1,
        "blocked_by": [],
    }
