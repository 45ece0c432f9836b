"""Modules of each ABI under each target: CPython's behavior, and the tiers' answers without it."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version
from support.freethreaded import interpreter_of
from support.wheels import wheel

from ftaudit.engine.wheels import audit_wheels
from ftaudit.index.choose import choose_wheel
from ftaudit.model import DistributionFile, Pin, Verdict, WheelKind
from ftaudit.settings import Settings
from ftaudit.target import parse_platform, parse_target

OLD = """\
#include <Python.h>
static PyModuleDef_Slot slots[] = {
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, 0}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "m", 0, 0, 0, slots};
PyMODINIT_FUNC PyInit_m(void) { return PyModuleDef_Init(&def); }
"""
NEW = """\
#include <Python.h>
PyABIInfo_VAR(abi_info);
static PySlot slots[] = {PySlot_STATIC_DATA(Py_mod_abi, &abi_info), PySlot_STATIC_DATA(Py_mod_name, "m"),
    PySlot_DATA(Py_mod_gil, Py_MOD_GIL_NOT_USED), PySlot_END};
PyMODEXPORT_FUNC PyModExport_m(void) { return slots; }
"""
SUFFIXES = {
    "cp314t": ".cpython-314t-x86_64-linux-gnu.so",
    "cp315t": ".cpython-315t-x86_64-linux-gnu.so",
    "abi3": ".abi3.so",
    "abi3t": ".abi3t.so",
    "cp315": ".cpython-315-x86_64-linux-gnu.so",
}
TAGS = {
    "cp314t": "cp314-cp314t",
    "cp315t": "cp315-cp315t",
    "abi3": "cp312-abi3",
    "abi3t": "cp315-abi3.abi3t",
    "cp315": "cp315-cp315",
}
LOADED = {("cp314t", "3.14t"), ("cp315t", "3.15t"), ("abi3t", "3.15t")}
"""The cells in which a module is found and leaves the GIL off."""
CELLS = [(kind, target) for target in ("3.14t", "3.15t") for kind in SUFFIXES]
PLATFORM = "manylinux_2_17_x86_64"


def includes(target: str) -> str:
    ask = "import sysconfig; print(sysconfig.get_path('include'))"
    found = subprocess.run([interpreter_of(target), "-I", "-c", ask], capture_output=True, text=True, check=True)
    return found.stdout.strip()


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Compile a module of each ABI."""
    folder = tmp_path_factory.mktemp("modules")
    with_gil = folder / "with-gil"
    with_gil.mkdir()
    config = (Path(includes("3.15t")) / "pyconfig.h").read_text()
    (with_gil / "pyconfig.h").write_text(config.replace("#define Py_GIL_DISABLED 1", ""))
    recipes = {
        "cp314t": (OLD, ["-I", includes("3.14t")]),
        "cp315t": (OLD, ["-I", includes("3.15t")]),
        "abi3": (OLD, ["-DPy_LIMITED_API=0x030b0000", "-I", sysconfig.get_path("include")]),
        "abi3t": (NEW, ["-DPy_TARGET_ABI3T=0x030f0000", "-I", includes("3.15t")]),
        "cp315": (OLD, ["-I", str(with_gil), "-I", includes("3.15t")]),
    }
    made = {}
    for kind, (source, flags) in recipes.items():
        made[kind] = folder / kind / f"m{SUFFIXES[kind]}"
        made[kind].parent.mkdir()
        command = ["gcc", "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", str(made[kind]), *flags]
        subprocess.run(command, input=source, text=True, check=True, capture_output=True)
    return made


@pytest.mark.interpreter
@pytest.mark.parametrize(("kind", "target"), CELLS)
def test_the_binary_tier_says_what_cpython_does(
    modules: dict[str, Path], tmp_path: Path, kind: str, target: str
) -> None:
    ask = "import sys, m; print(sys._is_gil_enabled())"
    command = [interpreter_of(target), "-c", f"import sys; sys.path.insert(0, {str(modules[kind].parent)!r}); {ask}"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    works = ran.returncode == 0 and ran.stdout.strip() == "False"
    assert works is ((kind, target) in LOADED), ran.stderr
    # In a wheel that the target installs, the module counts, whatever the tags.
    abi = f"cp{target.replace('.', '')}"
    path = tmp_path / f"demo-1.0-{abi[:-1]}-{abi}-{PLATFORM}.whl"
    tags = (f"{abi[:-1]}-{abi}-{PLATFORM}",)
    path.write_bytes(wheel({modules[kind].name: modules[kind].read_bytes()}, tags=tags))
    settings = Settings(cache_dir=tmp_path / "cache", jobs=1, offline=True, target=target)
    (row,) = audit_wheels([str(path)], settings).packages
    assert row.verdict is (Verdict.READY if works else Verdict.BROKEN), row.reasons


@pytest.mark.parametrize(("kind", "target"), CELLS)
def test_the_index_tier_chooses_what_the_target_loads(kind: str, target: str) -> None:
    file = DistributionFile(filename=f"m-1.0-{TAGS[kind]}-{PLATFORM}.whl", url="https://index.example/m.whl")
    pin = Pin(name=canonicalize_name("m"), version=Version("1.0"), files=(file,))
    chosen = choose_wheel(pin, None, parse_target(target), parse_platform("linux-x86_64"))
    assert (chosen.kind is not WheelKind.NONE) is ((kind, target) in LOADED)
