"""Which files of an sdist can hold a declaration of a module: a forecast of a build reads no others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Final

from ftaudit.rule import Language, SourceRule
from ftaudit.source.base import CRule, Role
from ftaudit.source.c.c_tree import may_declare
from ftaudit.source.languages import languages_of, may_be_source
from ftaudit.source.look import MAX_BYTES, decode
from ftaudit.source.source_files import decides_roles, role_of

_C: Final = frozenset({Language.C, Language.CPP})


@dataclass(kw_only=True, slots=True)
class DeclaringFiles:
    """The choice for one sdist.

    Build files, Cython, Rust and Python are always read. A C or C++ file is read if its text has a word of one of the
    rules, or declares a macro on which a declaration in another file depends. Files that the scanner cannot decode are
    read, because they may hide a declaration.
    """

    words: frozenset[str] | None
    """The words of the C rules; `None` if one of them needs no word."""
    left_out: int = 0
    """How many source files are not read."""

    def leaves_out(self, path: PurePosixPath, file: IO[bytes], most: int) -> int | None:
        """Return the size in bytes of a file that cannot hold a declaration; `None` for any other, and if it is larger.

        `path` is relative to the folder that is scanned. The file is at its start again if it is to be read.
        """
        if decides_roles(path):
            return None
        if not may_be_source(path):
            return file.seek(0, 2)
        if role_of(path, within_project=False) is not Role.OWN:
            self.left_out += 1
            return file.seek(0, 2)
        if self.words is None or not _C.issuperset(languages_of(path, b"")):
            return None
        data = file.read(most + 1)
        if len(data) <= MAX_BYTES and not self._may_declare(data):
            self.left_out += 1
            return len(data)
        file.seek(0)
        return None

    def _may_declare(self, data: bytes) -> bool:
        if b"\0" in data:
            return True
        text, _ = decode(data, Language.C)
        return any(map(text.__contains__, self.words or ())) or may_declare(text)


def declaring_files(rules: Iterable[SourceRule]) -> DeclaringFiles:
    """Return the choice for rules that all concern declarations (`RuleInfo.declares`)."""
    words = [rule.words for rule in rules if isinstance(rule, CRule)]
    return DeclaringFiles(words=frozenset(word for some in words for word in some) if all(words) else None)
