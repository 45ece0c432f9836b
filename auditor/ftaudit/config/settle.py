"""The effective value of an option, and its origin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ftaudit.config.keys import Key
from ftaudit.config.layers import Configuration
from ftaudit.model import StrEnum


class SettingOrigin(StrEnum):
    """The origins, the strongest first."""

    COMMAND_LINE = "command line"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One option of one command with its effective value."""

    key: Key
    value: Any
    """The value for the command. For an environment variable, the default: the variable is read where the value is
    used.
    """
    origin: SettingOrigin
    where: str | None = None
    """The option, the variable, or the file and line."""
    plain: Any = None
    """The value that a reader sees."""


def settle(
    keys: Iterable[Key], *, given: Mapping[str, Any], environment: Mapping[str, str], configuration: Configuration
) -> list[Setting]:
    """Settle each key: command line over environment over files over default. A list replaces a list."""
    return [_settle(key, given, environment, configuration) for key in keys]


def _settle(
    key: Key, given: Mapping[str, Any], environment: Mapping[str, str], configuration: Configuration
) -> Setting:
    if key.dest in given:
        value = given[key.dest]
        return Setting(
            key=key, value=value, origin=SettingOrigin.COMMAND_LINE, where=f"--{key.name}", plain=key.plain(value)
        )
    variable = next((name for name in key.variables if environment.get(name, "").strip()), None)
    if variable is not None:
        text = environment[variable].strip()
        return Setting(key=key, value=key.default, origin=SettingOrigin.ENVIRONMENT, where=variable, plain=text)
    found = configuration.values.get((key.command, key.dest))
    if found is not None:
        where = str(found.location)
        return Setting(key=key, value=found.value, origin=SettingOrigin.FILE, where=where, plain=key.plain(found.value))
    return Setting(key=key, value=key.default, origin=SettingOrigin.DEFAULT, plain=key.plain(key.default))
