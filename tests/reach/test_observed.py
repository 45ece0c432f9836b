"""Answers of the analysis compared with runs: each disagreement is a difference, and nothing loaded is unreached."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftaudit.model.reach_sentences import reach_sentences, reach_summary
from ftaudit.model.reachability import ComparedRun, ReachAnswer, ReachClass, RunKind, SeenLoad, StartPoint
from ftaudit.reach.finder import Finder
from ftaudit.reach.folder_tree import FolderTree
from ftaudit.reach.observed import ObservedRun, compare_with_runs
from ftaudit.reach.run import ReachQuestion, find_reach
from ftaudit.source.python.parse import parse_module

EXT = ".cpython-314t-x86_64-linux-gnu.so"
OWN = "import lib.start\nimport os\nif os.environ.get('X'):\n    import lib.maybe\ndef f():\n    import lib.later\n"
SAID = {"lib.start": "start", "lib.maybe": "start-if", "lib.later": "run", "lib.never": "none"}


def answer(tmp_path: Path, code: str = OWN, start: StartPoint | None = None) -> ReachAnswer:
    """Return the analysis of an application that loads the modules of `lib` in four different ways."""
    files = {"own/app.py": code, "site/lib/__init__.py": "", **{f"site/{n.replace('.', '/')}{EXT}": "" for n in SAID}}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    trees = [FolderTree(name="own", root=tmp_path / "own", own=True), FolderTree(name="site", root=tmp_path / "site")]
    finder = Finder(trees=trees, version=(3, 14), sys_platform="linux")
    starts = [start or StartPoint(module="app")]
    return find_reach(
        ReachQuestion(finder=finder, starts=starts, platform="linux-x86_64", machine="x86_64", parse=parse_module)
    )


def load(*chain: str, file: str | None = "app.py") -> SeenLoad:
    return SeenLoad(run="r.json", chain=chain, at_start="app" in chain, requires_gil=True, file=file, line=3)


def observed(*loads: SeenLoad, completed: tuple[str, ...] = (), programs: tuple[str, ...] = ()) -> ObservedRun:
    run = ComparedRun(kind=RunKind.RECORDED, run="r.json", completed=completed)
    return ObservedRun(run=run, loads={each.chain[-1]: each for each in loads}, completed=completed, programs=programs)


def differences(found: ReachAnswer) -> list[tuple[str, str, bool, bool]]:
    return [(each.module, each.predicted.value, each.loaded, each.outside) for each in found.differences]


def classes(found: ReachAnswer) -> dict[str, str]:
    return {each.module: each.reached.value for each in found.modules}


def test_what_a_run_loads_as_the_analysis_says_is_no_difference(tmp_path: Path) -> None:
    said = answer(tmp_path)
    assert classes(said) == SAID
    found = compare_with_runs(said, [observed(load("app", "lib.start"), load("lib.later"), completed=("app",))])
    assert (differences(found), classes(found)) == ([], SAID)
    assert "the runs in r.json showed no difference" in list(reach_summary(found))


def test_a_module_that_no_way_led_to_is_a_difference_and_counts_as_loaded(tmp_path: Path) -> None:
    said = answer(tmp_path)
    for chain, reached in ((("lib.never",), "run"), (("app", "lib.never"), "start")):
        found = compare_with_runs(said, [observed(load(*chain))])
        assert differences(found) == [("lib.never", "none", True, False)]
        assert classes(found)["lib.never"] == reached
        (sentence,) = reach_sentences(next(each for each in found.modules if each.module == "lib.never"))
        assert sentence.endswith(f"in r.json: {' → '.join(chain)} (app.py:3)")


def test_a_module_of_a_function_that_is_loaded_at_start_is_a_difference(tmp_path: Path) -> None:
    found = compare_with_runs(answer(tmp_path), [observed(load("app", "lib.later"))])
    assert differences(found) == [("lib.later", "run", True, False)]
    assert classes(found)["lib.later"] == "start"


def test_what_a_test_imports_by_itself_changes_no_class(tmp_path: Path) -> None:
    said = answer(tmp_path)
    for inside, file in ((False, "tests/test_it.py"), (True, "app.py"), (True, "src/app.py"), (True, None)):
        found = compare_with_runs(said, [observed(load("lib.never", file=file))])
        assert differences(found) == [("lib.never", "none", True, not inside)]
        assert classes(found)["lib.never"] == ("run" if inside else "none")


def test_what_is_due_at_start_is_missed_only_if_the_start_point_was_completed(tmp_path: Path) -> None:
    said = answer(tmp_path)
    assert differences(compare_with_runs(said, [observed()])) == []
    found = compare_with_runs(said, [observed(completed=("app",))])
    assert differences(found) == [("lib.start", "start", False, False)]
    assert classes(found) == SAID, "an earlier run may load it"


@pytest.mark.parametrize(
    ("start", "programs", "missed"),
    [
        (StartPoint(module="app", is_main=True, text="own/app.py"), ("own/app.py",), True),
        (StartPoint(module="app", is_main=True, text="own/app.py"), ("other/app2.py",), False),
        (StartPoint(module="app", function="f"), (), True),
    ],
)
def test_programs_count_when_they_ended_and_functions_only_for_what_their_module_loads(
    start: StartPoint, programs: tuple[str, ...], missed: bool, tmp_path: Path
) -> None:
    said = answer(tmp_path, start=start)
    completed = () if start.is_main else ("app",)
    found = differences(compare_with_runs(said, [observed(completed=completed, programs=programs)]))
    assert found == ([("lib.start", "start", False, False)] if missed else [])


def test_an_unknown_answer_is_settled_by_a_run_without_a_difference(tmp_path: Path) -> None:
    said = answer(tmp_path, "import importlib, os\nimportlib.import_module('lib.' + os.environ['X'])\n")
    assert set(classes(said).values()) == {ReachClass.UNSURE.value}
    found = compare_with_runs(said, [observed(load("app", "lib.never"))])
    assert differences(found) == [] and classes(found)["lib.never"] == "start"


def test_a_record_of_another_interpreter_is_reported_and_not_compared(tmp_path: Path) -> None:
    run = ComparedRun(kind=RunKind.RECORDED, run="r.json", other="CPython 3.9 on win32 AMD64")
    found = compare_with_runs(answer(tmp_path), [ObservedRun(run=run, loads={"lib.never": load("app", "lib.never")})])
    assert (differences(found), classes(found)) == ([], SAID)
    assert list(reach_summary(found))[-1] == ("r.json was not compared: its runs are from CPython 3.9 on win32 AMD64")
