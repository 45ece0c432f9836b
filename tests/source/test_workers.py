"""Worker processes that crash, hang or run out of memory."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from ftaudit.source.workers import Died, run_tasks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")


def work(task: str) -> str:
    match task:
        case "hang":
            while True:
                pass
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(7)
        case _:
            pass
    return task.upper()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("hang", "took longer than 0.5 s"),
        ("kill", "the process that looked at it was ended by SIGKILL"),
        ("exit", "the process that looked at it ended with exit code 7"),
    ],
)
@pytest.mark.parametrize("jobs", [1, 3])
def test_the_task_that_ends_its_worker_is_named_and_the_others_are_done(bad: str, reason: str, jobs: int) -> None:
    tasks = ["a", "b", bad, "c", bad, "d"]
    answers = dict(run_tasks(work, tasks, sizes=[1] * len(tasks), jobs=jobs, patience=0.5))
    assert answers == {0: "A", 1: "B", 2: Died(reason=reason), 3: "C", 4: Died(reason=reason), 5: "D"}


def test_every_task_is_answered_once_whatever_the_sizes() -> None:
    tasks = [f"t{number}" for number in range(200)]
    sizes = [number * 5_000 for number in range(200)]
    answered = list(run_tasks(work, tasks, sizes=sizes, jobs=2))
    assert sorted(answered) == [(number, f"T{number}") for number in range(200)]


def test_nothing_to_do_starts_nothing() -> None:
    assert list(run_tasks(work, [], sizes=[], jobs=2)) == []
