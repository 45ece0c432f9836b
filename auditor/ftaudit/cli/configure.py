"""The arguments of the command line, completed by environment, configuration files, and defaults."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from ftaudit.cli.answer import say
from ftaudit.config import Configuration, Key, Setting, SettingOrigin, configure, find_files, read_file, settle
from ftaudit.errors import UsageError
from ftaudit.report.formats import Format, of_name


def read_configuration(config: Path | None, no_config: bool, keys: Sequence[Key]) -> Configuration:
    """Return the content of the configuration files that apply here. Raise `UsageError` for an error in them."""
    if no_config and config is not None:
        raise UsageError("--config and --no-config cannot be used together", hint="remove one of them")
    if no_config:
        return Configuration(values={})
    files = find_files(Path.cwd()) if config is None else (read_file(config),)
    return configure(files, keys)


def complete(options: argparse.Namespace, keys: Sequence[Key]) -> argparse.Namespace:
    """Return the options of the command with every setting in force; `configuration` is the content of the files.

    Raise `UsageError` for an error in a configuration file.
    """
    mine = [key for key in keys if key.command == options.command]
    if not mine:
        return options
    configuration = read_configuration(options.config, options.no_config, keys)
    settings = settings_in_force(mine, options, configuration)
    for setting in settings:
        setattr(options, setting.key.dest, setting.value)
        if setting.key.dest == "format" and setting.origin is SettingOrigin.FILE and _says_format(options):
            options.format = None
    if options.config is None and not getattr(options, "quiet", False):
        _tell_of_code(settings)
    options.configuration = configuration
    return options


def _says_format(options: argparse.Namespace) -> bool:
    """Return whether the output's name, always from the command line, implies a format: it takes precedence over a
    file.
    """
    output: Path | None = getattr(options, "output", None)
    return output is not None and of_name(output, tuple(Format)) is not None


def _tell_of_code(settings: Sequence[Setting]) -> None:
    """Report that a file which was only found enables running code: the configuration runs the project's own code."""
    for setting in settings:
        if setting.key.dest == "rules" and setting.origin is SettingOrigin.FILE and setting.value:
            folders = ", ".join(map(str, setting.value))
            say(f"running the project's own rules: {folders} ({setting.where}; --no-config skips them)")


def settings_in_force(keys: Sequence[Key], given: argparse.Namespace, configuration: Configuration) -> list[Setting]:
    """Return each key's setting."""
    return settle(keys, given=vars(given), environment=os.environ, configuration=configuration)
