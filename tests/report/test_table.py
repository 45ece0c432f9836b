"""The table for terminals: the answer on top, nothing lost, nothing controlled by untrusted strings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.facts import SDIST, facts
from support.reports import BLOCKED, EMPTY, HOSTILE, READY, UNSURE, UPGRADE, package, report

from ftaudit.model import Acceptance, AcceptedBy, Gap, GapKind, Package, Report, Status, WheelKind
from ftaudit.report.package import check_table
from ftaudit.report.package.agreeing_rows import headline


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("given", "word"), [(BLOCKED, "BLOCKED"), (UNSURE, "NOT SURE"), (READY, "READY")], ids=["1", "3", "0"]
)
def test_the_first_line_is_the_answer(given: Report, word: str) -> None:
    assert check_table.render(given).splitlines()[0].startswith(word)


def test_what_could_not_be_checked_is_never_called_ready() -> None:
    text = check_table.render(UNSURE)
    assert "READY" not in text
    assert "timed out" in text


def test_a_blocker_tells_reason_modules_chain_place_and_next_step() -> None:
    text = flat(check_table.render(BLOCKED))
    for part in (
        "guilty._core",
        "Py_MOD_GIL_USED",
        "Cython 3.1.4",
        "web → guilty-pkg",
        "requirements.txt:3",
        "2.0 is the first later version",
    ):
        assert part in text


def test_blockers_stand_before_the_rest_and_the_coverage_line_ends_the_report() -> None:
    lines = check_table.render(BLOCKED).splitlines()
    blocks = next(number for number, line in enumerate(lines) if line.startswith("Blocks"))
    unchecked = next(number for number, line in enumerate(lines) if line.startswith("Not checked"))
    assert 0 < blocks < unchecked
    assert lines[-2] == "checked: 3/3 index · 0/0 binaries · 0/0 imports"
    assert lines[-1] == lines[0], "the answer is also the last line, which a log shows"


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_no_name_is_lost(width: int) -> None:
    text = check_table.render(BLOCKED, width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    joined = "".join(text.split())
    assert all(name in joined for name in ("fine1.0", "guilty-pkg1.0", "old-pkg1.0"))


def test_without_color_there_is_no_escape_and_with_color_there_is() -> None:
    assert "\x1b" not in check_table.render(BLOCKED)
    assert "\x1b[" in check_table.render(BLOCKED, color=True)


def test_control_characters_and_markup_of_strangers_stay_text() -> None:
    text = check_table.render(HOSTILE)
    assert "\x1b" not in text and "\u202e" not in text and "\r" not in text
    assert "<script>alert(1)</script>" in text
    assert "[bold]no[/bold]" in text


def test_rows_that_agree_on_all_platforms_are_told_once() -> None:
    both = report(
        package(facts(name="old", kind=WheelKind.NONE, platform="linux-x86_64")),
        package(facts(name="old", kind=WheelKind.NONE, platform="windows-amd64")),
        platforms=("linux-x86_64", "windows-amd64"),
    )
    text = check_table.render(both)
    assert text.count("old 1.0") == 1
    assert "(linux-x86_64, windows-amd64)" in text


def test_an_empty_audit_still_says_what_was_checked() -> None:
    text = check_table.render(EMPTY)
    assert text.startswith("NOTHING TO CHECK") and "checked: 3/3 index" in text


def unread(name: str, reason: str = "the cache does not have its page") -> Package:
    missing = Gap(kind=GapKind.OFFLINE, detail=reason, subject=f"/simple/{name}/")
    return package(facts(name=name, index={"status": Status.FAILED, "reason": missing}))


def test_two_that_could_not_be_checked_keep_their_rows() -> None:
    text = check_table.render(report(unread("one"), unread("two")))
    assert "not have its page (/simple/one/)" in text
    assert "not have its page (/simple/two/)" in text


def test_different_reasons_are_all_told() -> None:
    others = [unread(f"p{i}", f"reason {i}") for i in range(4)]
    text = check_table.render(report(*others))
    assert [f"reason {i}" in text for i in range(4)] == [True] * 4


def test_what_could_not_be_checked_for_one_reason_is_told_once_with_every_name() -> None:
    names = ["one", "two", "one-more", "three"]
    text = flat(check_table.render(report(*map(unread, names))))
    assert text.count("the cache does not have its page") == 1 and "/simple/" not in text
    assert "4 packages unknown" in text
    assert all(f"{name} 1.0" in text for name in names)
    assert "Not checked (4)" in text


def test_a_package_on_which_platforms_disagree_is_counted_once_and_none_is_named_for_all() -> None:
    places = ("linux-x86_64", "windows-amd64", "macos-arm64")
    rows = [package(facts(name="old", kind=WheelKind.NONE, platform=place), step=UPGRADE) for place in places]
    odd = facts(name="old", kind=WheelKind.NONE, platform="linux-aarch64", index={"sdist": SDIST})
    text = check_table.render(report(*rows, package(odd), platforms=(*places, "linux-aarch64")), width=60)
    assert "Blocks (1)" in text and "BLOCKED: 1 of 1 package keeps you" in flat(text)
    assert "whose wheel for these platforms leaves the GIL off" in flat(text)
    assert all(line.startswith("  ") for line in text.splitlines() if "macos-arm64" in line)


def test_one_accepted_package_is_known_and_two_are() -> None:
    row = BLOCKED.packages[-1]
    known = Acceptance(by=AcceptedBy.CONFIGURATION, reason="waits")
    one = replace(row, accepted=known)
    two = replace(one, facts=facts(name="older", kind=WheelKind.NONE))
    assert "keeps you from" in headline(report(one)).sentence and "and is known" in headline(report(one)).sentence
    assert (
        "keep you from" in headline(report(one, two)).sentence
        and "and are known" in headline(report(one, two)).sentence
    )
