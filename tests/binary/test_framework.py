"""The strings that a framework leaves in an image show the framework and its version."""

from __future__ import annotations

import pytest

from ftaudit.binary.build_markers import file_name_build, find_build
from ftaudit.binary.framework import find_framework
from ftaudit.binary.image.mapped import Image


def image(memory: bytes = b"", imports: frozenset[str] = frozenset(), libraries: tuple[str, ...] = ()) -> Image:
    return Image(format="elf", machine="x86_64", memory=memory, imports=imports, libraries=libraries)


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (b"\0plain\0", ("C", None)),
        (b"\0cython_runtime\0_cython_3_2_4\0", ("Cython", "3.2.4")),
        (b"\0cython_runtime\0", ("Cython", None)),
        (b"/x/pyo3-0.27.1/src/err.rs\0pyo3_runtime.PanicException\0_cffi_backend\0", ("PyO3", "0.27.1")),
        (b"\0/rustc/abc/library/std\0", ("Rust", None)),
        (b"\0pybind11_object\0", ("pybind11", None)),
        (b"\0__pybind11_internals_v12_msvc_mt_mscver1951__\0", ("pybind11", "internals v12")),
        (b"\0nb_internals_v16_abi3\0", ("nanobind", None)),
        (b"\0nanobind::detail\0v20_system_libcpp_abi1_ft\0", ("nanobind", "internals v20")),
        (b"\0__nb_internals_%s_%s__\0v18_dev2_msvc_md_mscver19_ft\0", ("nanobind", "internals v18")),
        (b"__nanobind_internals__\0nanobind_3_2_0_dev1_system_libcpp_abi1_ft_v22\0", ("nanobind", "3.2.0.dev1")),
        (b"__nanobind_internals__\0nanobind_3_1_0_msvc_mt_mscver1951_ft_a1_v22\0", ("nanobind", "3.1.0")),
        (b"\0abc__mypyc.init_mod\0", ("mypyc", None)),
        (b"\0_cffi_backend\0_init_cffi_1_0_external_module\0", ("cffi", None)),
        (b"\x000.19.0\0(ss)\0__pythran__\0", ("Pythran", "0.19.0")),
        (b"\0This module is auto-generated with f2py (version:2.5.2).\0", ("f2py", "2.5.2")),
        (b"\0swig_runtime_data4\0", ("SWIG", "runtime data4")),
        (b"Boost.Python.function\0/usr/include/boost_1_89_0/boost/python.hpp\0", ("Boost.Python", "1.89.0")),
        (b"Boost.Python.function\0", ("Boost.Python", None)),
    ],
)
def test_a_framework_leaves_its_mark(memory: bytes, expected: tuple[str, str | None]) -> None:
    assert find_framework(image(memory), "pkg.module") == expected


def test_the_first_tag_of_nanobind_counts_wherever_the_words_of_tags_are() -> None:
    filler = b"_system\0_mingw\0nanobind_\0" * 50
    memory = b"nanobind::" + filler + b"\0v20_conda_ft\0" + filler + b"\0nanobind_3_1_0_msvc\0v19_system_\0"
    assert find_framework(image(memory), "m") == ("nanobind", "internals v20")


def test_the_backend_of_cffi_is_not_taken_for_a_module_that_cffi_wrote() -> None:
    memory = b"\0_cffi_backend\0_init_cffi_1_0_external_module\0"
    assert find_framework(image(memory), "_cffi_backend") == ("C", None)


def test_cpp_is_told_by_its_mangled_imports_or_its_library() -> None:
    assert find_framework(image(imports=frozenset({"_Znwm"})), "m")[0] == "C++"
    assert find_framework(image(libraries=("MSVCP140.dll",)), "m")[0] == "C++"
    assert find_framework(image(imports=frozenset({"malloc"}), libraries=("libc.so.6",)), "m")[0] == "C"


@pytest.mark.parametrize(
    ("imports", "libraries", "expected"),
    [
        (frozenset(), (), None),
        (frozenset({"_Py_Dealloc"}), (), False),
        (frozenset({"_Py_Dealloc", "_Py_DecRefShared"}), (), True),
        (frozenset({"_Py_MergeZeroLocalRefcount"}), (), True),
        (frozenset({"_Py_DecRefShared"}), ("python314.dll",), False),
        (frozenset(), ("KERNEL32.dll", "python314t.dll"), True),
        (frozenset(), ("@rpath/libpython3.14t.dylib",), True),
        (frozenset(), ("python3.dll",), None),
    ],
)
def test_imports_and_libraries_tell_the_build(
    imports: frozenset[str], libraries: tuple[str, ...], expected: bool | None
) -> None:
    build, evidence = find_build(imports, libraries)
    assert build is expected
    assert (evidence is None) is (expected is None)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b.cpython-314t-x86_64-linux-gnu.so", True),
        ("a/b.cpython-314-darwin.so", False),
        ("b.cp314t-win_amd64.pyd", True),
        ("b.cp314-win_amd64.pyd", False),
        ("b.abi3.so", False),
        ("b.abi3t.so", True),
        ("b.so", None),
        ("b.pyd", None),
    ],
)
def test_the_suffix_of_a_file_name_tells_the_build_it_is_meant_for(path: str, expected: bool | None) -> None:
    assert file_name_build(path) is expected
