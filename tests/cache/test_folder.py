"""The cache folder: only our own files are removed, and it does not grow without limit."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from ftaudit.cache.folder import DAY, PARTS, clean, measure, tidy
from ftaudit.cli import main

HEX = "0123456789abcdef" * 2 + "01234567"


def fill(cache: Path) -> dict[str, Path]:
    """Make one item of each part, with the names that the rooms give them."""
    files = {
        "index": cache / "index" / "pages" / "01" / f"{HEX}.page",
        "binary": cache / "binary" / "0.1.0-0123456789abcdef" / "01" / f"{HEX}-3.14t.json",
        "reach": cache / "reach" / "0123456789abcdef" / "01" / f"{HEX}{HEX[:24]}.json",
        "wheels": cache / "wheels" / f"{HEX}{HEX[:24]}.whl",
        "sdists": cache / "sdists" / "demo-1.0.tar.gz",
        "leads": cache / "later.json",
        "scan": cache / "scan" / "results-1.sqlite3",
        "fleet": cache / "fleet" / "answers-1.sqlite3",
        "environments": cache / "environments" / HEX[:32] / "complete.json",
        "facts": cache / "facts" / "team.ftfacts",
        "python": cache / "python" / "3.14.7t" / "bin" / "python3.14t",
    }
    assert set(files) == {part.name for part in PARTS}
    for path in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1000)
    return files


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def test_a_folder_that_is_no_cache_of_ours_loses_nothing(tmp_path: Path) -> None:
    mine = [
        tmp_path / "python" / "work.py",
        tmp_path / "scan" / "thesis.pdf",
        tmp_path / "sdists" / "notes.txt",
        tmp_path / "index" / "pages" / "mine.page",
        tmp_path / "environments" / "prod" / "data",
        tmp_path / "binary" / "x" / "y.json",
        tmp_path / "letter.json",
    ]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        age(path, 1000)
    tidy(tmp_path)
    assert main(["cache", "clean", "--cache-dir", str(tmp_path), *(part.name for part in PARTS)]) == 0
    assert all(path.exists() for path in mine)


def test_a_link_out_of_the_cache_is_removed_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    (tmp_path / "cache" / "environments").mkdir(parents=True)
    (tmp_path / "cache" / "environments" / HEX[:32]).symlink_to(outside)
    clean(tmp_path / "cache", PARTS)
    assert (outside / "precious").exists()
    assert not (tmp_path / "cache" / "environments" / HEX[:32]).exists()


def test_an_environment_that_somebody_holds_stays(tmp_path: Path) -> None:
    files = fill(tmp_path)
    with (tmp_path / "environments" / f"{HEX[:32]}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        clean(tmp_path, PARTS)
        assert files["environments"].exists()
    clean(tmp_path, PARTS)
    assert not files["environments"].exists()


def test_clean_leaves_stores_and_built_interpreters_unless_they_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = fill(tmp_path)
    assert main(["cache", "clean", "--cache-dir", str(tmp_path)]) == 0
    assert [name for name, path in files.items() if path.exists()] == ["facts", "python"]
    assert main(["cache", "clean", "pyhton", "--cache-dir", str(tmp_path)]) == 2
    assert "did you mean python?" in capsys.readouterr().err
    assert main(["cache", "clean", "python", "--cache-dir", str(tmp_path)]) == 0
    assert not files["python"].exists()


def test_show_tells_how_much_there_is_of_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path)
    assert main(["cache", "show", "--cache-dir", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert str(tmp_path) in text and all(part.name in text for part in PARTS)
    assert [size.items for size in measure(tmp_path)] == [1] * len(PARTS)


def test_what_is_old_goes_and_what_is_not_stays(tmp_path: Path) -> None:
    files = fill(tmp_path)
    for path in files.values():
        age(path, 100)
    new = files["index"].with_name(files["index"].name.replace("0", "9", 1))
    new.write_text("new")
    assert tidy(tmp_path) == 5000
    assert [name for name, path in files.items() if not path.exists()] == [
        "index",
        "binary",
        "reach",
        "wheels",
        "sdists",
    ]
    assert new.exists()


def test_what_is_too_much_goes_the_oldest_first(tmp_path: Path) -> None:
    files = fill(tmp_path)
    old = files["sdists"]
    age(old, 2)
    new = old.with_name("demo-2.0.tar.gz")
    with new.open("wb") as stream:
        stream.truncate((1 << 30) - 500)
    assert tidy(tmp_path) == 1000
    assert new.exists() and not old.exists()


def test_it_is_tidied_once_a_day(tmp_path: Path) -> None:
    files = fill(tmp_path)
    tidy(tmp_path)
    age(files["index"], 100)
    assert tidy(tmp_path) == 0
    assert tidy(tmp_path, now=time.time() + 2 * DAY) >= 1000


def test_an_audit_tidies_and_no_cache_leaves_the_folder_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    files = fill(cache)
    age(files["index"], 100)
    (tmp_path / "a.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    assert main(["scan", "a.py", "--no-cache", "--cache-dir", str(cache)]) == 0
    assert files["index"].exists()
    assert main(["scan", "a.py", "--cache-dir", str(cache)]) == 0
    assert not files["index"].exists()


def test_a_cache_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    assert tidy(tmp_path / "nowhere") == 0
    assert not (tmp_path / "nowhere").exists()
