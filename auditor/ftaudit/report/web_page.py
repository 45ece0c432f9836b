"""HTML pages: their templates, and how they show third-party text. The report and the site of a fleet share them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from ftaudit.report.console import clean
from ftaudit.report.package.agreeing_rows import counted

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

SHARED: Final = "ftaudit.report.migration.html"
"""The package with the templates, the style, and the components that every page has."""
LONGEST: Final = 2000
"""Characters of one string that a page shows: third-party strings can be of any length."""
_CODE: Final = re.compile(r"`([^`]+)`")
_HYPHENATED: Final = re.compile(r"(\w+(?:-\w+)+[.,]?)")


def page_environment(*packages: str) -> Environment:
    """Return the environment of the templates of these packages, and of those that every page shares."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in (*packages, SHARED)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
    )
    environment.filters |= {"counted": counted, "prose": _prose, "heading": _heading}
    environment.tests["web"] = _is_web
    return environment


def asset(name: str, package: str = SHARED) -> str:
    """Return the text of a style or script of a package."""
    return resources.files(package).joinpath(name).read_text("utf-8").strip()


def digest_of_inline(text: str) -> str:
    """Return the source expression of an inline script or style (CSP level 3, `hash-source`)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def page_policy(*, script: str, style: str) -> str:
    """Return the content security policy of a page with these sources of its script and style, and no others."""
    return (
        f"default-src 'none'; script-src '{script}'; style-src '{style}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def data_block(value: Any) -> Markup:
    """Return plain values as JSON for an element `<script type="application/json">`, which no text in it can end."""
    from markupsafe import Markup

    text = json.dumps(_plain(value), ensure_ascii=True, separators=(",", ":"))
    # With ASCII letters only, and without these, nothing in it is markup.
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 (escaped above)


def _plain(value: Any) -> Any:
    match value:
        case str():
            return shown(value)
        case list() | tuple():
            return [_plain(each) for each in value]
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case _:
            return value


def shown(value: Any) -> Any:
    """Return a value for a page: text without control characters and of limited length."""
    from markupsafe import Markup

    match value:
        case Markup():
            return value
        case str():
            return clean(value if len(value) <= LONGEST else f"{value[:LONGEST]}…")
        case _:
            return value


def _prose(text: str) -> Markup:
    """Return a sentence with text in backticks as code."""
    from markupsafe import Markup

    escaped = str(Markup.escape(shown(text)))
    return Markup(_CODE.sub(r"<code>\1</code>", escaped))  # noqa: S704 (the text is escaped above)


def _heading(text: str) -> Markup:
    """Return a sentence whose hyphenated words, `free-threaded` and `linux-x86_64`, stay on one line."""
    from markupsafe import Markup

    escaped = str(Markup.escape(shown(f"{text[:1].upper()}{text[1:]}")))
    return Markup(_HYPHENATED.sub(r'<span class="whole">\1</span>', escaped))  # noqa: S704 (the text is escaped above)


def _is_web(address: str) -> bool:
    """Return whether a link may lead to an address."""
    return address.startswith(("https://", "http://")) and address.isprintable() and " " not in address
