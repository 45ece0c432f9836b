"""Reads project pages of the Simple API, HTML (PEP 503) and JSON (PEP 691), and the files of wanted versions.

Popular projects list thousands of files, and an audit needs a few of them. An HTML page is therefore first reduced, by
one pass of a regular expression, to its head and the links that can belong to the wanted version; selectolax and
pypi-simple parse the rest. A page with unusual markup is parsed as a whole.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import json
import re
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urljoin, urlsplit

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from ftaudit.errors import IndexUnreachable
from ftaudit.model import DistributionFile

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage

Found = list[tuple[Version, DistributionFile]]
Wanted = Callable[[bytes], bool]
"""Returns whether a file name may be a requested one."""

_SUFFIXES: Final = (".whl", ".gz", ".zip", ".bz2", ".tgz", ".xz", ".Z", ".egg", ".exe", ".msi", ".rpm")
_JSON_KEYS: Final = frozenset({"filename", "url", "hashes", "size", "requires-python", "yanked"})
_LINK: Final = re.compile(rb"<a\s[^<>]*>([^<]*)</a>")
_PLAIN_TAGS: Final = frozenset(
    b"html head body title h1 h2 h3 h4 h5 h6 br p ul ol li pre div span hr table thead tbody tr td th !doctype"
    b" b i em strong small code link".split()
)
_TAG_NAME: Final = re.compile(rb"/?(!?[a-z][a-z0-9]*)(?=[\s/>])", re.IGNORECASE)


class Page:
    """One page as the index sent it, parsed on demand."""

    def __init__(self, body: bytes, *, url: str, form: str, charset: str | None = None) -> None:
        """`url` is the page's own, `form` is `html` or `json`, `charset` is the server's charset for HTML.

        Raise `IndexUnreachable` for a page that is truncated, has an unknown API version, or is not an index page.
        """
        self._url = url
        self._local = url.startswith("file:")
        self.skipped = 0
        """Links that were skipped so far: unparsable names, other projects, rejected URLs."""
        if form == "json":
            self._json: dict[str, Any] | None = _parse_json(body, url)
            self._html = b""
        else:
            self._json = None
            self._html = _as_utf8(body, charset)
            _refuse_cut_off(self._html, url)

    def files(self, name: NormalizedName, version: Version | None = None, *, after: Version | None = None) -> Found:
        """Return the wheels and sdists of a project, of all versions, of one, or of later ones, in the page's order.

        Raise `IndexUnreachable` if the page is malformed.
        """
        page = self._json
        wanted = _spelling_of(version) if version is not None else _later(name, after) if after is not None else None
        packages = self._links(name, wanted) if page is None else self._json_packages(page, name, wanted)
        found: Found = []
        for package in packages:
            parsed = self._version(package, name)
            if parsed is not None and version in (None, parsed) and (after is None or parsed > after):
                found.append((parsed, _as_file(package)))
        return found

    def upload_times(self, names: Collection[str]) -> dict[str, datetime]:
        """Return when the index received each of these files, in UTC (PEP 700); HTML pages do not say it."""
        found: dict[str, datetime] = {}
        for entry in (self._json or {}).get("files", ()):
            if not isinstance(entry, dict):
                continue
            filename, uploaded = entry.get("filename"), entry.get("upload-time")
            if isinstance(filename, str) and isinstance(uploaded, str) and filename in names:
                with contextlib.suppress(ValueError):
                    when = datetime.fromisoformat(re.sub(r"\.\d+", "", uploaded).replace("Z", "+00:00"))
                    found[filename] = (
                        when.astimezone(timezone.utc) if when.tzinfo else when.replace(tzinfo=timezone.utc)
                    )
        return found

    def _version(self, package: DistributionPackage, name: NormalizedName) -> Version | None:
        """Return the version of a wheel or sdist of the project; count any other file, and any that is not fetched over
        HTTP.
        """
        if package.package_type not in ("wheel", "sdist", None):
            return None  # Eggs and Windows installers are obsolete and no longer installed.
        try:
            if package.project and package.version and _name(package.project) == name:
                url = package.url
                if url.startswith(("https://", "http://")) or (self._local and url.startswith("file:")):
                    return _version(package.version)
        except ValueError:
            pass  # Not a version of PEP 440.
        self.skipped += 1
        return None

    def _json_packages(
        self, page: dict[str, Any], name: NormalizedName, wanted: Wanted | None
    ) -> Iterator[DistributionPackage]:
        from pypi_simple import DistributionPackage

        stated = page.get("name", name)
        if not isinstance(stated, str) or canonicalize_name(stated) != name:
            raise IndexUnreachable(f"the page of {name} says that it is for {str(stated)[:80]!r}")
        for number, entry in enumerate(page["files"]):
            filename = entry.get("filename") if isinstance(entry, dict) else None
            if not isinstance(filename, str):
                raise IndexUnreachable(f"the page of {name} is malformed: files[{number}] has no file name")
            if wanted is not None and not wanted(filename.encode("utf-8", "replace")):
                continue
            if not _is_plausible(filename, name):
                self.skipped += 1
                continue
            try:
                known = {key: entry[key] for key in _JSON_KEYS & entry.keys()}
                yield DistributionPackage.from_json_data(known, name, self._url)
            except ValueError as error:
                lines = str(error).splitlines()
                what = " ".join(line.strip() for line in lines[1:3])[:200]
                raise IndexUnreachable(f"the page of {name} is malformed: files[{number}]: {what}") from error

    def _links(self, name: NormalizedName, wanted: Wanted | None) -> Iterator[DistributionPackage]:
        from pypi_simple import DistributionPackage, Link
        from selectolax.lexbor import LexborHTMLParser

        html = self._html if wanted is None else reduce_html(self._html, wanted)
        tree = LexborHTMLParser(html)
        _refuse_unknown_api(
            [tag.attributes.get("content") for tag in tree.css('meta[name="pypi:repository-version"]')], self._url
        )
        base = self._url
        base_tag = tree.css_first("base[href]")
        try:
            if base_tag is not None:
                base = urljoin(base, base_tag.attributes["href"] or "")
        except ValueError as error:
            raise IndexUnreachable(f"the page {self._url} has a malformed <base>") from error
        for node in tree.css("a[href]"):
            attributes = {key: value or "" for key, value in node.attributes.items()}
            try:
                href = attributes["href"].strip()
                url = href if href.startswith(("https://", "http://")) else urljoin(base, href)
                path = href.partition("#")[0].partition("?")[0]
                filename = unquote(path.rpartition("/")[2])
                if not filename.endswith(_SUFFIXES):
                    filename = node.text(deep=True, strip=True)
                if _is_plausible(filename, name):
                    yield DistributionPackage.from_link(Link(filename, url, dict(attributes)), name)
                    continue
            except ValueError:
                pass  # A URL that urllib cannot split.
            self.skipped += 1


_name = functools.lru_cache(maxsize=256)(canonicalize_name)
_version = functools.lru_cache(maxsize=4096)(Version)


def _is_plausible(filename: str, name: NormalizedName) -> bool:
    """Whether a file name is worth parsing for the project.

    pypi-simple's patterns need 20 ms for a name of 250 bytes with a hundred dashes, and a hostile page can list a
    million of them. A file of the project has at most a version, a build, and three tags after its name.
    """
    return (
        len(filename) <= 255
        and filename.count("-") <= name.count("-") + 8
        and canonicalize_name(filename).startswith(f"{name}-")
    )


def reduce_html(html: bytes, wanted: Wanted) -> bytes:
    """Return a page with the head and only the links whose text may be wanted, or the unchanged page.

    Only a page whose every link is `<a …>FILE NAME</a>` among harmless tags is reduced: then nothing is hidden in
    comments, scripts, or nested markup, and nothing except the removed links can matter.
    """
    parts = _LINK.split(html)
    names = parts[1::2]
    if not names or not _is_plain(parts[0], b"".join(parts[2::2]), b"\n".join(names)):
        return html
    suffixes = tuple(suffix.encode() for suffix in _SUFFIXES)
    kept, position = [parts[0]], 0
    for name in names:
        if wanted(name) or not name.endswith(suffixes):
            end = html.index(b">" + name + b"</a>", position) + len(name) + 5
            kept.append(html[html.rindex(b"<a", position, end) : end])
            position = end
    return b"\n".join(kept)


def _is_plain(head: bytes, between: bytes, names: bytes) -> bool:
    if b">" in names or b'"' in names or b"&" in names:
        return False
    tags = set(between.split(b"<"))
    tags.discard(between.split(b"<", 1)[0])
    in_head = set(head.split(b"<")[1:])
    plain_in_head = all(_tag(tag) in _PLAIN_TAGS or _tag(tag) in (b"meta", b"base") for tag in in_head)
    return plain_in_head and all(_tag(tag) in _PLAIN_TAGS for tag in tags)


def _tag(fragment: bytes) -> bytes | None:
    matched = _TAG_NAME.match(fragment)
    return matched[1].lower() if matched else None


def _spelling_of(version: Version) -> Wanted:
    """Return a filter for file names that may belong to the version in any spelling; other names may pass too.

    PEP 440 allows `2.0` to be written `v2.0.0`, `02.0` or `0!2`: all spellings share the release without its trailing
    zeros.
    """
    release = list(version.release)
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    numbers = r"\.0*".join(map(str, release))
    spelt = re.compile(rf"-v?(?:\d+!)?0*{numbers}(?!\d)".encode(), re.IGNORECASE)
    longest = max((str(number).encode() for number in version.release), key=len)
    return lambda filename: longest in filename and spelt.search(filename) is not None


def _later(name: NormalizedName, after: Version) -> Wanted:
    """Return a filter for file names that may belong to a later version; unclear names pass too."""
    start = len(name) + 1

    @functools.cache
    def is_later(text: bytes) -> bool:
        try:
            return Version(text.decode()) > after
        except ValueError:
            return True

    def wanted(filename: bytes) -> bool:
        if filename[start - 1 : start] != b"-" or canonicalize_name(filename[: start - 1].decode("latin-1")) != name:
            return True
        rest = filename[start:]
        if rest.endswith(b".whl"):
            return is_later(rest.partition(b"-")[0])
        return not rest.endswith(b".tar.gz") or is_later(rest[: -len(b".tar.gz")])

    return wanted


def _as_file(package: DistributionPackage) -> DistributionFile:
    yanked = (package.yanked_reason or "") if package.is_yanked else None
    return DistributionFile(
        filename=package.filename,
        url=_without_credentials(package.url),
        hashes=tuple((algorithm.lower(), digest.lower()) for algorithm, digest in package.digests.items()),
        size=package.size,
        requires_python=package.requires_python or None,
        yanked=yanked,
    )


def _without_credentials(url: str) -> str:
    if "@" not in url:
        return url
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _parse_json(body: bytes, url: str) -> dict[str, Any]:
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise IndexUnreachable(f"{url} is truncated or is not JSON ({str(error)[:100]})") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("files"), list):
        raise IndexUnreachable(f"{url} is JSON, but not a page of the Simple API (PEP 691)")
    meta = raw.get("meta")
    _refuse_unknown_api([meta.get("api-version")] if isinstance(meta, dict) else [], url)
    return raw


def _refuse_unknown_api(versions: list[Any], url: str) -> None:
    """Raise if the page declares a major API version other than 1 (PEP 629)."""
    for version in versions:
        try:
            major = Version(version).major
        except (InvalidVersion, TypeError):
            major = -1
        if major != 1:
            raise IndexUnreachable(f"{url} uses version {str(version)[:20]!r} of the Simple API; ftaudit supports 1")


def _as_utf8(body: bytes, charset: str | None) -> bytes:
    """Decode a page that is not UTF-8 or ASCII by the server's charset or a byte-order mark, and encode it as UTF-8."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        charset = "utf-16"
    try:
        codec = codecs.lookup(charset or "utf-8").name
        if codec in ("utf-8", "ascii", "iso8859-1", "cp1252"):
            return body  # Names and URLs are ASCII in all of them.
        return body.decode(codec, "replace").encode("utf-8", "replace")
    except LookupError:
        return body


def _refuse_cut_off(html: bytes, url: str) -> None:
    """Raise if the page has an unclosed element: a truncated body must not look like a shorter list."""
    head, tail = html[:4096].lower(), html[-4096:].lower()
    if not re.search(rb"<(?:!doctype|html|head|body|a|meta|title|h1)\b", head):
        raise IndexUnreachable(f"{url} is not a page of links")
    opened = [tag for tag in (b"html", b"body") if re.search(rb"<" + tag + rb"[\s>]", head)]
    closed = any(b"</" + tag in tail for tag in opened) if opened else tail.rstrip().endswith(b">")
    ended = html.rfind(b"</a")
    hanging = html.rfind(b"<a ") > (ended if ended >= 0 else html.rfind(b"</A"))
    if hanging or not closed:
        raise IndexUnreachable(f"the page {url} is truncated")
