"""The result of an input file, through the public functions of its room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftaudit.lockfiles import ResolveOptions, Selection, pins, read
from ftaudit.model import Pin
from ftaudit.target import parse_platform, parse_target

FIXTURES = Path(__file__).parents[2] / "fixtures" / "lockfiles"


def select(
    path: Path, platform: str = "linux-x86_64", target: str = "3.14t", no_deps: bool = False, **chosen: Any
) -> Selection:
    """Read and select; `chosen` are extras and groups."""
    found = read(path, **chosen)
    return pins(found, parse_target(target), parse_platform(platform), ResolveOptions(no_deps=no_deps))


def by_name(selection: Selection) -> dict[str, Pin]:
    """Return the pins by name; the last one if a name has several versions."""
    return {pin.name: pin for pin in selection.pins}


def write(folder: Path, name: str, text: str) -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
