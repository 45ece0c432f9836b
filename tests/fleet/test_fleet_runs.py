"""Runs of a fleet through the front door: what they write, what bad input gets, that they resume, and a cluster."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import runpy
import shlex
import shutil
import sqlite3
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from support.fixture_wheels import GOOD, GUILTY, project_name, wheel_of
from support.fleet_runs import WHERE, Fleet, Run, digests_of
from support.index_server import Reply

import ftaudit
from ftaudit.fleet.dataset import DataSetWriter, read_rows, read_run
from ftaudit.fleet.journal import Journal
from ftaudit.fleet.projects import find_projects
from ftaudit.fleet.run_folder import is_running
from ftaudit.fleet.schema import FINDINGS, MODULES, PACKAGES, PINS, PROJECTS, TABLES, WHEELS

pytest.importorskip("pyarrow")


def test_each_project_has_its_own_verdict_and_one_that_cannot_be_read_is_a_row(fleet: Fleet) -> None:
    base = str(fleet.repositories)
    found = {row["project"].removeprefix(base): row for row in fleet.rows(PROJECTS)}
    codes = {"/broken": 2, "/empty": 2, "/team/first": 1, "/team/second": 0, "/third": 1}
    assert {name: row["exit_code"] for name, row in found.items()} == codes
    assert fleet.code == 1
    assert "is not valid TOML" in found["/broken"]["problem"]
    assert "no supported input file" in found["/empty"]["problem"]
    pins = [(row["project"].removeprefix(base), row["package"], row["verdict"]) for row in fleet.rows(PINS)]
    assert pins == [
        ("/team/first", project_name(GOOD), "ready"),
        ("/team/first", project_name(GUILTY), "reenables-gil"),
        ("/team/second", project_name(GOOD), "ready"),
        ("/third", project_name(GUILTY), "reenables-gil"),
    ]


def test_each_distinct_wheel_is_fetched_and_judged_once(fleet: Fleet) -> None:
    names = [row["wheel"] for row in fleet.rows(WHEELS)]
    assert sorted(names) == [wheel_of(GOOD).filename, wheel_of(GUILTY).filename]
    # Two lock files name it; the other wheel is also read by uv, which resolves the requirement.
    assert fleet.server.count(f"/files/{wheel_of(GOOD).filename}") == 1
    keys = {row["key"] for row in fleet.rows(PACKAGES)}
    assert {row["key"] for row in fleet.rows(PINS)} == keys
    declared = {row["module"]: row["declaration"] for row in fleet.rows(MODULES)}
    assert declared == {GOOD: "not_used", GUILTY: "used"}
    assert {row["key"] for row in fleet.rows(FINDINGS)} <= keys


def test_the_files_have_the_columns_of_the_schema_and_the_counts_of_the_run(fleet: Fleet) -> None:
    import pyarrow.parquet

    info = read_run(fleet.data)
    for table in TABLES:
        (path,) = (fleet.data / table.name).glob("target=3.14t/*.parquet")
        schema = pyarrow.parquet.read_schema(path)
        assert [(field.name, field.nullable) for field in schema] == [
            (column.name, column.nullable) for column in table.columns
        ]
        assert [field.metadata[b"about"].decode() for field in schema] == [column.about for column in table.columns]
        rows = fleet.rows(table)
        assert info.rows[table.name] == len(rows)
        keys = [tuple("" if row[name] is None else str(row[name]) for name in table.key) for row in rows]
        assert keys == sorted(keys), table.name
        assert table == PINS or len(set(keys)) == len(keys), table.name


CLUSTER = """
import json, sys
from distributed import LocalCluster
from ftaudit.cli import main

if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    nowhere = main([*arguments, "--dask", "tcp://127.0.0.1:9"])
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp") as it:
        print(nowhere, main([*arguments, "--dask", it.scheduler_address]))
"""
"""In a process of its own, because `distributed` leaves threads behind."""


def test_a_cluster_gives_the_same_bytes_and_a_missing_one_is_a_clear_error(fleet: Fleet, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    asked = [*map(str, fleet.check(tmp_path / "data")), "--cache-dir", str(tmp_path / "cache")]
    where = asked.index("--workers")
    arguments = json.dumps([*asked[:where], *asked[where + 2 :]])
    done = subprocess.run([sys.executable, "-c", CLUSTER, arguments], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "2 1", done.stderr
    assert "there is no Dask scheduler at tcp://127.0.0.1:9" in done.stderr
    assert digests_of(tmp_path / "data") == digests_of(fleet.data)


POLITE = """
import json, os, subprocess, sys
from distributed import Client, LocalCluster
from ftaudit.cli import main
from ftaudit.fleet import executors

HELD = "__import__('ftaudit.index.pace', fromlist=['_'])._held"
OPENED = "getattr(__import__('ftaudit.fleet.fleet_tasks', fromlist=['_'])._kept, 'opened', None)"
SEEN = f"(lambda opened: opened and (opened.key[0].rate, opened.key[0].connections))({OPENED})"

if __name__ == "__main__":
    arguments, *caches = json.loads(sys.argv[1])
    with LocalCluster(n_workers=0, processes=False, dashboard_address=None, protocol="tcp") as cluster:
        address = cluster.scheduler_address
        command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard"]
        command += ["--nthreads", "1"]
        workers = [
            subprocess.Popen(command, env={**os.environ, "FTAUDIT_CACHE_DIR": cache}, stderr=subprocess.DEVNULL)
            for cache in caches
        ]
        try:
            with Client(address) as client:
                client.wait_for_workers(len(caches))
                code = main([*arguments, "--dask", address])
                held = [sorted(each) for each in client.run(eval, HELD).values()]
                seen = [client.submit(eval, SEEN, pure=False, workers=[one]).result() for one in client.nthreads()]
                print(json.dumps([code, held, [each for each in seen if each]]))
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
"""


def test_on_a_cluster_each_machine_has_its_share_of_the_rate_and_a_pause_holds_all_of_them(
    fleet: Fleet, tmp_path: Path
) -> None:
    """Two workers with caches of their own are two machines to each other."""
    pytest.importorskip("distributed")
    name = project_name(GUILTY)
    fleet.server.first(f"/simple/{name}/", Reply(status=429, headers=(("Retry-After", "3"),)))
    survey = ["fleet", "survey", name, "-o", str(tmp_path / "data"), "--index-url", fleet.server.simple_url, *WHERE[:3]]
    arguments = [[*survey, "--rate", "20", "--connections", "16"], str(tmp_path / "one"), str(tmp_path / "two")]
    done = subprocess.run(
        [sys.executable, "-c", POLITE, json.dumps(arguments)], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [1, [["127.0.0.1"], ["127.0.0.1"]], [[10.0, 8]]], done.stderr


HOSTILE = """
import json, os, socket, subprocess, sys
from distributed import LocalCluster
from ftaudit.cli import main
from ftaudit.fleet import dask_cluster

if __name__ == "__main__":
    arguments, output, *rooms = json.loads(sys.argv[1])
    run = lambda address, name: main([*arguments, "-o", f"{output}/{name}", "--dask", address])
    dask_cluster.ABSENCE, dask_cluster.PATIENCE, dask_cluster._HANDSHAKE = 1.0, 0.0, 1.0
    codes = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        listener = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        for number, address in enumerate((listener, "::::", "x", "http://127.0.0.1:1", "tls://127.0.0.1:1",
                                          "inproc://x", "ucx://127.0.0.1:1")):
            codes.append((run(address, number), os.path.exists(f"{output}/{number}")))
    with LocalCluster(n_workers=0, processes=False, dashboard_address=None, protocol="tcp") as cluster:
        address = cluster.scheduler_address
        dask_cluster._HANDSHAKE = 60.0
        codes.append(run(address, "none"))
        dask_cluster.ABSENCE = 600.0
        for room in rooms:
            command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard"]
            worker = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": room}, stderr=subprocess.DEVNULL)
            try:
                codes.append(run(address, "none"))
            finally:
                worker.kill()
                worker.wait()
    print(json.dumps(codes))
"""


def test_what_is_not_a_scheduler_or_not_a_worker_with_this_ftaudit_is_a_clear_error(
    fleet: Fleet, tmp_path: Path
) -> None:
    """One worker has another analysis, and another has no ftaudit that it can import."""
    pytest.importorskip("distributed")
    room = Path(ftaudit.__file__).parent
    shutil.copytree(room, tmp_path / "other" / "ftaudit", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "other" / "ftaudit" / "binary" / "__init__.py").write_text("# another analysis\n")
    (tmp_path / "broken" / "ftaudit").mkdir(parents=True)
    (tmp_path / "broken" / "ftaudit" / "__init__.py").write_text("raise ImportError('nothing here')")
    survey = ["fleet", "survey", project_name(GUILTY), "--index-url", fleet.server.simple_url, *WHERE[:3]]
    told = [[*survey, "--cache-dir", str(tmp_path / "cache")], *map(str, (tmp_path, tmp_path / "other"))]
    arguments = json.dumps([*told, str(tmp_path / "broken")])
    done = subprocess.run([sys.executable, "-c", HOSTILE, arguments], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    assert json.loads(done.stdout) == [*[[2, False]] * 7, 2, 2, 2], done.stderr
    assert done.stderr.count("there is no Dask scheduler at") == 7
    for message in ("did not answer as Dask does", "has no workers", "has ftaudit", "cannot import ftaudit"):
        assert message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupted_run_resumes_and_status_tells_how_far_it_is(
    fleet: Fleet, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full after some projects were read: SQLite says so, as it would."""
    data = tmp_path / "data"
    real, written = Journal.add_read, []

    def full(self: Journal, project: str, read: dict[str, Any]) -> None:
        if len(written) == 3:
            self._data.execute("PRAGMA max_page_count = 1")
            read = {**read, "noise": hashlib.shake_256(b"x").hexdigest(1 << 20)}
        written.append(project)
        real(self, project, read)

    monkeypatch.setattr(Journal, "add_read", full)
    code, said = run(*fleet.check(data))
    assert (code, "database or disk is full" in said, "to resume" in said) == (2, True, True)
    code, said = run("fleet", "status", data)
    assert (code, "interrupted" in said, "3 of 5 read" in said) == (0, True, True)
    assert run("fleet", "survey", "x", "-o", data)[0] == 2
    monkeypatch.setattr(
        Journal, "add_read", lambda self, project, read: (written.append(project), real(self, project, read))
    )
    assert run(*fleet.check(data))[0] == 1
    assert len(written) == 4 + 2
    assert digests_of(data) == digests_of(fleet.data)
    assert "finished at" in run("fleet", "status", data)[1]


def test_a_disk_that_is_full_when_the_tables_are_written_loses_nothing(
    fleet: Fleet, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(DataSetWriter, "finish", full)
        code, said = run(*fleet.check(tmp_path / "data"))
    assert (code, "free some space on the disk" in said, "to resume" in said) == (2, True, True), said
    fleet.server.forget()
    assert run(*fleet.check(tmp_path / "data"))[0] == 1
    assert digests_of(tmp_path / "data") == digests_of(fleet.data)
    assert not fleet.server.requests


def test_ctrl_c_says_how_to_resume_and_the_same_command_does(
    fleet: Fleet, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, judged = Journal.add_answers, []

    def stop(self: Journal, answers: Any, **more: Any) -> None:
        if len(judged) == 1:
            raise KeyboardInterrupt
        judged.extend(answers)
        real(self, answers, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add_answers", stop)
        code, said = run(*fleet.check(tmp_path / "data"))
    assert (code, "to resume the run, repeat the command" in said, "Traceback" in said) == (130, True, False), said
    assert "interrupted: run the same command to resume" in run("fleet", "status", tmp_path / "data")[1]
    assert run(*fleet.check(tmp_path / "data"))[0] == 1
    assert digests_of(tmp_path / "data") == digests_of(fleet.data)


def test_a_closed_standard_output_is_a_clear_error_and_the_data_set_is_whole(fleet: Fleet, tmp_path: Path) -> None:
    data, site = tmp_path / "data", tmp_path / "site"
    for command in (fleet.check(data), ("fleet", "status", data), ("fleet", "report", data, "-o", site)):
        line = shlex.join([sys.executable, "-m", "ftaudit", *map(str, command)])
        done = subprocess.run(["sh", "-c", f"{line} >&-"], stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, "standard output: it is closed" in done.stderr) == (2, True), done.stderr
        assert "Traceback" not in done.stderr
    assert digests_of(data) == digests_of(fleet.data)
    assert (site / "index.html").is_file()


def test_workers_that_have_no_connections_do_not_run_and_the_user_is_told(
    fleet: Fleet, run: Run, tmp_path: Path
) -> None:
    code, said = run(*fleet.check(tmp_path / "data"), "--workers", "3", "--connections", "4")
    assert (code, "at most 1 worker runs at a time" in said) == (1, True), said
    assert digests_of(tmp_path / "data") == digests_of(fleet.data)


def test_two_runs_into_one_folder_are_an_error(fleet: Fleet, run: Run, tmp_path: Path) -> None:
    code, said = run(*fleet.check(fleet.data))
    assert (code, "has the data set of a finished run" in said) == (2, True)
    with sqlite3.connect(tmp_path / "lock.sqlite3") as other:
        other.execute("BEGIN EXCLUSIVE")
        code, said = run(*fleet.check(tmp_path))
        assert is_running(tmp_path)
    other.close()
    assert (code, "another run is writing to" in said) == (2, True)
    assert not is_running(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [("lock.sqlite3", "cannot write to"), ("journal.sqlite3", "is damaged")],
)
def test_a_damaged_file_of_a_run_is_a_clear_error(
    fleet: Fleet, run: Run, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / name).write_bytes(b"not a database" * 400)
    code, said = run(*fleet.check(tmp_path))
    assert (code, message in said, name in said) == (2, True, True)
    assert not is_running(tmp_path)
    assert (tmp_path / name).read_bytes() == b"not a database" * 400
    assert run("fleet", "status", tmp_path)[0] == 2


def test_a_survey_of_names_has_a_row_for_a_name_that_does_not_exist_and_for_a_poisoned_page(
    fleet: Fleet, run: Run, tmp_path: Path
) -> None:
    fleet.server.add_page("/simple/poisoned/", b"{" * 100, form="json")
    names = tmp_path / "names.txt"
    names.write_text(f"# ours\n{project_name(GUILTY)}\n\nno-such-name  # gone\npoisoned\n")
    index = ("--index-url", fleet.server.simple_url, "--cache-dir", fleet.cache)
    code, said = run("fleet", "survey", project_name(GOOD), "--names", names, "-o", tmp_path / "data", *index, *WHERE)
    assert code == 1
    found = {row["package"]: row for row in read_rows(tmp_path / "data", PACKAGES)}
    assert {name: (row["version"], row["verdict"], row["newest"]) for name, row in found.items()} == {
        project_name(GOOD): ("1.0", "ready", True),
        project_name(GUILTY): ("1.0", "reenables-gil", True),
        "no-such-name": (None, "unknown", False),
        "poisoned": (None, "unknown", False),
    }
    assert "has no project no-such-name" in found["no-such-name"]["reasons"][0]
    assert "unknown: no-such-name: " in said and "unknown: poisoned: " in said


@pytest.mark.parametrize("name", ["six==1.17", "../etc", "Bad Name!!", "-", "x" * 9 + "\u00e9"])
def test_what_is_no_name_of_a_package_is_an_error_before_any_request(
    fleet: Fleet, run: Run, tmp_path: Path, name: str
) -> None:
    names = tmp_path / "names.txt"
    names.write_text(f"{name}\n")
    asked = len(fleet.server.requests)
    where = ("--index-url", fleet.server.simple_url, "--cache-dir", tmp_path / "cache", *WHERE)
    code, said = run("fleet", "survey", "--names", names, "-o", tmp_path / "data", *where)
    assert (code, "is not the name of a package" in said, len(fleet.server.requests)) == (2, True, asked)
    assert ("specify only the package, six" in said) == name.startswith("six")


def test_the_weekly_script_of_the_documentation_is_quiet_without_news(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "fleet.md").read_text("utf-8")
    (script,) = re.findall(r"```text\n(#!/bin/sh\n.*?)```", page, re.DOTALL)
    (tmp_path / "repositories").mkdir()
    (tmp_path / "bin").mkdir()
    date = tmp_path / "bin" / "date"
    monkeypatch.setenv("PATH", f"{date.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("FTAUDIT_CACHE_DIR", str(fleet.cache))

    def weekly(day: str, requirements: str) -> tuple[str, str]:
        (tmp_path / "repositories" / "requirements.txt").write_text(requirements)
        date.write_text(f"#!/bin/sh\necho {day}\n")
        date.chmod(0o755)
        command = script.replace("/srv/fleet", str(tmp_path))
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        return done.stdout, done.stderr

    out, err = weekly("2026-11-23", "# nothing yet\n")
    assert ("projects: 1 nothing blocks" in out, err) == (True, "")
    assert weekly("2026-11-30", "# nothing yet\n") == ("", ""), "no news"
    out, err = weekly("2026-12-07", "-r missing.txt\n")
    assert (out.startswith("NOT SURE"), "could not be read" in out, err) == (True, True, "")
    assert "changes.html" in (tmp_path / "site" / "index.html").read_text()


def test_a_manifest_names_inputs_names_and_owners_and_a_repeated_input_is_a_note(
    fleet: Fleet, run: Run, tmp_path: Path
) -> None:
    manifest = tmp_path / "teams.csv"
    lock = fleet.repositories / "team" / "second" / "uv.lock"
    again = lock.parent / ".." / "second" / "uv.lock"
    lines = ("# teams", "Input,NAME,owner", f'{lock}, Shop, "Web, north"', "missing.lock", f"{again},Other,South")
    manifest.write_text("\n".join(lines))
    where = ("--cache-dir", fleet.cache, "--offline", *WHERE)
    code, said = run("fleet", "check", "--manifest", manifest, "-o", tmp_path / "data", *where)
    assert code == 3
    found = {(row["name"], row["owner"], row["exit_code"]) for row in read_rows(tmp_path / "data", PROJECTS)}
    assert found == {(tmp_path.name, None, 2), ("Shop", "Web, north", 0)}
    assert "missing.lock does not exist (correct its path in the manifest, or remove the line)" in said
    (note,) = read_run(tmp_path / "data").notes
    assert "line 5" in note and "(Other, South) is not used: line 3" in note and note in said
    for text, message in (
        ("a,b,c,d\n", "line 1 of the manifest"),
        ("# x\n,Shop\n", "line 2 of the manifest"),
        ('uv.lock,"Shop\nother.lock,Other\n', "line 1 of the manifest"),
        ('uv.lock,Shop"\n', "has a quote without its pair"),
        ('uv.lock,"Shop"s\n', "is not CSV"),
        ("INPUT,NAME,OWNER\n", "no project given"),
    ):
        manifest.write_text(text)
        code, said = run("fleet", "check", "--manifest", manifest, "-o", tmp_path / "other", *where)
        assert (code, message in said) == (2, True), said


def test_paths_that_no_file_can_have_are_rows_of_a_manifest_and_errors_of_a_command(
    fleet: Fleet, run: Run, tmp_path: Path
) -> None:
    manifest = tmp_path / "teams.csv"
    (tmp_path / "loop").symlink_to("loop")
    paths = {"loop/uv.lock": "Loop", "a" * 5_000: "Long", "x/" * 20_000 + "y": "Deep"}
    manifest.write_text("\n".join(f"{path},{name}" for path, name in paths.items()))
    where = ("--cache-dir", fleet.cache, "--offline", *WHERE)
    run("fleet", "check", "--manifest", manifest, "-o", tmp_path / "data", *where)
    found = {row["name"]: row["exit_code"] for row in read_rows(tmp_path / "data", PROJECTS)}
    assert found == dict.fromkeys(paths.values(), 2)
    for path in (tmp_path / "loop" / "uv.lock", *paths, "a" * 300):
        for command in (("fleet", "check", "-o", tmp_path / "other", *where), ("check", "--static", "--offline")):
            code, said = run(*command, path)
            assert (code, said.count("ftaudit: error:")) == (2, 1), said
    assert not (tmp_path / "other").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes only on Linux")
def test_names_that_are_not_utf8_are_escaped_rows_and_an_output_folder_with_one_is_an_error(
    fleet: Fleet, run: Run, tmp_path: Path
) -> None:
    project = tmp_path / "repositories" / os.fsdecode(b"caf\xe9")
    project.mkdir(parents=True)
    (project / "uv.lock").write_text((fleet.repositories / "team" / "second" / "uv.lock").read_text())
    where = ("--cache-dir", fleet.cache, "--offline", *WHERE)
    command = ("fleet", "check", project.parent, *where, "-o")
    assert run(*command, tmp_path / "data")[0] == 0
    (row,) = read_rows(tmp_path / "data", PROJECTS)
    assert (row["name"], row["exit_code"]) == ("caf\\udce9", 0)
    same = project.parent / "caf\\udce9"
    same.mkdir()
    (same / "uv.lock").write_text("version = [")
    assert run(*command, tmp_path / "both")[0] == 3
    rows = {row["project"]: row["exit_code"] for row in read_rows(tmp_path / "both", PROJECTS)}
    assert rows == {str(same): 2, f"{same} (2)": 0}
    output = tmp_path / os.fsdecode(b"data\xff")
    code, said = run(*command, output)
    assert (code, "its path is not UTF-8" in said, output.exists()) == (2, True, False)


@pytest.mark.skipif(sys.platform != "linux", reason="it changes modes and the user")
def test_a_folder_that_cannot_be_read_is_a_project_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base" / "closed").mkdir(parents=True)
    (tmp_path / "base" / "open" / ".git").mkdir(parents=True)
    (tmp_path / "base" / "closed").chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        found = find_projects([Path("base")], [])
    finally:
        os.seteuid(user)
        (tmp_path / "base" / "closed").chmod(0o755)
    assert [project.name for project in found.projects] == ["closed", "open"]


LEFT_OUT = ("deep/er/uv.lock", "docs/requirements.txt", "web/requirements/base.txt")


def test_inputs_in_subfolders_that_are_not_read_are_named(fleet: Fleet, run: Run, tmp_path: Path) -> None:
    lock = (fleet.repositories / "team" / "second" / "uv.lock").read_text()
    content = {
        "mono/.git/HEAD": "",
        "mono/uv.lock": lock,
        "mono/docs/requirements.txt": "",
        "mono/deep/er/uv.lock": lock,
        "mono/web/requirements/base.txt": f"{project_name(GOOD)}==1.0\n",
        "mono/node_modules/x/requirements.txt": "",
        "mono/.hidden/requirements.txt": "",
        "included/.git/HEAD": "",
        "included/requirements.txt": f"-r common/requirements.txt\n{project_name(GOOD)}==1.0\n",
        "included/common/requirements.txt": f"{project_name(GUILTY)}==1.0\n",
        "bare/.git/HEAD": "",
        "bare/service/requirements.txt": f"{project_name(GOOD)}==1.0\n",
    }
    base = tmp_path / "repositories"
    for name, text in content.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(text)
    where = ("--cache-dir", fleet.cache, "--offline", "--no-deps", *WHERE)
    run("fleet", "check", base, "-o", tmp_path / "data", *where)
    rows = {Path(row["project"]).name: row for row in read_rows(tmp_path / "data", PROJECTS)}
    left = ", ".join(str(base / "mono" / name) for name in LEFT_OUT)
    said = f"these inputs in its subfolders were not read: {left}; to audit them, specify them too"
    assert rows["mono"]["notes"] == [said]
    assert not [note for note in rows["included"]["notes"] if "subfolders" in note], "it was read with the other one"
    assert (
        f"specify the inputs in its subfolders: {base / 'bare' / 'service' / 'requirements.txt'}"
        in rows["bare"]["problem"]
    )


def test_a_folder_without_a_run_and_a_data_set_of_a_newer_version_are_clear_errors(run: Run, tmp_path: Path) -> None:
    code, said = run("fleet", "status", tmp_path)
    assert (code, "has no run" in said) == (2, True)
    (tmp_path / "run.json").write_text('{"schema": 99}')
    code, said = run("fleet", "status", tmp_path)
    assert (code, "has a data set of schema 99" in said) == (2, True)


def test_the_queries_of_the_documentation_run_on_a_data_set(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb = pytest.importorskip("duckdb")
    page = (Path(__file__).parents[2] / "docs" / "commands" / "fleet.md").read_text("utf-8")
    queries = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(fleet.data.parent)
    answers = [duckdb.sql(query.replace("run/", f"{fleet.data.name}/")).fetchall() for query in queries]
    assert answers == [[("3.14t", project_name(GUILTY), 2)], [], [("3.14t", 2, 1, 0)]]


def test_the_page_of_the_schema_is_made_from_it() -> None:
    page = Path(__file__).parents[2] / "docs" / "fleet-schema.md"
    script = runpy.run_path(str(page.parents[1] / "scripts" / "make_fleet_docs.py"))
    assert page.read_text("utf-8") == script["render"]()


def test_what_no_task_can_use_is_an_error_and_the_corrected_command_runs_in_the_same_folder(
    fleet: Fleet, run: Run, tmp_path: Path
) -> None:
    data, lock = tmp_path / "data", fleet.repositories / "team" / "second" / "uv.lock"
    where = ("-o", data, "--cache-dir", fleet.cache, "--offline", *WHERE)
    for wrong, message in (
        (("nowhere",), "nowhere does not exist"),
        ((lock, "--index-url", "nonsense"), "not a URL"),
        ((lock, "--select", "no-such-rule"), "no-such-rule"),
        ((lock, "--connections", "3"), "--connections takes a number of at least 4"),
        *(((lock, "--rate", rate), "--rate takes a ") for rate in ("nan", "inf", "1e-9", "0", "-1")),
        ((lock, "--facts", tmp_path / "no.ftfacts"), "no.ftfacts cannot be read"),
        ((lock, "--dask", "tcp://127.0.0.1:9"), "--dask and --workers exclude each other"),
    ):
        code, said = run("fleet", "check", *wrong, *where)
        assert (code, message in said) == (2, True), said
    broken, targets = fleet.repositories / "broken" / "uv.lock", ("--target", "3.14t", "--target", "3.15t")
    code, said = run("fleet", "check", lock, broken, *where, *targets)
    # Each project counts once, whatever the number of targets; the wheel is of 3.14t alone.
    assert (code, "projects: 1 something blocks, 1 could not be read" in said) == (1, True), said


DEADLY = """
import os, signal
from pathlib import Path

from ftaudit.model import Confidence, Severity
from ftaudit.rule import PackageRule, RuleInfo


class Deadly(PackageRule):
    \"\"\"Ends the process that judges one package.\"\"\"

    info = RuleInfo(
        code="FT999", name="deadly", summary="It ends its worker.", severity=Severity.WARNING,
        confidence=Confidence.HIGH, since="1.0", remedy="None.",
    )
    VALID = ()
    INVALID = ()

    def check(self, facts):
        if str(facts.pin.name) == "NAME":
            with Path(__file__).with_name("deaths").open("a") as deaths:
                deaths.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        raise KeyError("ours")
"""


def test_a_task_that_kills_its_worker_three_times_is_a_row_and_the_rest_is_judged(
    fleet: Fleet, run: Run, tmp_path: Path
) -> None:
    """A rule of the user ends the process each time, as a fault in native code would."""
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "deadly.py").write_text(DEADLY.replace("NAME", project_name(GUILTY)))
    lock = fleet.repositories / "team" / "first" / "uv.lock"
    where = ("--cache-dir", fleet.cache, "--offline", "--rules", rules, *WHERE)
    code, said = run("fleet", "check", lock, "-o", tmp_path / "data", *where)
    failed = f"the rule deadly failed on {project_name(GOOD)} 1.0: KeyError: 'ours'"
    assert (code, failed in said, read_run(tmp_path / "data").notes) == (3, True, (failed,))
    rows = {row["package"]: row for row in read_rows(tmp_path / "data", PACKAGES)}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        project_name(GOOD): "ready",
        project_name(GUILTY): "unknown",
    }
    assert rows[project_name(GUILTY)]["died"] == "judging it ended its worker 3 times"
    assert (rules / "deaths").read_text() == "xxx"


def test_a_survey_since_a_day_has_the_releases_of_that_time_and_when_they_came(
    fleet: Fleet, run: Run, tmp_path: Path
) -> None:
    times = {"1.0": "2025-12-31T23:59:59.5Z", "2.0": "2026-01-01T00:00:00Z", "3.0": "2026-05-05T10:00:00.123456Z"}
    files = [
        {"filename": f"aged-{version}.tar.gz", "url": "http://files.example/x", "hashes": {}, "upload-time": when}
        for version, when in times.items()
    ]
    body = json.dumps({"meta": {"api-version": "1.1"}, "name": "aged", "files": files})
    fleet.server.add_page("/simple/aged/", body, form="json")
    index = ("--index-url", fleet.server.simple_url, "--cache-dir", tmp_path / "cache")
    survey = ("fleet", "survey", "aged", *index, *WHERE, "--since")
    run(*survey, "2026-01-01", "-o", tmp_path / "data")
    found = {row["version"]: (row["newest"], row["released"]) for row in read_rows(tmp_path / "data", PACKAGES)}
    assert found == {
        "2.0": (False, datetime(2026, 1, 1, tzinfo=timezone.utc)),
        "3.0": (True, datetime(2026, 5, 5, 10, tzinfo=timezone.utc)),
    }
    code, said = run(*survey, "yesterday", "-o", tmp_path / "other")
    assert (code, "is not a date" in said) == (2, True)


def test_a_name_that_is_not_text_is_written_escaped_and_a_missing_value_is_an_error(tmp_path: Path) -> None:
    row = {
        "key": "k",
        "platform": "p",
        "package": "x",
        "newest": True,
        "verdict": "ready",
        "blocks": False,
        "reasons": ["caf\udce9"],
        "wheel_kind": "pure",
        "sdist": False,
        "other_platforms": [],
        "modules": 0,
        "guilty": [],
        "undetermined": [],
        "index_status": "done",
        "binary_status": "done",
        "classifiers": [],
    }
    with DataSetWriter(tmp_path) as writer:
        writer.add(PACKAGES, "3.14t", {**row, "wheel": "x\udcff.whl"})
    (found,) = read_rows(tmp_path, PACKAGES)
    assert (found["wheel"], found["reasons"], found["fix_version"]) == ("x\\udcff.whl", ["caf\\udce9"], None)
    with pytest.raises(ValueError, match="verdict has no value"), DataSetWriter(tmp_path) as writer:
        writer.add(PACKAGES, "3.14t", {**row, "verdict": None})
