"""A package index on 127.0.0.1 for tests: serves pages and files, records requests, misbehaves on demand.

    with IndexServer() as server:
        server.add_project("demo", [ServedFile(filename="demo-1.0-py3-none-any.whl", data=wheel)])
        server.first("/simple/demo/", Reply(status=503))       # once, then the real page
        server.always("/simple/gone/", Reply(status=404))
        ... server.simple_url, server.file_url("demo-1.0-py3-none-any.whl"), server.requests

Projects are served as HTML or as PEP 691 JSON, whichever the request's Accept header prefers among `forms`.
Files answer range requests unless `ranges=False`. The same server is a forward proxy too: a request for an
absolute URL is answered from the same pages, and recorded with its host.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import html
import json
import socket
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

HTML_TYPE = "application/vnd.pypi.simple.v1+html"
JSON_TYPE = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True, kw_only=True)
class ServedFile:
    """A distribution file: its entry on the page, and its bytes if a test downloads it."""

    filename: str
    data: bytes = b""
    url: str | None = None
    """Its address on the page; by default on this server."""
    sha256: str | None = None
    """Its hash on the page; by default the real one."""
    hashed: bool = True
    """Whether the page has a hash of it."""
    requires_python: str | None = None
    yanked: str | None = None
    gpg_sig: bool | None = None
    ranges: bool = True
    """Whether the server answers range requests for it."""

    @property
    def digest(self) -> str:
        return self.sha256 or hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One scripted answer."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    sends: int | None = None
    """Announce the whole body, send this many bytes of it and cut the connection."""
    hangs: bool = False
    """Send nothing until the server is closed."""
    drops: bool = False
    """Cut the connection without an answer."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request that arrived."""

    method: str
    path: str
    host: str
    headers: dict[str, str]
    """Names in lower case."""


@dataclass
class _Page:
    bodies: dict[str, bytes]
    headers: tuple[tuple[str, str], ...]
    etag: str | None
    last_modified: str | None
    compress: bool


@dataclass
class _File:
    data: bytes
    ranges: bool
    etag: str | None = None


@dataclass
class _State:
    pages: dict[str, _Page] = field(default_factory=dict)
    files: dict[str, _File] = field(default_factory=dict)
    queued: dict[str, list[Reply]] = field(default_factory=dict)
    scripted: dict[str, Reply] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    credentials: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)


class IndexServer:
    """The server; a context manager that listens from entry on."""

    def __init__(self) -> None:
        self._state = _State()
        self._server = _QuietServer(("127.0.0.1", 0), _handler_for(self._state))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> IndexServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.end_connections()
        self._thread.join()

    @property
    def netloc(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash at the end."""
        return f"http://{self.netloc}"

    @property
    def simple_url(self) -> str:
        """The index URL to configure."""
        return f"{self.url}/simple/"

    def file_url(self, filename: str) -> str:
        """Return the URL of a file from `add_file` or `add_project`."""
        return f"{self.url}/files/{filename}"

    @property
    def requests(self) -> list[Seen]:
        """Every request so far, in order of arrival."""
        with self._state.lock:
            return list(self._state.seen)

    def count(self, path: str) -> int:
        """How many requests arrived for a path."""
        return sum(seen.path == path for seen in self.requests)

    def forget(self) -> None:
        """Forget the requests so far."""
        with self._state.lock:
            self._state.seen.clear()

    def add_project(
        self,
        name: str,
        files: Iterable[ServedFile],
        *,
        forms: Sequence[str] = ("html", "json"),
        etag: str | None = None,
        last_modified: str | None = None,
        cache_control: str | None = None,
        compress: bool = False,
        prefix: str = "/simple",
    ) -> str:
        """Serve a project's page in the given forms, and its files; return the path of the page."""
        files = list(files)
        for file in files:
            self.add_file(file.filename, file.data, ranges=file.ranges)
        bodies = {}
        if "html" in forms:
            bodies["html"] = self._html(name, files)
        if "json" in forms:
            bodies["json"] = self._json(name, files)
        headers = () if cache_control is None else (("Cache-Control", cache_control),)
        path = f"{prefix}/{name}/"
        self._state.pages[path] = _Page(bodies, headers, etag, last_modified, compress)
        return path

    def add_page(
        self,
        path: str,
        body: bytes | str,
        *,
        form: str = "html",
        headers: tuple[tuple[str, str], ...] = (),
        etag: str | None = None,
    ) -> None:
        """Serve exactly this body at a path, as `html` or `json`."""
        data = body.encode() if isinstance(body, str) else body
        self._state.pages[path] = _Page({form: data}, headers, etag, None, False)

    def add_file(self, filename: str, data: bytes, *, ranges: bool = True, etag: str | None = None) -> str:
        """Serve bytes under `/files/`; return their URL."""
        self._state.files[f"/files/{filename}"] = _File(data, ranges, etag)
        return self.file_url(filename)

    def first(self, path: str, *replies: Reply) -> None:
        """Give these replies to the next requests for a path, one each, before anything else."""
        with self._state.lock:
            self._state.queued.setdefault(path, []).extend(replies)

    def always(self, path: str, reply: Reply) -> None:
        """Give this reply to every request for a path."""
        self._state.scripted[path] = reply

    def heal(self, path: str) -> None:
        """Restore the real answers for a path."""
        self._state.scripted.pop(path, None)
        self._state.queued.pop(path, None)

    def require(self, user: str, password: str) -> None:
        """Answer 401 to requests without these credentials (Basic)."""
        self._state.credentials = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def _html(self, name: str, files: list[ServedFile]) -> bytes:
        lines = ["<!DOCTYPE html>", '<html><head><meta name="pypi:repository-version" content="1.1">']
        lines.append(f"<title>Links for {name}</title></head><body>")
        for file in files:
            url = file.url or f"../../files/{file.filename}"
            attributes = f' href="{html.escape(url)}{f"#sha256={file.digest}" if file.hashed else ""}"'
            for key, value in (("requires-python", file.requires_python), ("yanked", file.yanked)):
                if value is not None:
                    attributes += f' data-{key}="{html.escape(value)}"'
            if file.gpg_sig is not None:
                attributes += f' data-gpg-sig="{str(file.gpg_sig).lower()}"'
            lines.append(f"<a{attributes}>{html.escape(file.filename)}</a><br/>")
        return "\n".join([*lines, "</body></html>"]).encode()

    def _json(self, name: str, files: list[ServedFile]) -> bytes:
        entries = []
        for file in files:
            entry: dict[str, object] = {
                "filename": file.filename,
                "url": file.url or self.file_url(file.filename),
                "hashes": {"sha256": file.digest} if file.hashed else {},
                "size": len(file.data),
            }
            if file.requires_python is not None:
                entry["requires-python"] = file.requires_python
            if file.yanked is not None:
                entry["yanked"] = file.yanked or True
            entries.append(entry)
        page = {"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": entries}
        return json.dumps(page).encode()


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._connections: dict[threading.Thread, socket.socket] = {}

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._connections[threading.current_thread()] = request
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.pop(threading.current_thread(), None)

    def end_connections(self) -> None:
        """Close what clients keep open, and wait for the threads: a process that has some cannot fork workers."""
        for thread, connection in list(self._connections.items()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(10)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what some tests are about."""


def _handler_for(state: _State) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        shared = state

    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    shared: _State

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        path = target.path
        seen = Seen(
            method=self.command,
            path=path,
            host=target.netloc or self.headers.get("Host", ""),
            headers={name.lower(): value for name, value in self.headers.items()},
        )
        with self.shared.lock:
            self.shared.seen.append(seen)
            queue = self.shared.queued.get(path)
            reply = queue.pop(0) if queue else self.shared.scripted.get(path)
        if reply is not None:
            self._give(reply)
        elif self.shared.credentials not in (None, seen.headers.get("authorization")):
            self._send(401, b"who are you?", (("WWW-Authenticate", 'Basic realm="index"'),))
        elif path in self.shared.pages:
            self._page(self.shared.pages[path])
        elif path in self.shared.files:
            self._file(self.shared.files[path])
        else:
            self._send(404, b"no such page")

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Tests check `IndexServer.requests`."""

    def _give(self, reply: Reply) -> None:
        if reply.hangs:
            self.shared.closing.wait(30)
        if reply.hangs or reply.drops:
            self.close_connection = True
            return
        self._send(reply.status, reply.body, reply.headers, sends=reply.sends)

    def _send(
        self, status: int, body: bytes, headers: tuple[tuple[str, str], ...] = (), *, sends: int | None = None
    ) -> None:
        self.send_response_only(status)
        names = {name.lower() for name, _ in headers}
        for name, value in headers:
            self.send_header(name, value)
        if "content-length" not in names and status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        if "content-type" not in names and body:
            self.send_header("Content-Type", "text/plain")
        if sends is not None:
            body = body[:sends]
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)
        self.wfile.flush()

    def _page(self, page: _Page) -> None:
        form = self._preferred(page.bodies)
        if form is None:
            self._send(406, b"not in this form")
            return
        headers = list(page.headers)
        if page.etag is not None:
            headers.append(("ETag", page.etag))
        if page.last_modified is not None:
            headers.append(("Last-Modified", page.last_modified))
        tag, since = self.headers.get("If-None-Match"), self.headers.get("If-Modified-Since")
        if (tag and tag == page.etag) or (not tag and since and since == page.last_modified):
            self._send(304, b"", tuple(headers))
            return
        body = page.bodies[form]
        if page.compress and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body)
            headers.append(("Content-Encoding", "gzip"))
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", {"html": HTML_TYPE, "json": JSON_TYPE}[form]))
        self._send(200, body, tuple(headers))

    def _preferred(self, bodies: dict[str, bytes]) -> str | None:
        """Return the form with the highest q-value in the Accept header, among those the page has."""
        best: tuple[float, str] | None = None
        kinds = {"html": ("*/*", "text/html", HTML_TYPE), "json": ("*/*", JSON_TYPE)}
        for part in self.headers.get("Accept", "*/*").split(","):
            kind, *parameters = (piece.strip() for piece in part.split(";"))
            quality = next((float(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
            for form in bodies:
                if kind in kinds[form]:
                    best = max(best or (0.0, ""), (quality, form), key=lambda pair: pair[0])
        return None if best is None or best[0] == 0 else best[1]

    def _file(self, file: _File) -> None:
        headers = [("Content-Type", "application/octet-stream")]
        if file.etag is not None:
            headers.append(("ETag", file.etag))
        wanted = self.headers.get("Range")
        if not file.ranges:
            self._send(200, file.data, tuple(headers))
            return
        headers.append(("Accept-Ranges", "bytes"))
        if wanted is None or not wanted.startswith("bytes=") or "," in wanted:
            self._send(200, file.data, tuple(headers))
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        total = len(file.data)
        start = int(first) if first else max(0, total - int(last))
        end = min(int(last), total - 1) if first and last else total - 1
        if start >= total or start > end:
            self._send(416, b"", (*headers, ("Content-Range", f"bytes */{total}")))
            return
        headers.append(("Content-Range", f"bytes {start}-{end}/{total}"))
        self._send(206, file.data[start : end + 1], tuple(headers))
