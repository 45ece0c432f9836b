"""The content of a distribution is what RECORD lists, and nothing outside the environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from ftaudit.errors import ArchiveError
from ftaudit.sandbox.contents import read_contents

NAME = canonicalize_name("some.thing")


def install(folder: Path, record: str | bytes) -> Path:
    info = folder / "Some_Thing-1.0.dist-info"
    info.mkdir()
    (info / "RECORD").write_bytes(record.encode() if isinstance(record, str) else record)
    return folder


def test_a_distribution_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no metadata"):
        read_contents(tmp_path, NAME, (3, 14))


@pytest.mark.parametrize("record", [b"\xff\xfe\xff", b'"' + b"x" * 200_000])
def test_a_record_that_cannot_be_read_is_an_error(tmp_path: Path, record: bytes) -> None:
    with pytest.raises(ArchiveError, match="RECORD cannot be read"):
        read_contents(install(tmp_path, record), NAME, (3, 14))


def test_nothing_outside_the_environment_is_looked_at(tmp_path: Path) -> None:
    record = "../../bin/tool.cpython-314t-x86_64-linux-gnu.so,,\n/etc/x.cpython-314t-x86_64-linux-gnu.so,,\n"
    found = read_contents(install(tmp_path, record), NAME, (3, 14))
    assert (found.modules, found.toplevels, found.files) == ((), (), frozenset())


def test_the_file_that_the_interpreter_would_load_is_the_module(tmp_path: Path) -> None:
    names = ["a.abi3.so", "a.cpython-314t-x86_64-linux-gnu.so", "a.so", "b.cpython-314-x86_64-linux-gnu.so", "c.so"]
    for name in names:
        (tmp_path / name).write_bytes(b"\0PyInit_a\0")
    record = "".join(f"{name},,\n" for name in names)
    found = read_contents(install(tmp_path, record), NAME, (3, 14))
    assert found.modules == (("a", "a.cpython-314t-x86_64-linux-gnu.so"),)


def test_abi3t_counts_from_the_version_that_loads_it(tmp_path: Path) -> None:
    (tmp_path / "a.abi3t.so").write_bytes(b"\0PyModExport_a\0")
    install(tmp_path, "a.abi3t.so,,\n")
    assert read_contents(tmp_path, NAME, (3, 14)).modules == ()
    assert read_contents(tmp_path, NAME, (3, 15)).modules == (("a", "a.abi3t.so"),)


def test_toplevel_names_are_packages_and_modules_that_are_meant_to_be_imported(tmp_path: Path) -> None:
    record = "pack/__init__.py,,\n_pack/__init__.py,,\nsingle.py,,\nnamespace/part.py,,\ndata/x.txt,,\nno-name.py,,\n"
    assert read_contents(install(tmp_path, record), NAME, (3, 14)).toplevels == ("pack", "single")
