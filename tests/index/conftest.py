"""A local index server, settings for it, and an environment without proxies and credentials."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.freethreaded import interpreter
from support.index_server import IndexServer

from ftaudit.errors import InterpreterError
from ftaudit.index.index_settings import IndexSettings, parse_source

MakeSettings = Callable[..., IndexSettings]


@pytest.fixture(autouse=True)
def scrubbed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with contextlib.suppress(InterpreterError):
        interpreter()  # Found once: the home that a test gets has none.
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith(("PIP_", "UV_")) or "CA_BUNDLE" in name:
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


@pytest.fixture
def settings(server: IndexServer, tmp_path: Path) -> MakeSettings:
    """Return a function that makes settings for the server: a cache, short patience, no waiting between tries."""

    def make(*urls: str, **changes: object) -> IndexSettings:
        values: dict[str, object] = {
            "sources": tuple(parse_source(url) for url in urls or (server.simple_url,)),
            "cache": tmp_path / "cache",
            "timeout": 5.0,
            "backoff": 0.0,
            "keyring": "disabled",
            **changes,
        }
        return IndexSettings(**values)  # type: ignore[arg-type]

    return make
