"""Projects and their pins as rows, from the journal, and the data set as a whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftaudit.errors import FtauditError
from ftaudit.fleet.dataset import RUN_FILE, DataSetWriter
from ftaudit.fleet.fleet_rows import store_of
from ftaudit.fleet.journal import Journal
from ftaudit.fleet.projects import FoundProject
from ftaudit.fleet.run_folder import UNFINISHED
from ftaudit.fleet.schema import FINDINGS, MODULES, PACKAGES, PINS, PROJECTS, TABLES, WHEELS, Mode, RunInfo, UsedStore
from ftaudit.model import StoreOrigin, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class _Verdicts:
    """The judgments for one target, as far as projects need them."""

    verdicts: dict[tuple[str, str], tuple[str, bool]]
    """By key and platform: the verdict, and whether it blocks."""
    failing: frozenset[tuple[str, str]]
    """Those with a finding that blocks by itself."""


def write_data_set(journal: Journal, folder: Path, info: RunInfo) -> RunInfo:
    """Write all tables to a folder, then put them in place; return the run with the counts.

    Raise `FtauditError` if the disk is full, and then the judgments stay in the journal, or if the journal lacks an
    answer.
    """
    unfinished = folder / UNFINISHED
    journal.check_answers()
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        stores: dict[StoreOrigin, set[str]] = {}
        with DataSetWriter(unfinished) as writer:
            for target in info.targets:
                _write_target(journal, writer, target, info, stores)
            used = tuple(UsedStore(store=store, wheels=len(stores[store])) for store in sorted(stores))
            info = replace(info, rows=dict(writer.rows), facts_stores=used)
            writer.finish(info)
        for table in TABLES:
            shutil.rmtree(folder / table.name, ignore_errors=True)
            if (unfinished / table.name).exists():
                (unfinished / table.name).replace(folder / table.name)
        (unfinished / RUN_FILE).replace(folder / RUN_FILE)
        unfinished.rmdir()
    except OSError as error:
        raise FtauditError(
            f"cannot write the data set to {folder}: {error.strerror or error}",
            hint="free some space on the disk, then run the same command to resume",
        ) from error
    return info


def _write_target(
    journal: Journal, writer: DataSetWriter, target: str, info: RunInfo, stores: dict[StoreOrigin, set[str]]
) -> None:
    """Write the rows of a target; add the digests of the wheels that facts stores answered for."""
    verdicts: dict[tuple[str, str], tuple[str, bool]] = {}
    for row in journal.rows(PACKAGES, target):
        verdicts[row["key"], row["platform"]] = row["verdict"], row["blocks"]
        writer.add(PACKAGES, target, row)
    failing = set()
    for row in journal.rows(FINDINGS, target):
        if row["blocks"]:
            failing.add((row["key"], row["platform"]))
        writer.add(FINDINGS, target, row)
    for table in (WHEELS, MODULES):
        for row in journal.rows(table, target):
            if row.get("store") is not None:
                stores.setdefault(store_of(row), set()).add(row["sha256"])
            writer.add(table, target, row)
    if info.mode is not Mode.CHECK:
        return
    known = _Verdicts(verdicts=verdicts, failing=frozenset(failing))
    for project, read in journal.read_projects():
        pins = [] if read["problem"] else list(_pins(project, read["targets"][target]["pins"], known))
        for pin in sorted(pins, key=lambda pin: (pin["platform"], pin["package"], pin["version"] or "")):
            writer.add(PINS, target, pin)
        writer.add(PROJECTS, target, _project(project, read, target, pins, known, info))


def _project(
    project: FoundProject,
    read: dict[str, Any],
    target: str,
    pins: list[dict[str, Any]],
    known: _Verdicts,
    info: RunInfo,
) -> dict[str, Any]:
    failed = read["problem"] is not None
    said = {"incomplete": [], "notes": []} if failed else read["targets"][target]
    unknown = sum(pin["verdict"] == Verdict.UNKNOWN.value for pin in pins)
    blocking = sum(pin["blocks"] for pin in pins)
    failing = any((pin["key"], pin["platform"]) in known.failing for pin in pins)
    return {
        "project": project.project,
        "name": project.name,
        "owner": project.owner,
        "input": None if failed else read["input"],
        "status": "failed" if failed else "judged",
        "problem": read["problem"],
        "exit_code": 2 if failed else 1 if blocking or failing else 3 if unknown or said["incomplete"] else 0,
        "platforms": list(info.platforms),
        "pins": len(pins),
        "blocking": blocking,
        "unknown": unknown,
        "incomplete": said["incomplete"],
        "notes": said["notes"],
    }


def _pins(project: FoundProject, pins: list[list[Any]], known: _Verdicts) -> Iterator[dict[str, Any]]:
    """Yield the rows of a project's pins, each with the blocking packages that it needs."""
    needs: dict[tuple[str, str], set[str]] = {}
    for platform, package, _, key, chains, _, _ in pins:
        if known.verdicts[key, platform][1]:
            for chain in chains:
                for name in chain[:-1]:
                    if name != package:
                        needs.setdefault((name, platform), set()).add(package)
    for platform, package, version, key, chains, file, line in pins:
        verdict, blocks = known.verdicts[key, platform]
        shortest = min(chains, key=len, default=[package])
        yield {
            "project": project.project,
            "platform": platform,
            "package": package,
            "version": version,
            "key": key,
            "verdict": verdict,
            "blocks": blocks,
            "direct": len(shortest) == 1,
            "chain": shortest,
            "file": file,
            "line": line,
            "blocked_by": sorted(needs.get((package, platform), ())),
        }
