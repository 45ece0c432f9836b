"""Worker processes that crash, hang, answer nonsense or run out of memory cost their own task, and no other."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path

import pytest

from ftaudit.workers import Died, TaskEnding, WorkerPool, run_tasks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux alone")


def pipes() -> dict[int, int]:
    """Return the descriptors of this process that are pipes, by the number of the pipe."""
    found = {}
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            status = os.fstat(descriptor)
            if stat.S_ISFIFO(status.st_mode):
                found[status.st_ino] = descriptor
    return found


PIPES = {} if "PYTEST_CURRENT_TEST" in os.environ else pipes()
"""The pipes of pytest. A worker's are additional; one that is not a copy of pytest has only its own."""


def own_pipes() -> list[int]:
    """Return the descriptors of a worker's pipes."""
    return [descriptor for number, descriptor in pipes().items() if number not in PIPES]


def work(task: str) -> object:
    match task:
        case "hang":
            while True:
                pass
        case "sleep":
            time.sleep(3600)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(7)
        case "raise":
            raise ZeroDivisionError
        case "eat":
            return len(bytearray(1 << 50))
        case "bytes":
            return b"not JSON"
        case "print":
            os.write(1, b"\x01\0\0\0\0\0\0\0{")
            os.write(2, b"noise")
        case "close":
            os.closerange(3, 64)
        case "garbage":
            for descriptor in own_pipes():
                with contextlib.suppress(OSError):
                    os.write(descriptor, b"\x02\0\0\0\0\0\0\0[]")
        case "endless":
            for descriptor in own_pipes():
                with contextlib.suppress(OSError):
                    os.write(descriptor, b"\xff" * 16)
        case _:
            pass
    return task.upper()


def fail_first(folder: str, failures: int) -> None:
    """End the process as long as it is one of the first."""
    number = len(list(Path(folder).iterdir()))
    if number < failures:
        (Path(folder) / str(number)).touch()
        os._exit(1)


def measure(task: bytes, shared: bytes | None) -> list[int]:
    return [len(task), len(shared or b""), sum(task[:10])]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("hang", "was ended after 1 s of work"),
        ("sleep", "was ended after 1 s of work"),
        ("kill", "was ended by SIGKILL"),
        ("exit", "ended with exit code 7"),
        ("raise", "failed: ZeroDivisionError in test_workers.py:"),
        ("eat", "needs more than 6144 MiB of memory"),
        ("bytes", "failed: TypeError in "),
        ("garbage", "returned an invalid result"),
        ("endless", "returned an invalid result"),
    ],
)
@pytest.mark.parametrize("jobs", [1, 3])
def test_the_task_that_ends_its_worker_is_named_and_the_others_are_done(bad: str, told: str, jobs: int) -> None:
    tasks = ["a", "b", bad, "c", bad, "d"]
    # Only what waits is ended by the clock: a machine with much other work must not end the rest.
    patience = 1.0 if bad in ("hang", "sleep") else 60.0
    answers = dict(run_tasks(work, tasks, sizes=[1] * len(tasks), jobs=jobs, patience=patience))
    assert {index: answers[index] for index in (0, 1, 3, 5)} == {0: "A", 1: "B", 3: "C", 5: "D"}
    assert all(isinstance(answers[index], Died) and str(answers[index]).startswith(told) for index in (2, 4))


def test_what_a_worker_prints_is_no_answer_and_reaches_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    assert dict(run_tasks(work, ["print", "a"], sizes=[1, 1], jobs=1)) == {0: "PRINT", 1: "A"}
    assert capfd.readouterr() == ("", "")


def test_a_worker_that_closes_its_pipes_costs_its_task() -> None:
    answers = dict(run_tasks(work, ["a", "close", "b"], sizes=[3, 2, 1], jobs=1))
    assert (answers[0], answers[2]) == ("A", "B") and isinstance(answers[1], Died)


def test_every_task_is_answered_once_whatever_the_sizes() -> None:
    tasks = [f"t{number}" for number in range(200)]
    sizes = [number * 5_000 for number in range(200)]
    answered = list(run_tasks(work, tasks, sizes=sizes, jobs=2))
    assert sorted(answered) == [(number, f"T{number}") for number in range(200)]


def test_every_worker_may_be_lost_many_times() -> None:
    tasks = ["kill", "exit"] * 10
    answers = dict(run_tasks(work, tasks, sizes=[1] * 20, jobs=2))
    assert [answers[index].how for index in range(20)] == [TaskEnding.SIGNAL, TaskEnding.EXIT] * 10


def test_nothing_to_do_starts_nothing() -> None:
    assert list(run_tasks(work, [], sizes=[], jobs=2)) == []


def test_who_stops_listening_leaves_no_worker_behind() -> None:
    answers = run_tasks(work, ["a", "hang", "hang"], sizes=[3, 2, 1], jobs=2)
    assert next(answers) == (0, "A")
    answers.close()


def test_large_tasks_and_what_a_batch_shares_arrive_whole() -> None:
    with WorkerPool(measure, workers=2, seconds=60, memory=4 << 30, fork=True, capacity=1) as pool:
        first = pool.submit([b"\1" * (1 << 20), b"\2"], b"z" * 100_000, weight=5)
        second = pool.submit([b"\3"], None, weight=5)
        assert [future.result() for future in (*first, *second)] == [[1 << 20, 100_000, 10], [1, 100_000, 2], [1, 0, 3]]


def test_a_fresh_interpreter_works_as_a_copy_does() -> None:
    with WorkerPool(re.split, workers=2, seconds=60, memory=4 << 30) as pool:
        futures = [future for _ in range(3) for future in pool.submit(["-", "+"], "1-2", at_once=True)]
        told = [future.result() for future in futures]
    assert told[0::2] == [["1", "2"]] * 3 and all(died.how is TaskEnding.RAISED for died in told[1::2])


@pytest.mark.parametrize("fork", [False, True])
@pytest.mark.parametrize(("failures", "answers"), [(1, [[1, 0, 97], [1, 0, 98]]), (100, [TaskEnding.NOT_STARTED] * 2)])
def test_a_worker_that_does_not_start_is_replaced_once(
    tmp_path: Path, fork: bool, failures: int, answers: list[object]
) -> None:
    """The first starts fail; if the second does too, the tasks are reported as not done."""
    with WorkerPool(
        measure, workers=1, seconds=60, memory=4 << 30, prepare=partial(fail_first, str(tmp_path), failures), fork=fork
    ) as pool:
        told = [future.result() for future in pool.submit([b"a", b"b"])]
    assert [answer.how if isinstance(answer, Died) else answer for answer in told] == answers


def test_closing_cancels_what_waits() -> None:
    pool = WorkerPool(measure, workers=1, seconds=60, memory=4 << 30, fork=True)
    pool.close()
    (future,) = pool.submit([b"x"])
    with pytest.raises(CancelledError):
        future.result()


def children() -> set[int]:
    """Return the processes that this one has started and not collected."""
    return {*map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())}


def count_descriptors() -> int:
    """Return how many files, pipes and sockets this process has open."""
    return len([*Path("/proc/self/fd").iterdir()])


@linux
def test_a_pool_leaves_no_process_and_no_descriptor_behind() -> None:
    before = children(), count_descriptors()
    tasks = ["a", "kill", "b", "exit"]
    dict(run_tasks(work, tasks, sizes=[1] * 4, jobs=2))
    assert (children(), count_descriptors()) == before


@linux
def test_workers_end_when_the_process_that_uses_them_is_killed(tmp_path: Path) -> None:
    import fcntl

    lock, script = tmp_path / "lock", tmp_path / "user.py"
    script.write_text(
        "import fcntl, time\n"
        "from ftaudit.workers import WorkerPool\n"
        "def work(task, shared):\n"
        "    if task == 'sleep':\n        time.sleep(3600)\n"
        "    work.held = open(task, 'w')\n    fcntl.flock(work.held, fcntl.LOCK_EX)\n"
        "with WorkerPool(work, workers=1, seconds=600, memory=4 << 30, fork=True, may_write=True) as pool:\n"
        f"    first, second = pool.submit([{str(lock)!r}, 'sleep'])\n"
        "    print(first.result(), flush=True)\n    second.result()\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "None\n"
        process.kill()
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # Waits for the end of the worker.


@linux
def test_a_template_that_is_lost_costs_answers_and_does_not_hang() -> None:
    before = children()
    with WorkerPool(measure, workers=1, seconds=60, memory=4 << 30, fork=True) as pool:
        (first,) = pool.submit([b"a"])
        assert first.result() == [1, 0, 97]
        (template,) = children() - before
        os.kill(template, signal.SIGKILL)
        (lost,) = pool.submit([b"b"])
        assert lost.result() == [1, 0, 98] or lost.result().how is TaskEnding.NOT_STARTED
