"""Without a network: cached data is used without a request, and missing data is reported."""

from __future__ import annotations

from pathlib import Path

from support.command import check, ftaudit
from support.distributions import wheel
from support.index_server import IndexServer


def filled(folder: Path) -> str:
    """Fill the cache from an index that then disappears; return its URL. Its pages are stale at once."""
    with IndexServer() as server:
        server.add_project("kept", [wheel("kept", "1.0", requires=["needed"])], cache_control="max-age=0")
        server.add_project("needed", [wheel("needed", "2.0")], cache_control="max-age=0")
        (folder / "r.txt").write_text("kept==1.0\n")
        assert set(check("--static", "--index-url", server.simple_url, "r.txt", cwd=folder).rows) == {"kept", "needed"}
        return server.simple_url


def test_a_lost_network_loses_no_row_that_offline_has(tmp_path: Path) -> None:
    url = filled(tmp_path)
    (tmp_path / "r.txt").write_text("kept==1.0\nunseen==3.0\n")
    offline = check("--static", "--offline", "--index-url", url, "r.txt", cwd=tmp_path)
    lost = check("--static", "--index-url", url, "r.txt", cwd=tmp_path)
    assert lost.verdicts == offline.verdicts == {"kept": "pure", "needed": "pure", "unseen": "unknown"}
    assert (lost.code, offline.code) == (3, 3)
    notes = "\n".join(lost.document["notes"])
    assert "cannot connect to 127.0.0.1" in notes and "as with --offline" in notes
    assert "error sending request" not in str(lost.document)


def test_what_only_a_network_would_tell_has_a_next_step(tmp_path: Path) -> None:
    url = filled(tmp_path)
    (tmp_path / "r.txt").write_text("unseen==3.0\nloose\n")
    offline = check("--static", "--offline", "--index-url", url, "r.txt", cwd=tmp_path)
    assert all("without --offline" in row["next_step"] for row in offline.rows.values())
    assert "unsatisfiable" not in str(offline.document)
    lost = check("--static", "--index-url", url, "r.txt", cwd=tmp_path)
    assert all("check the network" in row["next_step"] for row in lost.rows.values())


def test_a_line_for_logs_says_what_the_cache_lacks_without_a_gap(tmp_path: Path) -> None:
    url = filled(tmp_path)
    (tmp_path / "r.txt").write_text("unseen==3.0\nother==1.0\n")
    arguments = ("check", "--static", "--offline", "--no-deps", "--index-url", url, "--format", "concise", "r.txt")
    said = ftaudit(*arguments, cwd=tmp_path).stdout
    assert "left out: 2 packages" in said and "the cache does not have its page" in said and "…" not in said
