"""Index pages in HTML and JSON: plain, odd, hostile and truncated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from ftaudit.errors import IndexUnreachable
from ftaudit.index.page import Page, reduce_html

FIXTURES = Path(__file__).parents[2] / "fixtures" / "index"
URL = "https://index.example/simple/demo/"
DEMO = canonicalize_name("demo")


def html(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def names(body: bytes, version: str | None, form: str = "html", **kwargs: Any) -> list[str]:
    page = Page(body, url=URL, form=form, **kwargs)
    return [file.filename for _, file in page.files(DEMO, None if version is None else Version(version))]


@pytest.mark.parametrize("fixture", ["plain.html", "odd.html"])
def test_a_page_cut_off_anywhere_is_refused_and_never_a_shorter_list(fixture: str) -> None:
    whole = html(fixture)
    end = whole.lower().rindex(b"</body>")
    for cut in range(0, end, 37):
        with pytest.raises(IndexUnreachable):
            names(whole[:cut], "1.0")


def test_a_page_without_html_and_body_tags_is_taken_whole_and_refused_when_it_ends_inside_a_link() -> None:
    link = b'<a href="demo-1.0.tar.gz">demo-1.0.tar.gz</a>'
    assert names(link * 2, "1.0") == ["demo-1.0.tar.gz"] * 2
    for cut in (len(link) + 2, len(link) + 20, 2 * len(link) - 1):
        with pytest.raises(IndexUnreachable, match="is truncated"):
            names((link * 2)[:cut], "1.0")


@pytest.mark.parametrize("body", [b"", b"   ", b"Bad gateway", b"\x00\xff\x00", b'{"files": []}'])
def test_what_is_no_html_page_is_refused(body: bytes) -> None:
    with pytest.raises(IndexUnreachable, match="not a page of links"):
        names(body, "1.0")


def test_version_2_of_the_api_is_refused_in_both_forms() -> None:
    with pytest.raises(IndexUnreachable, match=r"version '2\.0'"):
        names(html("api-2.html"), "1.0")
    with pytest.raises(IndexUnreachable, match=r"version '2\.1'"):
        names(b'{"meta": {"api-version": "2.1"}, "name": "demo", "files": []}', "1.0", "json")
    with pytest.raises(IndexUnreachable, match="version 'soon'"):
        names(b'{"meta": {"api-version": "soon"}, "name": "demo", "files": []}', "1.0", "json")


def test_an_odd_page_is_read_as_a_browser_reads_it() -> None:
    page = Page(html("odd.html"), url=URL, form="html")
    files = {file.filename: file for _, file in page.files(DEMO, Version("1.0"))}
    assert sorted(files) == [
        "demo-1.0-1-py3-none-any.whl",
        "demo-1.0-cp314-cp314t-linux_x86_64.whl",
        "demo-1.0.tar.gz",
        "demo-v1.0.0.zip",
    ]
    wheel = files["demo-1.0-cp314-cp314t-linux_x86_64.whl"]
    assert wheel.url == "https://mirror.example/deep/demo-1.0-cp314-cp314t-linux_x86_64.whl"
    assert wheel.hashes == (("sha256", "abcdef"),)
    assert wheel.requires_python == ">=3.9, <4"
    assert files["demo-1.0.tar.gz"].requires_python == ">=3.8"
    assert files["demo-1.0-1-py3-none-any.whl"].url == (
        "https://mirror.example/files/demo-1.0-1-py3-none-any.whl?token=1&x=2"
    )
    assert page.skipped >= 5, "script and ftp links, another project's file, a name without a version"


def test_credentials_in_a_link_are_taken_out() -> None:
    page = Page(html("odd.html"), url=URL, form="html")
    urls = [str(file.url) for _, file in page.files(DEMO)]
    assert "https://mirror.example/demo-v1.0.0.zip" in urls
    assert not any("secret" in url for url in urls)


def test_a_link_marked_yanked_without_a_reason_is_yanked() -> None:
    page = Page(html("odd.html"), url=URL, form="html")
    [(version, file)] = page.files(DEMO, Version("1.0+local.1"))
    assert (str(version), file.yanked) == ("1.0+local.1", "")


@pytest.mark.parametrize("fixture", ["plain.html", "odd.html"])
def test_reading_one_version_gives_what_reading_all_gives(fixture: str) -> None:
    everything = Page(html(fixture), url=URL, form="html").files(DEMO)
    for wanted in ("0.9", "1.0", "1.0.0", "1.0.1", "1.10", "1.1", "2.0", "2.0rc1", "2", "1.0+local.1", "10"):
        version = Version(wanted)
        some = Page(html(fixture), url=URL, form="html").files(DEMO, version)
        assert some == [pair for pair in everything if pair[0] == version]


@pytest.mark.parametrize("fixture", ["plain.html", "odd.html"])
def test_reading_later_versions_gives_what_reading_all_gives(fixture: str) -> None:
    everything = Page(html(fixture), url=URL, form="html").files(DEMO)
    for pinned in ("0.8", "0.9", "1.0", "1.0.1", "1.0+local.1", "1.9", "2.0rc1", "2.0", "10"):
        later = Page(html(fixture), url=URL, form="html").files(DEMO, after=Version(pinned))
        assert later == [pair for pair in everything if pair[0] > Version(pinned)]


@pytest.mark.parametrize(
    "spelled",
    ["demo-1.5.tar.gz", "demo-v1.5.tar.gz", "demo-01.05.zip", "demo-0!1.5.tar.gz", "Demo-1.5-1-py3-none-any.whl"],
)
def test_every_spelling_of_a_later_version_is_read(spelled: str) -> None:
    page = f'<html><body><a href="demo-1.4.tar.gz">demo-1.4.tar.gz</a>\n<a href="{spelled}">{spelled}</a></body></html>'
    found = Page(page.encode(), url=URL, form="html").files(DEMO, after=Version("1.4"))
    assert [(str(version), file.filename) for version, file in found] == [("1.5", spelled)]


def test_a_plain_page_is_reduced_to_the_wanted_links_and_an_odd_one_is_left_alone() -> None:
    assert len(reduce_html(html("plain.html"), lambda name: b"1.0.1" in name)) < len(html("plain.html")) / 3
    assert reduce_html(html("odd.html"), lambda name: b"1.0" in name) == html("odd.html")


@pytest.mark.parametrize(
    "spelled", ["demo-1.5.tar.gz", "demo-1.5.0.0.tar.gz", "demo-v1.5.tar.gz", "demo-01.05.tar.gz", "demo-0!1.5.zip"]
)
def test_every_spelling_of_a_version_survives_the_reduction(spelled: str) -> None:
    links = [f'<a href="https://files.example/{name}">{name}</a>' for name in ("demo-1.50.tar.gz", spelled)]
    page = f"<html><body>{''.join(links)}</body></html>".encode()
    assert names(page, "1.5") == [spelled]


def test_links_whose_text_is_not_the_file_name_survive_the_reduction() -> None:
    page = b'<html><body><a href="demo-1.5.tar.gz">demo-1..&gt;</a><a href="demo-1.5.zip">get it</a></body></html>'
    assert names(page, "1.5") == ["demo-1.5.tar.gz", "demo-1.5.zip"]


def test_yanked_and_requires_python_are_read_from_a_plain_page() -> None:
    page = Page(html("plain.html"), url=URL, form="html")
    assert {file.yanked for _, file in page.files(DEMO, Version("1.10"))} == {"broken on <macOS>"}
    assert {file.requires_python for _, file in page.files(DEMO, Version("1.0.1"))} == {">=3.9"}


def test_windows_installers_and_eggs_are_neither_files_nor_complaints() -> None:
    page = Page(html("plain.html"), url=URL, form="html")
    assert [file.filename for _, file in page.files(DEMO, Version("0.9"))] == ["demo-0.9.tar.gz"]
    assert page.skipped == 0


@pytest.mark.parametrize("charset", [None, "utf-8", "latin-1", "no-such-charset", "utf-16"])
def test_a_page_in_another_encoding_is_read(charset: str | None) -> None:
    text = html("plain.html").decode().replace("<h1>Links", "<h1>Verknüpfungen")
    codec = charset if charset in ("latin-1", "utf-16") else "utf-8"
    assert len(names(text.encode(codec), "1.0.1", charset=charset)) == 4


def test_json_gives_the_same_facts() -> None:
    page = Page(html("plain.json"), url=URL, form="json")
    sdist, wheel = (file for _, file in page.files(DEMO, Version("1.0")))
    assert (sdist.url, sdist.hashes, sdist.size) == (
        "https://index.example/files/demo-1.0.tar.gz",
        (("sha256", "aa11"),),
        10,
    )
    assert (wheel.requires_python, wheel.yanked) == (">=3.9", "broken")
    assert page.skipped == 2, "another project's file and an ftp URL"
    [(_, later)] = page.files(DEMO, Version("1.0.1"))
    assert later.yanked == ""


def test_json_cut_off_anywhere_is_refused() -> None:
    whole = html("plain.json").rstrip()
    for cut in range(0, len(whole), 13):
        with pytest.raises(IndexUnreachable):
            names(whole[:cut], "1.0", "json")


@pytest.mark.parametrize(
    "change",
    [
        {"files": None},
        {"files": {}},
        {"files": [3]},
        {"files": [{"url": "x"}]},
        {"files": [{"filename": "demo-1.0.tar.gz"}]},
        {"files": [{"filename": "demo-1.0.tar.gz", "url": "x", "hashes": []}]},
        {"files": [{"filename": "demo-1.0.tar.gz", "url": 7, "hashes": {}}]},
        {"files": [{"filename": "demo-1.0.tar.gz", "url": "x", "hashes": {}, "yanked": 5}]},
        {"name": "other"},
        {"name": 4},
    ],
)
def test_json_of_the_wrong_types_is_refused(change: dict[str, object]) -> None:
    page = {"meta": {"api-version": "1.0"}, "name": "demo", "files": [], **change}
    with pytest.raises(IndexUnreachable):
        names(json.dumps(page).encode(), "1.0", "json")


@pytest.mark.parametrize("body", [b"[]", b"null", b"[" * 100_000, b'{"files": [], "meta": "\xff"}'])
def test_json_that_is_no_page_is_refused(body: bytes) -> None:
    with pytest.raises(IndexUnreachable):
        names(body, "1.0", "json")


def test_a_hostile_page_is_read_in_time_that_grows_with_its_size() -> None:
    """Each of these takes minutes with a careless pattern; the failure here is a hang."""
    names_ = ["demo-" + "1-" * 122 + ".whl", "demo-1" + "-1.win" * 40 + ".zip", "demo-" + "9" * 5000 + ".tar.gz"]
    listed = "".join(f'<a href="{name}">{name}</a>' for name in names_ * 2000)
    assert names(f"<html><body>{listed}</body></html>".encode(), "1.0") == []
    assert names(b"<html><body>" + b"<a " * 1_000_000 + b"</a></body></html>", "1.0") == []
