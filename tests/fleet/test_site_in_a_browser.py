"""The site of a fleet in a real browser: it filters and sorts, fits any screen, asks for nothing, and runs no name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.support.select import Select
from support.browser import Browser, open_browser
from support.fleets import Project, Release, write_fleet

from ftaudit.fleet.fleet_summary import read_summary
from ftaudit.model import Verdict
from ftaudit.report.fleet_site import pages

pytestmark = pytest.mark.browser

EVIL = "<img src=https://evil.example onerror=alert(1)></script><script>alert(1)</script>"
VERDICTS = (Verdict.READY, Verdict.REENABLES_GIL, Verdict.PURE)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    releases = [
        Release(name=f"package-{number}", verdict=VERDICTS[number % 3], fix="2.0" if number % 2 else None)
        for number in range(300)
    ]
    releases.append(Release(name=EVIL, version=EVIL, verdict=Verdict.BROKEN, reason=EVIL, fix="W" * 300))
    projects = [Project(id=f"p{number}", pins=(releases[1], releases[-1])) for number in range(3)]
    summary = read_summary(write_fleet(folder / "run", releases, projects, targets=("3.14t", "3.15t")))
    for path, text in pages(summary):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def show(browser: Browser, page: Path, *, width: int = 1280, scheme: str = "light", at: str = "") -> None:
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.tell("Emulation.setDeviceMetricsOverride", **screen)
    browser.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.driver.get("about:blank")
    browser.complaints()
    browser.requests()
    browser.load(page.as_uri() + at)


def names(browser: Browser) -> list[str]:
    found: list[str] = browser.run(
        "return Array.from(document.querySelectorAll('.fleet tbody a'), (a) => a.textContent)"
    )
    return found


def test_every_kind_of_page_fits_writes_nothing_to_the_console_and_asks_for_nothing(
    browser: Browser, site: Path
) -> None:
    evil = next(path for path in (site / "package").iterdir() if path.name.startswith("img-src"))
    project = next((site / "project").iterdir())
    for page in (site / "index.html", site / "packages.html", site / "projects.html", evil, project):
        for width, scheme in ((1280, "light"), (360, "dark")):
            show(browser, page, width=width, scheme=scheme)
            assert browser.complaints() == [], page.name
            assert [each for each in browser.requests() if not each.startswith(("file:", "data:"))] == []
            over = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert over == 0, (page.name, width)
            assert browser.run("return document.querySelectorAll('img, [onerror]').length") == 0


def test_the_table_filters_sorts_and_follows_the_links_of_the_overview(browser: Browser, site: Path) -> None:
    show(browser, site / "packages.html")
    assert browser.find(".f-count").text == "301 of 602", "one target at a time"
    assert names(browser)[:2] == [EVIL, "package-1"] and len(names(browser)) == 100
    browser.run("document.getElementById('packages-more').click()")
    assert len(names(browser)) >= 200
    browser.find(".f-text").send_keys("PACKAGE-29 2.0")
    assert names(browser) == ["package-29", *(f"package-29{number}" for number in (1, 3, 5, 7, 9))]
    browser.find("th button").click()
    browser.find("th button").click()
    assert names(browser)[0] == "package-299"
    Select(browser.find('[data-key="verdict"]')).select_by_value("blocks")
    assert names(browser) == ["package-295"]
    browser.find(".f-text").send_keys(" nothing")
    assert names(browser) == [] and browser.find("#packages-none").is_displayed()

    show(browser, site / "index.html")
    link = browser.find('.legend a[data-verdict="reenables-gil"]').get_attribute("href") or ""
    assert link.endswith("packages.html#verdict=reenables-gil&target=3.14t")
    show(browser, site / "packages.html", at=link[link.index("#") :])
    assert browser.find(".f-count").text == "100 of 602"
