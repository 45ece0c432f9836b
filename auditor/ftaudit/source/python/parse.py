"""Parse Python of any version into the `ast` of the interpreter that runs ftaudit, with unchanged line numbers."""

from __future__ import annotations

import ast
import symtable
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any, Final, TypeVar

from ftaudit.source.base import ParseError

Result = TypeVar("Result")

_DEEP_STACK: Final = 512 << 20
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
        return _with_deep_stack(lambda: _parse(text))
    except ValueError as error:
        raise ParseError(f"does not parse: {error}") from error
    except SyntaxError as error:
        if any(limit in str(error) for limit in _LIMITS):
            raise ParseError(f"does not parse: {error.msg}", line=error.lineno) from error
        older = _with_deep_stack(lambda: _rewritten(text))
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
    """Return older Python of the same lines, or `None` if the text is not Python to libcst either."""
    import libcst

    from ftaudit.source.python.older import rewrite

    try:
        return rewrite(text)
    except (libcst.ParserSyntaxError, libcst.CSTValidationError):
        return None


def _with_deep_stack(work: Callable[[], Result]) -> Result:
    """Run `work` in a thread with a large stack, where real files that are nested deeply can be parsed."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:
            outcome.append((None, error))

    limit, stack = sys.getrecursionlimit(), threading.stack_size(_DEEP_STACK)
    sys.setrecursionlimit(max(limit, _DEEP_RECURSION))
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(stack)
        sys.setrecursionlimit(limit)
    result, error = outcome[0]
    if isinstance(error, (RecursionError, MemoryError)):
        raise ParseError("nested deeper than the parser goes") from error
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]
