"""`ftaudit watch`: what is not known is never recorded as unchanged; then fixes, blockers, wheels, and bad files."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.distributions import wheel
from support.index_server import IndexServer, Reply, ServedFile
from support.uv_locks import uv_lock

from ftaudit.cli import main
from ftaudit.compare.documents import Audit, ComparedPackage
from ftaudit.compare.last_run import read_last_run, render_last_run
from ftaudit.compare.published import LaterAnswer, Published, UpstreamKind
from ftaudit.compare.watching import WatchedTarget, find_changes, keep
from ftaudit.engine.reproduce import present_time
from ftaudit.model import Gap, GapKind, Verdict
from ftaudit.report import watched_changes

PLATFORM = "manylinux_2_17_x86_64"
BINARIES = Path(__file__).parents[2] / "fixtures" / "binaries" / "linux-x86_64"
LAST = "ftaudit-watch.json"


def compiled(name: str, version: str, case: str, platform: str = PLATFORM) -> ServedFile:
    """Return a wheel whose one module is a fixture."""
    (image,) = BINARIES.glob(f"{case}.*")
    empty = wheel(name, version, tag=f"cp314-cp314t-{platform}")
    buffer = io.BytesIO(empty.data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(f"{name}/{image.name}", image.read_bytes())
    return ServedFile(filename=empty.filename, data=buffer.getvalue())


GUILTY, QUICK = compiled("guilty", "1.0", "multi_used"), compiled("quick", "1.0", "multi_not_used")
FIXED = compiled("guilty", "1.1", "multi_not_used")


class Project:
    """A project whose index changes between runs."""

    def __init__(self, server: IndexServer, capsys: pytest.CaptureFixture[str]) -> None:
        self.server, self._capsys = server, capsys

    def publish(self, *files: ServedFile) -> None:
        for name in ("guilty", "quick"):
            self.server.add_project(
                name, [file for file in files if file.filename.startswith(name)], cache_control="no-cache"
            )

    def watch(self, *arguments: str, input: str = "r.txt") -> tuple[int, dict[str, Any]]:
        """Return the exit code and the JSON answer, which obeys its schema; the other formats render too."""
        code, out, err = self.run(input, "--format", "json", "--also", "news.md", "--also", "news.txt", *arguments)
        assert out, err
        document: dict[str, Any] = json.loads(out)
        jsonschema.Draft202012Validator(watched_changes.schema()).validate(document)
        return code, document

    def run(self, *arguments: str) -> tuple[int, str, str]:
        fixed = ("--static", "--no-deps", "--cache-dir", "cache", "--quiet", "--platform", PLATFORM)
        self._capsys.readouterr()
        code = main(["watch", *arguments, *fixed, "--index-url", self.server.simple_url])
        said = self._capsys.readouterr()
        return code, said.out, said.err


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Project]:
    monkeypatch.chdir(tmp_path)
    Path("r.txt").write_text("guilty==1.0\nquick==1.0\n")
    with IndexServer() as server:
        made = Project(server, capsys)
        made.publish(GUILTY, QUICK)
        yield made


def told(document: dict[str, Any]) -> list[tuple[str, str]]:
    (target,) = document["targets"]
    found = [(each["kind"], each["subject"]) for each in target["changes"]]
    found += [(each["kind"], each["name"]) for each in target["upstream"]]
    return found + [(f"unchecked {each['what']}", each["name"]) for each in target["unchecked"]]


def test_a_run_reports_what_upstream_did_once_and_an_index_that_fails_hides_nothing(project: Project) -> None:
    code, first = project.watch()
    assert (code, first["last_run"], told(first)) == (1, None, [("worse", "guilty")])
    code, same = project.watch()
    assert (code, told(same)) == (0, []) and same["last_run"] is not None
    assert Path("news.txt").read_text().startswith("UNCHANGED: 1 of 2 packages blocks.")

    yanked = replace(FIXED, yanked="broken")
    windows = compiled("quick", "1.0", "multi_not_used", "win_amd64")
    project.publish(GUILTY, QUICK, FIXED, windows)
    project.server.always("/simple/guilty/", Reply(status=403))
    code, blind = project.watch()
    assert code == 1 and told(blind) == [("wheel", "quick"), ("unchecked verdict", "guilty")]
    assert blind["targets"][0]["upstream"][0]["wheels"] == ["windows-amd64"]
    code, still = project.watch()
    assert (code, told(still)) == (3, [("unchecked verdict", "guilty")])
    code, offline = project.watch("--offline")
    assert (code, told(offline)) == (3, []) and "--offline" in offline["targets"][0]["unsure"][0]

    project.server.heal("/simple/guilty/")
    code, fixed = project.watch("--no-record")
    assert (code, told(fixed)) == (1, [("fix", "guilty")]), "what came while the index failed is reported afterwards"
    assert fixed["targets"][0]["upstream"][0]["release"] == "1.1"
    assert project.watch()[1] == fixed, "a run that is not recorded is repeated"
    assert "**guilty** 1.0 reenables-gil: 1.1 is the first good release" in Path("news.md").read_text()
    assert project.watch()[0] == 0

    project.publish(GUILTY, QUICK, yanked, windows)
    assert told(project.watch()[1]) == [("fix-withdrawn", "guilty")]


def test_a_changed_pin_and_a_lock_file_that_does_not_know_a_new_wheel(project: Project) -> None:
    lock = Path("uv.lock")
    lock.write_text(uv_lock({"quick": f"cp314-cp314t-{PLATFORM}"}, host=project.server.url))
    project.publish(GUILTY, QUICK, compiled("quick", "2.0", "multi_used"))
    code, first = project.watch(input="uv.lock")
    assert (code, told(first)) == (3, [("unchecked verdict", "quick")]), "its wheel is not where the lock file says"
    project.publish(GUILTY, QUICK, compiled("quick", "1.0", "multi_not_used", "macosx_11_0_arm64"))
    code, second = project.watch("--last-run", LAST, input="uv.lock")
    assert ("wheel", "quick") in told(second), "the index is asked, not the lock file"

    code, other = project.watch("--last-run", "other.json")
    assert (code, told(other)) == (1, [("worse", "guilty")])
    Path("r.txt").write_text("quick==2.0\n")
    project.publish(GUILTY, QUICK, compiled("quick", "2.0", "multi_used"))
    code, changed = project.watch("--last-run", "other.json")
    assert (code, told(changed)) == (1, [("worse", "quick"), ("went", "guilty")])
    code, out, err = project.run("r.txt", "--last-run", LAST)
    assert (code, out) == (2, "") and "has a run of uv.lock, but this run reads r.txt" in err


def test_a_further_target_and_platform_start_again_and_an_answer_that_is_not_written_is_not_recorded(
    project: Project,
) -> None:
    project.watch()
    kept = Path(LAST).read_bytes()
    code, _, err = project.run("r.txt", "--output", "no/such/folder.md")
    assert code == 2 and "no/such/folder.md" in err and Path(LAST).read_bytes() == kept
    code, more = project.watch("--target", "3.14t", "--target", "3.15t", "--platform", "windows-amd64")
    assert [each["first"] for each in more["targets"]] == [["windows-amd64"], ["windows-amd64", PLATFORM]]
    assert code == 1 and all(each["changes"] for each in more["targets"])
    assert "first run for 3.15t" in Path("news.txt").read_text()
    assert project.watch()[0] == 0, "what only another run has is kept"
    assert project.watch("--target", "3.14t", "--target", "3.15t", "--platform", "windows-amd64")[0] == 0


def edited(old: str, new: str, *, signed: bool = False) -> Callable[[str], str]:
    """Return a change of the file; `signed` writes the checksum of the result."""

    def change(text: str) -> str:
        changed = text.replace(old, new)
        if not signed:
            return changed
        document = json.loads(changed)
        del document["checksum"]
        document["checksum"] = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
        return json.dumps(document, separators=(",", ":"))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "is not JSON"),
        (lambda text: text[: len(text) // 2], "is not JSON"),
        (lambda text: "[" * 100_000, "is not JSON"),
        (lambda text: "[]", "is not a file of ftaudit watch"),
        (lambda text: '{"schema_version": 1, "packages": []}', "is not a file of ftaudit watch"),
        (lambda text: text.replace('"schema_version":1', '"schema_version":2'), "has schema version 2; this release"),
        (lambda text: text.replace('"schema_version":1', '"schema_version":true'), "has schema version True"),
        (edited('"reenables-gil"', '"ready"'), "does not match its checksum"),
        (edited('"version":"1.0","platform"', '"version":null,"platform"'), "does not match its checksum"),
        (edited('"checksum":"', '"sum":"'), "does not match its checksum"),
        (edited('"reenables-gil"', '"splendid"', signed=True), "is damaged: "),
        (edited('"targets":[', '"targets":[7,', signed=True), "is damaged: "),
        (edited('"fix":null', '"fix":[]', signed=True), "is damaged: "),
        (edited('"inputs":["r.txt"]', '"inputs":7', signed=True), "is damaged: "),
        (edited('"recorded":"', '"recorded":null,"then":"', signed=True), "is damaged: "),
        (edited('"inputs":["r.txt"]', '"inputs":["sub/r.txt"]', signed=True), "has a run of sub/r.txt"),
    ],
)
def test_a_damaged_last_run_is_an_error_and_is_not_replaced(
    change: Callable[[str], str], message: str, project: Project
) -> None:
    good = render_last_run(None, (GUILTY_RUN,), inputs=("r.txt",), path=Path(LAST), now=present_time())
    assert read_last_run_of(good) is not None
    damaged = change(good)
    assert damaged != good
    Path(LAST).write_text(damaged)
    code, out, err = project.run("r.txt")
    assert (code, out) == (2, "") and message in err and "Traceback" not in err
    assert Path(LAST).read_text() == damaged and not project.server.requests


def test_a_last_run_that_is_no_file_or_has_no_folder_is_an_error(project: Project) -> None:
    Path("folder").mkdir()
    assert project.run("r.txt", "--last-run", "folder")[0] == 2
    assert project.run("r.txt", "--last-run", "no/folder.json")[0] == 2
    assert not project.server.requests


def read_last_run_of(text: str) -> object:
    Path(LAST).write_text(text)
    return read_last_run(Path(LAST), ("r.txt",))


def row(name: str, verdict: Verdict, version: str | None = "1.0", platform: str = "linux-x86_64") -> ComparedPackage:
    return ComparedPackage(
        name=name,
        version=version,
        platform=platform,
        verdict=verdict,
        reason="because",
        accepted=False,
        source_scanned=False,
        findings=(),
    )


def published(name: str, later: LaterAnswer = LaterAnswer.NONE, **more: Any) -> Published:
    given = {"version": "1.0", "platform": "linux-x86_64", "verdict": Verdict.REENABLES_GIL} | more
    return Published(name=name, later=later, **given)


def project_of(*rows: ComparedPackage, upstream: tuple[Published, ...] = (), incomplete: str = "") -> WatchedTarget:
    platforms = tuple(dict.fromkeys(each.platform for each in rows)) or ("linux-x86_64",)
    missing = (incomplete,) if incomplete else ()
    audit = Audit(target="3.14t", platforms=platforms, rows=rows, incomplete=missing)
    return WatchedTarget(audit=audit, published=upstream)


GUILTY_RUN = project_of(row("guilty", Verdict.REENABLES_GIL), upstream=(published("guilty"),))
NO_ANSWER = Gap(kind=GapKind.NO_ANSWER, detail="5")


def kinds(old: WatchedTarget | None, new: WatchedTarget) -> tuple[int, list[str]]:
    changes = find_changes(old, new)
    return changes.exit_code, [str(each.kind) for each in (*changes.changes, *changes.upstream)]


def test_a_package_that_was_unknown_is_compared_with_its_last_known_verdict() -> None:
    ready, dark, guilty = (project_of(row("a", v)) for v in (Verdict.READY, Verdict.UNKNOWN, Verdict.REENABLES_GIL))
    assert kinds(ready, dark) == (3, [])
    after = keep(ready, dark)
    assert kinds(after, dark) == (3, []) and kinds(after, ready) == (0, []) and kinds(after, guilty) == (1, ["worse"])
    never = keep(None, dark)
    assert never.audit.rows == () and kinds(never, ready) == (0, ["came"]) and kinds(never, guilty) == (1, ["worse"])
    unresolved = project_of(row("a", Verdict.UNKNOWN, version=None))
    assert kinds(keep(ready, unresolved), guilty) == (1, ["worse"])


def test_an_unknown_fork_of_a_package_is_said_although_another_one_blocks() -> None:
    fork = project_of(row("a", Verdict.REENABLES_GIL), row("a", Verdict.UNKNOWN, "2.0"))
    known = project_of(row("a", Verdict.REENABLES_GIL), row("a", Verdict.READY, "2.0"))
    assert kinds(keep(known, fork), fork) == (3, [])
    assert keep(known, fork).audit.rows == known.audit.rows


def test_a_package_that_an_incomplete_run_does_not_have_is_not_gone() -> None:
    both = project_of(row("a", Verdict.READY), row("b", Verdict.READY), upstream=(published("b"),))
    part = project_of(row("a", Verdict.READY), incomplete="the dependencies of b are not known")
    assert kinds(both, part) == (3, [])
    after = keep(both, part)
    assert {each.name for each in after.audit.rows} == {"a", "b"} and after.published == both.published
    assert kinds(after, project_of(row("a", Verdict.READY))) == (0, ["went"])
    assert kinds(after, project_of(row("a", Verdict.READY), row("b", Verdict.BROKEN))) == (1, ["worse"])


def test_releases_and_wheels_that_could_not_be_looked_up_keep_their_last_answer() -> None:
    def of(later: LaterAnswer, **more: Any) -> WatchedTarget:
        return project_of(row("a", Verdict.REENABLES_GIL), upstream=(published("a", later, **more),))

    fixed = of(LaterAnswer.GOOD, fix="2.0", wheels=("linux-x86_64",))
    blind = of(LaterAnswer.UNKNOWN, wheels=None, gap=NO_ANSWER)
    assert kinds(fixed, blind) == (3, [])
    after = keep(fixed, blind)
    assert after == keep(None, fixed) and kinds(after, fixed) == (0, [])
    nearer = of(LaterAnswer.GOOD, fix="1.5", wheels=("linux-x86_64", "macos-arm64"))
    assert kinds(after, nearer) == (1, ["fix", "wheel"])
    gone = of(LaterAnswer.NONE, wheels=())
    assert kinds(after, gone) == (1, ["fix-withdrawn", "wheel-withdrawn"])
    early = of(LaterAnswer.NONE, early="2.0rc1", wheels=("linux-x86_64",))
    assert kinds(after, early) == (1, ["pre-release", "fix-withdrawn"])
    assert kinds(keep(after, early), fixed) == (1, ["fix"])


def test_a_first_run_lists_what_blocks_and_not_what_is_fine_or_accepted() -> None:
    accepted = replace(row("known", Verdict.BROKEN), accepted=True)
    first = project_of(row("a", Verdict.READY), accepted, upstream=(published("a", wheels=("macos-arm64",)),))
    assert kinds(None, first) == (0, [])
    fixed = (published("b", LaterAnswer.GOOD, fix="2.0"),)
    assert kinds(None, project_of(row("b", Verdict.BROKEN), upstream=fixed)) == (1, ["worse", "fix"])
    changes = find_changes(keep(None, first), first)
    assert (changes.packages, changes.blocking) == (2, 0)


def test_hostile_text_reaches_no_terminal_and_no_markup() -> None:
    evil = "\x1b[2J<script>|`@team #1 https://evil.example\u202e"
    rows = (replace(row(evil, Verdict.BROKEN, version=evil), reason=evil),)
    upstream = (published(evil, LaterAnswer.GOOD, fix=evil, version=evil),)
    answer = watched_changes.WatchAnswer(
        inputs=(evil,),
        last_run=evil,
        targets=(find_changes(None, project_of(*rows, upstream=upstream, incomplete=evil)),),
    )
    table, markdown = watched_changes.render_table(answer), watched_changes.render_markdown(answer)
    assert "\x1b" not in table + markdown and "\u202e" not in table + markdown
    assert "<script>" not in markdown.replace(watched_changes._since(answer), "") and "`@team` `#1`" in markdown
    jsonschema.validate(json.loads(watched_changes.render_json(answer)), watched_changes.schema())
    many = replace(answer.targets[0], changes=answer.targets[0].changes * 800)
    long = replace(answer, targets=(many,))
    assert len(watched_changes.render_markdown(long)) < 65_536 and "more" in watched_changes.render_markdown(long)
    assert len(watched_changes.render_table(long).splitlines()) < 2_000
    assert str(UpstreamKind.FIX) in watched_changes.render_json(long)
