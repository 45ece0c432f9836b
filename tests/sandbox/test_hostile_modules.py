"""A hostile or broken module is a row: it ends nothing, reaches nothing and forges nothing."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.freethreaded import interpreter, make_wheel

from ftaudit.model import ModuleRuntime, RuntimeFacts, Status
from ftaudit.sandbox import SandboxSettings, import_distributions

pytestmark = pytest.mark.interpreter


def run(folder: Path, payload: str, **limits: float) -> RuntimeFacts:
    """Import a distribution of three modules, the middle one of which runs `payload`."""
    wheel = make_wheel(
        folder,
        "victim",
        {
            "victim/__init__.py": "",
            "victim/first.EXT": "extension",
            "victim/hostile.EXT": "extension",
            "victim/hostile_payload.py": textwrap.dedent(payload),
            "victim/last.EXT": "extension",
        },
    )
    settings = dataclasses.replace(SandboxSettings(cache_dir=folder / "cache"), **limits)
    return import_distributions(interpreter(), [wheel], settings=settings)["victim"]


def hostile(facts: RuntimeFacts) -> ModuleRuntime:
    """Return the row of the hostile module, after a check that the others' rows are the same as without it."""
    assert facts.status is Status.DONE
    rows = {module.name: module.runtime for module in facts.modules}
    for name in ("victim.first", "victim.last"):
        assert (rows[name].imported, rows[name].requires_gil, rows[name].gil_enabled_after) == (True, False, False), (
            rows[name]
        )
    assert dict(facts.toplevels)["victim"].imported
    return rows["victim.hostile"]


@pytest.mark.parametrize(
    ("payload", "outcome", "error"),
    [
        ("import os; os._exit(0)", "exit", "exit code 0"),
        ("import os; os._exit(7)", "exit", "exit code 7"),
        ("raise SystemExit(3)", "exit", "SystemExit: 3"),
        ("import os; os.abort()", "signal", "SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal", "SIGSEGV"),
        ("import ctypes; ctypes.string_at(0)", "signal", "SIGSEGV"),
        ("import os; os.closerange(3, 4096)", "exit", "closed descriptors"),
        ("raise KeyboardInterrupt", "exception", "KeyboardInterrupt"),
        ("raise MemoryError", "memory", "MemoryError"),
        ("raise ValueError('\\x1b[31mred\\x07')", "exception", r"ValueError: \x1b[31mred\x07"),
        ("class E(Exception):\n  def __str__(self): raise TypeError\nraise E", "exception", "while describing it"),
    ],
)
def test_an_import_that_does_not_return_is_a_row_and_the_rest_is_imported(
    tmp_path: Path, payload: str, outcome: str, error: str
) -> None:
    row = hostile(run(tmp_path, payload))
    assert (row.imported, row.outcome, row.environmental) == (False, outcome, False)
    assert error in (row.error or "")


def test_an_import_that_never_ends_is_ended(tmp_path: Path) -> None:
    row = hostile(run(tmp_path, "while True: pass", module_seconds=1.0))
    assert (row.outcome, row.error) == ("timeout", "no answer within 1 s")


def test_an_import_that_ignores_every_signal_is_ended(tmp_path: Path) -> None:
    payload = """
        import signal
        for number in range(1, 32):
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_IGN)
        while True:
            signal.pause()
    """
    assert hostile(run(tmp_path, payload, module_seconds=1.0)).outcome == "timeout"


def test_an_import_that_burns_the_processor_ends_at_its_limit(tmp_path: Path) -> None:
    row = hostile(run(tmp_path, "while True: pass", cpu_seconds=1))
    assert (row.outcome, row.error) == ("timeout", "more than 1 s of CPU time")


def test_an_import_that_eats_memory_is_ended(tmp_path: Path) -> None:
    payload = """
        held = []
        while True:
            held.append(bytearray(b"x") * (4 << 20))
    """
    row = hostile(run(tmp_path, payload, memory_bytes=256 << 20))
    assert row.outcome == "memory"


def test_a_few_processes_too_many_are_ended_with_the_import(tmp_path: Path) -> None:
    (tmp_path / "held").touch()
    payload = f"""
        import fcntl, os, signal
        for _ in range(8):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    for descriptor in range(3, 256):
                        try:
                            os.close(descriptor)
                        except OSError:
                            pass
                    lock = os.open({str(tmp_path / "held")!r}, os.O_RDONLY)
                    fcntl.flock(lock, fcntl.LOCK_SH)
                    signal.pause()
                os._exit(0)
    """
    assert hostile(run(tmp_path, payload)).imported
    with (tmp_path / "held").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_an_import_cannot_end_what_started_it(tmp_path: Path) -> None:
    payload = f"""
        import os, signal
        for pid in ({os.getpid()}, os.getppid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
    """
    assert hostile(run(tmp_path, payload)).imported


def test_what_an_import_prints_is_kept_cut_and_cannot_move_the_cursor(tmp_path: Path) -> None:
    payload = """
        import os, sys
        print("hello \\x1b[2J", flush=True)
        os.write(2, b"below python\\n" + b"x" * 500_000)
    """
    row = hostile(run(tmp_path, payload, output_chars=200))
    assert row.imported
    assert row.output is not None
    assert "hello \\x1b[2J" in row.output
    assert len(row.output) <= 210


def test_an_import_that_replaces_standard_output_and_builtins_is_reported_all_the_same(tmp_path: Path) -> None:
    payload = """
        import builtins, io, json, os, sys
        sys.stdout = sys.stderr = sys.__stdout__ = None
        os.write = os._exit = json.dumps = builtins.print = builtins.len = lambda *a, **k: 1 / 0
    """
    facts = run(tmp_path, payload)
    row = next(module.runtime for module in facts.modules if module.name == "victim.hostile")
    assert row is not None
    assert next(module.runtime for module in facts.modules if module.name == "victim.last").imported


@pytest.mark.parametrize(
    "forged",
    [
        'b"\\0\\0\\0\\x20" + b"0" * 32',
        'b"\\xff" * 64',
        'len(p := b"0" * 32 + b\'{"end": 1}\').to_bytes(4, "big") + p',
    ],
)
def test_a_report_that_an_import_forges_is_noticed(tmp_path: Path, forged: str) -> None:
    payload = f"""
        import os
        for descriptor in range(3, 256):
            try:
                os.write(descriptor, {forged})
            except OSError:
                pass
        while True: pass
    """
    row = hostile(run(tmp_path, payload, module_seconds=20.0))
    assert row.outcome == "exit"
    assert "interfered with the report" in (row.error or "")


def test_an_import_writes_nothing_outside_its_scratch_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    payload = f"""
        import os, pathlib, tempfile
        home = pathlib.Path.home()
        (home / "mine").write_text("allowed")
        with tempfile.TemporaryFile() as file:
            file.write(b"allowed")
        refused = 0
        for place in ({str(outside)!r}, os.path.dirname(__file__), "/", "/usr", "/tmp", "/var/tmp"):
            try:
                (pathlib.Path(place) / "ftaudit-was-here").write_text("no")
            except OSError:
                refused += 1
        print("refused", refused, "home", sorted(os.listdir(home)))
    """
    row = hostile(run(tmp_path, payload))
    assert row.output == "refused 6 home ['mine']"
    assert not list(outside.iterdir())


def test_an_import_finds_no_secret_in_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_GIL", "0")
    monkeypatch.setenv("SECRET_TOKEN", "tell-nobody")
    row = hostile(run(tmp_path, "import os; print(sorted(os.environ))"))
    assert row.output is not None
    assert "SECRET_TOKEN" not in row.output
    assert "PYTHON_GIL" not in row.output
    assert str(Path.home()) not in row.output


def test_an_import_reaches_no_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        facts = run(tmp_path, f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)")
    row = hostile(facts)
    if not facts.network_cut:
        # A container without namespaces for unprivileged users: the report names what could not be cut off.
        assert any("network" in note for note in facts.notes)
        return
    assert (row.imported, row.outcome, row.environmental) == (False, "exception", True)


def test_code_that_a_pth_file_asks_for_runs_within_the_walls_alone(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    wheel = make_wheel(
        tmp_path,
        "sneaky",
        {
            "sneaky.pth": f"import sys; open({str(mark)!r}, 'w')\n",
            "sneaky/__init__.py": "",
            "sneaky/first.EXT": "extension",
        },
    )
    settings = SandboxSettings(cache_dir=tmp_path / "cache")
    for _ in range(2):
        facts = import_distributions(interpreter(), [wheel], settings=settings)["sneaky"]
        assert facts.modules[0].runtime.imported
    assert not mark.exists()


def test_the_time_of_a_distribution_bounds_it_and_what_was_not_reached_is_said(tmp_path: Path) -> None:
    facts = run(tmp_path, "while True: pass", distribution_seconds=2.0)
    rows = {module.name: module.runtime for module in facts.modules}
    assert rows["victim.first"].imported
    assert rows["victim.hostile"].outcome == "timeout"
    assert (rows["victim.last"].outcome, rows["victim.last"].imported) == ("not-run", False)


def test_an_interrupt_ends_every_process_and_leaves_the_cache_usable(tmp_path: Path) -> None:
    files = {"calm/__init__.py": "", "calm/first.EXT": "extension"}
    calm = make_wheel(tmp_path, "calm", files)
    busy = make_wheel(tmp_path, "busy", {"busy/__init__.py": "while True: pass", "busy/first.EXT": "extension"})
    settings = SandboxSettings(cache_dir=tmp_path / "cache", jobs=2)

    def interrupt(name: str) -> None:
        raise KeyboardInterrupt

    def children() -> set[str]:
        return set(" ".join(task.read_text() for task in Path("/proc/self/task").glob("*/children")).split())

    # Other tests may keep a child of this process for the session: a browser's driver.
    before = children()
    with pytest.raises(KeyboardInterrupt):
        import_distributions(interpreter(), [busy, calm], settings=settings, on_done=interrupt)
    assert children() <= before
    assert import_distributions(interpreter(), [calm], settings=settings)["calm"].modules[0].runtime.imported


AUDIT = """
import sys
from pathlib import Path
from ftaudit.model import Interpreter
from ftaudit.sandbox import SandboxSettings, WheelToImport, import_distributions
python, version, build, location, cache = sys.argv[1:]
import_distributions(
    Interpreter(path=python, version=version, build=build),
    [WheelToImport(name="busy", version="1.0", filename=Path(location).name, location=location)],
    settings=SandboxSettings(cache_dir=Path(cache)),
)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_audit_ends_what_it_imports(tmp_path: Path, number: signal.Signals) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    payload = f"import os\nfile = os.open({str(pipe)!r}, os.O_RDONLY)\nwhile True: pass"
    wheel = make_wheel(tmp_path, "busy", {"busy/__init__.py": payload, "busy/first.EXT": "extension"})
    python = interpreter()
    arguments = [python.path, python.version, python.build, wheel.location, str(tmp_path / "cache")]
    audit = subprocess.Popen(
        [sys.executable, "-c", AUDIT, *arguments],
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    # This returns when the module has opened its end, and the poll when it no longer holds it.
    with pipe.open("wb") as held:
        audit.send_signal(number)
        poller = select.poll()
        poller.register(held, select.POLLERR)
        assert poller.poll(30_000)
    assert audit.wait(30) != 0
