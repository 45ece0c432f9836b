"""Comments of a Python text, with consecutive lines of comment joined."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterator


def comment_blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yield the first line and the words of each comment; consecutive lines of comment are one."""
    start, last, words = 0, -1, ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type != tokenize.COMMENT:
                continue
            line, alone = token.start[0], not token.line[: token.start[1]].strip()
            if alone and line == last + 1:
                words += " " + token.string.lstrip("#! ")
            else:
                if words:
                    yield start, words
                start, words = line, token.string.lstrip("#! ")
            last = line if alone else -1
    except (tokenize.TokenError, SyntaxError):
        # A tokenizer older than the syntax stops here; earlier comments count.
        pass
    if words:
        yield start, words
