"""Which indexes are queried, in which order, and how: from the command line and the environment variables of uv and
pip.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from ftaudit.cores import count_cores
from ftaudit.errors import UsageError
from ftaudit.index.pace import Pace
from ftaudit.urls import default_index, public

DEFAULT_TIMEOUT = 30.0
"""Seconds without a byte before a connection to an index is closed."""
DEFAULT_RETRIES = 3
DEFAULT_WORKERS = min(8, 2 * count_cores())
"""Pages to fetch at a time; they are large, and more than two per core only wait for the GIL (`bench_index.py`)."""

INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
"""The environment variables that name the default index, the strongest first."""
EXTRA_INDEX_VARIABLES = ("UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL")
"""The variables that name extra indexes; the values of all of them are combined."""
LINK_VARIABLES = ("UV_FIND_LINKS", "PIP_FIND_LINKS")

_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)=(.+)", re.DOTALL)
_FALSE = {"", "0", "false", "no", "off", "n", "f"}
_KEYRING = ("auto", "import", "subprocess", "disabled")


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexOptions:
    """The options of a command line or a requirements file, by the names in pip and uv."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    """Like uv's `--index` and pip's `--extra-index-url`; `NAME=URL` is allowed."""
    find_links: tuple[str, ...] = ()
    """Folders of files, or HTML pages that list files of any project; relative to the current folder."""
    no_index: bool = False
    cert: str | None = None
    """A file or folder of CA certificates."""
    proxy: str | None = None
    timeout: float | None = None
    retries: int | None = None
    keyring: str | None = None
    """`auto`, `import`, `subprocess` or `disabled`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexSource:
    """One index: its URL, and the credentials for it."""

    url: str
    """`https://…/` or `file:///…/`, with a trailing slash and without credentials."""
    user: str | None = None
    password: str | None = None

    def with_credentials(self) -> str:
        """Return the URL with its credentials: for another program's environment, never for output."""
        if self.user is None:
            return self.url
        parts = urlsplit(self.url)
        known = quote(self.user, safe="") + ("" if self.password is None else f":{quote(self.password, safe='')}")
        return urlunsplit(parts._replace(netloc=f"{known}@{parts.netloc}"))

    def __repr__(self) -> str:
        return f"Source(url={self.url!r})"


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexSettings:
    """The settings of `Index`. Print them only through `ftaudit.urls`."""

    sources: tuple[IndexSource, ...]
    """In order of priority: the first index that has a project answers for it (uv's `first-index`)."""
    find_links: tuple[IndexSource, ...] = ()
    """Their files are added to those of the index that answers."""
    cache: Path | None = None
    """The folder of the page cache; `None` stores nothing on disk."""
    offline: bool = False
    """Answer from the cache regardless of age, without a request."""
    network_seconds: float | None = None
    """Seconds after which no request is started; then cached pages need no confirmation for a
    day. `None` sets no limit.
    """
    cert: str | None = None
    proxy: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    connect_timeout: float = 5.0
    """Seconds; short, so that a machine without a network reports that soon."""
    page_deadline: float = 120.0
    """Seconds for one whole page, however slowly it arrives."""
    patience: float = 300.0
    """Seconds without any answer before the remaining requests are dropped."""
    retries: int = DEFAULT_RETRIES
    backoff: float = 0.2
    """Seconds, doubled after every retry."""
    keyring: str = "auto"
    workers: int = DEFAULT_WORKERS
    pace: Pace | None = None
    """When hosts may be asked, if there is a limit."""

    def __repr__(self) -> str:
        return f"IndexSettings(sources={self.sources!r}, find_links={self.find_links!r})"


def find_settings(
    *,
    options: IndexOptions = IndexOptions(),
    env: Mapping[str, str],
    requirements: Iterable[IndexOptions] = (),
    cache: Path | None = None,
    offline: bool = False,
    network_seconds: float | None = None,
) -> IndexSettings:
    """Return the settings: command line over environment over requirements files over the default.

    The first index that has the project wins, extra indexes before the default one. This is uv's default, and it
    prevents dependency confusion; pip mixes the indexes. The environment variables are `UV_DEFAULT_INDEX`,
    `UV_INDEX_URL`, `UV_INDEX` (with `UV_INDEX_NAME_USERNAME` and `…_PASSWORD`), `UV_EXTRA_INDEX_URL`, `UV_FIND_LINKS`,
    `UV_NO_INDEX`, `UV_HTTP_TIMEOUT`, `UV_HTTP_RETRIES`, `UV_KEYRING_PROVIDER`, and pip's `PIP_INDEX_URL`,
    `PIP_EXTRA_INDEX_URL`, `PIP_FIND_LINKS`, `PIP_NO_INDEX`, `PIP_CERT`, `PIP_PROXY`, `PIP_DEFAULT_TIMEOUT`,
    `PIP_RETRIES`, `PIP_KEYRING_PROVIDER`; then `SSL_CERT_FILE` and `SSL_CERT_DIR`. `REQUESTS_CA_BUNDLE`, the `*_PROXY`
    variables, `NO_PROXY` and netrc are left to requests. Configuration files (`pip.conf`, `uv.toml`) are not read.
    Raise `UsageError` for an invalid setting.
    """
    layers = (options, options_of_environment(env), *requirements)
    no_index = any(layer.no_index for layer in layers)
    default = next((layer.index_url for layer in layers if layer.index_url), None)
    asked = options.extra_index_urls or layers[1].extra_index_urls
    extra = (*asked, *(url for layer in layers[2:] for url in layer.extra_index_urls))
    links = (
        *(options.find_links or layers[1].find_links),
        *(link for layer in layers[2:] for link in layer.find_links),
    )
    sources: list[IndexSource] = []
    if not no_index:
        sources = [_source(url, env) for url in extra]
        sources.append(_source(default or default_index(), env))
    keyring = options.keyring or layers[1].keyring or "auto"
    if keyring not in _KEYRING:
        raise UsageError(f"unknown keyring provider {keyring!r}", hint=f"choose one of {', '.join(_KEYRING)}")
    timeout, retries = options.timeout or layers[1].timeout, options.retries
    return IndexSettings(
        sources=tuple(dict.fromkeys(sources)),
        find_links=tuple(dict.fromkeys(_location(link) for link in links)),
        cache=cache,
        offline=offline,
        network_seconds=network_seconds,
        cert=_certificates(options.cert, env),
        proxy=options.proxy or layers[1].proxy,
        timeout=timeout or DEFAULT_TIMEOUT,
        retries=next((n for n in (retries, layers[1].retries) if n is not None), DEFAULT_RETRIES),
        keyring=keyring,
    )


def parse_source(url: str) -> IndexSource:
    """Parse an index URL or local folder, with or without credentials; raise `UsageError` if it is neither."""
    return _source(url, {})


def options_of_environment(env: Mapping[str, str]) -> IndexOptions:
    """Return the options that the environment variables of uv and pip give; raise `UsageError` for an invalid one."""

    def first(*names: str) -> str | None:
        return next((value for name in names if (value := env.get(name, "").strip())), None)

    def number(*names: str) -> float | None:
        value = first(*names)
        try:
            return None if value is None else float(value)
        except ValueError as error:
            raise UsageError(f"{' or '.join(names)} is not a number: {value!r}") from error

    extra = " ".join(env.get(name, "") for name in EXTRA_INDEX_VARIABLES)
    uv_links = [link.strip() for link in env.get("UV_FIND_LINKS", "").split(",")]
    retries = number("UV_HTTP_RETRIES", "PIP_RETRIES")
    return IndexOptions(
        index_url=first(*INDEX_VARIABLES),
        extra_index_urls=tuple(extra.split()),
        find_links=(*filter(None, uv_links), *env.get("PIP_FIND_LINKS", "").split()),
        no_index=any(env.get(name, "").strip().lower() not in _FALSE for name in ("PIP_NO_INDEX", "UV_NO_INDEX")),
        proxy=first("PIP_PROXY"),
        timeout=number("UV_HTTP_TIMEOUT", "UV_REQUEST_TIMEOUT", "PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT"),
        retries=None if retries is None else int(retries),
        keyring=first("UV_KEYRING_PROVIDER", "PIP_KEYRING_PROVIDER"),
    )


def _source(text: str, env: Mapping[str, str]) -> IndexSource:
    """Parse `[NAME=]URL`; credentials come from the URL, or else from uv's variables for the name."""
    named = _NAMED.fullmatch(text)
    name, url = named.groups() if named else (None, text)
    if "://" not in url and not url.startswith("file:") and not Path(url).expanduser().is_dir():
        raise UsageError(
            f"not a URL or a folder: {public(url)}", hint="specify the https:// URL of an index, or a folder"
        )
    source = _location(url)
    if not source.url.endswith("/"):
        source = IndexSource(url=f"{source.url}/", user=source.user, password=source.password)
    if name is None or source.user is not None:
        return source
    key = "UV_INDEX_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
    user, password = env.get(f"{key}_USERNAME"), env.get(f"{key}_PASSWORD")
    return (
        source if user is None and password is None else IndexSource(url=source.url, user=user or "", password=password)
    )


def _location(text: str) -> IndexSource:
    """Parse a URL or a local path, and separate its credentials."""
    if "://" not in text and not text.startswith("file:"):
        return IndexSource(url=Path(text).expanduser().absolute().as_uri())
    try:
        parts = urlsplit(text)
        user, password, port = parts.username, parts.password, parts.port
    except ValueError as error:
        # Python's message about it may quote a part of the password.
        raise UsageError(
            f"not a URL: {public(text)}", hint="percent-encode special characters in a user name or password"
        ) from error
    if parts.scheme == "file":
        return IndexSource(url=urlunsplit(("file", "", quote(parts.path, safe="/%:~+@!,"), "", "")))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"not the URL of an index: {public(text)}", hint="specify an https:// or file:// URL, or a path"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    netloc = host if port is None else f"{host}:{port}"
    url = urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))
    return IndexSource(url=url, user=_unquoted(user), password=_unquoted(password))


def _unquoted(text: str | None) -> str | None:
    return None if text is None else unquote(text)


def _certificates(option: str | None, env: Mapping[str, str]) -> str | None:
    """Return the configured CA certificates, or `None` for those of requests."""
    asked = (("--cert", option), *((name, env.get(name)) for name in ("PIP_CERT", "SSL_CERT_FILE")))
    for name, path in asked:
        if path:
            if not Path(path).exists():
                raise UsageError(f"{name} names CA certificates that do not exist: {path}")
            return path
    folder = env.get("SSL_CERT_DIR")
    usable = folder and not env.get("REQUESTS_CA_BUNDLE") and Path(folder).is_dir()
    return folder if usable else None
