"""The part of SARIF 2.1.0 that ftaudit writes, as its own JSON Schema that allows no other property.

Written from the standard's text, whose sections are named; it is narrower than the official schema everywhere. That one
belongs to OASIS and is not part of this project: with `FTAUDIT_SARIF_SCHEMA=PATH` the tests also use it.
"""

from __future__ import annotations

from typing import Any


def closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(required)}


TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
LINE = {"type": "integer", "minimum": 1}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
MESSAGE = closed({"text": TEXT}, "text")  # §3.11
MULTIFORMAT = closed({"text": TEXT, "markdown": TEXT}, "text")  # §3.12
SHORT = closed({"text": TEXT | {"maxLength": 1024}}, "text")  # what GitHub takes
URI = {"type": "string", "format": "uri-reference", "pattern": r"^(?!/)[A-Za-z0-9\-._~!$&'()*+,;=@/%:]+$"}
ARTIFACT = closed({"uri": URI, "uriBaseId": {"enum": ["%SRCROOT%", "%SITE_PACKAGES%"]}}, "uri")  # §3.4
REGION = closed(
    {"startLine": LINE, "startColumn": LINE, "snippet": closed({"text": {"type": "string"}}, "text")}, "startLine"
)
LOCATION = closed(  # §3.28, §3.29, §3.30
    {"physicalLocation": closed({"artifactLocation": ARTIFACT, "region": REGION}, "artifactLocation")},
    "physicalLocation",
)
RULE = closed(  # §3.49
    {
        "id": TEXT | {"maxLength": 255},
        "name": TEXT | {"maxLength": 255},
        "shortDescription": SHORT,
        "fullDescription": SHORT,
        "help": MULTIFORMAT,
        "helpUri": {"type": "string", "format": "uri", "pattern": "^https://"},
        "defaultConfiguration": closed({"level": LEVEL, "enabled": {"type": "boolean"}}, "level"),  # §3.50
        "properties": closed(
            {
                "tags": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 20, "uniqueItems": True},
                "precision": {"enum": ["low", "medium", "high", "very-high"]},
                "problem.severity": {"enum": ["error", "warning", "recommendation"]},
            },
            *("tags", "precision", "problem.severity"),
        ),
    },
    *("id", "name", "shortDescription", "fullDescription", "help", "defaultConfiguration", "properties"),
)
FLOW_LOCATION = closed(  # §3.28: the physical place of a step is absent in a binary
    {
        "message": MESSAGE,
        "physicalLocation": closed({"artifactLocation": ARTIFACT, "region": REGION}, "artifactLocation", "region"),
        "logicalLocations": {  # §3.33
            "type": "array",
            "items": closed({"fullyQualifiedName": TEXT, "kind": {"enum": ["module", "function"]}}, "kind"),
            "minItems": 1,
        },
    },
    *("message", "logicalLocations"),
)
CODE_FLOW = closed(  # §3.36, §3.37, §3.38
    {
        "message": MESSAGE,
        "threadFlows": {
            "type": "array",
            "items": closed(
                {
                    "locations": {
                        "type": "array",
                        "items": closed({"location": FLOW_LOCATION}, "location"),
                        "minItems": 1,
                    }
                },
                "locations",
            ),
            "minItems": 1,
        },
    },
    "threadFlows",
)
RESULT = closed(  # §3.27
    {
        "ruleId": TEXT,
        "ruleIndex": {"type": "integer", "minimum": 0},
        "kind": {"enum": ["fail", "open"]},
        "level": LEVEL,
        "message": MESSAGE,
        "locations": {"type": "array", "items": LOCATION, "minItems": 1, "maxItems": 1},
        "partialFingerprints": closed(
            {
                "ftaudit/v1": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
                "primaryLocationLineHash": {"type": "string", "pattern": "^[0-9a-f]{16}:1$"},
            },
            *("ftaudit/v1", "primaryLocationLineHash"),
        ),
        "suppressions": {  # §3.35
            "type": "array",
            "items": closed(
                {"kind": {"enum": ["inSource", "external"]}, "status": {"const": "accepted"}, "justification": TEXT},
                *("kind", "status"),
            ),
            "minItems": 1,
        },
        "rank": {"type": "number", "minimum": 0, "maximum": 100},
        "codeFlows": {"type": "array", "items": CODE_FLOW, "minItems": 1},
        "properties": {"type": "object"},
    },
    *("ruleId", "ruleIndex", "kind", "level", "message", "locations", "partialFingerprints"),
) | {  # §3.27.10: only what fails has a level
    "if": {"properties": {"kind": {"const": "open"}}},
    "then": {"properties": {"level": {"const": "none"}}},
    "else": {"properties": {"level": {"enum": ["note", "warning", "error"]}}},
}
NOTIFICATION = closed(  # §3.58
    {"level": LEVEL, "message": MESSAGE, "locations": {"type": "array", "items": LOCATION}}, *("level", "message")
)
DRIVER = closed(  # §3.19
    {
        "name": {"const": "ftaudit"},
        "fullName": TEXT,
        "version": TEXT,
        "semanticVersion": {"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
        "shortDescription": MESSAGE,
        "rules": {"type": "array", "items": RULE, "maxItems": 25_000},
    },
    *("name", "version", "rules"),
)
RUN = closed(  # §3.14
    {
        "tool": closed({"driver": DRIVER}, "driver"),
        "automationDetails": closed(
            {"id": {"type": "string", "pattern": r"^ftaudit/(check|wheel|scan)/(3\.\d+t/)?$"}}, "id"
        ),
        "invocations": {
            "type": "array",
            "items": closed(
                {
                    "executionSuccessful": {"const": True},
                    "exitCode": {"enum": [0, 1, 3]},
                    "toolExecutionNotifications": {"type": "array", "items": NOTIFICATION},
                },
                *("executionSuccessful", "exitCode", "toolExecutionNotifications"),
            ),
            "minItems": 1,
            "maxItems": 1,
        },
        "originalUriBaseIds": closed(
            {"%SRCROOT%": closed({"description": MESSAGE}), "%SITE_PACKAGES%": closed({"description": MESSAGE})},
            "%SRCROOT%",
        ),
        "columnKind": {"const": "unicodeCodePoints"},
        "results": {"type": "array", "items": RESULT, "maxItems": 25_000},
        "properties": {"type": "object"},
    },
    *("tool", "automationDetails", "invocations", "results", "columnKind"),
)
LOG = closed(  # §3.13
    {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": RUN, "minItems": 1, "maxItems": 20},
    },
    *("$schema", "version", "runs"),
)
