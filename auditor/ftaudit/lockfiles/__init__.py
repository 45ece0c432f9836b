"""Reads requirements and lock files, and determines the packages to judge: `find_input`, `read`, `pins`."""

from __future__ import annotations

from ftaudit.lockfiles.asked import Asked, ManifestPart, find_asked
from ftaudit.lockfiles.entry import find_environment, find_input, find_others, pins, read, seek_input
from ftaudit.lockfiles.requirements import InputFormat, InputIndexes, Requirements
from ftaudit.lockfiles.selection import MetadataFinder, ResolveOptions, Selection

__all__ = [
    "Asked",
    "InputFormat",
    "InputIndexes",
    "ManifestPart",
    "MetadataFinder",
    "Requirements",
    "ResolveOptions",
    "Selection",
    "find_asked",
    "find_environment",
    "find_input",
    "find_others",
    "pins",
    "read",
    "seek_input",
]
