"""The reports of a scan."""

from __future__ import annotations

from pathlib import Path

import jsonschema
from source.test_scan import COUNTER, look, write

from ftaudit.report.scan import scan_json, scan_table


def test_json_obeys_its_schema_with_findings_and_skipped_rows(tmp_path: Path) -> None:
    result = look(write(tmp_path, {"a.py": COUNTER, "broken.py": "def f(:\n", "latin.c": b"/* \xe9 */\n"}))
    report = scan_json.as_dict(result, exit_code=1)
    jsonschema.validate(report, scan_json.schema())
    (finding,) = report["findings"]
    assert (finding["rule"], finding["code"], finding["path"], finding["line"], finding["column"]) == (
        "global-augassign",
        "FT504",
        "a.py",
        4,
        5,
    )
    assert "broken.py" in [skip["path"] for skip in report["skipped"]]


def test_json_of_nothing_obeys_the_schema(tmp_path: Path) -> None:
    result = look(write(tmp_path, {"a.py": "x = 1\n"}))
    jsonschema.validate(scan_json.as_dict(result, exit_code=0), scan_json.schema())


def test_the_table_shows_the_line_the_summary_and_what_was_not_looked_at(tmp_path: Path) -> None:
    text = scan_table.render(look(write(tmp_path, {"a.py": COUNTER, "broken.py": "def f(:\n"})), width=80)
    assert ">     4 |     _n += 1" in text
    assert "global-augassign" in text
    assert "broken.py:1: does not parse" in text
    assert text.splitlines()[-1].startswith("1 warning · 1/2 files")


def test_control_characters_in_a_strangers_source_do_not_reach_the_terminal(tmp_path: Path) -> None:
    source = COUNTER.replace("_n += 1", "_n += 1  # \x1b[2J\x1b]0;owned\x07")
    text = scan_table.render(look(write(tmp_path, {"a.py": source})), width=80, color=True)
    assert "\x1b[2J" not in text
    assert "\x07" not in text
