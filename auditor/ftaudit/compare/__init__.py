"""Two JSON reports of ftaudit compared: what got better, worse, came and went."""

from __future__ import annotations

from ftaudit.compare.documents import Document, parse_document, read_document
from ftaudit.compare.report_changes import Change, Comparison, Kind, State, compare

__all__ = ["Change", "Comparison", "Document", "Kind", "State", "compare", "parse_document", "read_document"]
