"""The pace of requests, which processes share through a folder."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import requests
from support.index_server import IndexServer, Reply

from ftaudit.index import pace as pace_module
from ftaudit.index.index_settings import IndexSettings
from ftaudit.index.net import Session
from ftaudit.index.pace import Pace
from ftaudit.index.traffic import Traffic


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let the clock jump instead of waiting; return the waits."""
    waits: list[float] = []
    now = [1_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])

    def sleep(seconds: float) -> None:
        waits.append(round(seconds, 3))
        now[0] += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    return waits


@pytest.mark.parametrize("shared", [True, False])
def test_requests_of_all_processes_to_one_host_keep_to_the_rate(
    shared: bool, tmp_path: Path, slept: list[float]
) -> None:
    folder = tmp_path if shared else None
    one = Pace(folder, 10)
    other = Pace(folder, 10) if shared else one
    for pace in (one, other, one, other):
        pace.wait("index.example")
    one.wait("files.example")
    assert slept == [0.1, 0.1, 0.1]


def test_a_pause_that_one_process_was_asked_for_counts_for_all(tmp_path: Path, slept: list[float]) -> None:
    Pace(tmp_path, None).hold("index.example", 7)
    Pace(tmp_path, None).wait("index.example")
    assert slept == [7.0]
    Pace(tmp_path, None).hold("index.example", 1e9)
    Pace(tmp_path, None).wait("index.example")
    assert slept[1:] == [120.0]


def test_a_pause_of_another_machine_counts_here_and_is_not_told_again(
    tmp_path: Path, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, float]] = []
    monkeypatch.setattr(pace_module, "_held", {})
    monkeypatch.setattr(pace_module, "_told", [])
    pace_module.tell_holds(lambda host, seconds: told.append((host, seconds)))
    before = Pace(tmp_path / "missing", None)
    pace_module.obey_hold("index.example", 7)
    Pace(tmp_path / "missing", None).wait("index.example")
    assert (slept, told) == ([7.0], [])
    before.hold("index.example", 3)
    assert told == [("index.example", 3)]
    before.wait("index.example")
    assert slept == [7.0, 3.0]


def test_a_folder_that_cannot_be_used_leaves_each_process_its_own_pace(tmp_path: Path, slept: list[float]) -> None:
    pace = Pace(tmp_path / "missing", 10)
    for _ in range(3):
        pace.wait("index.example")
    assert slept == [0.1, 0.1]


def test_retry_after_reaches_the_other_processes(tmp_path: Path, slept: list[float]) -> None:
    with IndexServer() as server:
        server.add_page("/simple/demo/", b"{}", form="json")
        server.first("/simple/demo/", Reply(status=503, headers=(("Retry-After", "9"),)))
        with Session(IndexSettings(sources=(), pace=Pace(tmp_path, None), backoff=0.0), Traffic()) as session:
            assert session.get(f"{server.simple_url}demo/").status_code == requests.codes.ok
    waited = sum(slept)
    Pace(tmp_path, None).wait("127.0.0.1")
    assert sum(slept) == pytest.approx(max(9.0, waited), abs=0.01)
