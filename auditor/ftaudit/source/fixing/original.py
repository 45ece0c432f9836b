"""`Original`: a file's bytes next to its text, so that edits of the text become edits of the bytes."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from ftaudit.model import SourceEdit
from ftaudit.python_text import with_unix_lines
from ftaudit.rule import Language
from ftaudit.source.look import encoding_of

_MARK = b"\xef\xbb\xbf"
"""UTF-8's byte order mark."""


@dataclass(frozen=True, slots=True)
class Original:
    """A source file as it is on disk. `text` has `\\n` at the ends of lines."""

    data: bytes
    encoding: str
    raw: str
    """The text with the line ends that the file has."""
    text: str
    newline: str
    """The line end that most lines have."""
    _returns: tuple[int, ...] = field(repr=False)
    """Where `\\r\\n` is in `raw`, each less the number of those before it: where the `\\n` is in `text`."""

    @classmethod
    def of(cls, data: bytes, language: Language) -> Original:
        """Read a file's bytes. Raise `ParseError` for bytes that are not text."""
        encoding, _ = encoding_of(data, language)
        raw = data.decode(encoding)
        returns: list[int] = []
        at = raw.find("\r\n")
        while at >= 0:
            returns.append(at - len(returns))
            at = raw.find("\r\n", at + 2)
        text = with_unix_lines(raw)
        lines = raw.count("\n")
        newline = "\r\n" if returns and 2 * len(returns) >= lines else "\n"
        if not lines and "\r" in raw:
            newline = "\r"
        return cls(data, encoding, raw, text, newline, tuple(returns))

    def map(self, edit: SourceEdit) -> SourceEdit:
        """Return an edit of the text's UTF-8 as an edit of the file's bytes.

        Raise `UnicodeError` for a replacement that the file's encoding cannot express.
        """
        utf8 = self.text.encode()
        first, after = len(utf8[: edit.start].decode()), len(utf8[: edit.end].decode())
        start, end = self._raw(first), self._raw(after)
        replacement = edit.replacement.replace("\n", self.newline)
        replacement.encode(self.plain)
        return SourceEdit(
            path=edit.path,
            start=self._bytes(start),
            end=self._bytes(end),
            replaced=self.raw[start:end],
            replacement=replacement,
        )

    def apply(self, edits: tuple[SourceEdit, ...]) -> bytes:
        """Return the file's bytes with edits made that `map` returned."""
        return apply_edits(self.data, edits, self.plain)

    @property
    def plain(self) -> str:
        """The encoding without its byte order mark."""
        return "utf-8" if self.encoding == "utf-8-sig" else self.encoding

    def _raw(self, index: int) -> int:
        return index + bisect_left(self._returns, index)

    def _bytes(self, index: int) -> int:
        marked = self.encoding == "utf-8-sig" and self.data.startswith(_MARK)
        return len(self.raw[:index].encode(self.plain)) + (len(_MARK) if marked else 0)


def apply_edits(data: bytes, edits: tuple[SourceEdit, ...], encoding: str) -> bytes:
    """Return the bytes with the edits made, each once. They do not overlap; insertions at one place keep their order.

    Raise `ValueError` if the bytes are not what an edit replaces.
    """
    made: list[bytes] = []
    done = 0
    for edit in sorted(dict.fromkeys(edits), key=lambda each: (each.start, each.end)):
        if edit.start < done or data[edit.start : edit.end] != edit.replaced.encode(encoding):
            raise ValueError(f"{edit.path} is not what the edit of byte {edit.start} replaces")
        made += (data[done : edit.start], edit.replacement.encode(encoding))
        done = edit.end
    return b"".join((*made, data[done:]))
