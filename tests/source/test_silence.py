"""Comments that silence findings, and those that silence nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from source.test_scan import look, places, rules, write

C_CACHE = (
    "#include <Python.h>\n"
    "static PyObject *cache;\n"
    "PyObject *f(PyObject *m, PyObject *a) {\n"
    "    if (!cache) cache = PyDict_New();{comment}\n"
    "    return Py_NewRef(cache);\n"
    "}\n"
)


def counter(comment: str, before: str = "") -> str:
    return f"_n = 0\ndef f():\n    global _n\n{before}    _n += 1{comment}\n"


@pytest.mark.parametrize(
    "text",
    [
        counter("  # ftaudit: ignore[global-augassign] one thread only"),
        counter("  # ftaudit: ignore[FT504]"),
        counter("  # ftaudit: ignore[FT5] the group"),
        counter("  # ftaudit: ignore[FT501, FT504]"),
        counter("", "    # ftaudit: ignore[FT504] the next line\n"),
        counter("", "    # ftaudit: ignore-next-line[FT504]\n\n"),
        counter("  # ftaudit: ignore"),
        "# ftaudit: ignore-file[FT504] all of it\n" + counter(""),
        "# ftaudit: ignore-start[FT504]\n" + counter("") + "# ftaudit: ignore-end[FT504]\n",
        "_n = 0\ndef f():\n    global _n\n    _n += g(\n        1,\n    )  # ftaudit: ignore[FT504]\n",
    ],
)
def test_a_comment_silences_the_rule_that_it_names(tmp_path: Path, text: str) -> None:
    result = look(write(tmp_path, {"a.py": text}))
    assert "global-augassign" not in {finding.rule for finding in result.findings}
    assert [finding.rule for finding in result.silenced] == ["global-augassign"]


@pytest.mark.parametrize(
    "text",
    [
        counter("  # ftaudit: ignore[FT999]"),
        counter("  # ftaudit: ignore[shared-iterator]"),
        counter('; s = "ftaudit: ignore[FT504]"'),
        "# ftaudit: ignore-start[FT504]\nx = 1\n# ftaudit: ignore-end[FT504]\n" + counter(""),
        "# ftaudit: ignore[FT504] stands before another line\nx = 1\n" + counter(""),
    ],
)
def test_a_comment_elsewhere_or_for_another_rule_silences_nothing(tmp_path: Path, text: str) -> None:
    result = look(write(tmp_path, {"a.py": text}))
    assert "global-augassign" in {finding.rule for finding in result.findings}
    assert result.silenced == ()


def test_a_comment_that_silences_nothing_is_reported_at_its_line(tmp_path: Path) -> None:
    result = look(write(tmp_path, {"a.py": "x = 1\ny = 2  # ftaudit: ignore[FT504] was a counter\n"}))
    assert places(result) == ["a.py:2 idle-ignore"]


def test_a_name_of_no_rule_is_reported(tmp_path: Path) -> None:
    result = look(write(tmp_path, {"a.py": "x = 1  # ftaudit: ignore[global-augasign]\n"}))
    assert [finding.message for finding in result.findings] == ["there is no rule `global-augasign`"]


def test_a_comment_for_a_rule_that_did_not_run_is_not_called_idle(tmp_path: Path) -> None:
    assert look(write(tmp_path, {"a.py": "x = 1  # ftaudit: ignore[FT501]\n"})).findings == ()


@pytest.mark.parametrize("comment", [" /* ftaudit: ignore[FT3] known */", " // ftaudit: ignore[FT3] known"])
def test_c_comments_silence_too(tmp_path: Path, comment: str) -> None:
    chosen = rules("static-pyobject-cache")
    loud = look(write(tmp_path / "loud", {"a.c": C_CACHE.replace("{comment}", "")}), chosen)
    assert {finding.rule for finding in loud.findings} == {"static-pyobject-cache"}
    (place,) = {finding.location.line for finding in loud.findings if finding.location}
    lines = C_CACHE.replace("{comment}", "").split("\n")
    lines[(place or 1) - 1] += comment
    result = look(write(tmp_path / "silent", {"a.c": "\n".join(lines)}), chosen)
    assert result.findings == ()
    assert len(result.silenced) == 1


def test_numpys_marker_silences_borrowed_references_and_is_never_idle(tmp_path: Path) -> None:
    text = (
        "#include <Python.h>\n"
        "PyObject *f(PyObject *self, PyObject *list) {\n"
        "    PyObject *x = PyList_GetItem(list, 0); // noqa: borrowed-ref OK\n"
        "    return Py_NewRef(x);\n"
        "}\n"
        "int g;  // noqa: borrowed-ref OK\n"
    )
    loud = look(write(tmp_path / "loud", {"a.c": text.replace("noqa", "note")}), rules("borrowed-list-item"))
    assert len(loud.findings) == 1
    assert look(write(tmp_path / "silent", {"a.c": text}), rules("borrowed-list-item")).findings == ()


C_FAR = (
    "#include <Python.h>\n"
    "static int calls;{declaration}\n"
    "static int a;\nstatic int b;\nstatic int c;\n"
    "PyObject *f(PyObject *m, PyObject *o) {\n"
    "    calls++;{write}\n"
    "    return PyLong_FromLong(calls);\n"
    "}\n"
)


def test_a_comment_at_a_far_write_leaves_the_finding_at_the_declaration(tmp_path: Path) -> None:
    text = C_FAR.replace("{declaration}", "").replace("{write}", "  // ftaudit: ignore[FT321] one thread")
    result = look(write(tmp_path, {"a.c": text}), rules("FT321"))
    assert [place for place in places(result) if "idle" not in place] == ["a.c:2 mutable-global"]


def test_a_comment_at_the_declaration_silences_the_finding_with_its_writes(tmp_path: Path) -> None:
    text = C_FAR.replace("{declaration}", "  // ftaudit: ignore[FT321] one thread").replace("{write}", "")
    result = look(write(tmp_path, {"a.c": text}), rules("FT321"))
    assert not result.findings
    assert [finding.location.line for finding in result.silenced if finding.location] == [2]
    assert [site.location.line for site in result.silenced[0].sites] == [7]
    pyx = "cdef int calls = 0  # ftaudit: ignore[FT402] one thread\n" + "\n" * 5
    pyx += "def f():\n    global calls\n    calls += 1\n"
    cython = look(write(tmp_path / "cython", {"a.pyx": pyx}), rules("FT402"))
    assert "cython-mutable-module-global" not in {finding.rule for finding in cython.findings}
    assert [finding.location.line for finding in cython.silenced if finding.location] == [1]
    assert [site.location.line for site in cython.silenced[0].sites] == [9]


def test_a_comment_at_another_declaration_silences_no_write(tmp_path: Path) -> None:
    text = C_FAR.replace("{declaration}", "").replace("{write}", "")
    text = text.replace("static int b;", "static int b;  // ftaudit: ignore[FT321] one thread")
    result = look(write(tmp_path, {"a.c": text}), rules("FT321"))
    assert [place for place in places(result) if "idle" not in place] == [
        "a.c:2 mutable-global",
    ]


def test_a_comment_at_one_of_many_variables_silences_that_variable_alone(tmp_path: Path) -> None:
    names = ("first", "second", "third", "fourth", "fifth")
    text = "#include <Python.h>\n" + "".join(
        f"static int {name};{'  // ftaudit: ignore[FT321] one thread' if name == 'first' else ''}\n" for name in names
    )
    text += (
        "PyObject *f(PyObject *m, PyObject *o) {\n"
        + "".join(f"    {name}++;\n" for name in names)
        + "    return o;\n}\n"
    )
    result = look(write(tmp_path, {"a.c": text}), rules("FT321"))
    assert places(result) == ["a.c:3 mutable-global"]
    assert [finding.location.line for finding in result.silenced if finding.location] == [2]
    reported = {site.location.line for site in result.findings[0].sites}
    assert {3, 4, 5, 6, 9, 10, 11, 12} <= reported
