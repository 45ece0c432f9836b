"""`ftaudit stress`: resolve the given names and inputs, and report the results."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from ftaudit.engine import audit_inputs
from ftaudit.engine.session import open_session
from ftaudit.engine.tiers.collect import find_index_facts, sandbox_settings, wheels_of
from ftaudit.errors import ArchiveError, InputError, UsageError
from ftaudit.model import Package, Report
from ftaudit.progress import ProgressListener
from ftaudit.settings import Settings
from ftaudit.target import host_platform
from ftaudit.wheel import open_wheel, read_metadata


def stress(items: Sequence[str], settings: Settings, *, progress: ProgressListener | None = None) -> Report:
    """Stress the packages that are named, or those of the inputs that are ready.

    A name is `NAME`, `NAME==VERSION` or a wheel's file; its dependencies are resolved and installed, and have no rows.
    Raise `FtauditError` for errors with exit code 2.
    """
    names = [item for item in items if _is_wheel(item) or (not Path(item).exists() and item != "-")]
    paths = [item for item in items if item not in names]
    if names and paths:
        raise UsageError("specify packages or inputs, not both", hint=f"ftaudit stress {' '.join(names)}")
    settings = replace(settings, stress=True)
    if not names:
        with open_session(paths, settings, progress) as session:
            return audit_inputs(session)
    for name in names:
        if _is_wheel(name):
            _check_wheel(Path(name), settings)
    asked = [_requirement(name) for name in names]
    only = frozenset(str(canonicalize_name(each.name)) for each in asked)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("".join(f"{each}\n" for each in asked), encoding="utf-8")
        with open_session([str(file)], settings, progress) as session:
            report = audit_inputs(session, stress_only=only)
    rows = tuple(row for row in report.packages if str(row.facts.pin.name) in only)
    rows = tuple(
        replace(row, facts=replace(row.facts, pin=replace(row.facts.pin, source=None, also=()))) for row in rows
    )
    incomplete = report.incomplete if rows else (*report.incomplete, f"{', '.join(names)}: nothing was found")
    return replace(report, packages=rows, inputs=tuple(names), incomplete=incomplete)


def stress_wheel(path: Path, settings: Settings, *, progress: ProgressListener | None = None) -> Package:
    """Stress one wheel; return its row. Raise `FtauditError` for a file that is not a wheel, and as `stress` does."""
    if not _is_wheel(str(path)):
        raise InputError(f"{path} is not a wheel", hint="build one from the edited tree, and specify its file")
    report = stress([str(path)], settings, progress=progress)
    if not report.packages:
        raise InputError(f"{path} could not be checked: {'; '.join(report.incomplete)}")
    return report.packages[0]


def _is_wheel(item: str) -> bool:
    return item.endswith(".whl") and Path(item).is_file()


def _check_wheel(path: Path, settings: Settings) -> None:
    """Raise `InputError` for a file that no installer accepts as a wheel."""
    try:
        with open_wheel(path, cache_dir=settings.cache) as archive:
            refused = read_metadata(archive, path.name).refused
    except ArchiveError as error:
        refused = (error.what,)
    if refused:
        raise InputError(f"{path} cannot be installed: {'; '.join(refused)}", hint="download or build the wheel again")


def _requirement(text: str) -> Requirement:
    if _is_wheel(text):
        path = Path(text)
        try:
            return Requirement(f"{parse_wheel_filename(path.name)[0]} @ {path.resolve().as_uri()}")
        except InvalidWheelFilename as error:
            raise UsageError(f"{text} is not named like a wheel", hint="NAME-VERSION-TAGS.whl") from error
    if re.search(r"\.(txt|toml|lock|yml|yaml|json|in|cfg)$", text) or "/" in text:
        raise UsageError(f"{text} does not exist", hint="specify a file or folder, or NAME==VERSION")
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise UsageError(
            f"{text!r} is neither an input file nor NAME==VERSION", hint="ftaudit stress NAME==VERSION"
        ) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """How often a script failed."""

    name: str
    failed: int
    control: int
    tries: int
    problem: str | None = None
    """Why it was not run as often as intended."""

    @property
    def exit_code(self) -> int:
        """`1` it fails only without the GIL, `3` it was not run, otherwise `0`."""
        if self.problem is not None:
            return 3
        return 1 if self.failed and not self.control else 0

    @property
    def sentence(self) -> str:
        """The result."""
        if self.problem is not None:
            return f"{self.name}: did not finish: {self.problem}"
        return f"{self.name}: fails in {self.failed} of {self.tries} runs without the GIL, {self.control} with it"


_REPLAY_HINT: Final = "specify a script that `ftaudit stress --report FOLDER` wrote"


def replay(path: Path, settings: Settings, *, progress: ProgressListener | None = None) -> Replay:
    """Run a script of `--report` in the sandbox several times without the GIL and with it.

    Resolve and install the dependencies in its metadata (PEP 723). Raise `FtauditError` if the script cannot be read
    or there is no interpreter.
    """
    from ftaudit import interpreters
    from ftaudit.stress.replaying import replay_script

    try:
        script = path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"--replay {path}: {error.strerror}", hint=_REPLAY_HINT) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"--replay {path}: the file is not UTF-8 text, so it is not a script", hint=_REPLAY_HINT
        ) from error
    with open_session([str(path)], settings, progress) as session:
        platform = host_platform()
        keys = [(pin, platform) for pin in session.select(0, platform).pins]
        indexed = find_index_facts(keys, target=session.target, index=session.index, progress=session.progress)
        lacking = [str(key[0].name) for key, facts in indexed.items() if facts.wheel is None or facts.wheel.url is None]
        if lacking:
            raise InputError(f"{path}: no wheel to install for {', '.join(lacking)}")
        found = interpreters.find_interpreter(session.target, explicit=settings.python, cache_dir=settings.cache)
        wheels = wheels_of(keys, indexed, frozenset(keys))
        ran = replay_script(found, wheels, script, sandbox=sandbox_settings(settings))
    return Replay(name=path.name, failed=ran.failed, control=ran.control, tries=ran.tries, problem=ran.problem)
