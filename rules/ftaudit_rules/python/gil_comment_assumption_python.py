"""FT516: a comment says that the GIL makes this safe."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.comment_blocks import comment_blocks


class GilCommentAssumptionPython(PythonRule):
    """A comment says that the GIL makes the code next to it safe.

    The comment may have been true when it was written. Without the GIL the code needs another reason to be safe.
    """

    info = RuleInfo(
        code="FT516",
        name="gil-comment-assumption-python",
        summary="A comment says that the GIL makes this code safe.",
        severity=Severity.INFO,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Review the code. Guard it, or change the comment to say why it is safe without the GIL.",
        links=("https://docs.python.org/3.14/howto/free-threading-python.html",),
    )
    words = ("GIL",)
    VALID = (
        SourceExample(
            code="""\
_state = {}  # guarded by _lock
""",
            instead=True,
        ),
        SourceExample(
            code="""\
# The caller must hold the GIL.
def f():
    pass
""",
        ),
        SourceExample(
            code="""\
# not safe without the GIL, so a lock is taken
def f():
    with _lock:
        pass
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
# safe: dict assignment is atomic thanks to the GIL
_state = {}
""",
            lines=(1,),
        ),
        SourceExample(
            code="""\
def add(x):
    # The GIL protects this list.
    items.append(x)
""",
            lines=(2,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield the comments that rely on the GIL, unless code nearby mentions or takes a lock."""
        for line, text in comment_blocks(module.text):
            if _RELIES.search(text) and not _DENIES.search(text):
                near = "\n".join(module.lines[line : line + 6])
                if not re.search(r"with [\w.]*lock|\.acquire\(", near):
                    yield self.finding(
                        "this comment relies on the GIL, which a free-threaded build does not have",
                        location=module.location(line),
                    )


_RELIES = re.compile(
    r"(?i)\b(?:protected|guarded|serialized|thread.?safe|atomic|safe|relies?|rely|relying|because|thanks|due)\b"
    r"[^.\n]{0,60}\bthe\s+GIL\b"
    r"|\bGIL\b[^.\n]{0,40}\b(?:protects?|held|ensures?|guarantees?|makes? .{0,30}safe|prevents?|serializes?)"
)
_DENIES = re.compile(
    r"(?i)\bno GIL|without the GIL|\bnogil|free.?thread|GIL.{0,20}disabled|release the GIL|hold the GIL"
    r"|not\b.{0,30}safe|\block\b|mutex|must be called|even with the GIL|GIL build|with the GIL enabled"
)
