"""The pre-migration report as Markdown for an issue: the answer, the blockers, the plan, the rest folded, within
limits.
"""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Severity
from ftaudit.report.migration.migration_contents import Migration, sums
from ftaudit.report.package.agreeing_rows import coverage, headline
from ftaudit.report.package.check_markdown import LIMIT, MarkdownSection, escape, fit, folded, sections
from ftaudit.report.plan import plan_markdown
from ftaudit.report.results.results import scan_sentence
from ftaudit.report.scan import scan_markdown


def render(migration: Migration, *, limit: int = LIMIT) -> str:
    """Return the report within `limit` characters; omitted content is counted, with a pointer to it."""
    report, text = migration.report, headline(migration.report)
    project = f" for {escape(migration.project)}" if migration.project else ""
    top = [
        f"# Free-threading report{project}: {text.word.lower()}",
        escape(text.sentence + (f" {text.more}" if text.more else "")),
    ]
    top.append(escape(" ".join(sums(migration))))
    return fit(top, sections_of(migration), f"checked: {escape(coverage(report))}", limit, command="ftaudit report")


def sections_of(migration: Migration) -> list[MarkdownSection]:
    """Return everything below the answer: the blockers, the plan, and the rest folded."""
    first, *rest = sections(migration.report)
    parts = [first, *(plan_markdown.sections(migration.plan) if migration.plan is not None else ()), *rest]
    parts += plan_markdown.outlook_sections(migration.outlook)
    if migration.scan is not None:
        exit_code = migration.scan.exit_code(Severity.WARNING)
        parts.append(
            MarkdownSection(
                items=[escape(scan_sentence(migration.scan))], head="### The project's own source\n\n", what="lines"
            )
        )
        parts += scan_markdown.sections(migration.scan, exit_code=exit_code)
    left = [text for text in (migration.no_plan, migration.no_scan, *migration.incomplete) if text]
    parts.append(MarkdownSection(items=[f"- {escape(text)}" for text in left], head="### Left out\n\n", what="notes"))
    parts.append(folded("How to reproduce it", list(_reproduction(migration)), "lines"))
    return parts


def _reproduction(migration: Migration) -> Iterator[str]:
    how = migration.reproduction
    if how is None:
        return
    yield from (f"- {escape(command)}" for command in how.commands)
    yield f"- made: {how.made:%Y-%m-%d %H:%M} UTC"
    yield from (f"- {escape(name)}: {escape(value)}" for name, value in how.versions)
    for path, digest in how.inputs:
        yield f"- input: {escape(path)}" + (f" `sha256:{digest}`" if digest else "")
