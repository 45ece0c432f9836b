"""Answers of earlier runs: used while nothing that they depend on has changed, and never after that."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from support.fixture_wheels import GOOD, GUILTY, project_name, wheel_of
from support.index_server import IndexServer, Reply, ServedFile
from support.wheels import archive

import ftaudit
from ftaudit.cli import main
from ftaudit.facts.exchange import export_facts
from ftaudit.fleet.dataset import read_run
from ftaudit.fleet.earlier_answers import ftaudit_identity
from ftaudit.fleet.fleet_questions import question_of
from ftaudit.fleet.fleet_tasks import JudgeTask, judge_task
from ftaudit.index.index_settings import IndexOptions
from ftaudit.model import Pin
from ftaudit.registry import load_rules, rules_identity
from ftaudit.settings import Settings
from ftaudit.target import parse_platform

LINUX = parse_platform("linux-x86_64")
NAMES = (project_name(GOOD), project_name(GUILTY))
Ask = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def processes() -> Iterator[None]:
    """Forget what a process knows for as long as it lives, so that each test sees new ones."""
    known = (ftaudit_identity, rules_identity, load_rules)
    for each in known:
        each.cache_clear()
    yield
    for each in known:
        each.cache_clear()


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as server:
        for module in (GOOD, GUILTY):
            server.add_project(project_name(module), [wheel_of(module)], etag='"1"', cache_control="max-age=0")
        yield server


@pytest.fixture
def ask(server: IndexServer, tmp_path: Path) -> Ask:
    """Ask in a new session for each call, as a new run would."""
    numbers = itertools.count(4)

    def ask(*names: str, newest: int = 1, since: datetime | None = None, **options: Any) -> dict[str, Any]:
        settings = Settings(static=True, jobs=1, index_url=server.simple_url, cache_dir=tmp_path / "cache")
        settings = replace(settings, connections=next(numbers), **options)
        pins = [Pin(name=canonicalize_name(name), version=None) for name in names or NAMES]
        questions = tuple(question_of(pin, "3.14t", [LINUX.name], IndexOptions()) for pin in pins)
        outcome = judge_task(
            JudgeTask(
                questions=questions,
                settings=settings,
                targets=("3.14t",),
                platforms=(LINUX,),
                newest=newest,
                since=since,
            )
        )
        assert len(outcome["answers"]) == len(questions), outcome
        plain: dict[str, Any] = json.loads(json.dumps(outcome))
        return plain

    return ask


def verdicts(outcome: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [row for rows in outcome["answers"].values() for table, row in rows if table == "packages"]
    return [(row["version"], row["verdict"]) for row in rows]


def test_a_second_run_asks_whether_pages_changed_and_nothing_else_and_writes_the_same_bytes(
    server: IndexServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--index-url", server.simple_url, "--cache-dir", tmp_path / "cache", "--platform", LINUX.name, "--quiet")
    command = ("fleet", "survey", *NAMES, *where, "--workers", "1", "-o")
    digests = []
    for number in (0, 1):
        server.forget()
        assert main([*map(str, command), str(tmp_path / f"run{number}")]) == 1
        files = sorted((tmp_path / f"run{number}").rglob("*.parquet"))
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
        assert read_run(tmp_path / f"run{number}").kept == 2 * number
    assert digests[0] == digests[1]
    assert sorted(seen.path for seen in server.requests) == [f"/simple/{name}/" for name in NAMES]
    assert all(seen.headers["if-none-match"] == '"1"' for seen in server.requests)
    assert "2 packages are unchanged since an earlier run" in capsys.readouterr().out
    kept = list((tmp_path / "cache" / "fleet").iterdir())
    assert [path.suffix for path in kept] == [".sqlite3"]
    assert main(["cache", "clean", "fleet", "--cache-dir", str(tmp_path / "cache")]) == 0
    assert not kept[0].exists()


def test_a_changed_page_is_judged_again_and_the_others_are_not(server: IndexServer, ask: Ask) -> None:
    first = ask()
    assert (first["kept"], ask()["kept"], ask()["answers"]) == (0, 2, first["answers"])
    yanked = replace(wheel_of(GUILTY), yanked="it turns the GIL on")
    server.add_project(project_name(GUILTY), [yanked], etag='"2"', cache_control="max-age=0")
    changed = ask()
    assert (changed["kept"], verdicts(changed) == verdicts(first)) == (1, True)
    newer = replace(wheel_of(GUILTY), filename=wheel_of(GUILTY).filename.replace("-1.0-", "-1.1-"))
    server.add_project(project_name(GUILTY), [newer, yanked], etag='"3"', cache_control="max-age=0")
    assert [version for version, _ in verdicts(ask())] == ["1.0", "1.1"]
    # A page that was changed back is not the page of the last answer.
    server.add_project(project_name(GUILTY), [wheel_of(GUILTY)], etag='"1"', cache_control="max-age=0")
    back = ask()
    assert (back["kept"], back["answers"]) == (1, first["answers"])


def test_a_changed_option_is_judged_again(server: IndexServer, ask: Ask, tmp_path: Path) -> None:
    ask()
    day = datetime(2026, 1, 1, tzinfo=timezone.utc)
    (tmp_path / "rules").mkdir()
    others: list[dict[str, Any]] = [
        {"newest": 2},
        {"since": day},
        {"select": ("FT101",)},
        {"ignore": ("FT101",)},
        {"rules": (tmp_path / "rules",)},
        {"index_url": f"{server.url}/other/"},
        {"extra_index_urls": (f"{server.url}/other/",)},
        {"find_links": (str(tmp_path),)},
        {"offline": True},
        {"no_cache": True},
    ]
    for module in (GOOD, GUILTY):
        server.add_project(project_name(module), [wheel_of(module)], prefix="/other", cache_control="max-age=0")
    assert [ask(**options)["kept"] for options in others] == [0] * len(others)
    assert ask()["kept"] == 2


RULE = """
from ftaudit.model import Confidence, Severity
from ftaudit.rule import PackageRule, RuleInfo


class Local(PackageRule):
    \"\"\"Reports every package.\"\"\"

    info = RuleInfo(
        code="FT998", name="local", summary="Ours.", severity=Severity.NOTE,
        confidence=Confidence.HIGH, since="1.0", remedy="None.",
    )
    VALID = ()
    INVALID = ()

    def check(self, facts):
        yield self.finding(MESSAGE)
"""


def test_a_changed_rule_and_a_changed_ftaudit_are_judged_again(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    for number, text in enumerate((RULE.replace("MESSAGE", "'one'"), RULE.replace("MESSAGE", "'two'"))):
        rules_identity.cache_clear()
        load_rules.cache_clear()
        (rules / "local.py").write_text(text)
        assert (number, ask(rules=(rules,))["kept"], ask(rules=(rules,))["kept"]) == (number, 0, 2)
    room = Path(ftaudit.__file__).parent
    for name in ("judge", "binary"):
        copy = tmp_path / name / "ftaudit"
        shutil.copytree(room, copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / name / "__init__.py").write_text("# another analysis\n")
        monkeypatch.setattr(ftaudit, "__file__", str(copy / "__init__.py"))
        ftaudit_identity.cache_clear()
        assert (name, ask()["kept"], ask()["kept"]) == (name, 0, 2)


def test_what_another_run_may_answer_otherwise_is_not_kept(server: IndexServer, ask: Ask, tmp_path: Path) -> None:
    sdist = ServedFile(filename="multi_used-2.0.tar.gz", data=archive([("multi_used-2.0/PKG-INFO", b"")]))
    cases = {
        "a wheel that cannot be fetched": [replace(wheel_of(GUILTY), data=b"")],
        "a wheel without a digest": [replace(wheel_of(GUILTY), hashed=False)],
        "a source distribution that cannot be fetched": [replace(sdist, url=f"{server.url}/files/gone.tar.gz")],
        "a wheel on this machine": [replace(wheel_of(GUILTY), url=(tmp_path / "x.whl").as_uri())],
    }
    for case, files in cases.items():
        server.add_project(project_name(GUILTY), files, cache_control="max-age=0")
        assert (case, [ask(project_name(GUILTY))["kept"] for _ in range(2)]) == (case, [0, 0])
    page = server.add_project(project_name(GUILTY), [wheel_of(GUILTY)], cache_control="max-age=0")
    server.always(page, Reply(status=500))
    assert verdicts(ask(project_name(GUILTY))) == [(None, "unknown")]
    server.heal(page)
    assert verdicts(ask(project_name(GUILTY))) == [("1.0", "reenables-gil")]
    assert ask(project_name(GUILTY))["kept"] == 1
    # The index is down again: the run reports that, and not the answer of an earlier run.
    server.always(page, Reply(status=500))
    assert verdicts(ask(project_name(GUILTY))) == [(None, "unknown")]


def test_the_answers_of_a_facts_store_are_asked_for_each_time_so_that_the_report_names_it(
    ask: Ask, tmp_path: Path
) -> None:
    ask()
    store = tmp_path / "team.ftfacts"
    export_facts(tmp_path / "cache", store)
    again = {"facts": (store,), "cache_dir": tmp_path / "empty", "read_again": 0.0}
    for _ in range(2):
        told = ask(**again)
        rows = [row for answer in told["answers"].values() for name, row in answer if name == "wheels"]
        assert (told["kept"], [row["store"] for row in rows]) == (0, ["team", "team"])


@pytest.mark.parametrize("damage", ["value", "swapped", "file"])
def test_damaged_answers_are_judged_again_and_reported(ask: Ask, tmp_path: Path, damage: str) -> None:
    first = ask()
    (path,) = (tmp_path / "cache" / "fleet").iterdir()
    if damage == "file":
        path.write_bytes(b"not a database" * 400)
    else:
        with sqlite3.connect(path) as data:
            rows = data.execute("SELECT key, value FROM results ORDER BY key").fetchall()
            values = [value[:-1] + b"?" for _, value in rows] if damage == "value" else [rows[1][1], rows[0][1]]
            data.executemany(
                "UPDATE results SET value = ? WHERE key = ?", zip(values, (key for key, _ in rows), strict=True)
            )
        data.close()
    again = ask()
    assert (again["kept"], again["answers"]) == (0, first["answers"])
    assert any("damaged in the cache" in note for note in again["notes"])
    assert (ask()["kept"], ask()["notes"]) == (2, [])
