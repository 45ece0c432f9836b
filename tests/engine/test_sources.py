"""`check --source`: the sdists of the packages are scanned, and failures are reported."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from support.command import check
from support.distributions import wheel
from support.index_server import IndexServer, ServedFile

UNSAFE = """\
#include <Python.h>
static PyModuleDef_Slot slots[] = {{Py_mod_gil, Py_MOD_GIL_NOT_USED}, {0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, .m_name = "demo", .m_slots = slots};
PyMODINIT_FUNC PyInit_demo(void) { return PyModuleDef_Init(&def); }
PyObject *target(PyObject *self, PyObject *ref)
{
    PyObject *object = PyWeakref_GetObject(ref);
    Py_INCREF(object);
    return object;
}
"""


def sdist(name: str, files: dict[str, str]) -> ServedFile:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}-1.0/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return ServedFile(filename=f"{name}-1.0.tar.gz", data=buffer.getvalue())


def test_hazards_of_an_sdist_are_findings_and_contradict_its_declaration(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("demo==1.0\nbare==1.0\n")
    with IndexServer() as server:
        server.add_project("demo", [wheel("demo", "1.0"), sdist("demo", {"src/demo.c": UNSAFE})])
        server.add_project("bare", [wheel("bare", "1.0")])
        arguments = ("--static", "--no-deps", "--index-url", server.simple_url, "r.txt")
        answer = check("--source", *arguments, cwd=tmp_path)
        without = check(*arguments, cwd=tmp_path)
    codes = {finding["code"]: finding for finding in answer.rows["demo"]["findings"]}
    assert {"FT313", "FT304"} <= codes.keys()
    assert codes["FT313"]["location"]["line"] == 7
    assert answer.rows["demo"]["evidence"]["source"]["status"] == "done"
    assert answer.rows["bare"]["evidence"]["source"]["status"] == "skipped"
    assert "no source distribution" in answer.rows["bare"]["evidence"]["source"]["reason"]
    assert answer.verdicts == without.verdicts == {"demo": "pure", "bare": "pure"}
    assert without.rows["demo"]["findings"] == []


def test_an_sdist_that_cannot_be_read_is_said_and_changes_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    with IndexServer() as server:
        server.add_project("demo", [wheel("demo", "1.0"), ServedFile(filename="demo-1.0.tar.gz", data=b"no archive")])
        answer = check("--static", "--source", "--no-deps", "--index-url", server.simple_url, "r.txt", cwd=tmp_path)
    assert answer.verdicts == {"demo": "pure"}
    assert answer.rows["demo"]["evidence"]["source"]["status"] == "failed"
    assert "demo 1.0" in answer.document["incomplete"][0]
    assert answer.code == 3
