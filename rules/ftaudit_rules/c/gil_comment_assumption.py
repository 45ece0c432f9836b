"""FT351: comments that say the GIL protects something."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit

_CLAIM = re.compile(
    r"\b(?:protected|guarded|serialized|serialised|synchroni[sz]ed|thread.?safe|atomic|safe|relies|rely|relying|because|thanks|due)\b"
    r"[^.\n]{0,60}\b(?:the|Python's|python)\s+GIL\b"
    r"|\bGIL\b[^.\n]{0,40}\b(?:protects?|ensures?|guarantees?|serializ\w+|makes?\b.{0,20}\bsafe|prevents?|is enough"
    r"|so no lock|implies)\b"
    r"|\bhold(?:ing|s)?\s+the\s+GIL,?\s+(?:so|no|therefore|which)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?i)\b(?:not|no longer|cannot|can't|don't|doesn't|isn't|without|never|unless|free.?thread\w*|nogil|no-gil"
    r"|disabled|Py_GIL_DISABLED"
    r"|instead of|rather than|even (?:if|when|with)|used to|were|was|only when"
    r"|releas\w+|drop\w*|acquir\w+|re-?enabl\w+|mutex|unavailable|older"
    r"|critical.section\w*|3\.1[2-9])\b"
)
_INFORMED = re.compile(r"(?i)free.?thread|no-?gil\b|GIL_DISABLED|CRITICAL_SECTION")
"""Words of a comment whose author had builds without the GIL in mind."""
_JOINED = re.compile(r"\s*\n[ \t]*(?:\*|//+)?[ \t]*")
_API = re.compile(r"(?i)\b(?:must|should|has to|have to|needs? to|requires?|called|caller|callers)\b")


class GilCommentAssumption(CRule):
    """The comment was true when it was written. A free-threaded build has no GIL, so nothing protects the code any
    more. The comment shows you where to look."""

    info = RuleInfo(
        code="FT351",
        name="gil-comment-assumption",
        summary="A comment says that the GIL protects this code.",
        severity=Severity.INFO,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Guard the data that the code accesses, and correct the comment.",
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html",),
    )
    words = ("GIL",)
    VALID = (
        SourceExample(
            code="""\
/* atomic: updated from several threads */
static _Atomic long hits;
""",
            instead=True,
        ),
        SourceExample(
            code="""\
/* Must be called with the GIL held. */
void f(void);
""",
        ),
        SourceExample(
            code="""\
/* The GIL protects the elements of this table. In free-threaded builds,
   each shard has a lock of its own. */
struct table;
""",
        ),
        SourceExample(
            code="""\
#ifdef Py_GIL_DISABLED
static PyMutex mutex;
#else
/* Protected by the GIL. */
#endif
""",
        ),
        SourceExample(
            code="""\
/* We cannot rely on the GIL here, so take the lock. */
void f(void);
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
/* no lock needed: the GIL protects this counter */
static long hits;
""",
            lines=(1,),
        ),
        SourceExample(
            code="""\
// Protected by the GIL. Incremented when we
// create one.
static Py_ssize_t total;
""",
            lines=(1,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        if "GIL" not in unit.text:
            return
        for comment in unit.comments:
            if "GIL" not in comment.text:
                continue
            if _INFORMED.search(comment.text):
                continue
            text = _JOINED.sub(" ", comment.text)
            for found in _CLAIM.finditer(text):
                sentence = text[max(0, text.rfind(".", 0, found.start()) + 1) : found.end() + 60].split(". ")[0]
                if _DENIED.search(sentence) or (_API.search(sentence) and "no lock" not in sentence):
                    continue
                if unit.preprocessed.is_dead(comment.start):
                    continue
                place = comment.start + self._offset(comment.text, found)
                yield self.finding(
                    "this comment relies on the GIL, which a free-threaded build does not have",
                    location=unit.place(place),
                )
                break

    @staticmethod
    def _offset(comment: str, found: re.Match[str]) -> int:
        """Return the position of the claim in the original comment, by its first word."""
        first = found[0].split()[0]
        at = comment.find(first)
        return max(at, 0)
