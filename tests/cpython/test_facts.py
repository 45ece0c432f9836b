"""The facts about CPython versions are those of the interpreters and headers of these versions."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.freethreaded import interpreter_of

from ftaudit.cpython import layouts, module_slots
from ftaudit.cpython.abi import FREE_THREADED, GIL, INTERNAL, SIZE, STABLE
from ftaudit.cpython.exports import exporters, missing_symbols
from ftaudit.cpython.stable_abi import opaque_in_abi3t, stable_symbols
from ftaudit.cpython.suffixes import extension_suffixes, find_suffix, suffix_order

VERSIONS = ["3.14t", "3.15t"]


def ask(target: str, code: str) -> object:
    """Return the value of an expression in the target's interpreter."""
    command = [interpreter_of(target), "-I", "-c", f"import json, sysconfig; print(json.dumps({code}))"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def headers(target: str) -> Path:
    """Return the folder of the target's headers."""
    return Path(str(ask(target, "sysconfig.get_path('include')")))


@pytest.mark.interpreter
@pytest.mark.parametrize("target", VERSIONS)
def test_the_suffixes_are_those_that_the_interpreter_looks_for_in_that_order(target: str) -> None:
    found = ask(target, "[__import__('_imp').extension_suffixes(), sysconfig.get_config_var('SOABI')]")
    assert isinstance(found, list)
    suffixes, soabi = found
    version = (3, int(target[2:-1]))
    assert tuple(suffixes) == extension_suffixes(version, soabi.split("-", 2)[2])
    orders = []
    for text in suffixes:
        suffix = find_suffix(f"module{text}")
        assert suffix is not None
        orders.append(suffix_order(suffix, version))
    assert orders == sorted(order for order in orders if order is not None)


@pytest.mark.parametrize(
    ("name", "version", "order"),
    [
        ("m.abi3t-x86_64-linux-gnu.so", (3, 14), None),
        ("m.abi3t.so", (3, 14), None),
        ("m.abi3.so", (3, 14), 2),
        ("m.abi3-x86_64-linux-gnu.so", (3, 14), None),
        ("m.abi3.so", (3, 15), None),
        ("m.abi3-x86_64-linux-gnu.so", (3, 15), None),
        ("m.cp315-win_amd64.pyd", (3, 15), None),
        ("m.cp315t-win_amd64.pyd", (3, 15), 0),
        ("m.abi3t.pyd", (3, 15), None),
        ("m.pyd", (3, 15), 3),
        ("m.so", (3, 13), 3),
    ],
)
def test_a_version_looks_for_its_own_suffixes_alone(name: str, version: tuple[int, int], order: int | None) -> None:
    suffix = find_suffix(name)
    assert suffix is not None
    assert suffix_order(suffix, version) == order


@pytest.mark.interpreter
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.parametrize("target", VERSIONS)
def test_the_layouts_are_what_a_compiler_makes_of_the_headers(target: str, tmp_path: Path) -> None:
    fields = "".join(f'printf("%zu ", offsetof(PyModuleDef, {name}));' for name in layouts.DEFINITION)
    text = (
        f'#include <Python.h>\n#include <stddef.h>\nint main(void) {{ printf("%zu ", sizeof(PyObject)); {fields} }}\n'
    )
    (tmp_path / "layout.c").write_text(text)
    built = tmp_path / "layout"
    subprocess.run(["gcc", f"-I{headers(target)}", tmp_path / "layout.c", "-o", built], check=True)
    head, *offsets = map(int, subprocess.check_output([built], text=True).split())
    assert head == layouts.object_head(free_threaded=True)
    assert offsets == [head + offset for offset in layouts.DEFINITION.values()]


@pytest.mark.interpreter
def test_the_slots_are_those_of_the_headers_of_3_15() -> None:
    text = (headers("3.15t") / "slots_generated.h").read_text()
    defined = {name: int(number) for name, number in re.findall(r"#define (Py_\w+) (\d+)$", text, re.MULTILINE)}
    both = re.findall(r"#define (Py_\w+) _Py_SLOT_COMPAT_VALUE\((\d+), (\d+)\)", text)
    defined |= {name: int(new) for name, _, new in both}
    slots = {name: number for name, number in defined.items() if name.startswith(("Py_mod_", "Py_slot_"))}
    assert {name: number for number, name in module_slots.NAMES.items()} == slots
    assert {int(old): int(new) for name, old, new in both if name.startswith("Py_mod_")} == module_slots.ALIASES


@pytest.mark.interpreter
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_the_abi_flags_and_the_size_of_their_structure_are_those_of_the_headers_of_3_15(tmp_path: Path) -> None:
    names = ("STABLE", "GIL", "FREETHREADED", "INTERNAL")
    printed = "".join(f'printf("%d ", PyABIInfo_{name});' for name in names)
    text = f'#include <Python.h>\nint main(void) {{ printf("%zu ", sizeof(PyABIInfo)); {printed} }}\n'
    (tmp_path / "abi.c").write_text(text)
    subprocess.run(["gcc", f"-I{headers('3.15t')}", tmp_path / "abi.c", "-o", tmp_path / "abi"], check=True)
    said = subprocess.check_output([tmp_path / "abi"], text=True).split()
    assert list(map(int, said)) == [SIZE, STABLE, GIL, FREE_THREADED, INTERNAL]


@pytest.mark.interpreter
@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm")
@pytest.mark.parametrize("target", VERSIONS)
def test_the_exports_are_those_of_the_interpreter(target: str) -> None:
    if ask(target, "sysconfig.get_config_var('Py_ENABLE_SHARED')"):
        pytest.skip("libpython is a shared library here")
    lines = subprocess.check_output(["nm", "-D", "--defined-only", interpreter_of(target)], text=True).splitlines()
    found = {line.split()[-1] for line in lines if re.match(r"_?Py(?!Init_)\w+$", line.split()[-1])}
    version = (3, int(target[2:-1]))
    listed = {name for name, versions in exporters().items() if version in versions}
    # A patch release may add to the exports of the listed one; it removes nothing.
    assert listed <= found


def test_a_symbol_counts_as_missing_only_where_another_version_exports_it() -> None:
    names = ["_PyTuple_FromArray", "PyList_New", "PyClassOfAnotherLibrary", "PyErr_SetFromWindowsErr"]
    assert missing_symbols(names, (3, 15)) == ("_PyTuple_FromArray",)
    assert missing_symbols(names, (3, 14)) == ()
    assert missing_symbols(["PyModule_FromSlotsAndSpec", "PyUnstable_Nothing"], (3, 14)) == ()
    assert missing_symbols(names, (3, 13)) == ()


def test_the_stable_abi_is_known_with_its_versions_and_opaque_structures() -> None:
    symbols = stable_symbols()
    assert symbols["PyModule_FromSlotsAndSpec"] == (3, 15)
    assert symbols["PyList_New"] == (3, 2)
    assert "PyUnicode_New" not in symbols
    assert "PyUnstable_Module_SetGIL" not in symbols
    assert {"PyObject", "PyVarObject", "PyModuleDef", "PyModuleDef_Base"} <= opaque_in_abi3t()
    assert "PyMethodDef" not in opaque_in_abi3t()


def test_every_symbol_of_the_stable_abi_is_exported_by_3_15_but_those_of_other_builds() -> None:
    import abi3info

    items = [*abi3info.FUNCTIONS.values(), *abi3info.DATAS.values()]
    everywhere = {item.symbol.name for item in items if item.ifdef is None}
    assert everywhere - {name for name, versions in exporters().items() if (3, 15) in versions} == set()
