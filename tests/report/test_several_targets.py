"""Several targets in one run: a report for each, side by side in every format, and the exit code of the worst."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from support.command import ftaudit
from support.compiled import BAD, GOOD, PLATFORM, release
from support.distributions import wheel
from support.index_server import IndexServer, ServedFile
from support.sarif_schema import LOG

import ftaudit as api
from ftaudit.model import Verdict, worst_exit_code
from ftaudit.report.targets import targets_json
from ftaudit.settings import Settings

ABI3T = Path(__file__).parents[2] / "fixtures" / "abi3t" / "linux-x86_64"
FILES = ("out.json", "out.md", "out.sarif", "out.xml", "out.csv", "out.svg", "out.html", "code-quality-report.json")
BOTH = ("--target", "3.14t", "--target", "3.15t")


def stable(name: str, version: str) -> ServedFile:
    """Return an abi3t wheel with a module that leaves the GIL off."""
    empty = wheel(name, version, tag=f"cp315-abi3.abi3t-{PLATFORM}")
    buffer = io.BytesIO(empty.data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(zipfile.ZipInfo(f"{name}/good.abi3t.so"), next(ABI3T.glob("good.*")).read_bytes())
    return ServedFile(filename=empty.filename, data=buffer.getvalue())


def next_release(name: str, version: str) -> tuple[ServedFile, ServedFile]:
    """Return wheels of both builds of CPython 3.15."""
    return tuple(wheel(name, version, tag=f"cp315-{abi}-{PLATFORM}") for abi in ("cp315", "cp315t"))


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of `check` for both targets, with every format that a file's name means."""

    server: IndexServer
    folder: Path
    code: int
    table: str
    requests: Counter[str]

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("targets")
    with IndexServer() as server:
        server.add_project("demo", [*release("demo", "1.0", GOOD), stable("demo", "1.0"), *release("demo", "2.0", BAD)])
        server.add_project("late", [*release("late", "1.0", BAD), stable("late", "1.0"), *release("late", "1.1", GOOD)])
        server.add_project("only-old", release("only-old", "1.0", GOOD))
        server.add_project("plain", [wheel("plain", "1.0")])
        (folder / "r.txt").write_text("demo==1.0\nlate==1.0\nonly-old==1.0\nplain==1.0\n")
        words = ["--static", "--index-url", server.simple_url, "--platform", PLATFORM, "r.txt"]
        also = [word for name in FILES for word in ("--also", name)]
        ran = ftaudit("check", *BOTH, *words, *also, cwd=folder)
        assert ran.stdout, ran.stderr
        asked = Counter(seen.path for seen in server.requests if "range" not in seen.headers)
        yield Run(server=server, folder=folder, code=ran.returncode, table=ran.stdout, requests=asked)


def test_the_exit_code_is_that_of_the_worst_target(run: Run) -> None:
    assert run.code == 1
    assert [worst_exit_code(codes) for codes in ((0, 3), (3, 1, 0), (0, 0), ())] == [3, 1, 0, 0]


def test_pages_are_requested_once_for_all_targets(run: Run) -> None:
    ours = {path: times for path, times in run.requests.items() if path.startswith("/simple/")}
    assert ours and {path: times for path, times in ours.items() if times > 2} == {}, "uv asks for each once as well"


def test_json_has_each_document_whole_and_the_packages_side_by_side(run: Run) -> None:
    found = json.loads(run.read("out.json"))
    jsonschema.Draft202012Validator(targets_json.schema()).validate(found)
    assert found["targets"] == [one["target"] for one in found["reports"]] == ["3.14t", "3.15t"]
    assert found["exit_code"] == 1
    verdicts = {row["name"]: [cell["verdict"] for cell in row["targets"].values()] for row in found["side_by_side"]}
    assert verdicts == {
        "demo": ["ready", "ready"],
        "late": ["reenables-gil", "ready"],
        "only-old": ["ready", "unavailable"],
        "plain": ["pure", "pure"],
    }
    assert {row["name"]: row["differs"] for row in found["side_by_side"]} == {
        "demo": False,
        "late": True,
        "only-old": True,
        "plain": False,
    }


def test_the_table_compares_then_tells_each_target_whole(run: Run) -> None:
    top, first, second = re.split(r"^── 3\.1[45]t ─+$", run.table, flags=re.MULTILINE)
    assert re.search(r"^package +3\.14t +3\.15t$", top, re.MULTILINE)
    assert re.search(r"^late 1\.0 +reenables-gil +ready$", top, re.MULTILINE)
    assert re.search(r"^only-old 1\.0 +ready +unavailable$", top, re.MULTILINE)
    assert "ready or pure for every target: 2 of 4 packages" in top
    assert "late 1.0  reenables-gil" in first and "late 1.0  reenables-gil" not in second
    assert "only-old 1.0  unavailable" in second and "only-old 1.0  unavailable" not in first


def test_markdown_compares_then_tells_each_target_whole(run: Run) -> None:
    told = run.read("out.md")
    assert "| **late 1.0** | reenables-gil | ready |" in told
    assert "| **only-old 1.0** | ready | unavailable |" in told
    assert told.index("### Side by side") < told.index("## 3.14t") < told.index("## 3.15t")


def test_sarif_has_a_run_for_each_target_and_no_two_of_one_category(run: Run) -> None:
    log = json.loads(run.read("out.sarif"))
    jsonschema.Draft202012Validator(LOG).validate(log)
    assert [one["automationDetails"]["id"] for one in log["runs"]] == ["ftaudit/check/3.14t/", "ftaudit/check/3.15t/"]
    subjects = [[each["message"]["text"].split(":")[0] for each in one["results"]] for one in log["runs"]]
    assert subjects == [["late 1.0"], ["only-old 1.0"]]


def test_junit_and_csv_name_the_target_of_each_row(run: Run) -> None:
    suites = ElementTree.fromstring(run.read("out.xml"))
    failed = {
        (suite.get("name"), case.get("name"))
        for suite in suites
        for case in suite.iter("testcase")
        if case.find("failure") is not None
    }
    assert failed == {(f"3.14t {PLATFORM}", "late 1.0"), (f"3.15t {PLATFORM}", "only-old 1.0")}
    rows = list(csv.DictReader(io.StringIO(run.read("out.csv"), newline="")))
    assert {(row["name"], row["target"]) for row in rows if row["blocks"] == "yes"} == {
        ("late", "3.14t"),
        ("only-old", "3.15t"),
    }
    assert len(rows) == 8


def test_a_list_of_results_tells_what_targets_share_once_and_names_them(run: Run) -> None:
    issues = json.loads(run.read("code-quality-report.json"))
    assert [issue["description"].split(":")[0] for issue in issues] == ["late 1.0 [3.14t]", "only-old 1.0 [3.15t]"]
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)


def test_a_badge_counts_for_each_target(run: Run) -> None:
    assert "3.14t 3/4, 3.15t 3/4 ready" in run.read("out.svg")


def test_the_page_has_a_part_for_each_target_and_no_id_twice(run: Run) -> None:
    page = run.read("out.html")
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert not [name for name, times in Counter(ids).items() if times > 1]
    assert set(re.findall(r'(?:href|xlink:href)="#([^"]+)"', page)) <= set(ids)
    assert set(re.findall(r'aria-controls="([^"]+)"', page)) <= set(ids)
    assert 'id="t1-package-table"' in page and 'id="t2-package-table"' in page and 'id="side-by-side"' in page


def test_one_target_named_twice_or_in_a_list_is_one_target(run: Run) -> None:
    words = ("--static", "--offline", "--index-url", run.server.simple_url, "--platform", PLATFORM, "r.txt")
    plain = ftaudit("check", *words, "--format", "json", "--target", "3.15t", cwd=run.folder)
    config = run.folder / "listed.toml"
    config.write_text('target = ["3.15t"]\n')
    listed = ftaudit("check", *words, "--format", "json", "--config", config, cwd=run.folder)
    twice = ftaudit("check", *words, "--format", "json", *("--target", "3.15t") * 2, cwd=run.folder)
    assert plain.stdout == listed.stdout == twice.stdout
    assert json.loads(plain.stdout)["target"] == "3.15t"


def test_a_configuration_names_several_targets_and_the_rest_of_it_still_counts(run: Run) -> None:
    config = run.folder / "both.toml"
    config.write_text('target = ["3.14t", "3.15t"]\nstatic = true\n')
    words = ("--offline", "--index-url", run.server.simple_url, "--platform", PLATFORM, "r.txt", "--config", config)
    ran = ftaudit("check", *words, "--format", "summary", cwd=run.folder)
    assert [line.split(" ready for ")[1].split(" on ")[0] for line in ran.stdout.splitlines()] == [
        "CPython 3.14t",
        "CPython 3.15t",
    ]


def test_a_plan_for_several_targets_compares_and_writes_only_what_all_agree_on(run: Run) -> None:
    words = ("--static", "--index-url", run.server.simple_url, "--platform", PLATFORM, "r.txt")
    ran = ftaudit("plan", *BOTH, *words, "--format", "json", cwd=run.folder)
    found = json.loads(ran.stdout)
    jsonschema.Draft202012Validator(targets_json.schema()).validate(found)
    late = next(row for row in found["side_by_side"] if row["name"] == "late")
    assert late["targets"] == {
        "3.14t": {"proposed": "1.1", "still_blocks": False},
        "3.15t": {"proposed": None, "still_blocks": False},
    }
    outlook = found["reports"][0]["outlook"]
    assert (outlook["target"], outlook["after"]) == ("3.15t", "3.16")
    assert {one["name"]: (one["version"], one["kind"], one["needs_rebuild"]) for one in outlook["packages"]} == {
        "demo": ("1.0", "abi3t", False),
        "late": ("1.1", "none", None),  # the version that the plan proposes
        "only-old": ("1.0", "none", None),
        "plain": ("1.0", "pure", False),
    }
    refused = ftaudit("plan", *BOTH, *words, "--write", cwd=run.folder)
    assert refused.returncode == 2 and "3.14t: late 1.1; 3.15t: nothing" in refused.stderr
    assert "late==1.0" in run.read("r.txt")


def test_a_migration_report_for_several_targets_has_the_outlook_in_every_format(run: Run) -> None:
    run.server.add_project("native", [*release("native", "1.0", GOOD), *next_release("native", "1.0")])
    run.server.add_project("behind", [*release("behind", "1.0", GOOD), *next_release("behind", "1.1")])
    (run.folder / "next.txt").write_text("demo==1.0\nnative==1.0\nbehind==1.0\n")
    words = ("--static", "--index-url", run.server.simple_url, "--platform", PLATFORM, "--no-scan", "--no-plan")
    also = ("--also", "migration.md", "--also", "migration.json")
    ran = ftaudit("report", *BOTH, *words, "next.txt", "-o", "migration.html", *also, cwd=run.folder)
    assert ran.returncode == 1, ran.stderr
    found = json.loads(run.read("migration.json"))
    jsonschema.Draft202012Validator(targets_json.schema()).validate(found)
    for one in found["reports"]:
        packages = {each["name"]: each for each in one["outlook"]["packages"]}
        assert {name: (each["kind"], each["later"], each["needs_rebuild"]) for name, each in packages.items()} == {
            "demo": ("abi3t", None, False),
            "native": ("free-threaded", None, True),
            "behind": ("none", "1.1", None),
        }
    assert "- **cp315t** (1): native 1.0 — each needs another build for 3.16" in run.read("migration.md")
    page = run.read("migration.html")
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert not [name for name, times in Counter(ids).items() if times > 1]
    assert 'id="t2-outlook"' in page and "behind 1.0 (1.1 has one)" in page


def test_reports_of_several_targets_are_compared_target_by_target(run: Run) -> None:
    words = ("--static", "--index-url", run.server.simple_url, "--platform", PLATFORM)
    (run.folder / "new.txt").write_text("demo==2.0\nlate==1.0\nonly-old==1.0\nplain==1.0\n")
    ftaudit("check", *BOTH, *words, "new.txt", "--output", "new.json", cwd=run.folder)
    ran = ftaudit("diff", "out.json", "new.json", "--format", "json", cwd=run.folder)
    changes = {
        (change["subject"], place): change["kind"]
        for change in json.loads(ran.stdout)["changes"]
        for place in change["platforms"]
        if change["finding"] is None
    }
    assert ran.returncode == 1
    assert changes == {("demo", f"3.14t {PLATFORM}"): "worse", ("demo", f"3.15t {PLATFORM}"): "worse"}


def test_one_interpreter_is_not_that_of_several_targets(run: Run) -> None:
    ran = ftaudit("check", *BOTH, "--python", "/usr/bin/python3", "r.txt", cwd=run.folder)
    assert ran.returncode == 2 and "--python names one interpreter" in ran.stderr


def test_the_typed_call_returns_a_report_for_each_target(run: Run) -> None:
    settings = Settings(
        static=True,
        offline=True,
        index_url=run.server.simple_url,
        platforms=(PLATFORM,),
        cache_dir=run.folder / ".ftaudit-cache",
        no_deps=True,
    )
    reports = api.audit_targets(run.folder / "r.txt", targets=("3.15t", "3.14t"), settings=settings)
    assert [report.target for report in reports] == ["3.15t", "3.14t"]
    assert [row.verdict for report in reports for row in report.packages if row.facts.pin.name == "late"] == [
        Verdict.READY,
        Verdict.REENABLES_GIL,
    ]


def test_a_scan_for_several_targets_says_which_target_a_finding_is_for(tmp_path: Path) -> None:
    (tmp_path / "module.c").write_text("#define Py_LIMITED_API 0x030c0000\n#include <Python.h>\n")
    ran = ftaudit("scan", "module.c", *BOTH, "--format", "json", cwd=tmp_path)
    found = json.loads(ran.stdout)
    assert found["target"] == "3.14t, 3.15t"
    assert {finding["code"]: finding["targets"] for finding in found["findings"]}
