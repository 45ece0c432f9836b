"""The location of a result for other formats: relative to the repository, with forward slashes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePath
from urllib.parse import quote


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """The folder in which the command runs, and the repository's folder, both absolute."""

    folder: Path
    root: Path

    def relative(self, path: str) -> str | None:
        """Return a path from the report relative to the repository, or `None` if it is outside the repository."""
        absolute = os.path.normpath(self.folder / path)
        for root in (self.root, self.root.resolve()):
            try:
                return PurePath(absolute).relative_to(root).as_posix()
            except ValueError:
                continue
        return None

    def shown(self, path: str) -> str:
        """Return the path relative to the repository if it is inside, otherwise absolute; always encodable."""
        text = self.relative(path) or Path(os.path.normpath(self.folder / path)).as_posix()
        return text.encode("utf-8", "replace").decode("utf-8")

    def uri(self, path: str) -> tuple[str, bool]:
        """Return the percent-encoded URI reference, and whether it is relative to the repository (RFC 3986)."""
        inside = self.relative(path)
        if inside is not None:
            return quote(inside, safe="/-._~!$&'()*+,;=@", errors="surrogateescape"), True
        return Path(os.path.normpath(self.folder / path)).as_uri(), False


def find_places(folder: Path) -> Places:
    """Return the places of a command that runs in a folder: the repository is the nearest parent folder under git."""
    folder = Path(os.path.normpath(folder.absolute()))
    root = next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)
    return Places(folder=folder, root=root)
