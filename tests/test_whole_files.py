"""Files that exist whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ftaudit.whole_files import digest_of, unfinished, write_whole


def test_a_file_takes_the_place_of_the_old_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"old")
    write_whole(path, b"new" * 1000, mode=0o640)
    assert path.read_bytes() == b"new" * 1000 and path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]
    assert digest_of(path) == hashlib.sha256(b"new" * 1000).hexdigest()


def test_what_is_interrupted_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), unfinished(tmp_path) as (file, _):
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["missing/kept", "file/kept"])
def test_a_folder_that_cannot_be_written_to_is_an_error_of_the_system(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"kept|file|missing"):
        write_whole(tmp_path / name, b"")
