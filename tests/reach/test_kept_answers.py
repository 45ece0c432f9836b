"""Answers of earlier runs count only while everything that they depend on is unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ftaudit.model.reachability import OpenKind, OpenSite, ReachAnswer, ReachClass, StartPoint
from ftaudit.reach.finder import Finder
from ftaudit.reach.folder_tree import FolderTree
from ftaudit.reach.kept_answers import AnswerKey, KeptAnswers
from ftaudit.reach.run import ReachQuestion, find_reach
from ftaudit.source.python.parse import parse_module

C = "fast/_c.cpython-314t-x86_64-linux-gnu.so"
FILES = {"src/app.py": "import lib", "site/lib.py": "import fast._c", f"site/{C}": "", "site/fast/__init__.py": ""}


def key_of(folder: Path, *, wheels: tuple[tuple[str, str], ...] = ()) -> AnswerKey:
    own = FolderTree(name="src", root=folder / "src", own=True)
    site = FolderTree(name="site", root=folder / "site")
    return AnswerKey(question=("3.14t", "app"), wheels=wheels, unread=(), folders=(own, site))


def ask(key: AnswerKey) -> ReachAnswer:
    finder = Finder(trees=key.folders, version=(3, 14), sys_platform="linux")
    starts = [StartPoint(module="app")]
    return find_reach(
        ReachQuestion(finder=finder, starts=starts, platform="linux", machine="x86_64", parse=parse_module)
    )


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_an_unchanged_stack_has_the_same_answer_without_a_run(stack: Path) -> None:
    kept, key = KeptAnswers(folder=stack / "cache"), key_of(stack)
    answer = ask(key)
    assert kept.find(key) is None
    kept.keep(key, answer)
    found = kept.find(key_of(stack))
    assert found == answer
    assert found is not None and found.modules[0].reached is ReachClass.START


def _edit(folder: Path) -> None:
    (folder / "src/app.py").write_text("import json")


def _edit_package(folder: Path) -> None:
    (folder / "site/lib.py").write_text("import json   ")


def _add(folder: Path) -> None:
    (folder / "src/lib.py").write_text("")


def _remove(folder: Path) -> None:
    (folder / f"site/{C}").unlink()


def _replace_binary(folder: Path) -> None:
    (folder / f"site/{C}").write_bytes(b"another")


@pytest.mark.parametrize("change", [_edit, _edit_package, _add, _remove, _replace_binary])
def test_a_change_of_any_file_that_was_read_or_listed_needs_a_run(change: Callable[[Path], None], stack: Path) -> None:
    kept, key = KeptAnswers(folder=stack / "cache"), key_of(stack)
    kept.keep(key, ask(key))
    change(stack)
    assert kept.find(key_of(stack)) is None


def test_another_wheel_or_question_and_a_damaged_entry_need_a_run(stack: Path) -> None:
    kept, key = KeptAnswers(folder=stack / "cache"), key_of(stack)
    kept.keep(key, ask(key))
    assert kept.find(key_of(stack, wheels=(("lib", "0" * 64),))) is None
    assert kept.find(replace(key, question=("3.15t", "app"))) is None
    (entry,) = (stack / "cache").rglob("*.json")
    entry.write_bytes(b'{"reads": [3], "answer": {}}')
    assert kept.find(key_of(stack)) is None


def test_what_could_not_be_read_this_time_is_not_kept(stack: Path) -> None:
    kept, key = KeptAnswers(folder=stack / "cache"), key_of(stack)
    site = OpenSite(kind=OpenKind.BINARY, package="fast", module="fast._c", file=C, line=0)
    kept.keep(key, replace(ask(key), open_sites=(site,)))
    assert not (stack / "cache").exists()
