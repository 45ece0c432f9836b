"""CPython 3.15t treats every module of fixtures/abi3t as its source states and the binary tier reads."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.freethreaded import interpreter_of

ROOT = Path(__file__).resolve().parents[2] / "fixtures" / "abi3t"
FILES = sorted((ROOT / "linux-x86_64").iterdir())

pytestmark = [
    pytest.mark.interpreter,
    pytest.mark.skipif((sys.platform, platform.machine()) != ("linux", "x86_64"), reason="images for Linux on x86-64"),
]

IMPORT = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
try:
    importlib.import_module(sys.argv[2])
except Exception as error:
    print(json.dumps(type(error).__name__))
else:
    print(json.dumps(sys._is_gil_enabled()))
"""


def load(target: str, folder: Path, name: str) -> object:
    """Import a module; return whether the GIL is on then, or the name of the exception."""
    ran = subprocess.run(
        [interpreter_of(target), "-I", "-W", "ignore", "-c", IMPORT, folder, name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.partition(".")[0])
def test_3_15t_does_what_the_source_states(path: Path, tmp_path: Path) -> None:
    name = path.name.partition(".")[0]
    shutil.copy(path, tmp_path)
    source = (ROOT / "src" / f"{name}.c").read_text()
    stated = re.search(r"/\* expect: (\w+)(?:, refused: [\w-]+ (\w+))? \*/", source)
    assert stated is not None
    assert load("3.15t", tmp_path, name) == (stated[2] or stated[1] in ("used", "undeclared"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.partition(".")[0])
def test_3_14t_does_not_find_it(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path)
    assert load("3.14t", tmp_path, path.name.partition(".")[0]) == "ModuleNotFoundError"


def test_3_14t_refuses_an_export_hook_alone_where_it_finds_the_file(tmp_path: Path) -> None:
    (source,) = (ROOT / "linux-x86_64").glob("good.*")
    shutil.copy(source, tmp_path / "good.so")
    assert load("3.14t", tmp_path, "good") == "ImportError"
