"""Facts of wheels are cached per version of the analysis."""

from __future__ import annotations

from pathlib import Path

import ftaudit
from ftaudit.binary import facts_cache

ROOM = Path(ftaudit.__file__).parent


def test_every_file_that_decides_what_is_read_of_a_wheel_decides_whether_old_answers_count(monkeypatch) -> None:
    read: list[str] = []
    plain = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(str(path)) or plain(path))
    facts_cache.analysis_version.cache_clear()
    facts_cache.analysis_version()
    rooms = [ROOM / "binary", *(ROOM / name for name in facts_cache.READ_BY)]
    files = (path for room in rooms for kind in ("*.py", "*.txt") for path in room.rglob(kind))
    assert sorted(read) == sorted(map(str, files))
    assert any("emulator" in path for path in read)
