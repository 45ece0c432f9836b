"""The system-call filters deny their calls, and nothing that a module needs."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from support.freethreaded import interpreter, make_wheel

from ftaudit.model import ModuleRuntime
from ftaudit.sandbox import SandboxSettings, import_distributions
from ftaudit.sandbox.seccomp import make_filter

FILTERED = """
import base64, ctypes, os, socket, struct, sys
program = base64.b64decode(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(program, len(program))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer)), 0, 0) == 0
def tried(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return error.errno
    return 0
"""


def filtered(code: str, *, walled: bool, cwd: Path) -> str:
    program = make_filter(walled=walled)
    if program is None:
        pytest.skip("ftaudit does not know the system calls of this machine")
    encoded = base64.b64encode(program).decode()
    command = [sys.executable, "-c", FILTERED + code, encoded]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=cwd).stdout.strip()


@pytest.mark.parametrize("walled", [True, False])
def test_sockets_by_path_are_denied_and_pairs_are_not(walled: bool, tmp_path: Path) -> None:
    code = "socket.socketpair(); print(tried(socket.socket, socket.AF_UNIX), tried(socket.socket, socket.AF_VSOCK))"
    assert filtered(code, walled=walled, cwd=tmp_path) == "13 13"


@pytest.mark.parametrize(("walled", "answer"), [(True, "0"), (False, "13")])
def test_other_sockets_are_left_to_the_network_namespace_where_there_is_one(
    walled: bool, answer: str, tmp_path: Path
) -> None:
    assert filtered("print(tried(socket.socket, socket.AF_INET))", walled=walled, cwd=tmp_path) == answer


def test_attributes_of_files_stay_where_no_mount_is_read_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "file").chmod(0o640)
    before = (tmp_path / "file").stat()
    code = (
        "os.chmod('file', 0o777); os.utime('file', (1, 1)); os.setxattr('file', 'user.x', b'1')\n"
        "descriptor = os.open('file', os.O_RDONLY); os.fchmod(descriptor, 0o777); os.utime(descriptor, (1, 1))\n"
        "os.chmod('file', 0o777, dir_fd=os.open('.', os.O_RDONLY))"
    )
    filtered(code, walled=False, cwd=tmp_path)
    after = (tmp_path / "file").stat()
    assert (after.st_mode, after.st_mtime) == (before.st_mode, before.st_mtime)


@pytest.mark.parametrize("walled", [True, False])
def test_what_a_module_does_in_its_own_folder_works(walled: bool, tmp_path: Path) -> None:
    code = (
        "import subprocess, tempfile, threading\n"
        "open('new', 'w').write('x'); os.chmod('new', 0o700); os.rename('new', 'other'); os.mkdir('folder')\n"
        "threading.Thread(target=print, args=('thread',)).start()\n"
        "subprocess.run([sys.executable, '-c', 'print(1)'], check=True)"
    )
    assert filtered(code, walled=walled, cwd=tmp_path).split() in (["thread", "1"], ["1", "thread"])


def imported(folder: Path, code: str, **limits: int) -> ModuleRuntime:
    wheel = make_wheel(folder, "victim", {"victim/__init__.py": code, "victim/first.EXT": "extension"})
    settings = SandboxSettings(cache_dir=folder / "cache", module_seconds=60.0, **limits)
    return dict(import_distributions(interpreter(), [wheel], settings=settings)["victim"].toplevels)["victim"]


@pytest.mark.interpreter
def test_a_module_reaches_no_unix_socket(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        row = imported(tmp_path, f"import socket\nsocket.socket(socket.AF_UNIX).connect({str(tmp_path / 'socket')!r})")
    assert (row.imported, row.environmental) == (False, True)
    assert "PermissionError" in (row.error or "")


@pytest.mark.interpreter
@pytest.mark.parametrize(
    "code",
    [
        "import os, time\nfor _ in range(4): os.write(os.memfd_create('x'), bytes(200 << 20))\ntime.sleep(60)",
        "import tempfile, time\nkept = [open(tempfile.mktemp(), 'wb') for _ in range(4)]\n"
        "for file in kept: file.write(bytes(200 << 20)); file.flush()\ntime.sleep(60)",
    ],
    ids=["memory without a name", "files in the scratch folder"],
)
def test_memory_and_disk_are_bounded_however_they_are_used(code: str, tmp_path: Path) -> None:
    row = imported(tmp_path, code, memory_bytes=400 << 20, disk_bytes=400 << 20)
    assert (row.imported, row.outcome) == (False, "memory"), row


@pytest.mark.interpreter
def test_nothing_but_compiled_code_stays_in_the_cache(tmp_path: Path) -> None:
    code = (
        "import importlib.util, os\n"
        "folder = os.path.dirname(importlib.util.cache_from_source(__file__))\n"
        "os.makedirs(folder, exist_ok=True)\n"
        "open(os.path.join(folder, 'left.bin'), 'wb').write(bytes(1 << 20))\n"
    )
    imported(tmp_path, code)
    assert not list((tmp_path / "cache").rglob("left.bin"))
