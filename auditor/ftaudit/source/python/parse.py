"""Parse Python of any version into the `ast` of the interpreter that runs ftaudit, with unchanged line numbers."""

from __future__ import annotations

import ast
import symtable
import sys
import warnings
from collections.abc import Callable
from typing import Final, TypeVar

from ftaudit.deep_stack import with_deep_stack
from ftaudit.extras import PYTHON_EDITOR, Extra, why_missing
from ftaudit.source.base import ParseError

Result = TypeVar("Result")

_DEEP_RECURSION: Final = 100_000
_LIMITS: Final = ("too many nested parentheses", "too many levels of indentation", "too many statically nested blocks")


def check_syntax(text: str) -> None:
    """Raise `ParseError` for text that is not valid Python in any version; twice as fast as making its tree."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            symtable.symtable(text, "<source>", "exec")
    except (SyntaxError, RecursionError, MemoryError, ValueError):
        parse_module(text)


def parse_module(text: str) -> ast.Module:
    """Return the tree of the text.

    libcst parses code that this interpreter's parser rejects and, if it accepts newer syntax there, rewrites it to
    older syntax on the same lines. Raise `ParseError` for text that is not Python, or nested too deep for any parser.
    """
    try:
        return _parse(text)
    except (RecursionError, MemoryError):
        return _nested(lambda: _parse(text))
    except ValueError as error:
        raise ParseError(f"does not parse: {error}") from error
    except SyntaxError as error:
        if any(limit in str(error) for limit in _LIMITS):
            raise ParseError(f"does not parse: {error.msg}", line=error.lineno) from error
        older = _nested(lambda: _rewritten(text))
        if older is None:
            raise ParseError(f"does not parse: {error.msg}", line=error.lineno) from error
        try:
            return _parse(older)
        except (SyntaxError, ValueError):
            raise ParseError(f"does not parse: {error.msg}", line=error.lineno) from error


def _parse(text: str) -> ast.Module:
    with warnings.catch_warnings():
        # Invalid escapes do not matter here.
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _rewritten(text: str) -> str | None:
    """Return older Python of the same lines, or `None` if the text is not Python to libcst either.

    Raise `ParseError` if libcst is not installed.
    """
    if reason := why_missing(Extra.SOURCE, PYTHON_EDITOR):
        raise ParseError(f"does not parse as Python {sys.version_info[0]}.{sys.version_info[1]}; newer syntax {reason}")
    import libcst

    from ftaudit.source.python.older import rewrite

    try:
        return rewrite(text)
    except (libcst.ParserSyntaxError, libcst.CSTValidationError):
        return None


def _nested(work: Callable[[], Result]) -> Result:
    """Return the result of `work`, with room for files that are nested deeply; raise `ParseError` beyond that."""
    try:
        return with_deep_stack(work, recursion=_DEEP_RECURSION)
    except (RecursionError, MemoryError) as error:
        raise ParseError("nested too deeply for the parser") from error
