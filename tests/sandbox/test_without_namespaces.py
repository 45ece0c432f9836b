"""The walls as a whole if the system provides no namespaces: nothing gets out, or the report says what could."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.freethreaded import interpreter, make_wheel

from ftaudit.sandbox.seccomp import make_filter

pytestmark = [
    pytest.mark.interpreter,
    pytest.mark.skipif(
        make_filter(walled=False) is None, reason="ftaudit does not know the system calls of this machine"
    ),
]

DENIED = """
import ctypes, errno, json, os, platform, struct, sys
from dataclasses import replace
from pathlib import Path
from ftaudit.model import Interpreter
from ftaudit.sandbox import SandboxSettings, WheelToImport, import_distributions
from ftaudit.sandbox.seccomp import ALLOW, ERRNO
calls = {"x86_64": (272, 165, 442, 308), "aarch64": (97, 40, 442, 268)}[platform.machine()]
program = [(0x20, 0, 0, 0)]  # unshare, mount, mount_setattr and setns, as Docker's profile denies them
for number in calls:
    program += [(0x15, 0, 1, number), (6, 0, 0, ERRNO | errno.EPERM)]
raw = b"".join(struct.pack("<HBBI", *each) for each in [*program, (6, 0, 0, ALLOW)])
buffer = ctypes.create_string_buffer(raw, len(raw))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, struct.pack("HxxxxxxP", len(raw) // 8, ctypes.addressof(buffer)), 0, 0) == 0
job = json.loads(sys.argv[1])
settings = SandboxSettings(cache_dir=Path(job["cache"]), module_seconds=60.0, **job["limits"])
found = import_distributions(Interpreter(**job["interpreter"]), [WheelToImport(**job["wheel"])], settings=settings)
facts = found["victim"]
row = dict(facts.toplevels)["victim"]
print(json.dumps({"imported": row.imported, "outcome": row.outcome, "error": row.error, "output": row.output,
    "notes": facts.notes, "network_cut": facts.network_cut}))
"""


def imported(folder: Path, code: str, **limits: int) -> dict[str, object]:
    """Import a package whose `__init__` is this code, in a process without namespaces."""
    wheel = make_wheel(folder, "victim", {"victim/__init__.py": code, "victim/first.EXT": "extension"})
    target = interpreter()
    job = {
        "cache": str(folder / "cache"),
        "limits": limits,
        "interpreter": {"path": target.path, "version": target.version, "build": target.build},
        "wheel": {
            name: getattr(wheel, name) for name in ("name", "version", "filename", "location", "sha256", "wanted")
        },
    }
    ran = subprocess.run([sys.executable, "-c", DENIED, json.dumps(job)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, object] = json.loads(ran.stdout)
    return answer


ATTEMPTS = """
import ctypes, errno, fcntl, os, resource, signal, socket, struct, subprocess, sys
outside, port, parent = {outside!r}, {port}, {parent}
libc = ctypes.CDLL(None, use_errno=True)
done = {{}}
def attempt(name, call, *arguments):
    try:
        result = call(*arguments)
    except OSError as error:
        done[name] = error.errno
        return
    done[name] = 0 if result is None or not isinstance(result, int) or result >= 0 else ctypes.get_errno()
path = os.path.join(outside, "file")
attempt("unix", lambda: socket.socket(socket.AF_UNIX).connect(os.path.join(outside, "socket")))
attempt("abstract", lambda: socket.socket(socket.AF_UNIX).connect("\\0ftaudit-test"))
attempt("tcp", lambda: socket.create_connection(("127.0.0.1", port), 2))
attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port)))
attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt("write", lambda: open(path, "a").write("x"))
attempt("empty", lambda: os.open(path, os.O_RDONLY | os.O_TRUNC))
attempt("truncate", lambda: os.truncate(path, 0))
attempt("create", lambda: open(os.path.join(outside, "new"), "w"))
attempt("link", lambda: os.link(path, os.path.join(outside, "linked")))
attempt("symlink", lambda: os.symlink(path, os.path.join(outside, "symlinked")))
attempt("rename", lambda: os.rename(path, os.path.join(outside, "renamed")))
attempt("remove", lambda: os.remove(path))
attempt("folder", lambda: os.mkdir(os.path.join(outside, "folder")))
attempt("fifo", lambda: os.mkfifo(os.path.join(outside, "fifo")))
for name, call in {{
    "chmod": lambda: os.chmod(path, 0o777),
    "fchmod": lambda: os.fchmod(os.open(path, os.O_RDONLY), 0o777),
    "chown": lambda: os.chown(path, os.getuid(), os.getgid()),
    "utime": lambda: os.utime(path, (1, 1)),
    "futime": lambda: os.utime(os.open(path, os.O_RDONLY), (1, 1)),
    "setxattr": lambda: os.setxattr(path, "user.x", b"1"),
    "removexattr": lambda: os.removexattr(path, "user.kept"),
    "flags": lambda: fcntl.ioctl(os.open(path, os.O_RDONLY), 0x40086602, struct.pack("q", 0x40)),
}}.items():
    attempt(name, call)
attempt("shared", lambda: open("/dev/shm/ftaudit-test", "w").write("x"))
attempt("semaphore", lambda: libc.semget(0x7746, 1, 0o1600))
attempt("queue", lambda: libc.msgget(0x7746, 0o1600))
attempt("segment", lambda: libc.shmget(0x7746, 4096, 0o1600))
attempt("signal", lambda: os.kill(parent, 0))
attempt("limit", lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE, (64, 64)))
attempt("priority", lambda: os.setpriority(os.PRIO_PROCESS, parent, 5))
attempt("affinity", lambda: os.sched_setaffinity(parent, {{0}}))
attempt("trace", lambda: libc.ptrace(16, parent, 0, 0))
attempt("memory", lambda: os.open("/proc/%d/mem" % parent, os.O_RDWR))
left = subprocess.Popen(["/bin/sleep", "300"], start_new_session=True)
import json
print("DONE" + json.dumps(done) + "LEFT%d" % left.pid, flush=True)
"""
FREE = {"chmod", "fchmod", "chown", "utime", "futime", "setxattr", "removexattr", "flags"}
"""Calls that appear to succeed and do nothing."""


def test_nothing_that_an_import_does_gets_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    file = outside / "file"
    file.write_text("kept")
    file.chmod(0o640)
    os.utime(file, (1_000_000, 1_000_000))
    before = file.stat()
    with (
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        subprocess.Popen(["/bin/sleep", "600"]) as victim,
    ):
        unix.bind(str(outside / "socket"))
        unix.listen()
        abstract.bind("\0ftaudit-test")
        abstract.listen()
        code = ATTEMPTS.format(outside=str(outside), port=tcp.getsockname()[1], parent=victim.pid)
        try:
            answer = imported(tmp_path, code)
        finally:
            victim.kill()
    output = str(answer["output"])
    tried = json.loads(output.partition("DONE")[2].partition("LEFT")[0].replace('\\"', '"'))
    assert answer["imported"], answer
    escaped = {name for name, error in tried.items() if error == 0 and name not in FREE}
    notes = " ".join(map(str, answer["notes"]))  # type: ignore[call-overload]
    if "signals to other processes" in notes:
        escaped -= {"signal"}
    assert not escaped, (escaped, notes)
    assert answer["network_cut"] is True
    after = file.stat()
    assert (after.st_mode, after.st_mtime, after.st_uid) == (before.st_mode, before.st_mtime, before.st_uid)
    assert (file.read_text(), os.listxattr(file)) == ("kept", [])
    assert sorted(path.name for path in outside.iterdir()) == ["file", "socket"]
    assert not Path("/dev/shm/ftaudit-test").exists()
    pid = int(output.rpartition("LEFT")[2].split()[0].rstrip("\\n'\""))
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    "code",
    [
        "import os, time\nfor _ in range(4): os.write(os.memfd_create('x'), bytes(200 << 20))\ntime.sleep(60)",
        "import tempfile, time\nkept = [open(tempfile.mktemp(), 'wb') for _ in range(4)]\n"
        "for file in kept: file.write(bytes(200 << 20)); file.flush()\ntime.sleep(60)",
        "import importlib.util, os, time\nfolder = os.path.dirname(importlib.util.cache_from_source(__file__))\n"
        "os.makedirs(folder, exist_ok=True)\n"
        "for n in range(4): open(os.path.join(folder, '%d.pyc' % n), 'wb').write(bytes(200 << 20))\ntime.sleep(60)",
    ],
    ids=["memory without a name", "files in the scratch folder", "files in the cache"],
)
def test_memory_and_disk_are_bounded_and_nothing_stays(code: str, tmp_path: Path) -> None:
    answer = imported(tmp_path, code, memory_bytes=400 << 20, disk_bytes=400 << 20)
    assert (answer["imported"], answer["outcome"]) == (False, "memory"), answer
    assert sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file()) < 64 << 20
