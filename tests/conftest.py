"""Shared test set-up: an interrupt reaches the processes that a test starts; tests that share run together."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from support.command_server import import_engines

TESTS = Path(__file__).parent

# A shell that starts the suite in the background ignores SIGINT, and child processes inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def engines() -> None:
    """Import once what each process that reads a module is copied from, where many tests run."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        import_engines()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep in one process of pytest-xdist the tests that share a fixture of their module, and those on the clock."""
    for item in items:
        if item.get_closest_marker("timing"):
            item.add_marker(pytest.mark.xdist_group("timing"))
        elif isinstance(item, pytest.Function) and _shares(item):
            item.add_marker(pytest.mark.xdist_group(item.path.relative_to(TESTS).as_posix()))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    """Return when a test runs: what takes minutes comes first, so that no process waits for another one at the end."""
    if item.path.name == "test_docs.py":
        return 0
    return 1 if item.get_closest_marker("xdist_group") and not item.get_closest_marker("timing") else 2


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name long bytes by their length: archives hold the time at which they were made, and workers agree on names."""
    return f"{argname}-of-{len(val)}-bytes" if isinstance(val, bytes) and len(val) > 64 else None


def _shares(item: pytest.Function) -> bool:
    """Return whether a test uses one of our fixtures that is made once per module."""
    fixtures = [made for each in item._fixtureinfo.name2fixturedefs.values() for made in each]
    return any(made.scope == "module" and made.func.__module__ == item.module.__name__ for made in fixtures)
