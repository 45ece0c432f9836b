"""HTTP: a requests session with credentials, retries, CA certificates, and proxies, and a bounded `get`."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_netrc_auth
from urllib3.util.retry import Retry
from urllib3.util.ssl_ import create_urllib3_context

from ftaudit.__about__ import __version__
from ftaudit.errors import IndexUnreachable, NoConnection
from ftaudit.index.index_settings import IndexSettings
from ftaudit.index.pace import Pace
from ftaudit.index.traffic import Traffic
from ftaudit.urls import redact

if TYPE_CHECKING:
    from typing_extensions import Self

MAX_PAGE: Final = 128 * 1024 * 1024
"""Size limit of one page after decompression; the largest known page is a fifth of it."""
RETRIED: Final = frozenset({429, 500, 502, 503, 504})
LONGEST_WAIT: Final = 20.0
"""Limit in seconds for Retry-After; a server that asks for more gets the retry after this time."""
_CHUNK: Final = 1 << 18


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpResponse:
    """A complete answer to a GET."""

    status: int
    url: str
    """After redirects, without credentials."""
    headers: Mapping[str, str]
    body: bytes


class _Patience(Retry):
    """urllib3's retries, with an upper limit on Retry-After, which other connections also respect."""

    pace: Pace | None = None

    def new(self, **options: Any) -> Self:
        following = super().new(**options)
        following.pace = self.pace
        return following

    def increment(  # The signature is urllib3's.
        self,
        method: str | None = None,
        url: str | None = None,
        response: Any = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> Self:
        seconds = None if response is None else self.get_retry_after(response)
        if self.pace is not None and seconds and _pool is not None:
            self.pace.hold(_pool.host, seconds)
        return super().increment(method, url, response, error, _pool, _stacktrace)

    def parse_retry_after(self, retry_after: str) -> float:
        try:
            return min(super().parse_retry_after(retry_after), LONGEST_WAIT)
        except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
            return 0.0


CONNECTIONS = 16
"""Connections to one host that are kept open: wheels are read with more of them than pages."""


class _SharedTrust(HTTPAdapter):
    """Reads the CA certificates once, instead of for each connection."""

    def __init__(self, **options: Any) -> None:
        self._lock = threading.Lock()
        self._contexts: dict[tuple[str | None, str | None], Any] = {}
        super().__init__(**options)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Let requests find the certificates, and pass every connection the context with them."""
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call, unused-ignore]
        if conn.cert_reqs != "CERT_REQUIRED" or cert:
            return
        key = (conn.ca_certs, conn.ca_cert_dir)
        if key == (None, None):
            return
        with self._lock:
            if key not in self._contexts:
                context = create_urllib3_context()
                context.load_verify_locations(*key)
                self._contexts[key] = context
        conn.conn_kw["ssl_context"] = self._contexts[key]
        conn.ca_certs = conn.ca_cert_dir = None


class Session(requests.Session):
    """A session with the settings that counts its traffic.

    With `stream=True`, the caller reads the body, and adds `response.raw.tell()` to `Traffic.received` afterwards.
    """

    def __init__(self, settings: IndexSettings, traffic: Traffic, *, online_until: float | None = None) -> None:
        """`online_until` is the value of `time.monotonic()` after which no request is started."""
        super().__init__()
        self._settings = settings
        self._traffic = traffic
        self._environment: dict[tuple[str, str], dict[str, Any]] = {}
        self.auth = _IndexAuth(settings)
        self.max_redirects = 10
        self._ends = online_until
        self.headers["User-Agent"] = f"ftaudit/{__version__}"
        retry = _Patience(
            total=settings.retries,
            connect=min(1, settings.retries),
            read=min(1, settings.retries),
            redirect=0,
            status_forcelist=RETRIED,
            allowed_methods=frozenset({"GET", "HEAD"}),
            backoff_factor=settings.backoff,
            backoff_jitter=settings.backoff,
            raise_on_status=False,
        )
        retry.pace = settings.pace
        adapter = _SharedTrust(pool_connections=8, pool_maxsize=CONNECTIONS, max_retries=retry)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Give the settings precedence over the environment; requests does the opposite.

        The environment is read once for each host, because requests spends a quarter of its time on proxy lookups.
        """
        if proxies or verify is not None or cert is not None:
            return self._merged(url, proxies, stream, verify, cert)
        parts = urlsplit(url)
        host = (parts.scheme, parts.netloc)
        if host not in self._environment:
            self._environment[host] = self._merged(url, proxies, stream, verify, cert)
        known = self._environment[host]
        return {**known, "proxies": dict(known["proxies"]), "stream": self.stream if stream is None else stream}

    def _merged(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        if self._settings.cert is not None and verify is None:
            verify = self._settings.cert
        if self._settings.proxy is not None and not proxies:
            proxies = {"http": self._settings.proxy, "https": self._settings.proxy}
        return super().merge_environment_settings(url, proxies, stream, verify, cert)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send with the configured timeouts if the caller gives none."""
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = (min(self._settings.connect_timeout, self._settings.timeout), self._settings.timeout)
        if self._ends is not None:
            kwargs["timeout"] = _within(kwargs["timeout"], self._ends - time.monotonic())
        self._traffic.add(requests=1)
        if self._settings.pace is not None:
            self._settings.pace.wait(urlsplit(request.url or "").hostname or "")
        response = super().send(request, **kwargs)
        if not kwargs.get("stream"):
            self._traffic.add(received=response.raw.tell())
        return response

    def get_page(self, url: str, headers: Mapping[str, str]) -> HttpResponse:
        """Return the answer with its whole body, and retry if the connection breaks in the middle of it.

        Raise `IndexUnreachable` with the reason why it did not answer.
        """
        for attempt in range(self._settings.retries):
            with contextlib.suppress(_BrokenOff):
                return self._get_once(url, headers)
            time.sleep(self._settings.backoff * 2**attempt)
        return self._get_once(url, headers)

    def _get_once(self, url: str, headers: Mapping[str, str]) -> HttpResponse:
        try:
            return self._read(url, headers)
        except (urllib3.exceptions.ProtocolError, urllib3.exceptions.ReadTimeoutError) as error:
            raise _BrokenOff(f"the response is incomplete ({explain(error)})", about=redact(url)) from error
        except (urllib3.exceptions.HTTPError, requests.RequestException, OSError, ValueError) as error:
            if _is_unconnected(error):
                raise Unconnected(_host(url), explain(error)) from error
            raise IndexUnreachable(f"{explain(error)}", about=redact(url)) from error

    def _read(self, url: str, headers: Mapping[str, str]) -> HttpResponse:
        started = time.monotonic()
        deadline = started + self._settings.page_deadline
        if self._ends is not None:
            deadline = min(deadline, self._ends)
        with self.get(url, headers=headers, stream=True) as response:
            raw = response.raw
            chunks, size = [], 0
            try:
                while chunk := raw.read1(_CHUNK, decode_content=True):
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > MAX_PAGE:
                        raise IndexUnreachable(f"the page is larger than {MAX_PAGE >> 20} MiB", about=redact(url))
                    if time.monotonic() > deadline:
                        waited = f"{time.monotonic() - started:.0f} s"
                        raise IndexUnreachable(f"the page was not complete after {waited}", about=redact(url))
            finally:
                self._traffic.add(received=raw.tell())
            return HttpResponse(
                status=response.status_code, url=response.url, headers=response.headers, body=b"".join(chunks)
            )


class NetworkTimeOver(requests.ConnectTimeout):
    """The time of `--network-seconds` has ended."""


def _within(timeout: Any, left: float) -> tuple[float, float]:
    """Return the timeouts of a request with `left` seconds to go; raise `NetworkTimeOver` if none are left."""
    if left <= 0:
        raise NetworkTimeOver
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    return min(connect, left), min(read, left)


class Unconnected(NoConnection):
    """No connection to the host could be made, so further requests to it are useless."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(f"cannot connect to {host}: {why}", hint="check the network, the proxy and the index URL")
        self.host = host


class _BrokenOff(IndexUnreachable):
    """The connection broke in the middle of an answer, so a retry is useful."""


class _IndexAuth(AuthBase):
    """Credentials by host: from the index URLs, or else from netrc, or else from the keyring after a server answers
    401.
    """

    def __init__(self, settings: IndexSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._users: dict[str, str] = {}
        self._known: dict[str, tuple[str, str]] = {}
        self._asked: set[str] = set()
        for source in (*settings.sources, *settings.find_links):
            if source.user is None:
                continue
            host = urlsplit(source.url).netloc
            self._users.setdefault(host, source.user)
            if source.password is not None:
                self._known.setdefault(host, (source.user, source.password))

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        host = urlsplit(request.url or "").netloc
        found = self._known.get(str(host)) or get_netrc_auth(request.url or "")
        if found is not None:
            HTTPBasicAuth(*found)(request)
        if self._settings.keyring != "disabled":
            request.register_hook("response", self._answer_401)  # type: ignore[no-untyped-call]
        return request

    def _answer_401(self, response: requests.Response, **kwargs: Any) -> requests.Response:
        if response.status_code != 401:
            return response
        host = str(urlsplit(response.url).netloc)
        with self._lock:
            if host not in self._asked:
                self._asked.add(host)
                found = _ask_keyring(response.url, host, self._users.get(host), self._settings.keyring)
                if found is not None:
                    self._known[host] = found
            known = self._known.get(host)
        again = response.request.copy()
        before = again.headers.get("Authorization")
        if known is None or HTTPBasicAuth(*known)(again).headers["Authorization"] == before:
            return response
        response.content  # noqa: B018 - reading the body gives the connection back to the pool
        again.hooks["response"] = []
        second = response.connection.send(again, **kwargs)
        second.history.append(response)
        second.request = again
        return second


def _ask_keyring(url: str, host: str, user: str | None, provider: str) -> tuple[str, str] | None:
    """Return the keyring's credentials for the URL or its host: from the `keyring` module, or else from its command."""
    if provider in ("auto", "import"):
        try:
            import keyring
        except ImportError:
            if provider == "import":
                return None
        else:
            try:
                for service in (url, host):
                    found = keyring.get_credential(service, user)
                    if found is not None:
                        return found.username, found.password
            except Exception:  # Backends raise any exception; then there are no credentials.
                return None
            return None
    command = shutil.which("keyring")
    if command is None or user is None:
        return None  # The command needs the user's name.
    for service in (url, host):
        asked = [command, "get", service, user]
        try:
            done = subprocess.run(asked, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.SubprocessError, ValueError):
            return None
        if done.returncode == 0 and done.stdout.strip():
            return user, done.stdout.rstrip("\r\n")
    return None


def explain(error: BaseException) -> str:
    """Return the innermost cause of a failed request as a phrase, without addresses, objects, or credentials."""
    inner = error
    while True:
        for known, phrase in _PHRASES:
            if isinstance(inner, known):
                return phrase
        reason = getattr(inner, "reason", None)
        following = reason if isinstance(reason, BaseException) else None
        following = following or next((a for a in inner.args if isinstance(a, BaseException)), None)
        if following is None:
            break
        inner = following
    text = redact(_NOISE.sub("", str(inner))).strip()[:200] or type(inner).__name__
    return f"the proxy: {text}" if isinstance(error, requests.exceptions.ProxyError) else text


_NOISE: Final = re.compile(
    r"<[^>]*>[:,]? ?|HTTPS?Connection\([^)]*\): |\[Errno -?\d+\] |\[SSL[^]]*\] | ?\(_ssl\.c:\d+\)"
)
_PHRASES: Final = (
    (NetworkTimeOver, "the time limit of --network-seconds was reached"),
    (requests.TooManyRedirects, "it redirects in a loop"),
    (requests.exceptions.InvalidSchema, "it redirects to something that is not HTTP"),
    (requests.ReadTimeout, "no answer in time"),
    (requests.ConnectTimeout, "no answer in time"),
    (urllib3.exceptions.ReadTimeoutError, "no answer in time"),
    (urllib3.exceptions.DecodeError, "the body is not compressed as its header says"),
)


def _is_unconnected(error: BaseException) -> bool:
    """Whether no connection was made, as opposed to one that broke later."""
    if isinstance(error, (requests.exceptions.ProxyError, requests.exceptions.SSLError, requests.ConnectTimeout)):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), urllib3.exceptions.NewConnectionError)


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
