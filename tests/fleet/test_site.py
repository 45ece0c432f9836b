"""The site of a fleet: its numbers are those of the data set, hostile names stay text, and bad folders are errors."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from support.fleets import LINUX, Project, Release, write_fleet

from ftaudit.fleet.dataset import read_rows
from ftaudit.fleet.fleet_summary import read_summary
from ftaudit.fleet.freeing import find_freeing
from ftaudit.fleet.schema import PACKAGES, PINS, Mode
from ftaudit.model import Verdict
from ftaudit.report.fleet_site import count_pages, pages
from ftaudit.report.fleet_site.headlines import headline, lede
from ftaudit.report.fleet_site.site_view import page_of

MAC = "macos-arm64"
READY = Release(name="quick", verdict=Verdict.READY, platforms=(LINUX, MAC))
GUILTY = Release(name="guilty", verdict=Verdict.REENABLES_GIL, fix="2.0", guilty=("guilty._core",))
STUCK = Release(name="stuck", verdict=Verdict.SOURCE_ONLY, kind="none")
SLOW = Release(name="slow", verdict=Verdict.FALLBACK, kind="pure")
DARK = Release(name="dark", verdict=Verdict.UNKNOWN)
OLD = Release(name="quick", version="0.9", verdict=Verdict.BROKEN, fix="1.0", newest=False)
EVERY = (READY, GUILTY, STUCK, SLOW, DARK, OLD)
PROJECTS = (
    Project(id="acme/web", pins=(READY, GUILTY), owner="team"),
    Project(id="acme/old", pins=(OLD, GUILTY, SLOW)),
    Project(id="acme/stuck", pins=(STUCK, GUILTY)),
    Project(id="acme/fine", pins=(READY,)),
    Project(id="acme/dark", pins=(DARK,)),
    Project(id="acme/none", problem="uv.lock:3: is not TOML"),
)


def site(folder: Path, *arguments: Any, **given: Any) -> dict[str, str]:
    return dict(pages(read_summary(write_fleet(folder, *arguments, **given))))


def table(page: str) -> list[list[Any]]:
    """Return the rows of the page's table, as its script reads them."""
    found = re.search(r'<script type="application/json" id="\w+-data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    rows: list[list[Any]] = json.loads(found[1])
    return rows


def test_the_numbers_of_a_check_are_those_of_its_data_set(tmp_path: Path) -> None:
    made = site(tmp_path, EVERY, PROJECTS, platforms=(LINUX, MAC))
    overview = made["index.html"]
    assert "Of 2 packages whose cp314t wheel was judged, 50.0% turn the GIL back on" in overview
    assert "1 of 2, on CPython 3.14t. The wheel of 1 more package could not be judged." in overview
    blocked = "Something blocks 3 of 5 projects that could be read."
    projects = f"{blocked} To unblock 2 of them, upgrade 2 packages to existing releases."
    assert f"{projects} In 1 project, not everything was checked. 1 project could not be read." in overview
    assert "uv.lock:3: is not TOML" in overview

    judged, pins = list(read_rows(tmp_path, PACKAGES)), list(read_rows(tmp_path, PINS))
    rows = {row[1]: row for row in table(made["packages.html"])}
    assert set(rows) == {row["package"] for row in judged}
    for name, row in rows.items():
        mine = [pin for pin in pins if pin["package"] == name]
        assert row[5:7] == [len({pin["project"] for pin in mine}), len({p["project"] for p in mine if p["blocks"]})]
        assert row[3] in {each["verdict"] for each in judged if each["package"] == name}
    assert rows["quick"][2:5] == ["0.9, 1.0", "broken", LINUX]
    projects = {row[2]: row[4:8] for row in table(made["projects.html"])}
    assert projects["acme/web"] == ["blocked", 3, 1, 0] and projects["acme/none"] == ["failed", 0, 0, 0]
    assert projects["acme/dark"] == ["unsure", 1, 0, 1] and projects["acme/fine"] == ["free", 2, 0, 0]


def test_a_survey_counts_the_newest_releases_and_every_link_leads_to_a_page(tmp_path: Path) -> None:
    summary = read_summary(write_fleet(tmp_path, EVERY, targets=("3.14t", "3.15t"), platforms=(LINUX, MAC)))
    made = dict(pages(summary))
    assert len(made) == count_pages(summary) and "projects.html" not in made
    assert "Of 2 packages whose cp314t wheel was judged, 50.0% turn" in made["index.html"]
    assert "CPython 3.15t: of 2 packages whose cp315t wheel was judged" in made["index.html"]
    quick = made[page_of("package", "quick")]
    assert quick.index("1.0") < quick.index("0.9") and "ready</span> on CPython 3.14t" in quick
    for path, page in made.items():
        for link in re.findall(r'(?:href|src)="([^"#]+)', page) if path.endswith(".html") else ():
            base = path.rpartition("/")[0]
            assert link == "data:," or str(Path(base, link)).replace("package/../", "") in made, (path, link)


LOST = Release(name="lost", verdict=Verdict.UNKNOWN, kind="none", index="failed")
TAGS = Release(name="tags", verdict=Verdict.PURE, kind="pure", gap="not-opened")
LEFT = "On CPython 3.14t."


@pytest.mark.parametrize(
    ("releases", "main", "more"),
    [
        ((LOST,), "ftaudit could not look up whether the one package has a cp314t wheel", (LEFT,)),
        ((LOST, STUCK), "ftaudit could not look up whether 1 of 2 packages has a cp314t wheel", (LEFT,)),
        ((DARK, STUCK), "the cp314t wheel of 1 package could not be judged", (LEFT,)),
        (
            (DARK, LOST),
            "the cp314t wheel of 1 package could not be judged",
            (LEFT, "ftaudit could not look up whether 1 more package has one."),
        ),
        (
            (READY, DARK),
            "the one package whose cp314t wheel was judged does not turn the GIL back on",
            (LEFT, "The wheel of 1 more package could not be judged."),
        ),
        (
            (READY, replace(READY, name="fast"), LOST),
            "the cp314t wheels that were judged, of 2 packages, do not turn the GIL back on",
            (LEFT, "ftaudit could not look up whether 1 more package has one."),
        ),
        ((STUCK, SLOW), "no package of 2 has a cp314t wheel", (LEFT,)),
        ((READY, STUCK), "the one package with a cp314t wheel does not turn the GIL back on", (LEFT,)),
        ((READY, replace(READY, name="fast")), "of 2 packages with a cp314t wheel, 0.0% turn the GIL back on", None),
        ((), "no package was judged", (LEFT,)),
    ],
)
def test_the_headline_counts_what_was_judged_and_names_what_was_not(
    tmp_path: Path, releases: tuple[Release, ...], main: str, more: tuple[str, ...] | None
) -> None:
    (target,) = read_summary(write_fleet(tmp_path, releases)).targets
    assert headline(target) == main
    sentences = tuple(lede(target, find_freeing(()), Mode.SURVEY))
    assert sentences == (more or ("0 of 2, on CPython 3.14t.",))


@pytest.mark.parametrize(
    ("projects", "sentences"),
    [
        ((Project(id="a", pins=(DARK,)),), ["Nothing is known to block.", "In 1 project, not everything was checked."]),
        (
            (Project(id="a", pins=(READY,)), Project(id="b", problem="empty")),
            ["Nothing blocks in 1 project that could be read.", "1 project could not be read."],
        ),
        ((Project(id="a", problem="empty"),), ["1 project could not be read."]),
        ((Project(id="a", pins=(READY,)), Project(id="b", pins=(TAGS,))), ["Nothing blocks in 2 projects."]),
        (
            (Project(id="a", pins=(STUCK,)), Project(id="b", pins=(READY,), incomplete=("a link",))),
            ["Something blocks 1 of 2 projects.", "In 1 project, not everything was checked."],
        ),
    ],
)
def test_projects_that_were_not_read_or_checked_are_not_counted_as_free(
    tmp_path: Path, projects: tuple[Project, ...], sentences: list[str]
) -> None:
    (target,) = read_summary(write_fleet(tmp_path, (READY, STUCK, DARK, TAGS), projects)).targets
    assert list(lede(target, find_freeing(target.projects), Mode.CHECK))[2:] == sentences


def test_pages_name_what_is_unknown_what_is_pure_by_its_tags_and_good_pre_releases(tmp_path: Path) -> None:
    early = replace(STUCK, pre_release="3.0rc1")
    dark = replace(DARK, reason="the wheel could not be read")
    projects = (Project(id="a", pins=(dark, early, TAGS)), Project(id="none", problem="it is empty"))
    made = site(tmp_path, (dark, early, TAGS), projects)
    overview, page, failed = (
        made[path] for path in ("index.html", page_of("project", "a"), page_of("project", "none"))
    )
    assert "1 package classified as pure only by the tags of its wheel, which could not be fetched: tags." in overview
    assert "Only upstream can fix these" not in overview and 'data-label="Pre-release">3.0rc1</td>' in overview
    assert "good pre-release: 3.0rc1" in made[page_of("package", "stuck")]
    assert "the wheel could not be read" in page and "blocks, 1 could not be judged, read from" in page
    assert "<dt>Needed by</dt><dd>the project</dd>" in page
    assert "it is empty" in failed and "<h2>" not in failed, "no heading without content"


def test_the_order_of_the_fixes_frees_as_many_projects_at_each_step_as_one_more_fix_can(tmp_path: Path) -> None:
    a, b, c, d = (Release(name=name, verdict=Verdict.BROKEN, fix="2.0") for name in "abcd")
    stuck = Release(name="e", verdict=Verdict.BROKEN)
    mixed = replace(a, version="0.5", fix=None)
    pinned = [(a,), (a, b), (a, b), (c,), (b, c, d), (d, stuck), (stuck,), (mixed, b), (READY,)]
    projects = [Project(id=f"p{number}", pins=pins) for number, pins in enumerate(pinned)]
    (target,) = read_summary(write_fleet(tmp_path, (a, b, c, d, stuck, mixed, READY), projects)).targets
    freeing = find_freeing(target.projects)
    assert [(fix.name, fix.frees, fix.freed, fix.blocks) for fix in freeing.fixes] == [
        ("a", 1, 1, 4),
        ("b", 2, 3, 4),
        ("c", 1, 4, 2),
        ("d", 1, 5, 2),
    ]
    assert freeing.blocked == 8
    assert [(one.name, one.blocks, one.alone) for one in freeing.unfixed] == [("e", 2, 1), ("a", 1, 0)]

    def freed(order: tuple[str, ...]) -> int:
        return sum({release.name for release in pins} <= set(order) for pins in pinned[:5])

    assert freeing.fixes[1].freed == max(freed(order) for order in permutations("abcd", 2))


class Seen(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


LINK = r"data:,|(\.\./)?[\w./-]+\.(html|css|js)(#[\w=&.-]*)?|#[\w-]+"
HOSTILE = (
    "</script></style></title><script>alert(1)</script><img src=x onerror=alert(1)>",
    "\" onmouseover='alert(1)' javascript:alert(1) {{ 7 * 7 }} ]]>--><!--",
    "../../../etc/passwd",
    "\x00\x1b[31m\u202e\u2028\ud800con",
    "W" * 3000,
)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_text_and_name_no_file(text: str, tmp_path: Path) -> None:
    evil = Release(
        name=text, version=text, verdict=Verdict.BROKEN, fix=text, reason=text, guilty=(text,), elsewhere=(text,)
    )
    project = Project(id=text, name=text, owner=text, pins=(evil, READY), incomplete=(text,))
    failed = Project(id=f"{text}2", name=text, problem=text)
    given = [(evil, READY), (project, failed)]
    calm = site(tmp_path / "calm", (GUILTY, READY), (Project(id="a", pins=(GUILTY, READY), incomplete=("b",)),))
    allowed = [Seen(page) for page in calm.values()]
    tags = {tag for seen in allowed for tag in seen.tags} | {"time"}
    attributes = {name for seen in allowed for name in seen.attributes}
    made = site(tmp_path / "evil", *given)
    assert all(re.fullmatch(r"[\w-]+\.\w+|(package|project)/[a-z0-9-]+\.html", path) for path in made)
    for path, page in made.items():
        if path.endswith(".html"):
            seen = Seen(page)
            assert seen.tags <= tags and seen.attributes <= attributes, path
            assert all(
                re.fullmatch(r"data:,|(\.\./)?[\w./-]+\.(html|css|js)(#[\w=&.-]*)?|#[\w-]+", x) for x in seen.links
            )
            assert "\x1b" not in page and "\u202e" not in page and "\x00" not in page
    assert {row[0] for row in table(made["packages.html"])} <= set(made)
