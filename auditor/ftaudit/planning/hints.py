"""Documented settings that let a package run without its extension modules, from `hints.toml`."""

from __future__ import annotations

import functools
from importlib import resources

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from ftaudit.model.plans import Switch


def find_switches(name: NormalizedName, version: Version | None) -> tuple[Switch, ...]:
    """Return the documented settings that apply to a package's version."""
    return tuple(
        switch for switch in read_hints() if switch.package == name and version is not None and _has(switch, version)
    )


def _has(switch: Switch, version: Version) -> bool:
    return SpecifierSet(switch.versions).contains(version, prereleases=True)


@functools.cache
def read_hints() -> tuple[Switch, ...]:
    """Return every setting of the hint file that comes with ftaudit."""
    import tomli

    text = resources.files("ftaudit.planning").joinpath("hints.toml").read_text("utf-8")
    return tuple(
        Switch(
            package=canonicalize_name(row["package"]),
            versions=row["versions"],
            setting=row["setting"],
            effect=row["effect"],
            source=row["source"],
            checked=row["checked"],
        )
        for row in tomli.loads(text)["switch"]
    )
