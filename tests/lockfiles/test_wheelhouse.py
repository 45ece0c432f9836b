from __future__ import annotations

from pathlib import Path

import pytest
from support.distributions import wheel
from support.index_server import ServedFile
from support.selection import by_name, select, write

from ftaudit.errors import InputError


def put(folder: Path, *files: ServedFile) -> None:
    for file in files:
        (folder / file.filename).write_bytes(file.data)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no supported input file found in ") as caught:
        select(tmp_path)
    assert "wheels" in (caught.value.hint or "")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\0" * 1000], ids=["empty", "cut", "zeros"])
def test_a_wheel_that_cannot_be_opened_is_a_row_whose_needs_are_not_known(tmp_path: Path, data: bytes) -> None:
    put(tmp_path, wheel("good", "1"))
    (tmp_path / "broken-1-py3-none-any.whl").write_bytes(data)
    found = select(tmp_path)
    assert set(by_name(found)) == {"good", "broken"}
    assert "the dependencies of broken-1-py3-none-any.whl: " in found.incomplete[0]


def test_a_file_of_no_proper_name_is_a_row(tmp_path: Path) -> None:
    put(tmp_path, wheel("good", "1"))
    (tmp_path / "nonsense.whl").write_bytes(b"")
    (tmp_path / "x-1-py3-none-any.whl").mkdir()
    found = by_name(select(tmp_path))
    assert "is not named like a wheel" in (found["nonsense-whl"].problem or "")
    assert "is not a file" in (found["x"].problem or "")


def test_what_is_not_in_the_folder_is_said(tmp_path: Path) -> None:
    put(tmp_path, wheel("app", "1", requires=["lib>=2", "win; sys_platform == 'win32'"]))
    assert select(tmp_path).incomplete == (f"app 1 needs lib, which is not in {tmp_path}",)


def test_a_hostile_requirement_is_said(tmp_path: Path) -> None:
    put(tmp_path, wheel("app", "1", requires=["lib ==", "lib>=1"]), wheel("lib", "1"))
    found = select(tmp_path)
    assert "skipped an invalid requirement: 'lib =='" in found.incomplete[0]
    assert by_name(found)["lib"].required_by == (("app", "lib"),)


def test_an_sdist_alone_does_not_say_what_it_needs(tmp_path: Path) -> None:
    put(tmp_path, wheel("app", "1"))
    (tmp_path / "source-2.tar.gz").write_bytes(b"")
    found = select(tmp_path)
    assert "the dependencies of source 2: there is only an sdist" in found.incomplete
    assert [file.filename for file in by_name(found)["source"].files or ()] == ["source-2.tar.gz"]


def test_every_release_is_a_row_with_its_files_as_the_only_candidates(tmp_path: Path) -> None:
    put(
        tmp_path,
        wheel("app", "1", requires=["lib>=2"]),
        wheel("lib", "1"),
        wheel("lib", "2"),
        wheel("lib", "2", tag="cp314-cp314t-manylinux_2_17_x86_64"),
    )
    write(tmp_path, "notes.md", "not a file to install")
    rows = {(pin.name, str(pin.version)): pin for pin in select(tmp_path).pins}
    assert set(rows) == {("app", "1"), ("lib", "1"), ("lib", "2")}
    two = rows["lib", "2"]
    assert two.required_by == (("app", "lib"),)
    assert rows["lib", "1"].required_by == (("lib",),)
    assert [file.url for file in two.files or ()] == [
        (tmp_path / name).as_uri()
        for name in ("lib-2-cp314-cp314t-manylinux_2_17_x86_64.whl", "lib-2-py3-none-any.whl")
    ]


def test_a_folder_with_a_project_in_it_is_the_projects(tmp_path: Path) -> None:
    put(tmp_path, wheel("lib", "1"))
    write(tmp_path, "requirements.txt", "app==1\n")
    assert set(by_name(select(tmp_path, no_deps=True))) == {"app"}
