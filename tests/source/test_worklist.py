"""A scan as a work list: order, groups, the state table, and the next step."""

from __future__ import annotations

from pathlib import Path

import jsonschema
from source.test_scan import COUNTER, write

from ftaudit.registry import load_rules
from ftaudit.report.scan import scan_json, scan_table
from ftaudit.report.scan.worklist import WorkStep, groups, tasks
from ftaudit.rule import SourceRule
from ftaudit.source.source_files import find_files
from ftaudit.source.tree_scan import ScanResult, scan
from ftaudit.target import parse_target

CONN = """\
cdef class Conn:
    cdef conn_t *ptr
    cdef int sent
    def send(self):
        conn_send(self.ptr)
    def close(self):
        conn_close(self.ptr)
        self.ptr = NULL
"""


def look(folder: Path) -> ScanResult:
    """Scan with the rules of the default profile."""
    chosen = load_rules().select(select=(), ignore=(), pedantic=False)
    rules = [rule for rule in chosen if isinstance(rule, SourceRule)]
    return scan(find_files([folder]), rules=rules, target=parse_target("3.14t"), jobs=0)


def test_what_crashes_comes_first_and_the_declaration_last(tmp_path: Path) -> None:
    result = look(write(tmp_path, {"a.py": COUNTER, "conn.pyx": CONN, "setup.py": "cythonize(['conn.pyx'])\n"}))
    steps = [group.step for group in groups(result)]
    assert steps == sorted(steps, key=list(WorkStep).index)
    assert [task.step for task in tasks(result)] == [WorkStep.CRASHES, WorkStep.WRONG, WorkStep.DECLARE]


def test_findings_about_the_state_of_one_type_are_one_group_with_its_name(tmp_path: Path) -> None:
    (first, *_) = groups(look(write(tmp_path, {"conn.pyx": CONN})))
    assert (first.step, first.title) == (WorkStep.CRASHES, "Conn")


def test_the_summary_and_the_closing_line_count_the_same(tmp_path: Path) -> None:
    text = scan_table.render(look(write(tmp_path, {"a.py": COUNTER, "conn.pyx": CONN})), width=100)
    start = text.index("findings  code")
    rows = [line.split() for line in text[start:].split("\n\n")[0].splitlines()[1:]]
    closing = text.splitlines()[-1]
    for severity in ("error", "warning"):
        assert f"{sum(int(row[0]) for row in rows if row[-1] == severity)} {severity}" in closing


def test_the_state_table_says_who_uses_what_under_which_lock(tmp_path: Path) -> None:
    result = look(write(tmp_path, {"conn.pyx": CONN}))
    text = scan_table.render(result, width=100, state=True)
    assert ["Conn.ptr", "close", "send", "no", "lock"] in [line.split() for line in text.splitlines()]
    report = scan_json.as_dict(result, exit_code=1)
    jsonschema.validate(report, scan_json.schema())
    (row,) = [row for row in report["states"] if row["name"] == "ptr"]
    assert (row["writers"], row["readers"], row["locks"]) == (["close"], ["send"], [])


def test_a_scan_that_finds_nothing_says_what_comes_next(tmp_path: Path) -> None:
    text = scan_table.render(look(write(tmp_path, {"a.py": "x = 1\n"})), width=100)
    for word in ("Next steps", "pytest-run-parallel", "ThreadSanitizer", "cibuildwheel", "Free Threading"):
        assert word in text
