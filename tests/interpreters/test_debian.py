"""The package archive yields the requested files, or nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ftaudit.interpreters import debian

pytestmark = pytest.mark.skipif(bool(debian.missing_tools()), reason="needs apt")


def test_a_file_with_another_content_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "offered").write_bytes(b"another source")
    wanted = hashlib.sha256(b"the source").hexdigest()
    assert not debian.download((tmp_path / "offered").as_uri(), tmp_path / "got", wanted)
    assert not (tmp_path / "got").exists()


def test_a_file_that_the_archive_does_not_have_is_not_taken(tmp_path: Path) -> None:
    assert not debian.download((tmp_path / "missing").as_uri(), tmp_path / "got", "0" * 64)


def test_a_file_with_the_right_content_is_taken(tmp_path: Path) -> None:
    (tmp_path / "offered").write_bytes(b"the source")
    wanted = hashlib.sha256(b"the source").hexdigest()
    assert debian.download((tmp_path / "offered").as_uri(), tmp_path / "got", wanted)
    assert (tmp_path / "got").read_bytes() == b"the source"


def test_the_archives_are_addresses_each_named_once() -> None:
    addresses = debian.archive_addresses()
    assert len(set(addresses)) == len(addresses)
    assert all("://" in address and address.endswith("/") for address in addresses)
