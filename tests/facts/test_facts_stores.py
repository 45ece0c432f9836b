"""Facts stores through the front door: made, imported, installed, believed, compared, damaged and lying."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.fixture_wheels import GOOD, GUILTY, project_name, uv_lock, wheel_of
from support.index_server import IndexServer, ServedFile

from ftaudit.binary.facts_cache import render_facts
from ftaudit.cli import main
from ftaudit.errors import InputError
from ftaudit.facts import facts_store
from ftaudit.facts.facts_store import FactsStore
from ftaudit.fleet.dataset import read_rows
from ftaudit.fleet.schema import WHEELS


@dataclass
class Team:
    """A store that one machine made, and the lock file of a project."""

    store: Path
    lock: Path
    learned: Path
    """The cache that the store was made from."""


Run = Callable[..., tuple[int, str]]
ORIGIN = ("store", "store_by", "store_created", "store_ftaudit")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> tuple[int, str]:
        code = main(list(map(str, arguments)))
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Team:
    folder = tmp_path_factory.mktemp("team")
    lock, store, cache = folder / "uv.lock", folder / "team.ftfacts", folder / "cache"
    files = {module: wheel_of(module) for module in (GOOD, GUILTY)}
    with IndexServer() as server:
        for file in files.values():
            server.add_file(file.filename, file.data)
        lock.write_text(uv_lock({module: (server.file_url(f.filename), f.digest) for module, f in files.items()}))
        assert main(["check", "--static", str(lock), "--platform", "linux-x86_64", "--cache-dir", str(cache)]) == 1
    assert main(["facts", "export", "-o", str(store), "--by", "the team", "--cache-dir", str(cache)]) == 0
    return Team(store=store, lock=lock, learned=cache)


def check(run: Run, team: Team, cache: Path, *more: str | Path) -> tuple[int, dict[str, Any], str]:
    report = cache.parent / "report.json"
    where = ("--platform", "linux-x86_64", "--cache-dir", cache)
    code, said = run("check", "--static", team.lock, *where, "-o", report, *more)
    return code, json.loads(report.read_text()) if report.exists() else {}, said


def declarations(report: dict[str, Any]) -> dict[str, list[str]]:
    return {row["name"]: [module["binary"] for module in row["modules"]] for row in report["packages"]}


EVERYTHING = {project_name(GOOD): ["not_used"], project_name(GUILTY): ["used"]}


def test_without_a_network_a_store_gives_the_whole_binary_evidence_and_the_report_names_it(
    run: Run, team: Team, tmp_path: Path
) -> None:
    """The server of the wheels is gone."""
    code, report, _ = check(run, team, tmp_path / "cache", "--facts", team.store, "--offline")
    assert code == 1
    assert declarations(report) == EVERYTHING
    assert report["coverage"]["binaries"] == {"done": 2, "total": 2}
    assert {row["evidence"]["binary"]["store"] for row in report["packages"]} == {"team"}
    (note,) = [note for note in report["notes"] if "facts store" in note]
    assert "the facts store team provided the facts for 2 wheels (made by the team with ftaudit" in note


def test_a_fleet_names_the_maker_of_a_store_in_its_output_its_data_set_its_status_and_its_site(
    run: Run, team: Team, tmp_path: Path
) -> None:
    def told(store: Path, data: Path) -> str:
        options = ("--facts", store, "--offline", "--platform", "linux-x86_64", "--quiet", "--workers", "1")
        code, said = run("fleet", "check", team.lock, "-o", data, *options, "--cache-dir", tmp_path / "cache")
        assert (code, "\x1b" in said) == (1, False), said
        return said

    sentence = "the facts store team provided the facts for 2 wheels (made by the team with ftaudit"
    data, site = tmp_path / "data", tmp_path / "site"
    assert sentence in told(team.store, data)
    made = FactsStore(team.store).origin
    origins = {tuple(row[name] for name in ORIGIN) for row in read_rows(data, WHEELS)}
    assert origins == {("team", "the team", made.created, made.ftaudit)}
    assert sentence in run("fleet", "status", data)[1]
    assert run("fleet", "report", data, "-o", site)[0] == 0
    assert sentence in " ".join((site / "index.html").read_text("utf-8").split())

    changed = claim(lambda head, _: head["provenance"].update(by="a\x1b]0;\nready: everything"))
    loud = rewritten(team, tmp_path / "bad\x1b[2J.ftfacts", changed)
    assert "\nready" not in told(loud, tmp_path / "loud")
    assert "\nready" not in run("fleet", "status", tmp_path / "loud")[1]


def test_two_stores_of_one_name_are_named_apart(run: Run, team: Team, tmp_path: Path) -> None:
    def only(module: str) -> Callable[[dict[str, bytes]], None]:
        """Return a change that leaves the answers about one wheel, and makes that wheel's name the maker's."""
        digest = wheel_of(module).digest

        def change(members: dict[str, bytes]) -> None:
            (part,) = [name for name in members if name != "store.json"]
            known = json.loads(members[part])
            members[part] = json.dumps({key: known[key] for key in known if key.startswith(digest)}).encode()
            claim(lambda head, parts: head["provenance"].update(by=module, wheels=1, answers=1))(members)

        return change

    stores: list[str | Path] = []
    for module in (GOOD, GUILTY):
        place = tmp_path / module / "team.ftfacts"
        place.parent.mkdir()
        stores += ["--facts", rewritten(team, place, only(module))]
    _, report, _ = check(run, team, tmp_path / "cache", *stores, "--offline")
    said = " ".join(report["notes"])
    assert all(f"the facts for 1 wheel (made by {module} with" in said for module in (GOOD, GUILTY)), said


def test_the_own_cache_is_asked_before_a_store(run: Run, team: Team) -> None:
    _, report, _ = check(run, team, team.learned, "--facts", team.store, "--offline")
    assert {row["evidence"]["binary"]["store"] for row in report["packages"]} == {None}


def test_an_imported_store_is_asked_by_each_check_until_it_is_removed(run: Run, team: Team, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert run("facts", "import", team.store, "--cache-dir", cache)[0] == 0
    assert declarations(check(run, team, cache, "--offline")[1]) == EVERYTHING
    code, text = run("facts", "info", "--cache-dir", cache)
    assert (code, "made by   the team" in text, "wheels    2, with 2 results" in text) == (0, True, True)
    assert run("cache", "clean", "facts", "--cache-dir", cache)[0] == 0
    assert "no facts store is imported" in run("facts", "info", "--cache-dir", cache)[1]
    assert check(run, team, cache, "--offline")[0] == 3


def test_a_data_package_is_a_store(run: Run, team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    (site / "team_facts-1.0.dist-info").mkdir(parents=True)
    (site / "team_facts-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: team-facts\nVersion: 1.0\n"
    )
    points = "[ftaudit.facts]\nteam-facts = team_facts_for_test:path\nbroken = team_facts_for_test:nothing\n"
    (site / "team_facts-1.0.dist-info" / "entry_points.txt").write_text(points)
    (site / "team_facts_for_test.py").write_text(f"def path():\n    return {str(team.store)!r}\n")
    monkeypatch.syspath_prepend(site)
    _, report, _ = check(run, team, tmp_path / "cache", "--offline")
    assert declarations(report) == EVERYTHING
    assert {row["evidence"]["binary"]["store"] for row in report["packages"]} == {"team-facts"}
    assert any("the facts store of broken cannot be used: AttributeError" in note for note in report["notes"])
    only = "[ftaudit.facts]\nbroken = team_facts_for_test:nothing\n"
    (site / "team_facts-1.0.dist-info" / "entry_points.txt").write_text(only)
    code, said = run("facts", "info", "--cache-dir", tmp_path / "cache")
    assert (code, "no facts store can be used" in said, "installed" in said) == (0, True, False)


def rewritten(team: Team | App, place: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    with zipfile.ZipFile(team.store) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(place, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return place


def whitewash(members: dict[str, bytes]) -> None:
    (part,) = [name for name in members if name != "store.json"]
    members[part] = members[part].replace(b'"used"', b'"not_used"')


def pretend(key: str, value: object) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        head = json.loads(members["store.json"])
        members["store.json"] = json.dumps({**head, key: value}).encode()

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (whitewash, "is damaged or was modified"),
        (pretend("checksum", "0"), "is damaged or was modified"),
        (pretend("parts", {}), "is damaged or was modified"),
        (pretend("provenance", None), "is damaged or was modified"),
        (pretend("format", 99), "has format 99, but this version of ftaudit reads only up to 1"),
        (lambda members: members.pop("store.json"), "is not a facts store"),
    ],
)
def test_a_store_that_was_changed_or_is_newer_is_a_clear_error_and_answers_nothing(
    run: Run, team: Team, tmp_path: Path, change: Callable[[dict[str, bytes]], object], message: str
) -> None:
    bad = rewritten(team, tmp_path / "bad.ftfacts", change)
    code, report, said = check(run, team, tmp_path / "cache", "--facts", bad, "--offline")
    assert (code, report, message in said) == (2, {}, True)
    commands = ("import", "verify", "info")
    assert [run("facts", command, bad, "--cache-dir", tmp_path)[0] for command in commands] == [2, 2, 2]


def claim(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> Callable[[dict[str, bytes]], None]:
    """Change the head and the facts of the first wheel, and give the store the digests that fit."""

    def forge(members: dict[str, bytes]) -> None:
        head = json.loads(members["store.json"])
        (part,) = [name for name in members if name != "store.json"]
        wheels = json.loads(members[part])
        change(head, next(iter(wheels.values())))
        members[part] = json.dumps(wheels).encode()
        head["parts"] = {name: hashlib.sha256(members[part]).hexdigest() for name in head["parts"]}
        head["checksum"] = facts_store._checksum(head)
        members["store.json"] = json.dumps(head).encode()

    return forge


@pytest.mark.parametrize(
    "change",
    [
        *(
            claim(lambda _, facts, name=name, value=value: facts["modules"][0]["binary"].update({name: value}))
            for name, value in {"format": ["x"], "how": 5, "python_symbols": [1], "hook": [], "more": 1}.items()
        ),
        *(
            claim(lambda _, facts, name=name, value=value: facts.update({name: value}))
            for name, value in {"refused": "abc", "total": -5, "startup": [None], "modules": {}}.items()
        ),
        *(
            claim(lambda head, _, name=name, value=value: head.update({name: value}))
            for name, value in {"format": -1, "digits": 3, "provenance": {}}.items()
        ),
        claim(lambda head, _: head.update(format="1")),
        claim(lambda head, _: head.update(digits="0")),
        claim(lambda head, _: head["provenance"].update(wheels=-1)),
    ],
)
def test_a_store_with_values_of_other_types_is_a_clear_error_everywhere(
    run: Run, team: Team, tmp_path: Path, change: Callable[[dict[str, bytes]], object]
) -> None:
    bad = rewritten(team, tmp_path / "bad.ftfacts", change)
    code, report, said = check(run, team, tmp_path / "cache", "--facts", bad, "--offline")
    assert (code, report, "is damaged or was modified" in said) == (2, {}, True), said
    assert [run("facts", command, bad, "--cache-dir", tmp_path)[0] for command in ("import", "verify")] == [2, 2]


def test_the_words_of_the_maker_never_control_the_terminal(run: Run, team: Team, tmp_path: Path) -> None:
    bad = rewritten(
        team, tmp_path / "bad\x1b[2J.ftfacts", claim(lambda head, _: head["provenance"].update(by="a\x1b]0;\nb"))
    )
    for command in ("info", "import"):
        code, said = run("facts", command, bad, "--cache-dir", tmp_path / "cache")
        assert (code, "\x1b" in said) == (0, False)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
def test_a_store_is_a_regular_file_and_is_written_behind_links(run: Run, team: Team, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, Path("a" * 300)):
        for command in ("info", "verify", "import"):
            code, said = run("facts", command, path, "--cache-dir", tmp_path / "cache")
            assert (code, said.count("ftaudit: error:")) == (2, 1), said
    (tmp_path / "link").symlink_to("real")
    assert run("facts", "export", "-o", tmp_path / "link", "--cache-dir", team.learned)[0] == 0
    assert (tmp_path / "link").is_symlink()
    assert answers_of(tmp_path / "real") == answers_of(team.store)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + bytes(100)])
def test_a_file_that_is_no_store_is_a_clear_error(run: Run, team: Team, tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "bad.ftfacts"
    bad.write_bytes(content)
    code, _, said = check(run, team, tmp_path / "cache", "--facts", bad, "--offline")
    assert (code, "is not a facts store" in said) == (2, True)


def test_no_damaged_byte_and_no_truncation_is_more_than_a_clear_error(team: Team, tmp_path: Path) -> None:
    data, hurt = team.store.read_bytes(), tmp_path / "hurt.ftfacts"
    changed = [bytes((*data[:at], data[at] ^ 0xFF, *data[at + 1 :])) for at in range(len(data))]
    whole = answers_of(team.store)
    refused = 0
    lzma = data.replace(b"\x08\x00\x00\x00\x21\x00", b"\x0e\x00\x00\x00\x21\x00")  # The method, before the date.
    for content in (*changed, *(data[:end] for end in range(0, len(data), 7)), lzma):
        hurt.write_bytes(content)
        try:
            assert answers_of(hurt) == whole
        except InputError:
            refused += 1
    assert refused > len(data) // 2


def answers_of(path: Path) -> list[Any]:
    store = FactsStore(path)
    try:
        return list(store.check())
    finally:
        store.close()


def test_a_store_of_another_analysis_is_not_used_and_the_report_says_so(run: Run, team: Team, tmp_path: Path) -> None:
    other = tmp_path / "other.ftfacts"
    facts_store.write_store(
        other, {"0" * 64: {"3.14t-x": b"{}"}}, by="me", created="2026-01-01", analysis="0.0.1-other"
    )
    code, report, _ = check(run, team, tmp_path / "cache", "--facts", other, "--offline")
    assert code == 3
    assert any("ignored the facts store other: it was made by" in note for note in report["notes"])
    code, said = run("facts", "import", other, "--cache-dir", tmp_path)
    assert (code, "whose analysis differs from this version's" in said) == (2, True)


def lie(honest: Path, path: Path) -> Path:
    """Write a store whose digests are all right, and whose facts are not."""
    opened = facts_store.FactsStore(honest)
    answers = {
        sha256: {key: render_facts(facts).replace(b'"used"', b'"not_used"')} for sha256, key, facts in opened.check()
    }
    opened.close()
    facts_store.write_store(path, answers, by="nobody", created="2026-01-01")
    return path


def test_answers_are_compared_with_the_wheels_and_a_wrong_one_is_an_error(run: Run, tmp_path: Path) -> None:
    wheels, cache, honest = tmp_path / "wheels", tmp_path / "cache", tmp_path / "honest.ftfacts"
    wheels.mkdir()
    for module in (GOOD, GUILTY):
        file = wheel_of(module)
        (wheels / file.filename).write_bytes(file.data)
    requirement = f"{project_name(GUILTY)}==1.0"
    check = ("check", requirement, "--find-links", wheels, "--static", "--no-deps", "--platform", "linux-x86_64")
    assert run(*check, "--cache-dir", cache)[0] == 1
    assert run("facts", "export", "-o", honest, "--cache-dir", cache)[0] == 0
    code, said = run("facts", "verify", honest, wheels)
    assert (
        code,
        "1 result compared with the wheels, without a difference; the store does not have 1 wheel" in said,
    ) == (0, True)
    (tmp_path / "nothing").mkdir()
    code, said = run("facts", "verify", honest, tmp_path / "nothing")
    assert (code, "no result was compared with a wheel" in said) == (3, True)
    code, said = run(*check, "--no-cache", "--facts", honest, "--read-again", "100")
    assert (code, "1 of them compared with the wheel, and equal" in " ".join(said.split())) == (1, True)

    liar = lie(honest, tmp_path / "liar.ftfacts")
    assert run(*check, "--no-cache", "--facts", liar, "--read-again", "0")[0] == 0
    for command in (("facts", "verify", liar, wheels), (*check, "--no-cache", "--facts", liar, "--read-again", "100")):
        code, said = run(*command)
        assert (code, "the facts store liar is wrong about" in said) == (2, True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_an_export_to_a_full_disk_says_what_to_do(run: Run, team: Team) -> None:
    code, said = run("facts", "export", "-o", "/dev/full", "--cache-dir", team.learned)
    assert (code, "make room on the disk" in said) == (2, True), said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
def test_an_export_to_a_pipe_is_a_whole_store(run: Run, team: Team, tmp_path: Path) -> None:
    pipe, store = tmp_path / "pipe", tmp_path / "read.ftfacts"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit(pipe.read_bytes)
        code, said = run("facts", "export", "-o", pipe, "--cache-dir", team.learned)
        store.write_bytes(read.result())
    assert (code, f"{store.stat().st_size / 1e3:.1f} kB" in said) == (0, True), said
    assert answers_of(store) == answers_of(team.store)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A project whose package loads its extension module through Python files, and a store that knows the wheel."""
    made = wheel_of(GUILTY)
    code = {"shop/__init__.py": b"from shop import till\n", "shop/till.py": b"import multi_used\n"}
    buffer = io.BytesIO(made.data)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name, data in code.items():
            archive.writestr(name, data)
    file = ServedFile(filename=made.filename, data=buffer.getvalue())
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text("import shop\n")
    made_of = App(lock=tmp_path / "uv.lock", code=tmp_path / "code", store=tmp_path / "app.ftfacts", wheel=file)
    with IndexServer() as server:
        server.add_file(file.filename, file.data)
        made_of.lock.write_text(uv_lock({GUILTY: (server.file_url(file.filename), file.digest)}))
        made_of.report = made_of.check(tmp_path / "learned")
        assert (
            main(["facts", "export", "--reach", "-o", str(made_of.store), "--cache-dir", str(tmp_path / "learned")])
            == 0
        )
        yield made_of


@dataclass
class App:
    """A project with start points."""

    lock: Path
    code: Path
    store: Path
    wheel: ServedFile
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> tuple[str | Path, ...]:
        return "--static", "--reach", "app", "--source-root", self.code, "--platform", "linux-x86_64"

    def check(self, cache: Path, *more: str | Path) -> dict[str, Any]:
        report = cache.parent / "report.json"
        report.unlink(missing_ok=True)
        main(list(map(str, ("check", self.lock, *self.options, "--cache-dir", cache, "-o", report, *more))))
        return json.loads(report.read_text()) if report.exists() else {}


def found_reach(report: dict[str, Any]) -> list[Any]:
    return [module["reach"] for row in report["packages"] for module in row["modules"]]


def test_without_a_network_a_store_also_has_what_reach_reads(run: Run, app: App, tmp_path: Path) -> None:
    (whole,) = found_reach(app.report)
    assert (whole["class"], whole["open_sites"], len(whole["path"])) == ("start", [], 3)
    again = app.check(tmp_path / "empty", "--facts", app.store, "--offline")
    assert found_reach(again) == [whole]
    assert any("provided the Python files of 1 wheel (made by" in note for note in again["notes"])
    twice = app.check(tmp_path / "empty", "--facts", app.store, "--offline")
    assert twice["notes"] == again["notes"], "the store is named again"
    assert "the Python files of 1 wheel" in run("facts", "info", app.store)[1]
    plain = tmp_path / "plain.ftfacts"
    assert run("facts", "export", "-o", plain, "--cache-dir", tmp_path / "learned")[0] == 0
    assert found_reach(app.check(tmp_path / "empty", "--facts", plain, "--offline")) != [whole]


def test_what_a_store_has_for_reach_is_compared_with_the_wheel(run: Run, app: App, tmp_path: Path) -> None:
    (tmp_path / app.wheel.filename).write_bytes(app.wheel.data)
    honest = ("--facts", app.store, "--read-again", "100")
    assert found_reach(app.check(tmp_path / "other", *honest)) == found_reach(app.report)
    assert run("facts", "verify", app.store, tmp_path / app.wheel.filename)[0] == 0

    def harmless(members: dict[str, bytes]) -> None:
        (name,) = [name for name in members if name.endswith(".zip")]
        with zipfile.ZipFile(io.BytesIO(members[name])) as archive:
            files = {each: archive.read(each) for each in archive.namelist()}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for each, data in files.items():
                archive.writestr(each, b"" if each == "shop/till.py" else data)
        members[name] = buffer.getvalue()
        head = json.loads(members["store.json"])
        head["reach"]["files"][name.rpartition("/")[2]] = hashlib.sha256(members[name]).hexdigest()
        members["store.json"] = json.dumps({**head, "checksum": facts_store._checksum(head)}).encode()

    liar = rewritten(app, tmp_path / "liar.ftfacts", harmless)
    for command in (
        ("facts", "verify", liar, tmp_path / app.wheel.filename),
        ("check", app.lock, *app.options, "--facts", liar, "--read-again", "100",
         "--cache-dir", tmp_path / "third"),
    ):  # fmt: skip
        code, said = run(*command)
        assert (code, "the facts store liar is wrong about" in said) == (2, True), said

    def damaged(members: dict[str, bytes]) -> None:
        (name,) = [name for name in members if name.endswith(".zip")]
        members[name] = members[name][:-1] + b"?"

    bad = rewritten(app, tmp_path / "bad.ftfacts", damaged)
    assert app.check(tmp_path / "fourth", "--facts", bad, "--offline") == {}
    for action in ("import", "verify", "info"):
        code, said = run("facts", action, bad, "--cache-dir", tmp_path / "fourth")
        assert (code, "is damaged or was modified" in said) == (2, True), said


def test_an_empty_cache_has_nothing_to_export(run: Run, tmp_path: Path) -> None:
    code, said = run("facts", "export", "-o", tmp_path / "x.ftfacts", "--cache-dir", tmp_path / "empty")
    assert (code, "has no facts about wheels" in said, (tmp_path / "x.ftfacts").exists()) == (2, True, False)


@pytest.mark.parametrize("share", ["-1", "101", "many"])
def test_a_share_is_a_percentage(run: Run, team: Team, tmp_path: Path, share: str) -> None:
    code, said = run("check", team.lock, "--cache-dir", tmp_path, "--read-again", share)
    assert (code, "is not a percentage" in said) == (2, True)
