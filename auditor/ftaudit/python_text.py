"""Decodes Python source files as CPython does (PEP 263)."""

from __future__ import annotations

import io
import tokenize


def python_encoding(data: bytes) -> str:
    """Return the encoding of a Python file: that of its mark or its comment, or else UTF-8.

    Raise `UnicodeDecodeError` if it cannot be decoded, and `SyntaxError` or `LookupError` if the encoding is unknown.
    """
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    data.decode(encoding)
    return encoding


def with_unix_lines(text: str) -> str:
    """Return the text with `\\n` at the ends of lines."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
