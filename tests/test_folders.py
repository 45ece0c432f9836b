"""Folders that hostile code filled are measured and removed, however deep they are, and nothing outside is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.command import ftaudit

from ftaudit.cache.folder import PARTS, clean, measure
from ftaudit.folders import remove_tree, size_of, temporary_folder

DEPTH = 3000


def nest(folder: Path, depth: int = DEPTH) -> None:
    """Make a chain of folders with a file at its end, longer than any path may be."""
    folder.mkdir(parents=True, exist_ok=True)
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deeper", dir_fd=here)
        further = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = further
    os.close(os.open("end", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def test_thousands_of_nested_folders_are_removed(tmp_path: Path) -> None:
    nest(tmp_path / "deep")
    assert remove_tree(tmp_path / "deep")
    assert not list(tmp_path.iterdir())


def test_links_are_removed_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    folder = tmp_path / "folder"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "link").symlink_to(outside)
    (folder / "a" / "b" / "link").symlink_to(outside, target_is_directory=True)
    (folder / "a" / ".removing-0").mkdir()
    (folder / ".removing-0").write_text("a name that is used while folders are moved")
    assert remove_tree(folder)
    assert (outside / "kept").read_text() == "kept"


def test_locked_folders_are_removed(tmp_path: Path) -> None:
    locked = tmp_path / "folder" / "locked" / "inner"
    locked.mkdir(parents=True)
    (locked / "file").write_text("x")
    locked.chmod(0)
    locked.parent.chmod(0o500)
    assert remove_tree(tmp_path / "folder")


def test_a_missing_folder_is_gone(tmp_path: Path) -> None:
    assert remove_tree(tmp_path / "missing")


def test_a_temporary_folder_goes_with_all_that_lies_in_it() -> None:
    with temporary_folder() as folder:
        nest(folder / "deep")
    assert not folder.exists()


def test_sizes_are_those_of_files_and_not_of_what_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    (tmp_path / "big").write_bytes(b"x" * 100_000)
    (tmp_path / "in" / "deeper" / "file").write_bytes(b"x" * 1000)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "big")
    assert 1000 <= size_of(tmp_path / "in") < 5000


def test_the_cache_is_shown_and_emptied_where_an_environment_is_nested_deeply(tmp_path: Path) -> None:
    environment = tmp_path / "cache" / "environments" / ("0" * 32)
    nest(environment)
    assert next(size.items for size in measure(tmp_path / "cache") if size.part.name == "environments") == 1
    shown = ftaudit("cache", "show", "--cache-dir", tmp_path / "cache", cwd=tmp_path)
    cleaned = ftaudit("cache", "clean", "--cache-dir", tmp_path / "cache", cwd=tmp_path)
    assert (shown.returncode, cleaned.returncode) == (0, 0), shown.stderr + cleaned.stderr
    assert not environment.exists()
    assert clean(tmp_path / "cache", PARTS) == 0


@pytest.mark.parametrize("command", ["check", "scan", "plan", "report", "wheel"])
@pytest.mark.parametrize("folder", ["file/cache", "/proc/nowhere"])
def test_a_cache_folder_that_cannot_be_made_is_an_error(command: str, folder: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "requirements.txt").write_text("demo==1.0\n")
    (tmp_path / "code.py").write_text("x = 1\n")
    what = {"scan": ["code.py"], "wheel": ["demo==1.0"]}.get(command, ["--static", "requirements.txt"])
    ran = ftaudit(command, *what, "--offline", "--cache-dir", folder, cwd=tmp_path)
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert "cannot use" in ran.stderr and "--no-cache" in ran.stderr and "Traceback" not in ran.stderr
