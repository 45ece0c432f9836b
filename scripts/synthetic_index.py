#!/usr/bin/env python3
"""A package index on loopback with thousands of packages, made from the small extension modules in fixtures/.

    scripts/synthetic_index.py --packages 8000 --latency 0.02      # prints its URL, and serves until it is stopped

Package number N always has the same page, of 20 to 300 files, and the same wheels: the newest release has one with a
real module, whose declaration differs from package to package. Pages have entity tags; files answer range requests.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
import multiprocessing
import random
import re
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Final

BINARIES: Final = Path(__file__).resolve().parents[1] / "fixtures" / "binaries" / "linux-x86_64"
MODULES: Final = ("multi_not_used", "multi_used", "multi_none", "single_set", "single_unset", "multi_not_used")
TAG: Final = "cp314-cp314t-manylinux_2_17_x86_64"
JSON_TYPE: Final = "application/vnd.pypi.simple.v1+json"


def package_name(number: int) -> str:
    """Return the name of a package."""
    return f"synthetic-{number:05}"


@functools.lru_cache(maxsize=2048)
def wheel(number: int) -> tuple[str, bytes, str]:
    """Return the wheel of a package's newest release: file name, bytes and digest."""
    kind = number % 10
    name, version = package_name(number).replace("-", "_"), "2.0"
    tag = "py3-none-any" if kind >= 6 else TAG
    members: dict[str, bytes] = {f"{name}.py": f"NUMBER = {number}\n".encode()}
    if kind < 6:
        module = MODULES[kind]
        place = f"{module}.cpython-314t-x86_64-linux-gnu.so"
        members[place] = (BINARIES / place).read_bytes()
    folder = f"{name}-{version}.dist-info"
    members[f"{folder}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    members[f"{folder}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    members[f"{folder}/RECORD"] = b""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in members.items():
            archive.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    data = buffer.getvalue()
    return f"{name}-{version}-{tag}.whl", data, hashlib.sha256(data).hexdigest()


def page(number: int, base: str) -> tuple[bytes, str]:
    """Return the page of a package as JSON, and its entity tag."""
    name = package_name(number)
    stem = name.replace("-", "_")
    filename, data, digest = wheel(number)
    chance = random.Random(number)
    files: list[dict[str, Any]] = []
    for index in range(chance.randint(19, 299)):
        old = f"{stem}-1.{index // 20}.{index % 20}-cp3{index % 4 + 9}-cp3{index % 4 + 9}-manylinux_2_17_x86_64.whl"
        fake = hashlib.sha256(old.encode()).hexdigest()
        files.append({"filename": old, "url": f"{base}/files/{old}", "hashes": {"sha256": fake}, "size": 10_000})
    files.append(
        {"filename": filename, "url": f"{base}/files/{filename}", "hashes": {"sha256": digest}, "size": len(data)}
    )
    told = {"meta": {"api-version": "1.1"}, "name": name, "files": files}
    body = json.dumps(told).encode()
    return body, f'"{hashlib.sha256(body).hexdigest()[:16]}"'


class Handler(BaseHTTPRequestHandler):
    """Answers for pages and files."""

    protocol_version = "HTTP/1.1"
    packages = 0
    latency = 0.0
    max_age = 600
    """Seconds that a page is valid; with 0, a client asks about each page again."""
    base = ""
    tags: ClassVar[dict[int, str]] = {}
    """The entity tags of the pages that were served: a page that is unchanged is not made again."""

    def do_GET(self) -> None:
        """Answer after the latency."""
        time.sleep(self.latency)
        if match := re.fullmatch(r"/simple/synthetic-(\d{5})/", self.path):
            number = int(match[1])
            if number < self.packages:
                lives = {"Cache-Control": f"max-age={self.max_age}"}
                known = self.headers.get("If-None-Match")
                if known is not None and known == self.tags.get(number):
                    self._send(304, b"", {"ETag": known, **lives})
                    return
                body, tag = page(number, self.base)
                self.tags[number] = tag
                self._send(200, body, {"ETag": tag, "Content-Type": JSON_TYPE, **lives})
                return
        if match := re.match(r"/files/synthetic_(\d{5})-2\.0-", self.path):
            self._send_file(wheel(int(match[1]))[1])
            return
        self._send(404, b"", {})

    def _send_file(self, data: bytes) -> None:
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self._send(200, data, {})
            return
        start = max(0, len(data) - int(asked[2])) if not asked[1] else int(asked[1])
        stop = len(data) if not asked[1] or not asked[2] else min(len(data), int(asked[2]) + 1)
        self._send(206, data[start:stop], {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Keeps a thread for each connection."""

    daemon_threads = True
    request_queue_size = 128


def serve(packages: int, latency: float, tell: Any = None, port: int = 0, max_age: int = 600) -> None:
    """Serve until the process is stopped; `tell` is called with the URL of the index."""
    server = Server(("127.0.0.1", port), Handler)
    Handler.packages, Handler.latency, Handler.max_age = packages, latency, max_age
    Handler.base = f"http://127.0.0.1:{server.server_address[1]}"
    (tell or print)(f"{Handler.base}/simple/")
    server.serve_forever()


class IndexProcess:
    """The index in a process of its own; a context manager that gives its URL."""

    def __init__(self, packages: int, latency: float, max_age: int = 600) -> None:
        self._told, tell = multiprocessing.Pipe(duplex=False)
        about = (packages, latency, tell.send, 0, max_age)
        self._process = multiprocessing.Process(target=serve, args=about, daemon=True)

    def __enter__(self) -> str:
        self._process.start()
        return str(self._told.recv())

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=8000)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds before each answer")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    serve(options.packages, options.latency, functools.partial(print, flush=True), options.port)


if __name__ == "__main__":
    main()
