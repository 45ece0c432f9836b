"""Cuts Cython (and Python) text into logical lines of tokens, with their indentation. Never fails, never recurses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"(?P<space>[ \t\f\r]+|\\\r?\n)"
    r"|(?P<newline>\n)"
    r"|(?P<comment>\#[^\n]*)"
    r"|(?P<string>(?i:[rbufc]{0,2})(?:"
    r'"""[^"\\]*(?:(?:\\(?:.|\Z)|"(?!""))[^"\\]*)*(?:"""|\Z)'
    r"|'''[^'\\]*(?:(?:\\(?:.|\Z)|'(?!''))[^'\\]*)*(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\(?:.|\Z))*(?:"|(?=\n)|\Z)'
    r"|'(?:[^'\\\n]|\\(?:.|\Z))*(?:'|(?=\n)|\Z)))"
    r"|(?P<number>(?:0[xXoObB][\w]+|\d[\w]*(?:\.\d\w*)?|\.\d\w*)(?:(?<=[eE])[+-]\d+)?)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<op>\*\*=?|//=?|>>=?|<<=?|->|:=|\.\.\.|[-+*/%&|^@=!<>]=|.)",
    re.DOTALL,
)
_TEMPLATE: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_TEMPLATE_SUFFIXES: Final = (".in", ".tp", ".src")


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `kind` is `name`, `number`, `string` or `op`; line and column count from 1."""

    kind: str
    text: str
    line: int
    column: int


@dataclass(slots=True)
class LogicalLine:
    """One logical line: a simple statement, or the head of a block (which may have a statement after its colon)."""

    index: int
    indent: int
    tokens: list[Token]
    parent: int = -1
    """Index of the line that heads the block this line is in; -1 at the top."""

    @property
    def number(self) -> int:
        """The physical line on which it starts, from 1."""
        return self.tokens[0].line

    @property
    def last_number(self) -> int:
        """The physical line of its last token's start."""
        return self.tokens[-1].line

    @property
    def words(self) -> list[str]:
        """The texts of its tokens."""
        return [token.text for token in self.tokens]

    @property
    def opens(self) -> bool:
        """Whether it ends with the colon that opens a block."""
        return self.tokens[-1].text == ":"


def blank_template(path: str, text: str) -> str:
    """Return the text of a Tempita or NumPy template with its `{{…}}` pieces replaced, line breaks kept."""
    if not path.endswith(_TEMPLATE_SUFFIXES):
        return text
    return _TEMPLATE.sub(lambda piece: "_" + "\n" * piece.group().count("\n"), text)


def split_lines(text: str) -> list[LogicalLine]:
    """Return the logical lines, each with the index of its block's head; comments are left out."""
    lines: list[LogicalLine] = []
    tokens: list[Token] = []
    depth = number = start = 0
    number = 1
    for match in _TOKEN.finditer(text):
        kind, piece, column = match.lastgroup or "op", match.group(), match.start() - start + 1
        if kind == "newline":
            if depth == 0 and tokens:
                _add(lines, tokens)
                tokens = []
        elif kind not in ("space", "comment"):
            if kind == "op":
                if piece in "([{":
                    depth += 1
                elif piece in ")]}":
                    depth = max(depth - 1, 0)
                elif piece == ";" and depth == 0:
                    if tokens:
                        _add(lines, tokens)
                        tokens = []
                    continue
            elif (
                depth
                and kind == "name"
                and piece in ("def", "cdef", "cpdef", "class")
                and _starts_line(text, match.start())
            ):
                # A bracket that is never closed must not swallow the rest of the file.
                depth = 0
                _add(lines, tokens)
                tokens = []
            tokens.append(Token(kind, piece, number, column))
        breaks = piece.count("\n")
        if breaks:
            number += breaks
            start = match.start() + piece.rindex("\n") + 1
    if tokens:
        _add(lines, tokens)
    _nest(lines)
    return lines


def _starts_line(text: str, offset: int) -> bool:
    """Return whether only white space precedes the offset on its line, in the first eight columns."""
    head = text[max(offset - 9, 0) : offset]
    return offset == 0 or (not head.rpartition("\n")[2].strip() and ("\n" in head or offset < 9))


def _add(lines: list[LogicalLine], tokens: list[Token]) -> None:
    if tokens:
        previous = lines[-1] if lines else None
        indent = tokens[0].column - 1
        if previous is not None and previous.tokens[-1].line == tokens[0].line and not previous.opens:
            indent = previous.indent  # The statement after a semicolon belongs to the same block.
        lines.append(LogicalLine(len(lines), indent, tokens))


def _nest(lines: list[LogicalLine]) -> None:
    open_heads: list[LogicalLine] = []
    for line in lines:
        while open_heads and open_heads[-1].indent >= line.indent:
            open_heads.pop()
        line.parent = open_heads[-1].index if open_heads else -1
        if line.opens:
            open_heads.append(line)
