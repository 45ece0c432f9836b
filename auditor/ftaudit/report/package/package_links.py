"""Where a reader finds a package on its index."""

from __future__ import annotations

from dataclasses import dataclass

from ftaudit.model import Pin, Report
from ftaudit.urls import default_index, public


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageLink:
    """A link of a package."""

    label: str
    url: str


def package_links(pin: Pin, report: Report) -> tuple[PackageLink, ...]:
    """Return the links of a package, without credentials: its page on the index, and its project page.

    Every index has the first (PEP 503). Only the default index is known to have the second; there it names the version.
    A package from several indexes or from a file has no links, because the report does not know which page it is on.
    """
    indexes = (pin.index_url,) if pin.index_url else report.indexes
    if len(indexes) != 1 or not indexes[0].startswith(("http://", "https://")):
        return ()
    index = public(indexes[0]).rstrip("/")
    links = [PackageLink(label="files on the index", url=f"{index}/{pin.name}/")]
    if index == default_index().rstrip("/"):
        site = index.removesuffix("/simple")
        version = f"{pin.version}/" if pin.version else ""
        links.insert(0, PackageLink(label="project page", url=f"{site}/project/{pin.name}/{version}"))
    return tuple(links)
