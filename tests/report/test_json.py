"""The JSON contract: every report obeys the schema, and the schema has every field."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from support.reports import BLOCKED, EMPTY, HOSTILE, READY, UNSURE

from ftaudit.model import Report
from ftaudit.report.package import check_json as renderer

REPORTS = {"blocked": BLOCKED, "ready": READY, "unsure": UNSURE, "empty": EMPTY, "hostile": HOSTILE}


def strict(schema: Any) -> Any:
    """Return the schema with every object closed, so that an unknown field fails the test."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items()}
    if "properties" in closed and closed.get("type") == "object" and "additionalProperties" not in closed:
        closed["additionalProperties"] = False
    return closed


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS.keys())
def test_every_report_obeys_the_closed_schema(report: Report) -> None:
    document = json.loads(renderer.render(report))
    schema = strict(renderer.schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document)


def test_the_schema_refuses_a_document_that_lost_its_verdict() -> None:
    document = json.loads(renderer.render(BLOCKED))
    del document["packages"][0]["verdict"]
    with pytest.raises(jsonschema.ValidationError, match="verdict"):
        jsonschema.validate(document, renderer.schema())


def test_the_contract_fields_of_the_issue_are_there_with_their_values() -> None:
    document = json.loads(renderer.render(BLOCKED))
    assert document["schema_version"] == 1
    assert document["tool"]["name"] == "ftaudit"
    assert document["target"] == "3.14t"
    assert document["summary"]["reenables-gil"] == 1
    guilty = next(row for row in document["packages"] if row["name"] == "guilty-pkg")
    assert guilty["verdict"] == "reenables-gil"
    assert guilty["required_by"] == [["web", "guilty-pkg"]]
    assert guilty["source"] == {"path": "requirements.txt", "line": 3}
    assert guilty["modules"][0]["binary"] == "used"
    assert guilty["modules"][0]["runtime"]["culprits"] == ["guilty._core"]


def test_a_stray_byte_in_a_message_stays_valid_json() -> None:
    document = json.loads(renderer.render(HOSTILE))
    assert any("<script>" in reason for row in document["packages"] for reason in row["reasons"])
