"""How far a run is, as text."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from ftaudit.fleet.dataset import RUN_FILE, read_run
from ftaudit.fleet.journal import read_progress
from ftaudit.fleet.run_folder import is_running
from ftaudit.fleet.schema import RunInfo
from ftaudit.model.sentences import stored_facts

_FEWEST: Final = 10
"""The first results of a stage come after its workers have started, so their rate says little."""


def describe(folder: Path) -> tuple[str, ...]:
    """Return lines about how far the run in a folder is; raise `InputError` if the folder has none."""
    if (folder / RUN_FILE).is_file():
        info = read_run(folder)
        return f"finished at {info.ended}: {describe_rows(info)}", *describe_stores(info)
    counts, facts = read_progress(folder)
    running = is_running(folder)
    state = "running" if running else "interrupted: run the same command to resume"
    lines = [f"{state}, started at {facts.get('started')}"]
    if counts.projects:
        lines.append(f"  projects  {counts.projects_read} of {counts.projects} read")
    lines.append(f"  packages  {counts.questions_judged} of {counts.questions} judged")
    stage = facts.get("stage", "")
    lines.append(f"  stage     {stage}")
    if running:
        left = counts.questions - counts.questions_judged
        if stage == "reading":
            left = counts.projects - counts.projects_read
        lines += _rate(facts, done=counts.projects_read + counts.questions_judged, left=left)
    return tuple(lines)


def describe_rows(info: RunInfo) -> str:
    """Return the number of rows of each table; a project has a row for each target."""
    return "rows of " + ", ".join(f"{name} {count}" for name, count in info.rows.items())


def describe_stores(info: RunInfo) -> tuple[str, ...]:
    """Return for each facts store that answered how much, and who made it."""
    return tuple(stored_facts(used.store, used.wheels) for used in info.facts_stores)


def _rate(facts: dict[str, str], *, done: int, left: int) -> list[str]:
    """Return the rate of the current stage, and when it ends at that rate."""
    if "since" not in facts:
        return []
    now = datetime.now(timezone.utc)
    try:
        seconds = (now - datetime.fromisoformat(facts["since"])).total_seconds()
        recent = done - int(facts.get("before", "0"))
    except (ValueError, TypeError):  # The journal is damaged, which the run itself reports.
        return []
    if recent < _FEWEST or seconds <= 0:
        return ["  rate      not known yet"] if left else []
    rate = recent / seconds
    estimate = timedelta(seconds=round(left / rate))
    return [f"  rate      {rate:.1f} per second; this stage ends in about {estimate}"]
