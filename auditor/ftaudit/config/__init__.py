"""What configuration files say: where they are looked for, what may stand in them, and what is then in force.

The keys are those of the command line (`ftaudit.cli.declare` makes them out of the parser): this room knows how to
read and check values, and nothing of any command.
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
