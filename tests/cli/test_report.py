"""`ftaudit report` through the command line: its input, its output, and its notes on omissions."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version
from selectolax.lexbor import LexborHTMLParser
from support.command import ftaudit
from support.distributions import wheel
from support.index_server import IndexServer
from support.reports import EMPTY

from ftaudit.model import Pin
from ftaudit.report.package.package_links import package_links
from ftaudit.urls import default_index

LAZY = """\
STATE = None

def state():
    global STATE
    if STATE is None:
        STATE = object()
    return STATE
"""


@pytest.fixture(scope="module")
def server() -> Iterator[IndexServer]:
    with IndexServer() as started:
        started.add_project("good", [wheel("good", "1.0")])
        started.add_project("other", [wheel("other", "1.0", tag="cp314-cp314-win_amd64")])
        yield started


@pytest.fixture
def project(tmp_path: Path, server: IndexServer) -> Path:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'shop'\nversion = '1'\n")
    (tmp_path / "requirements.txt").write_text("good==1.0\nother==1.0\n")
    (tmp_path / "shop.py").write_text(LAZY)
    return tmp_path


def told(path: Path, selector: str) -> str:
    found = LexborHTMLParser(path.read_text("utf-8")).css_first(selector)
    return "" if found is None else " ".join(found.text(separator=" ").split())


def test_a_path_that_does_not_exist_is_a_usage_error_and_leaves_no_file(project: Path, server: IndexServer) -> None:
    ran = ftaudit(
        *("report", "--static", "--index-url", server.simple_url, "requirements.txt"),
        *("--scan", "absent", "-o", "report.html"),
        cwd=project,
    )
    assert ran.returncode == 2 and "absent" in ran.stderr and "Traceback" not in ran.stderr
    assert not (project / "report.html").exists()


def test_a_format_that_it_does_not_have_is_a_usage_error(project: Path) -> None:
    ran = ftaudit("report", "--format", "sarif", "requirements.txt", cwd=project)
    assert ran.returncode == 2 and "html" in ran.stderr and "markdown" in ran.stderr


def test_the_page_has_the_audit_and_the_source_of_the_project_that_the_input_lies_in(
    project: Path, server: IndexServer
) -> None:
    url = server.simple_url.replace("://", "://me:secret@")
    ran = ftaudit(
        *("report", "--static", "--no-deps", "--index-url", url, "requirements.txt", "-o", "report.html"), cwd=project
    )
    assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
    page = project / "report.html"
    assert told(page, "h1").startswith("1 of 2 packages keeps you from free-threaded CPython 3.14")
    assert "other 1.0" in told(page, "#blockers h3")
    assert "FT501" in told(page, "#source h3") and "STATE is None" in told(page, ".hazard .hit")
    assert "lines of this folder" in told(page, "#source p")
    reproduce = told(page, "#reproduce")
    assert "ftaudit report --static --no-deps --index-url http://127.0.0.1" in reproduce
    assert hashlib.sha256((project / "requirements.txt").read_bytes()).hexdigest() in reproduce
    assert "secret" not in page.read_text("utf-8")


def test_an_input_in_no_project_has_no_source_scanned_and_the_report_says_so(
    project: Path, server: IndexServer
) -> None:
    (project / "pyproject.toml").unlink()
    index = ("--static", "--no-deps", "--index-url", server.simple_url)
    ftaudit("report", *index, "requirements.txt", "-o", "report.html", cwd=project)
    assert "no input is in a project folder" in told(project / "report.html", "#unchecked")
    ftaudit("report", *index, "requirements.txt", "--scan", "shop.py", "-o", "report.html", cwd=project)
    assert "FT501" in told(project / "report.html", "#source h3")


def test_the_page_names_the_project_and_links_each_package_to_its_pages(project: Path, server: IndexServer) -> None:
    secret = server.simple_url.replace("://", "://me:secret@")
    index = ("--static", "--no-deps", "--no-plan", "--no-scan", "--index-url", secret)
    ftaudit("report", *index, "requirements.txt", "-o", "report.html", cwd=project)
    assert "Free-threading report · shop · requirements.txt" in told(project / "report.html", "header .eyebrow")
    page = LexborHTMLParser((project / "report.html").read_text("utf-8"))
    links = {str(link.attributes["href"]): link.text() for link in page.css("a[href^=http]")}
    assert links == {f"{server.simple_url}{name}/": "files on the index" for name in ("good", "other")}


@pytest.mark.parametrize(
    "text", ["", "[project\n", "project = 3\n", "[project]\nname = 3\n", "[project]\nname = '<b>'\n"]
)
def test_a_project_file_without_a_usable_name_leaves_it_out(text: str, project: Path) -> None:
    (project / "pyproject.toml").write_text(text)
    ftaudit("report", "--static", "--offline", "--no-scan", "requirements.txt", "-o", "report.html", cwd=project)
    assert "Free-threading report · requirements.txt" in told(project / "report.html", "header .eyebrow")


def test_only_the_default_index_has_project_pages() -> None:
    pin = Pin(name=canonicalize_name("demo"), version=Version("1.0"))
    found = package_links(pin, replace(EMPTY, indexes=(f"{default_index().rstrip('/')}/",)))
    site = default_index().rstrip("/").removesuffix("/simple")
    assert [(each.label, each.url) for each in found] == [
        ("project page", f"{site}/project/demo/1.0/"),
        ("files on the index", f"{default_index().rstrip('/')}/demo/"),
    ]
    two = replace(EMPTY, indexes=("https://a.example/simple/", "https://b.example/simple/"))
    assert package_links(pin, two) == ()


def test_parts_that_are_left_out_are_named(project: Path, server: IndexServer) -> None:
    index = ("--static", "--no-deps", "--index-url", server.simple_url)
    ftaudit("report", *index, "requirements.txt", "--no-scan", "--no-plan", "-o", "report.html", cwd=project)
    unchecked = told(project / "report.html", "#unchecked")
    assert "--no-scan" in unchecked and "--no-plan" in unchecked
    assert told(project / "report.html", "#plan") == ""


def test_the_name_of_the_file_says_the_format_and_the_page_is_what_goes_without_saying(
    project: Path, server: IndexServer
) -> None:
    index = ("--static", "--no-deps", "--no-plan", "--index-url", server.simple_url, "requirements.txt")
    page = ftaudit("report", *index, cwd=project, env={"SOURCE_DATE_EPOCH": "1790000000"}).stdout
    assert page.startswith("<!doctype html>") and "2026-09-21" in page
    ftaudit("report", *index, "-o", "report.md", "--also", "report.json", cwd=project)
    assert (project / "report.md").read_text("utf-8").startswith("# Free-threading report for shop: blocked")
    document = json.loads((project / "report.json").read_text("utf-8"))
    assert document["check"]["exit_code"] == document["exit_code"] == 1
    assert document["plan"] is None and document["scan"]["findings"]
    assert document["reproduction"]["commands"][0].endswith("-o report.md --also report.json")


@pytest.mark.parametrize(("requirements", "code"), [("good==1.0\n", 0), ("absent==1.0\n", 3)])
def test_the_exit_code_is_that_of_check(requirements: str, code: int, project: Path, server: IndexServer) -> None:
    (project / "requirements.txt").write_text(requirements)
    index = ("--static", "--no-deps", "--index-url", server.simple_url, "requirements.txt")
    assert ftaudit("check", *index, cwd=project).returncode == code
    assert ftaudit("report", *index, "--no-scan", "-o", "report.html", cwd=project).returncode == code


def test_check_and_wheel_have_the_page_too(project: Path, server: IndexServer) -> None:
    index = ("--static", "--no-deps", "--index-url", server.simple_url, "requirements.txt")
    ran = ftaudit("check", *index, "-o", "check.html", cwd=project)
    assert ran.returncode == 1, ran.stderr
    assert "other 1.0" in told(project / "check.html", "#blockers h3")


def test_what_is_no_ordinary_file_is_written_to_and_never_replaced(project: Path, server: IndexServer) -> None:
    pipe, link, real = project / "pipe", project / "link.md", project / "real.md"
    os.mkfifo(pipe)
    link.symlink_to(real.name)
    index = ("--static", "--no-deps", "--no-plan", "--no-scan", "--index-url", server.simple_url, "requirements.txt")
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    ran = ftaudit("report", *index, "-o", pipe, "--also", link, cwd=project)
    told, _ = reader.communicate(timeout=60)
    assert ran.returncode == 1 and told.startswith(b"<!doctype html>"), ran.stderr
    assert pipe.is_fifo()
    assert link.is_symlink() and real.read_text("utf-8").startswith("# Free-threading report")
