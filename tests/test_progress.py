"""The progress display in a real terminal of 80 columns: one line, whatever the names of the items."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

LONG = "numpy-2.3.5-cp314-cp314t-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl"
SCRIPT = f"""
from ftaudit.progress import on_stderr
with on_stderr() as progress:
    progress.stage("binaries", 358)
    progress.done({LONG!r})
"""


def shown(columns: int) -> list[str]:
    """Return the lines that are painted in a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "CI")}
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stderr=theirs, env=env | {"TERM": "xterm"}) as process:
        os.close(theirs)
        data = b""
        while True:
            try:
                read = os.read(ours, 65536)
            except OSError:  # Linux raises this after the last writer closes.
                break
            if not read:
                break
            data += read
    os.close(ours)
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode())
    return [line for line in re.split(r"[\r\n]+", text) if line.strip()]


@pytest.mark.parametrize("columns", [40, 80])
def test_a_long_name_is_cut_and_never_wrapped(columns: int) -> None:
    lines = shown(columns)
    assert lines and all(len(line) <= columns for line in lines)
    assert all("binaries" in line and "/358" in line for line in lines)
    assert any("numpy" in line and LONG not in line for line in lines)


def test_a_wide_terminal_shows_the_whole_name() -> None:
    assert any(LONG in line for line in shown(200))
