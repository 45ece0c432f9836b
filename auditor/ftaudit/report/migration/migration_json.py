"""The pre-migration report as JSON: audit, plan and scan in one document (`schema/report-1.json`)."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from ftaudit.__about__ import __version__
from ftaudit.model import Severity
from ftaudit.report.outlook.outlook_groups import outlook_as_dict
from ftaudit.report.package import check_json
from ftaudit.report.plan import plan_json
from ftaudit.report.scan import scan_json

if TYPE_CHECKING:
    from ftaudit.engine.reproduce import Reproduction
    from ftaudit.report.migration.migration_contents import Migration

SCHEMA_VERSION: Final = 1
_PARTS: Final = {
    "check-1.json": check_json.schema,
    "plan-1.json": plan_json.schema,
    "scan-1.json": scan_json.schema,
}


def render(migration: Migration) -> str:
    """Return the report as JSON text, with a final newline."""
    return json.dumps(as_dict(migration), indent=2, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) that every rendered report obeys, with the schemas of its parts in it."""
    text = resources.files("ftaudit.report").joinpath("schema/report-1.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded | {"$defs": {name: part() | {"$id": name} for name, part in _PARTS.items()}}


def as_dict(migration: Migration) -> dict[str, Any]:
    """Return the report as plain JSON values."""
    plan, scan, how = migration.plan, migration.scan, migration.reproduction
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "ftaudit", "version": __version__},
        "exit_code": migration.exit_code,
        "check": check_json.as_dict(migration.report),
        "plan": None if plan is None else plan_json.as_dict(plan),
        "no_plan": migration.no_plan,
        "outlook": None if migration.outlook is None else outlook_as_dict(migration.outlook),
        "scan": None if scan is None else scan_json.as_dict(scan, exit_code=scan.exit_code(Severity.WARNING)),
        "scanned": list(migration.scanned),
        "no_scan": migration.no_scan,
        "incomplete": list(migration.incomplete),
        "reproduction": None if how is None else _reproduction(how),
    }


def _reproduction(how: Reproduction) -> dict[str, Any]:
    return {
        "made": how.made.isoformat(),
        "commands": list(how.commands),
        "versions": dict(how.versions),
        "inputs": [{"path": path, "sha256": digest} for path, digest in how.inputs],
    }
