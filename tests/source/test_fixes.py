"""Fixes as users get them: a diff that `git apply` accepts, safe ones written, and everything else unchanged."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support.fixture_wheels import GOOD, GUILTY, wheel_of
from support.freethreaded import interpreter

from ftaudit.cli import main as run_main
from ftaudit.model import Applicability, Fix, NoFix, Obstacle, SourceEdit
from ftaudit.rule import Language
from ftaudit.source.fixing.offer import select
from ftaudit.source.fixing.original import Original

MODULES = "import sys\ndef names():\n    return [m for m in sys.modules.values() if m]  # {note}\n"
INTERVAL = "import sys\ndef serve():\n    sys.setswitchinterval(0.001)\n    return 1\n"
FILES = {
    "crlf.py": MODULES.format(note="ü").replace("\n", "\r\n").encode(),
    "marked.py": b"\xef\xbb\xbf" + MODULES.format(note="ü").encode(),
    "latin.py": ("# coding: latin-1\n" + MODULES.format(note="ü")).encode("latin-1"),
    "unended.py": MODULES.format(note="no newline").rstrip().encode(),
    "mixed.py": MODULES.format(note="one").replace("names():\n", "names():\r\n").encode(),
    "suggested.py": INTERVAL.encode(),
    "clean.py": b"x = 1\n",
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_diff_applies_and_keeps_encodings_and_line_ends_and_write_makes_only_what_is_safe(
    tree: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run_main(["scan", "--diff", "--no-cache", "--jobs", "1"]) == 1
    diff, told = capfdbinary.readouterr()
    assert {name: (tree / name).read_bytes() for name in FILES} == FILES
    assert b"6 findings: 5 with a safe fix, 1 with a suggested one" in told
    subprocess.run(["git", "apply", "-"], input=diff, cwd=tree, check=True)
    applied = {name: (tree / name).read_bytes() for name in FILES}
    wanted = {
        name: data.replace(b"in sys.modules.values()", b"in list(sys.modules.values())") for name, data in FILES.items()
    }
    assert applied == wanted | {"suggested.py": b"import sys\ndef serve():\n    return 1\n"}

    for name, data in FILES.items():
        (tree / name).write_bytes(data)
    (tree / "crlf.py").chmod(0o751)
    assert run_main(["scan", "--write", "--no-cache", "--jobs", "1"]) == 0
    written = {name: (tree / name).read_bytes() for name in FILES}
    assert written == wanted
    assert (tree / "crlf.py").stat().st_mode & 0o777 == 0o751
    capfdbinary.readouterr()
    assert run_main(["scan", "--write", "--no-cache", "--jobs", "1"]) == 0
    assert b"written" not in capfdbinary.readouterr().err
    assert {name: (tree / name).read_bytes() for name in FILES} == wanted


@pytest.mark.parametrize("option", ["--diff", "--write", "--declare"])
def test_what_could_not_be_read_is_reported_with_its_reason(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    assert run_main(["scan", option, "--no-cache", "--jobs", "1"]) == 3
    assert "b.py:1: does not parse: invalid syntax" in "".join(capsys.readouterr())


def test_json_and_sarif_hold_the_fixes_in_bytes_of_the_file(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_main(["scan", "latin.py", "--no-cache", "--jobs", "1", "--format", "json", "--also", "r.sarif"])
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    data = bytearray((tree / "latin.py").read_bytes())
    for edit in reversed(finding["fix"]["edits"]):
        assert data[edit["start"] : edit["end"]] == edit["replaced"].encode("latin-1")
        data[edit["start"] : edit["end"]] = edit["replacement"].encode("latin-1")
    assert b"in list(sys.modules.values()) if" in data
    (result,) = json.loads((tree / "r.sarif").read_text("utf-8"))["runs"][0]["results"]
    (change,) = result["fixes"][0]["artifactChanges"]
    places = [(each["deletedRegion"]["byteOffset"], each["insertedContent"]["text"]) for each in change["replacements"]]
    assert places == [(edit["start"], edit["replacement"]) for edit in finding["fix"]["edits"]]


def test_a_release_or_an_archive_is_not_written_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(["scan", "x==1.0", "--write"]) == 2
    assert "--write needs files or folders" in capsys.readouterr().err


def edit(start: int, end: int, text: str = "x") -> SourceEdit:
    return SourceEdit(path="a.py", start=start, end=end, replaced="." * (end - start), replacement=text)


def test_of_fixes_that_overlap_the_safe_one_is_made_and_insertions_at_one_place_are_both_made() -> None:
    first = Fix(applicability=Applicability.SUGGESTED, edits=(edit(0, 5),))
    safe = Fix(applicability=Applicability.SAFE, edits=(edit(4, 8),))
    here, too = (Fix(applicability=Applicability.SAFE, edits=(edit(9, 9, text),)) for text in "ab")
    left = NoFix(obstacle=Obstacle.OVERLAPS)
    assert select([first, safe, here, too, None]) == [left, safe, here, too, None]


def test_a_replacement_that_the_encoding_of_a_file_cannot_express_is_refused() -> None:
    original = Original.of("# coding: latin-1\nx = 'ü'\n".encode("latin-1"), Language.PYTHON)
    with pytest.raises(UnicodeError):
        original.map(edit(0, 0, "€"))


SLOTS = """\
#include <Python.h>
static PyModuleDef_Slot slots[] = {
    {0, NULL}
};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, .m_name = "m", .m_slots = slots};
PyMODINIT_FUNC PyInit_m(void) { return PyModuleDef_Init(&def); }
"""
UNREADABLE = "PyObject *make(void) { return PyModule_Create(&def); }\n"


@pytest.mark.parametrize(
    ("files", "code", "told"),
    [
        ({"m.c": SLOTS}, 0, "1 edit: each one declares that a module is safe without the GIL"),
        ({"m.c": SLOTS, "a.py": MODULES}, 1, "no declaration: 1 finding of severity error or warning"),
        ({"m.c": SLOTS, "b.py": "def f(:\n"}, 3, "no declaration: 1 file could not be read"),
        ({"m.c": UNREADABLE}, 3, "no declaration: 1 file could not be read"),
        ({"a.py": "x = 1\n"}, 0, "nothing to declare"),
    ],
)
def test_a_declaration_is_printed_only_once_nothing_stands_against_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, str],
    code: int,
    told: str,
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    assert run_main(["scan", "--declare", "--no-cache", "--jobs", "1"]) == code
    printed = capsys.readouterr()
    assert told in printed.err
    assert ("+    {Py_mod_gil, Py_MOD_GIL_NOT_USED}," in printed.out) is told.startswith("1 edit")
    assert {name: (tmp_path / name).read_text() for name in files} == files


def test_a_declaration_in_cython_names_the_generated_files_that_a_build_may_compile_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p").mkdir()
    for name in ("fast", "own"):
        (tmp_path / "p" / f"{name}.pyx").write_text("def f(int x):\n    return x + 1\n")
    (tmp_path / "p" / "fast.c").write_text("/* Generated by Cython 3.0.11 */\nint x;\n")
    (tmp_path / "p" / "own.c").write_text("/* helpers of own.pyx */\nint helper(void) { return 1; }\n")
    assert run_main(["scan", "--declare", "--no-cache", "--jobs", "1"]) == 0
    told = capfd.readouterr().err
    assert "1. Generate p/fast.c again with Cython 3.1 or later" in told
    assert "own.c" not in told


@pytest.mark.interpreter
@pytest.mark.parametrize(
    ("module", "told"),
    [
        (GUILTY, "was not stressed: it does not leave the GIL off, so it was not built from the edited tree"),
        (GOOD, "was not stressed: "),
    ],
)
def test_a_declaration_is_refused_if_stress_could_not_use_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str, told: str
) -> None:
    """Neither module has anything to call, and one turns the GIL on."""
    wheel = wheel_of(module)
    (tmp_path / wheel.filename).write_bytes(wheel.data)
    (tmp_path / "m.c").write_text(SLOTS)
    monkeypatch.chdir(tmp_path)
    scan = ["scan", "m.c", "--declare", "--jobs", "1", "--cache-dir", str(tmp_path / "cache"), "--budget", "2"]
    monkeypatch.setenv("FTAUDIT_PYTHON", interpreter().path)
    assert run_main([*scan, "--stress", wheel.filename]) == 3
    printed = capsys.readouterr()
    assert f"no declaration: {wheel.filename} {told}" in printed.err
    assert "Py_mod_gil" not in printed.out


def test_stress_needs_a_wheel_and_a_declaration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.c").write_text(SLOTS)
    monkeypatch.chdir(tmp_path)
    for options, told in (
        (["--stress", "x.whl"], "--stress is for --declare"),
        (["--declare", "--stress", "m.c"], "m.c is not a wheel"),
        (["--declare", "--stress", "gone-1.0-py3-none-any.whl"], "is not a wheel"),
        (["--declare", "--budget", "0"], "--budget takes"),
    ):
        assert run_main(["scan", "--no-cache", "--jobs", "1", *options]) == 2
        printed = capsys.readouterr()
        assert (told in printed.err, printed.out) == (True, ""), printed.err
