"""The versions that a requirement admits are computed over all versions, not over a list of examples."""

from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet

from ftaudit.source.build.required_versions import admits_from, is_bounded_below, parse_requirement, requires_from


@pytest.mark.parametrize(
    ("specifier", "admits"),
    [
        ("", True),
        (">3.1.1,<3.1.4", True),
        (">=3.1.17,<3.1.18", True),
        ("==3.77.123", True),
        (">=3.250,<3.251", True),
        (">=12,<13", True),
        ("<3.1", False),
        ("<3.1.0.dev0", False),
        ("<=3.1", True),
        ("==3.1.*", True),
        ("==3.0.*", False),
        ("~=3.0.12", False),
        ("~=3.0", True),
        ("~=3.1.0a1", True),
        ("==3.1.0a1", True),
        ("==3.1.0.dev0", False),
        ("===3.1.2", True),
        ("===3.0", False),
        ("!=3.1", True),
        (">=3,!=3.1.*,<3.2", False),
        (">=3,!=3.1.*,<3.2.1", True),
        (">3.0,<3.1.0b1", True),
        (">=3.1rc1,<3.1", False),
        ("<3.1,>=3.1", False),
        ("==3.1.2+local", True),
        (">=1!0", True),
        ("<0!3", False),
    ],
)
def test_a_specifier_admits_a_version_from_the_first_good_one_on_or_does_not(specifier: str, admits: bool) -> None:
    assert admits_from(SpecifierSet(specifier), "3.1.0a1") is admits


@pytest.mark.parametrize(
    ("specifier", "requires"),
    [
        ("", False),
        (">=2", True),
        (">=1.17", False),
        ("~=2.1", True),
        ("==2.*", False),  # 2.0.0a1 is one of them
        ("==2.0.0", True),
        ("<3", False),
        (">=2,<1", True),
    ],
)
def test_a_specifier_requires_the_first_good_version_or_does_not(specifier: str, requires: bool) -> None:
    assert requires_from(SpecifierSet(specifier), "2.0.0b1") is requires


@pytest.mark.parametrize(
    ("specifier", "bounded"),
    [
        ("", False),
        ("<80", False),
        ("!=75.1", False),
        ("!=0", False),
        (">=43", True),
        ("==60.*", True),
        ("~=61.0", True),
    ],
)
def test_a_specifier_names_a_version_to_start_from_or_does_not(specifier: str, bounded: bool) -> None:
    assert is_bounded_below(SpecifierSet(specifier)) is bounded


@pytest.mark.parametrize("text", ["Cython>=" + "9" * 5000, "Cython<1." + "9" * 5000, "../here", "git+https://x", ">=3"])
def test_text_that_is_no_requirement_is_none(text: str) -> None:
    assert parse_requirement(text) is None
