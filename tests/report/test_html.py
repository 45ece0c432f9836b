"""The HTML report as a document: one file, nothing from outside, untrusted content only as text."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from selectolax.lexbor import LexborHTMLParser
from support.migrations import migration, poisoned, scan
from support.reports import EMPTY, HOSTILE, READY, UNSURE

from ftaudit.__about__ import __version__
from ftaudit.report.migration import html
from ftaudit.report.migration.html.hazards import FRAMES, FRAMES_OF_RULE
from ftaudit.report.migration.migration_contents import Migration

SCRIPT = "<script>alert(1)</script>"


class Loader(HTMLParser):
    """Collects what a browser would load or run, as the standard library's own parser reads the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster", "action", "background") or (tag, name) == ("link", "href"):
                self.loads.append(value or "")
            elif name in ("href", "xlink:href"):
                self.links.append(value or "")
            elif name.startswith("on") or name == "style":
                self.handlers.append(name)


def text_of(page: str, selector: str) -> list[str]:
    return [" ".join(node.text(separator=" ").split()) for node in LexborHTMLParser(page).css(selector)]


@pytest.mark.parametrize(
    "given", [migration(), poisoned(migration(), SCRIPT), poisoned(migration(), "javascript:\"'>")]
)
def test_nothing_is_loaded_and_nothing_but_the_pages_own_script_runs(given: Migration) -> None:
    found = Loader(html.render(given))
    assert found.loads == ["data:,"]
    assert found.handlers == []
    assert found.tags.count("script") == found.tags.count("style") == 1
    assert not {"img", "iframe", "object", "embed", "base", "video", "audio"} & set(found.tags)
    assert {link.partition(":")[0] for link in found.links if not link.startswith("#")} <= {"https"}


def test_the_policy_allows_the_pages_own_script_and_style_by_their_digests_and_nothing_else() -> None:
    page = html.render(migration())
    policy = LexborHTMLParser(page).css_first("meta[http-equiv]").attributes["content"] or ""
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    for tag in ("script", "style"):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    # A page that is cut short or read late must not run before its policy is known.
    assert page.index("Content-Security-Policy") < page.index("<script>")


def test_strangers_control_characters_are_replaced_and_long_texts_cut() -> None:
    page = html.render(migration(report=HOSTILE, plan=None))
    assert SCRIPT not in page and "&lt;script&gt;" in page
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", page)
    assert len(html.render(poisoned(migration(), "W" * 1_000_000))) < 2_000_000


def test_a_link_is_made_of_web_addresses_alone() -> None:
    for text in (
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example",
        "https://a.example/ onclick=x",
        "file:/x",
    ):
        links = Loader(html.render(poisoned(migration(), text))).links
        assert all(link.startswith("#") for link in links), text
    assert "https://guilty.example/docs" in Loader(html.render(migration())).links


def test_the_page_begins_with_the_answer_and_the_number_of_packages_in_each_state() -> None:
    page = html.render(migration())
    (headline,) = text_of(page, "h1")
    assert headline.startswith("1 of 6 packages keeps you from")
    (lede,) = text_of(page, ".lede")
    assert "BLOCKED" in lede and "1 version change would remove 1 of 2 blockers." in lede
    assert [text.split()[:2] for text in text_of(page, ".legend li")] == [
        ["1", "ready"],
        ["1", "fallback"],
        ["1", "needs"],
        ["1", "unknown"],
        ["1", "source-only"],
        ["1", "reenables-gil"],
    ]


def test_a_blocker_has_its_chains_its_evidence_by_tier_and_its_way_out() -> None:
    guilty, old = LexborHTMLParser(html.render(migration())).css(".blocker")
    told = guilty.text(separator=" ", strip=True)
    for text in (
        "web → guilty-pkg",
        "shop → web → guilty-pkg",
        "requirements.txt:3",
        "2.0 is the nearest release that leaves the GIL off on linux-x86_64, windows-amd64",
        "the plan removes it",
        "GUILTY_PURE=1",
        "1.1 its wheel for linux-x86_64, windows-amd64 was yanked: broken metadata",
        "declares that it uses the GIL (Cython 3.1.4)",
        "turns the GIL back on",
        "1 finding in guilty-1.0.tar.gz, 1 file could not be read",
        "FT203",
    ):
        assert text in " ".join(told.split()), text
    assert "replaced in the spring" in old.text() and "2027-03-01" in old.text()


def test_every_package_is_a_row_and_every_platform_a_column() -> None:
    page = html.render(migration())
    rows = LexborHTMLParser(page).css("#package-table > tbody")
    names = [row.attributes["data-name"] for row in rows]
    assert names == ["guilty-pkg", "old-pkg", "dark", "slow", "quick", "quick", "web"]
    assert text_of(page, ".matrix thead th") == ["Package", "linux-x86_64", "windows-amd64"] * 2
    assert "quick 1.0" in text_of(page, "#platforms details")[0]
    matrix = {
        row.css_first("th").text(): row.text(separator="|", strip=True)
        for row in LexborHTMLParser(page).css(".matrix tbody tr")
    }
    assert matrix["quick 1.0"] == "quick 1.0|ready|pure"
    assert matrix["old-pkg 1.0"] == "old-pkg 1.0|source-only|not needed"


def test_hazards_of_the_own_source_are_told_by_rule_with_their_lines() -> None:
    page = html.render(migration())
    first, second = text_of(page, "article.rule")
    assert first.startswith("FT401") and "the project as a whole" in first
    assert second.startswith("FT501 global-lazy-init warning 3 A global is initialized on first use.")
    assert text_of(page, ".hazard .hit")[0] == "10 if STATE is None:"
    # Tabs are blanks and entities are unchanged.
    assert "load('<b>&amp;</b>')" in second


def test_what_has_no_room_is_counted_and_said_where_to_be() -> None:
    page = html.render(migration(scan=scan(1000)))
    assert len(LexborHTMLParser(page).css(".hazard")) == FRAMES_OF_RULE + 1 <= FRAMES
    assert f"{1000 - FRAMES_OF_RULE} more are not shown here: ftaudit scan src --select FT501 lists all." in " ".join(
        LexborHTMLParser(page).css("article.rule")[1].text(separator=" ").split()
    )


def test_what_was_not_checked_is_said() -> None:
    (told,) = text_of(html.render(migration()), "#unchecked")
    for text in (
        "dark 1.0 (linux-x86_64): the index timed out",
        "the dependencies of dark",
        "quick._gpu: ImportError: no; its binary was read",
        "this machine cannot run windows-amd64",
        "requirements.txt on windows-amd64: no solution",
        "nothing was imported on Windows",
        "src/big.c: larger than 10 MB",
        "3 files left out as test",
    ):
        assert text in told, text
    given = migration(plan=None, no_plan="No plan was asked for.", scan=None, no_scan="No source was named.")
    (told,) = text_of(html.render(given), "#unchecked")
    assert "No plan was asked for." in told and "No source was named." in told


def test_a_page_without_gaps_says_what_was_checked_and_every_page_names_its_inputs_and_the_tool() -> None:
    whole = html.render(Migration(report=replace(READY, notes=(), incomplete=())))
    (told,) = text_of(whole, "#unchecked")
    assert told.startswith("What was checked") and "Everything that was asked for was checked." in told
    (eyebrow,) = text_of(whole, ".eyebrow")
    assert "requirements.txt" in eyebrow and eyebrow.endswith(f"ftaudit {__version__}")
    assert text_of(html.render(migration()), "#unchecked h2") == ["What was not checked"]


def test_it_says_how_to_make_it_again() -> None:
    (told,) = text_of(html.render(migration()), "#reproduce")
    for text in (
        "ftaudit report requirements.txt",
        "2026-11-21 12:30 UTC",
        "https://index.example",
        f"sha256:{'0' * 64}",
    ):
        assert text in told, text


@pytest.mark.parametrize("report", [READY, UNSURE, EMPTY, HOSTILE])
def test_a_report_without_a_part_is_a_page_without_that_part(report: object) -> None:
    page = html.render(migration(report=report, plan=None, scan=None, reproduction=None))
    anchors = {link for link in Loader(page).links if link.startswith("#") and not link.startswith("#i-")}
    assert {f"#{node.attributes['id']}" for node in LexborHTMLParser(page).css("[id]")} >= anchors


def test_the_same_report_is_the_same_page() -> None:
    assert html.render(migration()) == html.render(migration())
