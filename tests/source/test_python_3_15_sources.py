"""What `ftaudit scan --target 3.15t` says of modules and limited APIs that only CPython 3.15 has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command import ftaudit

EXPORTED = """\
#include <Python.h>
PyABIInfo_VAR(abi_info);
static PySlot slots[] = {
    PySlot_STATIC_DATA(Py_mod_abi, &abi_info),
    PySlot_STATIC_DATA(Py_mod_name, "m"),
    %s
    PySlot_END};
PyMODEXPORT_FUNC PyModExport_m(void) { return slots; }
"""
DECLARED = "PySlot_DATA(Py_mod_gil, Py_MOD_GIL_NOT_USED),"
LIMITED = "#define Py_LIMITED_API {0}\n#include <Python.h>\n"
SETUP = """\
from setuptools import Extension, setup
setup(name="x", ext_modules=[Extension("m", ["m.c"], define_macros=[("Py_LIMITED_API", "{0}")])])
"""


def codes(folder: Path, files: dict[str, str], target: str = "3.15t") -> set[str]:
    for name, text in files.items():
        (folder / name).write_text(text)
    ran = ftaudit("scan", "--target", target, "--no-cache", "--format", "json", *files, cwd=folder)
    return {finding["code"] for finding in json.loads(ran.stdout)["findings"]}


def test_a_module_of_pep_793_that_declares_is_quiet_and_one_that_does_not_is_found(tmp_path: Path) -> None:
    assert codes(tmp_path, {"m.c": EXPORTED % DECLARED}) == set()
    assert "FT301" in codes(tmp_path, {"m.c": EXPORTED % ""})


@pytest.mark.parametrize(
    ("target", "version", "found"),
    [("3.15t", "0x030d0000", True), ("3.15t", "0x030f0000", False), ("3.14t", "0x030f0000", True)],
)
def test_a_limited_api_counts_from_the_version_on_that_free_threaded_builds_have_one(
    target: str, version: str, found: bool, tmp_path: Path
) -> None:
    files = {"m.c": LIMITED.format(version), "setup.py": SETUP.format(version)}
    assert ({"FT110", "FT370"} <= codes(tmp_path, files, target)) is found
    assert found or not {"FT110", "FT370"} & codes(tmp_path, files, target)
