"""When the user's own code loads a package, in every format: each says the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.migrations import LINUX, REACH, migration

from ftaudit.model.reach_sentences import cut_sentence, reach_sentences
from ftaudit.report import formats
from ftaudit.report.formats import Format
from ftaudit.report.package import check_json, check_markdown, check_table
from ftaudit.report.plan import plan_json, plan_markdown, plan_table
from ftaudit.report.results import results, sarif
from ftaudit.report.results.result_places import Places

PLACES = Places(folder=Path("/repo"), root=Path("/repo"))
WHOLE = migration()
(WAY, CUT, OPTIONAL) = reach_sentences(REACH.modules[0])


def unwrapped(text: str) -> str:
    return " ".join(text.split())


def test_the_table_markdown_and_html_have_the_sentences_of_a_module() -> None:
    table = unwrapped(check_table.render(WHOLE.report, width=300))
    markdown = check_markdown.render(WHOLE.report).replace("&#95;", "_")
    page = formats.render_migrations([WHOLE], Format.HTML)
    for said in (WAY, CUT, OPTIONAL):
        assert f"reach: {said}" in table
        assert f"reach: {said}" in markdown.replace("`", "")
        assert said in page
    for text in (table, markdown, page):
        assert "web/load.py:9" in text


def test_sarif_has_the_import_chain_as_a_code_flow_and_ranks_what_is_loaded_at_start() -> None:
    found = sarif.as_dict(results.of_report(WHOLE.report, places=PLACES), places=PLACES)["runs"][0]
    (blocked,) = [each for each in found["results"] if "reach" in each["properties"] and each["kind"] == "fail"]
    assert blocked["rank"] == 100.0 and WAY in blocked["message"]["text"]
    assert blocked["properties"]["reach"][0]["platform"] == LINUX
    ((flow,),) = [each["threadFlows"] for each in blocked["codeFlows"]]
    places = [each["location"]["physicalLocation"] for each in flow["locations"]]
    assert [(each["artifactLocation"], each["region"]["startLine"]) for each in places] == [
        ({"uri": "app/main.py", "uriBaseId": "%SRCROOT%"}, 1),
        ({"uri": "app/feed.py", "uriBaseId": "%SRCROOT%"}, 3),
        ({"uri": "guilty/__init__.py", "uriBaseId": "%SITE_PACKAGES%"}, 7),
    ]
    assert "os.environ" in flow["locations"][-1]["location"]["message"]["text"]


def test_the_plan_names_the_imports_to_change_in_every_format() -> None:
    assert WHOLE.plan is not None
    cut = cut_sentence("guilty-pkg 1.0", REACH.modules[0].cuts)
    assert f"at start: {cut}" in unwrapped(plan_table.render(WHOLE.plan, width=300))
    assert cut in plan_markdown.render(WHOLE.plan).replace("`", "")
    (row,) = json.loads(plan_json.render(WHOLE.plan))["reach"]
    assert (row["name"], row["class"], row["platform"]) == ("guilty-pkg", "start", LINUX)
    module = check_json.as_dict(WHOLE.report)["packages"][0]["modules"][0]
    assert {**module["reach"], "module": module["name"]} == row["modules"][0]


@pytest.mark.parametrize("form", [Format.MARKDOWN, Format.HTML])
def test_a_report_without_start_points_says_nothing_about_them(form: Format) -> None:
    import dataclasses

    assert WHOLE.plan is not None
    quiet = migration(
        report=dataclasses.replace(WHOLE.report, reach=(), package_reach=()),
        plan=dataclasses.replace(WHOLE.plan, reach=()),
    )
    assert "Your code" not in formats.render_migrations([quiet], form)
