"""The pre-migration report as one self-contained HTML file: no external font, image, or script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ftaudit.__about__ import __version__
from ftaudit.model import BLOCKING
from ftaudit.report.web_page import asset, digest_of_inline, page_environment, page_policy

if TYPE_CHECKING:
    from jinja2 import Environment

    from ftaudit.report.migration.migration_contents import Migration


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

    script, style = asset("script.js"), asset("style.css")
    policy = page_policy(script=digest_of_inline(script), style=digest_of_inline(style))
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
            verdict_link=None,
            # Both are files of this package; everything else on the page is escaped.
            script=Markup(script),  # noqa: S704
            style=Markup(style),  # noqa: S704
            **values,
        )
    )


def _environment() -> Environment:
    from ftaudit.model.sentences import sentence
    from ftaudit.planning.plan_sentences import change_evidence, change_reason, source_evidence
    from ftaudit.report.outlook.outlook_groups import outlook_groups, outlook_sentence
    from ftaudit.report.package import agreeing_rows, tier_sentences
    from ftaudit.report.plan.plan_reach import reach_rows

    environment = page_environment()
    environment.filters |= {
        "tiers": tier_sentences.tiers,
        "source_evidence": source_evidence,
        "change_reason": change_reason,
        "change_evidence": change_evidence,
        "first_reason": lambda checked: sentence(checked.why[0], checked.platform),
        "module_groups": tier_sentences.module_groups,
        "remarks": tier_sentences.remarks,
        "extra_findings": lambda package: list(agreeing_rows.extra_findings(package)),
        "reach_rows": lambda plan: list(reach_rows(plan)),
        "outlook_groups": lambda outlook: list(outlook_groups(outlook)),
        "outlook_sentence": outlook_sentence,
    }
    return environment
