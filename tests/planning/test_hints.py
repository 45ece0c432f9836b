"""The hint file: every entry has a source and a date, and none is shown for a version it was not read for."""

from __future__ import annotations

import datetime

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from ftaudit.planning.hints import find_switches, read_hints

SQLALCHEMY = canonicalize_name("sqlalchemy")


def test_a_version_outside_the_series_that_was_read_has_no_hint() -> None:
    assert find_switches(SQLALCHEMY, Version("2.1.0")) == ()
    assert find_switches(SQLALCHEMY, None) == ()
    assert find_switches(canonicalize_name("lxml"), Version("6.1.3")) == ()


def test_the_known_switch_of_sqlalchemy_is_found() -> None:
    (switch,) = find_switches(SQLALCHEMY, Version("2.0.50"))
    assert switch.setting == "DISABLE_SQLALCHEMY_CEXT_RUNTIME=1"


def test_every_hint_is_dated_and_says_where_it_was_read() -> None:
    for switch in read_hints():
        assert datetime.date.fromisoformat(switch.checked) <= datetime.date.today(), switch
        assert any(char.isdigit() for char in switch.source), f"{switch.package}: the source names no release"
        assert list(SpecifierSet(switch.versions)), f"{switch.package} is not bounded"
        assert "=" in switch.setting and switch.effect.strip() and not switch.effect.endswith(".")
