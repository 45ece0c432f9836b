"""The pre-migration report as one self-contained HTML file: no external font, image, or script."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from ftaudit.__about__ import __version__
from ftaudit.model import BLOCKING
from ftaudit.report.console import clean

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

    from ftaudit.report.migration.migration_contents import Migration

LONGEST: Final = 2000
"""Characters of one string that the page shows: third-party strings can be of any length."""
_CODE: Final = re.compile(r"`([^`]+)`")
_HYPHENATED: Final = re.compile(r"(\w+(?:-\w+)+[.,]?)")


def render(migration: Migration) -> str:
    """Return the page. Without JavaScript it is a plain document; with JavaScript, a reader can filter and sort
    packages.
    """
    from ftaudit.report.migration.html.view import look

    view = look(migration)
    return _page("report.html", title=view.title, migration=migration, report=migration.report, view=view, at="", of="")


def render_each(migrations: Sequence[Migration]) -> str:
    """Return one page for several targets: the packages side by side, then the report of each target."""
    from ftaudit.report.migration.html.view import Part, look
    from ftaudit.report.package.target_rows import all_platforms, find_rows

    reports = [migration.report for migration in migrations]
    parts = [
        Part(migration=migration, report=migration.report, view=look(migration), at=f"t{number}-")
        for number, migration in enumerate(migrations, 1)
    ]
    return _page(
        "targets.html",
        title=parts[0].view.title,
        parts=parts,
        targets=[report.target for report in reports],
        platforms=all_platforms(reports),
        rows=find_rows(reports),
    )


def _page(template: str, **values: object) -> str:
    from markupsafe import Markup

    from ftaudit.report.migration.html.view import MEANINGS, WORST_FIRST
    from ftaudit.report.scan.state_table import under

    script, style = _asset("script.js"), _asset("style.css")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        _environment()
        .get_template(template)
        .render(
            under=under,
            meanings=MEANINGS,
            verdicts=WORST_FIRST,
            blocking=BLOCKING,
            version=__version__,
            policy=policy,
            # Both are files of this package; everything else on the page is escaped.
            script=Markup(script),  # noqa: S704
            style=Markup(style),  # noqa: S704
            **values,
        )
    )


def _asset(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text("utf-8").strip()


def _digest(text: str) -> str:
    """Return the source expression of an inline script or style (CSP level 3, `hash-source`)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from ftaudit.model.sentences import sentence
    from ftaudit.planning.plan_sentences import change_evidence, change_reason, source_evidence
    from ftaudit.report.outlook.outlook_groups import outlook_groups, outlook_sentence
    from ftaudit.report.package import agreeing_rows, tier_sentences
    from ftaudit.report.plan.plan_reach import reach_rows

    environment = Environment(
        loader=PackageLoader("ftaudit.report.migration.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters |= {
        "tiers": tier_sentences.tiers,
        "source_evidence": source_evidence,
        "change_reason": change_reason,
        "change_evidence": change_evidence,
        "first_reason": lambda checked: sentence(checked.why[0], checked.platform),
        "module_groups": tier_sentences.module_groups,
        "remarks": tier_sentences.remarks,
        "extra_findings": lambda package: list(agreeing_rows.extra_findings(package)),
        "counted": agreeing_rows.counted,
        "reach_rows": lambda plan: list(reach_rows(plan)),
        "outlook_groups": lambda outlook: list(outlook_groups(outlook)),
        "outlook_sentence": outlook_sentence,
        "prose": _prose,
        "heading": _heading,
    }
    environment.tests["web"] = _is_web
    return environment


def _shown(value: Any) -> Any:
    """Return a value for the page: text without control characters and of limited length."""
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

    escaped = str(Markup.escape(_shown(text)))
    return Markup(_CODE.sub(r"<code>\1</code>", escaped))  # noqa: S704 (the text is escaped above)


def _heading(text: str) -> Markup:
    """Return a sentence whose hyphenated words, `free-threaded` and `linux-x86_64`, stay on one line."""
    from markupsafe import Markup

    escaped = str(Markup.escape(_shown(f"{text[:1].upper()}{text[1:]}")))
    return Markup(_HYPHENATED.sub(r'<span class="whole">\1</span>', escaped))  # noqa: S704 (the text is escaped above)


def _is_web(address: str) -> bool:
    """Return whether a link may lead to an address."""
    return address.startswith(("https://", "http://")) and address.isprintable() and " " not in address
