"""Configuration files: where they are found, what they can contain, and which values apply.

The keys are those of the command line (`ftaudit.cli.declare` derives them from the parser). This package reads and
checks values, and depends on no command.
"""

from __future__ import annotations

from ftaudit.config.config_files import File, find_files, read_file
from ftaudit.config.keys import Key, ValueKind
from ftaudit.config.layers import ACCEPT, Configuration, RawEntry, configure
from ftaudit.config.settle import Setting, SettingOrigin, settle

__all__ = [
    "ACCEPT",
    "Configuration",
    "File",
    "Key",
    "RawEntry",
    "Setting",
    "SettingOrigin",
    "ValueKind",
    "configure",
    "find_files",
    "read_file",
    "settle",
]
