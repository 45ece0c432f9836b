"""Writing: all or nothing, one step per file, and never over concurrent changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ftaudit.errors import InputError, UsageError
from ftaudit.planning.edit import Edit, write_edits


def edit(path: Path, old: str = "demo==1.0\n", new: str = "demo==2.0\n") -> Edit:
    return Edit(path=path, old=old.encode(), new=new.encode())


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_file_that_changed_meanwhile_is_an_error_and_no_other_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("demo==1.0\n")
    (tmp_path / "b.txt").write_text("demo==1.0\nmore\n")
    with pytest.raises(InputError, match=r"b\.txt changed"):
        write_edits([edit(tmp_path / "a.txt"), edit(tmp_path / "b.txt")])
    assert files(tmp_path) == {"a.txt": "demo==1.0\n", "b.txt": "demo==1.0\nmore\n"}


def test_a_file_that_is_gone_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("demo==1.0\n")
    with pytest.raises((InputError, UsageError), match=r"gone\.txt"):
        write_edits([edit(tmp_path / "a.txt"), edit(tmp_path / "gone.txt")])
    assert files(tmp_path) == {"a.txt": "demo==1.0\n"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everything")
def test_a_read_only_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("demo==1.0\n")
    (tmp_path / "a.txt").chmod(0o444)
    with pytest.raises(UsageError, match="Permission denied"):
        write_edits([edit(tmp_path / "a.txt")])
    assert files(tmp_path) == {"a.txt": "demo==1.0\n"}


@pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX")
def test_a_link_stays_a_link_and_the_mode_stays(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "a.txt").write_text("demo==1.0\n")
    (real / "a.txt").chmod(0o640)
    link = tmp_path / "link.txt"
    link.symlink_to(real / "a.txt")
    write_edits([edit(link)])
    assert link.is_symlink() and link.read_text() == "demo==2.0\n"
    assert (real / "a.txt").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in real.iterdir()] == ["a.txt"], "no backup, no remains"


def test_a_diff_of_a_file_without_a_last_line_feed_is_one_that_patch_takes(tmp_path: Path) -> None:
    text = edit(tmp_path / "a.txt", "demo==1.0", "demo==2.0").diff
    assert text.splitlines()[3:] == [
        "-demo==1.0",
        "\\ No newline at end of file",
        "+demo==2.0",
        "\\ No newline at end of file",
    ]
