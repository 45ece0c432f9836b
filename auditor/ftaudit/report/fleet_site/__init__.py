"""The static site of a fleet: made from its data set alone. It needs no server, and asks for nothing outside itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from ftaudit.__about__ import __version__
from ftaudit.fleet.run_status import describe_stores
from ftaudit.fleet.schema import Mode
from ftaudit.model import BLOCKING
from ftaudit.report.fleet_site import site_view
from ftaudit.report.fleet_site.site_view import page_of
from ftaudit.report.migration.html.view import MEANINGS, WORST_FIRST
from ftaudit.report.web_page import asset, data_block, page_environment, page_policy

if TYPE_CHECKING:
    from jinja2 import Environment

    from ftaudit.fleet.fleet_summary import FleetSummary
    from ftaudit.fleet.history import FleetHistory

STYLE, SCRIPT = "style.css", "script.js"
INDEX: Final = "index.html"


def pages(summary: FleetSummary, history: FleetHistory | None = None) -> Iterator[tuple[str, str]]:
    """Yield every file of the site: its path, with `/`, and its text. With `history`, one page shows what changed."""
    environment = _environment(summary, history)

    def page(template: str, *, root: str = "", **values: Any) -> str:
        return environment.get_template(template).render(root=root, at="", **values)

    yield STYLE, f"{asset('style.css')}\n{asset('site.css', __name__)}\n"
    yield SCRIPT, f"{asset('site.js', __name__)}\n"
    yield (
        INDEX,
        page(
            "overview.html",
            parts=site_view.overview(summary),
            notes=(*describe_stores(summary.info), *summary.info.notes),
        ),
    )
    yield "packages.html", page("all_packages.html", rows=site_view.package_rows(summary))
    if summary.info.mode is Mode.CHECK:
        yield "projects.html", page("all_projects.html", rows=site_view.project_rows(summary))
    if history is not None:
        yield "changes.html", page("changes.html", view=site_view.look_back(history))
    for package in site_view.package_pages(summary):
        yield page_of("package", package.name), page("package.html", root="../", package=package)
    for project in site_view.project_pages(summary):
        yield page_of("project", project.id), page("project.html", root="../", project=project)


def count_pages(summary: FleetSummary, history: FleetHistory | None = None) -> int:
    """Return how many files `pages` yields."""
    of_check = summary.info.mode is Mode.CHECK
    packages = {package.name for target in summary.targets for package in target.packages}
    projects = {project.id for target in summary.targets for project in target.projects}
    return 4 + of_check + (history is not None) + len(packages) + len(projects)


def _environment(summary: FleetSummary, history: FleetHistory | None) -> Environment:
    environment = page_environment(__name__)
    environment.globals |= {
        "info": summary.info,
        "of_projects": summary.info.mode is Mode.CHECK,
        "has_history": history is not None,
        "meanings": MEANINGS,
        "verdicts": WORST_FIRST,
        "blocking": BLOCKING,
        "blocking_names": " ".join(sorted(BLOCKING)),
        "version": __version__,
        "policy": page_policy(script="self", style="self"),
    }
    environment.filters |= {"data_block": data_block, "page_of": lambda name, kind: page_of(kind, name)}
    return environment
