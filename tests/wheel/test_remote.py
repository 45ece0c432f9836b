"""Wheels behind URLs: ranges if the server supports them, otherwise the whole file or a clear error."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from support.index_server import IndexServer, Reply
from support.wheels import CORE, NAME, elf, incompressible, wheel

from ftaudit.errors import ArchiveError
from ftaudit.wheel import Limits, open_wheel, read_metadata
from ftaudit.wheel.member import MemberImage

PATH = f"/files/{NAME}"
PLAIN = {CORE: elf(mapped=incompressible(300_000)), "demo/data.bin": incompressible(900_000)}
DEBUG = {
    CORE: elf(mapped=incompressible(200_000), unmapped=incompressible(2_000_000, b"debug")),
    "demo/small.cpython-314t-x86_64-linux-gnu.so": elf(
        "small", mapped=incompressible(50_000), unmapped=incompressible(300_000, b"debug")
    ),
}


@pytest.fixture(scope="module")
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


@pytest.fixture(autouse=True)
def healed(server: IndexServer) -> None:
    server.heal(PATH)
    server.forget()


def images(
    url: str, tmp_path: Path, *, sha256: str | None = None, parallel: int = 0
) -> tuple[dict[str, MemberImage], int]:
    """Return the images of the wheel's shared objects, and the number of fetched bytes."""
    with (
        requests.Session() as session,
        ThreadPoolExecutor(parallel or 1) as pool,
        open_wheel(url, session=session, cache_dir=tmp_path / "cache", sha256=sha256) as found,
    ):
        members = [member for member in found.members if member.name.endswith(".so")]
        read = {image.member.name: image for image in found.read_images(members, fetchers=pool if parallel else None)}
        return read, found.bytes_read


def refused(url: str, tmp_path: Path, *, limits: Limits | None = None, sha256: str | None = None) -> str:
    with requests.Session() as session, pytest.raises(ArchiveError) as caught:
        open_wheel(url, session=session, cache_dir=tmp_path / "cache", limits=limits, sha256=sha256)
    kept = tmp_path / "cache"
    assert not kept.exists() or list(kept.iterdir()) == []
    return caught.value.problem


@pytest.mark.parametrize("status", [403, 404, 410, 500])
def test_a_server_that_refuses_is_named_with_its_status(server: IndexServer, tmp_path: Path, status: int) -> None:
    server.always(PATH, Reply(status=status))
    assert str(status) in refused(server.file_url(NAME), tmp_path)


def test_a_server_that_cannot_be_reached_is_an_error(tmp_path: Path) -> None:
    assert "cannot be fetched" in refused("http://127.0.0.1:9/demo.whl", tmp_path)


def test_a_body_that_drips_is_given_up(tmp_path: Path) -> None:
    """The body would take hours, and each of its bytes comes in time."""
    done = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            for _ in range(600):
                connection.sendall(b"x")
                if done.wait(0.02):
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        dripping = pool.submit(drip, listener)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/{NAME}"
        try:
            said = refused(url, tmp_path, limits=Limits(timeout=0.3))
            assert not dripping.done(), "the server ended the answer"
        finally:
            done.set()
    assert "too slowly" in said or "ReadTimeout" in said


@pytest.mark.parametrize("url", ["http://", "https://[::1/demo.whl", "http://\udcff/x.whl"])
def test_a_url_that_is_none_is_an_error(url: str, tmp_path: Path) -> None:
    with requests.Session() as session, pytest.raises(ArchiveError):
        open_wheel(url, session=session, cache_dir=tmp_path)


def test_without_a_session_nothing_is_fetched(server: IndexServer, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="network is disabled"):
        open_wheel(server.file_url(NAME), cache_dir=tmp_path)
    assert server.requests == []


def test_a_connection_that_drops_is_an_error(server: IndexServer, tmp_path: Path) -> None:
    server.always(PATH, Reply(drops=True))
    assert "cannot be fetched" in refused(server.file_url(NAME), tmp_path)


def test_a_whole_download_that_breaks_off_is_an_error_and_leaves_nothing(server: IndexServer, tmp_path: Path) -> None:
    data = wheel()
    server.always(PATH, Reply(body=data, sends=len(data) // 2))
    assert "broke off" in refused(server.file_url(NAME), tmp_path)


def test_a_whole_download_beyond_the_limit_is_refused(server: IndexServer, tmp_path: Path) -> None:
    server.add_file(NAME, wheel(PLAIN), ranges=False)
    assert "larger than 1000" in refused(server.file_url(NAME), tmp_path, limits=Limits(download=1000))


def test_a_whole_download_with_another_hash_is_refused(server: IndexServer, tmp_path: Path) -> None:
    server.add_file(NAME, wheel(PLAIN), ranges=False)
    assert "was expected" in refused(server.file_url(NAME), tmp_path, sha256="0" * 64)


@pytest.mark.parametrize(
    "content_range",
    [None, "bytes", "bytes */5", "bytes 0-9/10", "bytes 5-4/10", "bytes 0-99/*", "items 0-1/2", "bytes 1-2/2"],
)
def test_a_range_that_makes_no_sense_leads_to_a_plain_request(
    server: IndexServer, tmp_path: Path, content_range: str | None
) -> None:
    data = wheel()
    headers = () if content_range is None else (("Content-Range", content_range),)
    server.add_file(NAME, data, ranges=False)
    server.first(PATH, Reply(status=206, body=b"x" * 7, headers=headers))
    try:
        read, _ = images(server.file_url(NAME), tmp_path)
    except ArchiveError as error:
        # A tail of ten bytes is a consistent answer for a file that is not a wheel.
        assert content_range == "bytes 0-9/10"
        assert "announced" in error.problem
    else:
        assert read[CORE].data == elf()


def test_a_server_that_answers_416_is_asked_for_the_whole_file(server: IndexServer, tmp_path: Path) -> None:
    server.add_file(NAME, wheel(), ranges=False)
    server.first(PATH, Reply(status=416))
    read, _ = images(server.file_url(NAME), tmp_path)
    assert read[CORE].data == elf()


def test_a_server_without_ranges_is_asked_once_and_never_again(server: IndexServer, tmp_path: Path) -> None:
    data = wheel(PLAIN)
    server.add_file(NAME, data, ranges=False)
    sha256 = hashlib.sha256(data).hexdigest()
    for fetched in (len(data), 0):
        read, count = images(server.file_url(NAME), tmp_path, sha256=sha256)
        assert read[CORE].data == PLAIN[CORE]
        assert count == fetched
    assert server.count(PATH) == 1


def test_a_kept_file_that_was_changed_is_fetched_again(server: IndexServer, tmp_path: Path) -> None:
    data = wheel(PLAIN)
    server.add_file(NAME, data, ranges=False)
    sha256 = hashlib.sha256(data).hexdigest()
    images(server.file_url(NAME), tmp_path, sha256=sha256)
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(b"something else")
    read, _ = images(server.file_url(NAME), tmp_path, sha256=sha256)
    assert read[CORE].data == PLAIN[CORE]
    assert kept.read_bytes() == data


def test_a_server_that_stops_knowing_ranges_is_asked_for_the_whole_file(server: IndexServer, tmp_path: Path) -> None:
    data = wheel(PLAIN)
    server.add_file(NAME, data)
    with (
        requests.Session() as session,
        open_wheel(server.file_url(NAME), session=session, cache_dir=tmp_path) as found,
    ):
        server.always(PATH, Reply(body=data))
        member = found.member(CORE)
        assert member is not None
        assert found.read(member) == PLAIN[CORE]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=206, body=b"short", headers=(("Content-Range", "bytes 0-4/5"),)),
        Reply(status=206, body=b"x" * 50, headers=(("Content-Range", "bytes 0-49/999999"),)),
        Reply(status=503),
        Reply(drops=True),
    ],
)
def test_a_later_range_that_is_another_than_asked_for_is_an_error(
    server: IndexServer, tmp_path: Path, reply: Reply
) -> None:
    server.add_file(NAME, wheel(PLAIN))
    with (
        requests.Session() as session,
        open_wheel(server.file_url(NAME), session=session, cache_dir=tmp_path) as found,
    ):
        server.always(PATH, reply)
        member = found.member(CORE)
        assert member is not None
        with pytest.raises(ArchiveError):
            found.read(member)


def test_a_file_that_is_replaced_while_it_is_read_is_an_error(server: IndexServer, tmp_path: Path) -> None:
    server.add_file(NAME, wheel(PLAIN))
    with (
        requests.Session() as session,
        open_wheel(server.file_url(NAME), session=session, cache_dir=tmp_path) as found,
    ):
        server.add_file(NAME, wheel({**PLAIN, "more": incompressible(10)}))
        member = found.member(CORE)
        assert member is not None
        with pytest.raises(ArchiveError, match="a different range"):
            found.read(member)


def test_only_the_wanted_members_are_fetched(server: IndexServer, tmp_path: Path) -> None:
    data = wheel(PLAIN)
    server.add_file(NAME, data)
    read, count = images(server.file_url(NAME), tmp_path)
    assert read[CORE].data == PLAIN[CORE]
    assert read[CORE].checked
    assert count < len(data) / 2
    assert all("range" in seen.headers for seen in server.requests)


@pytest.mark.parametrize("parallel", [0, 4])
def test_what_no_loader_maps_is_not_fetched_and_makes_no_difference(
    server: IndexServer, tmp_path: Path, parallel: int
) -> None:
    data = wheel(DEBUG)
    server.add_file(NAME, data)
    read, count = images(server.file_url(NAME), tmp_path, parallel=parallel)
    local = tmp_path / NAME
    local.write_bytes(data)
    there, _ = images(str(local), tmp_path)
    assert {name: image.data for name, image in read.items()} == {name: image.data for name, image in there.items()}
    assert all(image.checked for image in there.values())
    assert count < 500_000 < len(data)


def test_a_small_wheel_is_fetched_with_one_request(server: IndexServer, tmp_path: Path) -> None:
    data = wheel(classifiers=("Programming Language :: Python :: Free Threading :: 3 - Stable",))
    server.add_file(NAME, data)
    with (
        requests.Session() as session,
        open_wheel(server.file_url(NAME), session=session, cache_dir=tmp_path) as found,
    ):
        assert read_metadata(found, NAME).classifiers
        assert [image.data for image in found.read_images(found.members) if image.data] == [elf()]
        assert found.bytes_read == len(data)
    assert server.count(PATH) == 1


def test_messages_hold_no_credentials(server: IndexServer, tmp_path: Path) -> None:
    server.always(PATH, Reply(status=403))
    url = server.file_url(NAME).replace("http://", "http://user:hunter2@")
    assert "hunter2" not in refused(f"{url}?token=hunter2", tmp_path)
