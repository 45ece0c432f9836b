"""The default index, and URLs in a safe form for readers: without credentials, however malformed they are."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

HIDDEN: Final = "***"
"""The replacement for credentials in messages."""
_HOST: Final = re.compile(r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+|localhost|\[[0-9A-Fa-f:.]+\])(?::\d*)?")


def redact(text: str) -> str:
    """Return a text with the credentials of each URL hidden.

    A password can contain unencoded characters that end a URL's authority (`/`, `?`, `#`, quotes). In that case,
    everything up to the last `@` is hidden, unless the text before it is a complete host.
    """
    before, *urls = text.split("://")
    return "://".join([before, *map(_hide, urls)])


def without_credentials(text: str) -> str:
    """Return a text without the credentials of its URLs: for commands that a reader runs again."""
    return redact(text).replace(f"://{HIDDEN}@", "://")


def public(url: str) -> str:
    """Return a URL without user, password, query, and fragment; text that is not a URL does not change."""
    scheme, separator, rest = url.partition("://")
    shown = scheme + separator + _hide(rest, whole=True).removeprefix(f"{HIDDEN}@")
    try:
        parts = urlsplit(shown)
    except ValueError:
        return shown.partition("?")[0].partition("#")[0]
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")) if parts.scheme else url


def public_revision(url: str) -> str:
    """Return the URL of a repository like `public`, with the revision that can follow it (`git+ssh://…/x.git@v1`)."""
    place, at, revision = url.partition("#")[0].rpartition("@")
    authority = place.partition("://")[2].partition("/")[0]
    is_revision = at and "/" in place.partition("://")[2] and "/" not in revision
    if not is_revision or not _HOST.fullmatch(authority.rpartition("@")[2]):
        return public(url)
    return f"{public(place)}@{revision}"


def _hide(text: str, *, whole: bool = False) -> str:
    """Hide everything before the host, in text after a scheme's `://`; the URL ends at white space or with the text."""
    url = text if whole else text.split(maxsplit=1)[0] if text[:1].strip() else ""
    user, at, _ = url.rpartition("@")
    if not at or _HOST.fullmatch(re.split(r"[/?#]", user, maxsplit=1)[0]):
        return text
    return f"{HIDDEN}@{text[len(user) + 1 :]}"


def default_index() -> str:
    """Return pypi-simple's `PYPI_SIMPLE_ENDPOINT`, read from its source if that is possible.

    Importing it also imports pydantic and BeautifulSoup, which takes ten times as long as the rest of the tier with a
    warm cache (`scripts/bench_index.py`). A pattern is used instead of `ast`, whose parser fails in CPython 3.11 if two
    threads use it at once.
    """
    spec = find_spec("pypi_simple")
    try:
        source = Path(spec.origin).read_text("utf-8") if spec and spec.origin else ""
    except (OSError, ValueError):
        source = ""  # Zipped or compiled: import it instead.
    found = re.search(r"""^PYPI_SIMPLE_ENDPOINT(?:: str)? = (["'])(https://[^"'\s]+)\1$""", source, re.MULTILINE)
    if found is not None:
        return found[2]
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    return str(PYPI_SIMPLE_ENDPOINT)
