"""The HTML report in a real browser: no untrusted content runs, and it is accessible."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from support.browser import Browser, open_browser
from support.migrations import migration, poisoned

from ftaudit.report.migration import html

pytestmark = pytest.mark.browser

SCRIPT = "<script>alert(1)</script>"
HOSTILE = (
    SCRIPT,
    "</script></style></title></textarea><script>alert(1)</script>",
    '"><img src="https://evil.example/x.png" onerror="alert(1)">',
    "' onmouseover='alert(1)' autofocus onfocus='alert(1)",
    "javascript:alert(1)",
    "https://evil.example/\"onclick='alert(1)'",
    "data:text/html,<script>alert(1)</script>",
    "{{ 7 * 7 }}{% include 'report.html' %}{{ self.__init__.__globals__ }}",
    "`<b>not bold</b>` <svg/onload=alert(1)> &lt;&amp;",
    "\x00\x1b[31m\u202e\u2028\ufeff\r\n]]>--><!--",
    "\ud800 a lone surrogate",
    "W" * 3000,
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page() -> str:
    return html.render(migration())


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_strangers_text_in_every_field_stays_text(browser: Browser, text: str) -> None:
    browser.show(html.render(poisoned(migration(), text)), width=360)
    assert browser.complaints() == []
    assert [url for url in browser.requests() if url != "data:,"] == []
    assert browser.run("return document.scripts.length") == 1
    foreign = "img, iframe, object, embed, base, template, [onerror], [onload], [onclick], [onmouseover], [onfocus]"
    assert browser.run("return document.querySelectorAll(arguments[0]).length", foreign) == 0
    links = browser.run("return Array.from(document.querySelectorAll('a'), (link) => link.protocol)")
    assert set(links) <= {"file:", "https:"}
    # Opening and hovering over everything gives a handler its chance; an alert would end the next command.
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    browser.find("#f-open").click()
    ActionChains(browser.driver).move_to_element(browser.find("#packages .badge")).perform()
    assert overflow(browser) == 0


def test_the_script_of_a_packages_name_is_there_to_be_read(browser: Browser) -> None:
    browser.show(html.render(poisoned(migration(), SCRIPT)))
    for selector in ("h3 .name", "#packages .name", ".chain", ".reasons li", ".hazard .line", ".hazard figcaption"):
        assert SCRIPT in browser.run("return document.querySelector(arguments[0]).textContent", selector), selector
    for selector in ("#plan ins", "#unchecked li", ".command", ".tree .blocked", ".modules code", "#platforms thead"):
        assert SCRIPT in browser.run("return document.querySelector(arguments[0]).textContent", selector), selector


def test_an_ordinary_page_writes_nothing_to_the_console_and_asks_for_nothing(browser: Browser, page: str) -> None:
    for scheme in ("light", "dark"):
        browser.show(page, scheme=scheme)
        assert browser.complaints() == []
        assert [url for url in browser.requests() if url != "data:,"] == []


def test_a_script_that_is_not_the_pages_own_would_not_run(browser: Browser, page: str) -> None:
    browser.show(page.replace("</footer>", "</footer><script>document.title = 'gone'</script>"))
    assert browser.driver.title != "gone"
    assert any("Content Security Policy" in text for text in browser.complaints())


def shown(browser: Browser) -> list[str]:
    """Return the names of the rows that can be seen, from the top down."""
    script = """
        return Array.from(document.querySelectorAll("#package-table > tbody"))
          .filter((row) => row.offsetParent !== null)
          .map((row) => row.querySelector(".name").textContent)"""
    names: list[str] = browser.run(script)
    return names


def test_text_that_is_typed_filters_the_packages(browser: Browser, page: str) -> None:
    browser.show(page)
    everything = shown(browser)
    browser.find("#f-text").send_keys("GUILTY")
    assert set(shown(browser)) == {"guilty-pkg", "web"}
    browser.find("#f-text").send_keys("._fine cython")
    assert shown(browser) == []
    assert browser.find("#f-none").is_displayed()
    assert browser.find("#f-count").text == f"0 of {len(everything)}"
    browser.find("#f-text").send_keys(Keys.CONTROL, "a", Keys.BACKSPACE)
    assert shown(browser) == everything
    assert not browser.find("#f-none").is_displayed()


def test_verdicts_and_platforms_filter_together(browser: Browser, page: str) -> None:
    browser.show(page)
    Select(browser.find("#f-verdict")).select_by_value("blocks")
    assert set(shown(browser)) == {"guilty-pkg", "old-pkg"}
    Select(browser.find("#f-platform")).select_by_value("windows-amd64")
    assert shown(browser) == ["guilty-pkg"]
    Select(browser.find("#f-verdict")).select_by_value("pure")
    assert shown(browser) == ["quick"]


def test_a_verdict_of_the_legend_filters_the_table(browser: Browser, page: str) -> None:
    browser.show(page)
    browser.find('.legend a[data-verdict="unknown"]').click()
    assert shown(browser) == ["dark"]


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_it_round(browser: Browser, page: str) -> None:
    browser.show(page)
    heading = browser.find('th[data-sort="name"]')
    assert heading.get_attribute("aria-sort") is None
    browser.find('th[data-sort="name"] button').click()
    assert shown(browser) == sorted(shown(browser))
    assert heading.get_attribute("aria-sort") == "ascending"
    browser.find('th[data-sort="name"] button').click()
    assert shown(browser) == sorted(shown(browser), reverse=True)
    assert heading.get_attribute("aria-sort") == "descending"
    assert len(browser.driver.find_elements("css selector", "th[aria-sort]")) == 1


def test_numbers_are_sorted_as_numbers(browser: Browser, page: str) -> None:
    browser.show(page)
    browser.run("document.querySelector('#package-table > tbody').dataset.modules = '10'")
    browser.find('th[data-sort="modules"] button').click()
    script = (
        "return Array.from(document.querySelectorAll('#package-table > tbody'), (row) => Number(row.dataset.modules))"
    )
    counts = browser.run(script)
    assert counts == sorted(counts) and counts[-1] == 10


def test_everything_works_from_the_keyboard_and_shows_where_the_focus_is(browser: Browser, page: str) -> None:
    browser.show(page)
    reached: dict[str, str] = {}
    keys = ActionChains(browser.driver)
    for _ in range(80):
        keys.send_keys(Keys.TAB).perform()
        reached |= browser.run(
            """
            const element = document.activeElement, style = getComputedStyle(element);
            const name = element.id || element.getAttribute("aria-label") || element.textContent.trim();
            return {[element.tagName + " " + name]: style.outlineStyle + " " + style.outlineWidth};"""
        )
        if "BODY" in " ".join(reached):
            break
    assert {"INPUT f-text", "SELECT f-verdict", "SELECT f-platform", "BUTTON f-open", "BUTTON Package"} <= set(reached)
    assert "SUMMARY Evidence, tier by tier" in reached and "A Skip to the report" in reached
    assert any(name.startswith("BUTTON Why guilty-pkg is") for name in reached)
    ring = {name: outline for name, outline in reached.items() if not name.startswith("BODY")}
    assert {outline for outline in ring.values() if not outline.startswith(("solid 2", "auto"))} == set(), ring


def test_enter_sorts_and_space_opens_a_row(browser: Browser, page: str) -> None:
    browser.show(page)
    browser.find('th[data-sort="needed"] button').send_keys(Keys.ENTER)
    assert browser.find('th[data-sort="needed"]').get_attribute("aria-sort") == "ascending"
    toggle = browser.find("#package-table .toggle")
    about = browser.find(f"#{toggle.get_attribute('aria-controls')}")
    assert not about.is_displayed() and toggle.get_attribute("aria-expanded") == "false"
    toggle.send_keys(Keys.SPACE)
    assert about.is_displayed() and toggle.get_attribute("aria-expanded") == "true"
    browser.find("#f-open").send_keys(Keys.ENTER)
    assert all(row.is_displayed() for row in browser.driver.find_elements("css selector", ".more"))


def overflow(browser: Browser) -> int:
    """Return how many pixels wider than its window the page is."""
    width: int = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width


@pytest.mark.parametrize("width", [320, 360, 768, 1600])
def test_the_page_never_scrolls_sideways(browser: Browser, page: str, width: int) -> None:
    browser.show(page, width=width)
    assert overflow(browser) == 0
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    browser.find("#f-open").send_keys(Keys.ENTER)
    assert overflow(browser) == 0
    beyond = browser.run(
        """
        const wide = (element) => element.getBoundingClientRect().right > innerWidth + 1;
        const scrolls = (element) => element.closest(".scroll, pre, nav, .skip") !== null;
        return Array.from(document.querySelectorAll("body *"))
          .filter((element) => wide(element) && !scrolls(element)).map((element) => element.outerHTML.slice(0, 80));"""
    )
    assert beyond == []


CONTRAST = """
    const channel = (byte) => byte <= 10.31475 ? byte / 3294.6 : ((byte / 255 + .055) / 1.055) ** 2.4;
    const luminance = (color) => { const [r, g, b] = color.map(channel); return .2126 * r + .7152 * g + .0722 * b; };
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const behind = (element) => {
      for (let each = element; each; each = each.parentElement) {
        const color = parse(getComputedStyle(each).backgroundColor);
        if (color.length === 3 || color[3] === 1) return color.slice(0, 3);
      }
      return [255, 255, 255];
    };
    const found = [];
    for (const element of document.querySelectorAll("body *")) {
      const texts = Array.from(element.childNodes).filter((node) => node.nodeType === 3 && node.data.trim());
      const drawn = element.matches("rect, use");
      if (!(texts.length || drawn) || !element.getClientRects().length || element.closest("title, desc")) continue;
      const style = getComputedStyle(element), svg = element.namespaceURI.endsWith("svg");
      const front = parse(svg ? (element.matches("text, rect") ? style.fill : style.color) : style.color).slice(0, 3);
      const [a, b] = [luminance(front), luminance(behind(element))].sort((x, y) => y - x);
      const ratio = Math.round(100 * (a + .05) / (b + .05)) / 100;
      found.push([element.tagName + "." + element.getAttribute("class"), ratio, drawn ? 3 : 4.5]);
    }
    return found;"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_the_contrast_of_wcag_aa(browser: Browser, page: str, scheme: str) -> None:
    browser.show(page, scheme=scheme)
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    browser.find("#f-open").click()
    found = browser.run(CONTRAST)
    assert len(found) > 200
    assert [each for each in found if each[1] < each[2]] == []
    dark = browser.run("return getComputedStyle(document.documentElement).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


def test_verdicts_are_told_by_word_and_shape_too(browser: Browser, page: str) -> None:
    browser.show(page)
    badges = browser.run(
        "return Array.from(document.querySelectorAll('.badge'), (each) => [each.textContent, each.innerHTML])"
    )
    assert all(text in markup and f'href="#i-{text}"' in markup for text, markup in badges)
    shapes = browser.run("return Array.from(document.querySelectorAll('symbol'), (symbol) => symbol.innerHTML)")
    assert len(set(shapes)) == len(shapes) == 9


def test_pictures_have_names_and_ids_are_unique(browser: Browser, page: str) -> None:
    browser.show(page)
    named = browser.run(
        """
        const named = (svg) => svg.getAttribute("aria-labelledby").split(" ")
          .map((id) => document.getElementById(id).textContent).join(" ");
        return Array.from(document.querySelectorAll("svg[role=img]"), named);"""
    )
    assert len(named) == 3 and "1 reenables-gil" in named[0] and "guilty-pkg: reenables-gil" in named[1]
    ids = browser.run("return Array.from(document.querySelectorAll('[id]'), (element) => element.id)")
    assert len(ids) == len(set(ids))
    anchors = browser.run("return Array.from(document.querySelectorAll('a[href^=\"#\"]'), (a) => a.hash.slice(1))")
    assert set(anchors) <= set(ids)


def test_without_javascript_it_is_a_plain_document_with_everything_in_it(browser: Browser, page: str) -> None:
    browser.show(page, script=False)
    rows = browser.driver.find_elements("css selector", "#package-table .more")
    assert rows and all(row.is_displayed() for row in rows)
    for selector in ("#filters", ".toggle", "#f-none"):
        assert not browser.find(selector).is_displayed(), selector
    for summary in browser.driver.find_elements("css selector", "#blockers summary"):
        summary.click()
    assert browser.find("#blockers .tiers").is_displayed()


def test_on_paper_everything_is_unfolded_and_nothing_is_a_control(browser: Browser, page: str) -> None:
    browser.show(page, scheme="dark", media="print")
    assert browser.run("return getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    for selector in ("nav", "#filters", ".toggle"):
        assert not browser.find(selector).is_displayed(), selector
    assert all(row.is_displayed() for row in browser.driver.find_elements("css selector", ".more"))
    heights = browser.run(
        "return Array.from(document.querySelectorAll('details > :not(summary)'), (each) => each.offsetHeight)"
    )
    assert heights and all(heights)
    assert [each for each in browser.run(CONTRAST) if each[1] < each[2]] == []
