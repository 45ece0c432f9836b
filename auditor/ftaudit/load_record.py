"""The file with the extension modules that real runs load: read, merged, and written. Standard library only.

`ftaudit reach --run` and the pytest plugin write it, `ftaudit check --recorded` reads it. It has no times and no
absolute paths of the user's code, so that two equal runs write equal files.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from ftaudit.whole_files import write_whole

KIND: Final = "ftaudit-load-record"
SCHEMA_VERSION: Final = 1
MOST_BYTES: Final = 64 << 20
"""The largest file that is read."""


class BadRecord(ValueError):
    """A file is not a record of loads; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Surroundings:
    """The kind of interpreter and machine of a run."""

    python: str
    """`3.14`."""
    free_threaded: bool
    platform: str
    """`sys.platform`."""
    machine: str
    """`platform.machine()`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """An extension module that was loaded."""

    name: str
    file: str | None
    """Path below the folder of `sys.path`."""
    requires_gil: bool | None
    """`None` if CPython did not report it: an interpreter with a GIL, 3.13, or PYTHON_GIL is set."""
    turned_gil_on: bool
    chain: tuple[str, ...]
    """The imports that were in progress, the outermost first; empty if it was loaded before the recording started."""
    path: str | None
    """The innermost file of the user's own code on the way, relative to the folder of the run."""
    line: int
    during: str | None
    """The test that ran, if pytest recorded it."""
    program: str | None
    """The main program whose code was running in the thread, as in `Loads.programs`."""
    functions: tuple[str, ...]
    """The user's functions in progress when the first import of `chain` began, `module:function`, the outermost
    first.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Loads:
    """What all runs in equal surroundings loaded."""

    surroundings: Surroundings
    runs: int
    processes: int
    unfinished: int
    """Processes that ended without their exit handlers: killed, `os._exit`, or `exec`."""
    modules: tuple[Load, ...]
    """Each extension module, once for each way in which it was loaded, by name."""
    imported: frozenset[str]
    """Python modules outside the standard library whose import was completed."""
    programs: frozenset[str]
    """Main programs that ended without an error: a path, or the name of a module that `-m` ran."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadRecord:
    """What a file holds."""

    every: tuple[Loads, ...] = ()


def merge(records: Iterable[LoadRecord]) -> LoadRecord:
    """Return one record with everything that the records hold."""
    by_kind: dict[Surroundings, Loads] = {}
    for loads in (loads for record in records for loads in record.every):
        other = by_kind.get(loads.surroundings)
        by_kind[loads.surroundings] = loads if other is None else _added(other, loads)
    return LoadRecord(every=tuple(by_kind[kind] for kind in sorted(by_kind)))


def _added(one: Loads, other: Loads) -> Loads:
    return Loads(
        surroundings=one.surroundings,
        runs=one.runs + other.runs,
        processes=one.processes + other.processes,
        unfinished=one.unfinished + other.unfinished,
        modules=_distinct((*one.modules, *other.modules)),
        imported=one.imported | other.imported,
        programs=one.programs | other.programs,
    )


def _distinct(loads: Iterable[Load]) -> tuple[Load, ...]:
    """Return each way to load a module once, by name: first what turned the GIL on, then the shortest known chain."""
    best: dict[tuple[object, ...], Load] = {}
    requires: dict[str, bool] = {}
    for load in sorted(loads, key=_rank):
        best.setdefault((load.name, load.chain, load.program, load.functions), load)
        if load.requires_gil is not None:
            requires.setdefault(load.name, load.requires_gil)
    every = (replace(load, requires_gil=requires.get(load.name)) for load in best.values())
    return tuple(sorted(every, key=lambda load: load.name))


def _rank(load: Load) -> tuple[object, ...]:
    known = 0 if load.requires_gil else 1 if load.requires_gil is False else 2
    place = (load.path or "", load.line, load.file or "", load.during or "", load.program or "", load.functions)
    return (not load.turned_gil_on, not load.chain, known, len(load.chain), load.chain, *place)


def record_of_processes(processes: Iterable[Sequence[object]], root: Path) -> LoadRecord:
    """Return the record of one run from the events of its processes; paths below `root` become relative to it."""
    found: list[Loads] = []
    for events in processes:
        known = [event for event in events if isinstance(event, dict)]
        start = next((event for event in known if event.get("event") == "start"), None)
        if start is None:
            continue
        end = next((event for event in known if event.get("event") == "end"), None)
        try:
            surroundings = _read(Surroundings, start)
            modules = [_read(Load, event) for event in known if event.get("event") == "load"]
        except BadRecord:
            continue
        found.append(
            Loads(
                surroundings=surroundings,
                runs=0,
                processes=1,
                unfinished=int(end is None),
                modules=_distinct(
                    replace(load, path=_relative(load.path, root), program=_relative(load.program, root))
                    for load in modules
                ),
                imported=frozenset(
                    name
                    for event in known
                    if event.get("event") == "imported"
                    for name in event.get("names", ())
                    if isinstance(name, str)
                ),
                programs=frozenset(_programs(end, root)),
            )
        )
    merged = merge(LoadRecord(every=(loads,)) for loads in found)
    return LoadRecord(every=tuple(replace(loads, runs=1) for loads in merged.every))


def _programs(end: dict[str, Any] | None, root: Path) -> Iterator[str]:
    """Yield the main program of a process that ended without an error."""
    if end is None or end.get("complete") is not True:
        return
    module, file = end.get("module"), end.get("file")
    if isinstance(module, str):
        yield module
    if isinstance(file, str):
        yield _relative(file, root) or file


def _relative(path: str | None, root: Path) -> str | None:
    if path is None or path.startswith("<"):
        return path
    try:
        return Path(path).relative_to(root.absolute()).as_posix()
    except ValueError:
        return path


def read_spool(folder: Path, suffix: str) -> list[list[object]]:
    """Return the events of each process that reported to a folder. A line that was cut off ends its process's list."""
    found = []
    for file in sorted(folder.glob(f"*{suffix}")):
        events: list[object] = []
        for line in file.read_text(encoding="ascii", errors="replace").splitlines():
            try:
                events.append(json.loads(line))
            except (ValueError, RecursionError):
                break
        found.append(events)
    return found


def render(record: LoadRecord) -> bytes:
    """Return the content of a file."""
    document = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "runs": [
            {
                **_plain(loads.surroundings),
                "runs": loads.runs,
                "processes": loads.processes,
                "unfinished": loads.unfinished,
                "gil_turned_on_by": list(dict.fromkeys(load.name for load in loads.modules if load.turned_gil_on)),
                "modules": [_plain(load) for load in loads.modules],
                "imported": sorted(loads.imported),
                "programs": sorted(loads.programs),
            }
            for loads in record.every
        ],
    }
    return (json.dumps(document, indent=1) + "\n").encode("ascii")


def _plain(value: Surroundings | Load) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields(value)}


def read_record(path: Path) -> LoadRecord:
    """Return what a file holds. Raise `BadRecord` for anything but a record, `OSError` for an unreadable file."""
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise BadRecord(f"it has more than {MOST_BYTES >> 20} MiB")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRecord("it is not JSON") from error
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise BadRecord("it was not written by `ftaudit reach --run` or the pytest plugin")
    if document.get("schema_version") != SCHEMA_VERSION:
        raise BadRecord(
            f"its schema_version is {document.get('schema_version')!r}, but this ftaudit reads {SCHEMA_VERSION}"
        )
    return merge(LoadRecord(every=(_loads(each, f"runs[{number}]"),)) for number, each in _items(document, "runs", ""))


def _loads(value: object, at: str) -> Loads:
    if not isinstance(value, dict):
        raise BadRecord(f"{at} is not an object")
    return Loads(
        surroundings=_read(Surroundings, value, at),
        runs=_number(value, "runs", at),
        processes=_number(value, "processes", at),
        unfinished=_number(value, "unfinished", at),
        modules=_distinct(_read(Load, each, f"{at}.modules[{n}]") for n, each in _items(value, "modules", at)),
        imported=_names(value, "imported", at),
        programs=_names(value, "programs", at),
    )


def _number(value: dict[str, Any], key: str, at: str) -> int:
    found = value.get(key)
    if type(found) is not int or found < 0:
        raise BadRecord(f"{at}.{key} is not a number")
    return found


def _items(value: dict[str, Any], key: str, at: str) -> Iterator[tuple[int, object]]:
    found = value.get(key)
    if not isinstance(found, list):
        raise BadRecord(f"{at}.{key} is not a list".lstrip("."))
    return enumerate(found)


def _names(value: dict[str, Any], key: str, at: str) -> frozenset[str]:
    names = [each for _, each in _items(value, key, at)]
    if not all(isinstance(each, str) for each in names):
        raise BadRecord(f"{at}.{key} is not a list of strings")
    return frozenset(map(str, names))


_CHECKS: Final[dict[str, Any]] = {
    "str": lambda value: isinstance(value, str),
    "str | None": lambda value: value is None or isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "bool | None": lambda value: value is None or isinstance(value, bool),
    "int": lambda value: type(value) is int and value >= 0,
    "tuple[str, ...]": lambda value: isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value),
}
"""What a field's value must be, by the annotation of the field."""


def _read(kind: Any, value: object, at: str = "") -> Any:
    """Return a `Surroundings` or `Load` from its plain form; raise `BadRecord` for any other form."""
    if not isinstance(value, dict):
        raise BadRecord(f"{at} is not an object")
    found = {}
    for each in fields(kind):
        given = value.get(each.name)
        if not _CHECKS[str(each.type)](given):
            raise BadRecord(f"{at}.{each.name} is missing or not of type {each.type}".lstrip("."))
        found[each.name] = tuple(given) if isinstance(given, list) else given
    return kind(**found)


def add_to_file(path: Path, record: LoadRecord) -> LoadRecord:
    """Merge a record into a file, in one step, and return what the file holds now.

    Raise `BadRecord` if the file holds anything else, and `OSError` if it cannot be read or written.
    """
    path = path.resolve()
    with _locked(path.parent):
        old = [read_record(path)] if path.exists() else []
        merged = merge([*old, record])
        write_whole(path, render(merged), mode=0o644)
    return merged


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from merging into a file of the folder at the same time, where the system has such locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
