"""FT001: a comment that silences a rule that finds nothing there, or that does not exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CommentRule, IdleComment
from ftaudit_rules.python.global_augassign import GlobalAugassign

_COUNTER = "_n = 0\ndef f():\n    global _n\n    _n += 1{}\n"


class IdleIgnore(CommentRule):
    """A comment that silences nothing can hide the next problem on its line, and misleads readers."""

    info = RuleInfo(
        code="FT001",
        name="idle-ignore",
        summary="A comment silences a rule that has no finding on that line.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Remove the comment, correct the rule's name, or move the comment to the right line.",
        accompanies=True,
    )
    companions = (GlobalAugassign(),)
    VALID = (
        SourceExample(path="a.py", code=_COUNTER.format("  # ftaudit: ignore[global-augassign] one thread only")),
        SourceExample(path="a.py", code="x = 1\n"),
    )
    INVALID = (
        SourceExample(path="a.py", code="x = 1\ny = 2  # ftaudit: ignore[global-augassign]\n", lines=(2,)),
        SourceExample(path="a.py", code=_COUNTER.format("  # ftaudit: ignore[global-augasign]"), lines=(4,)),
    )

    def check(self, comments: Sequence[IdleComment]) -> Iterator[Finding]:
        """Yield each name that silences nothing."""
        for comment in comments:
            if not comment.exists:
                message = f"there is no rule `{comment.name}`"
            elif comment.name is None:
                message = "this comment silences rules, but there is no finding here"
            else:
                message = f"this comment silences `{comment.name}`, which has no finding here"
            yield self.finding(message, location=comment.location)
