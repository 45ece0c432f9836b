"""What the run does not follow in the user's code leaves an open site, so that no answer is silently wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftaudit.model.reachability import ReachAnswer, ReachClass, StartPoint
from ftaudit.reach.finder import Finder
from ftaudit.reach.folder_tree import FolderTree
from ftaudit.reach.run import ReachQuestion, find_reach
from ftaudit.reach.starts import parse_start
from ftaudit.source.python.parse import parse_module

LOAD = "from importlib import import_module\n"


def ask(tmp_path: Path, files: dict[str, str], start: StartPoint | None = None) -> ReachAnswer:
    """Return the modules that `app` loads, next to a package `fast` with an extension module."""
    site = {"fast/__init__.py": "", "fast/_c.cpython-314t-x86_64-linux-gnu.so": ""}
    trees = []
    for name, every in (("src", files), ("site", site)):
        for path, text in every.items():
            place = tmp_path / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        trees.append(FolderTree(name=name, root=tmp_path / name, own=name == "src"))
    finder = Finder(trees=trees, version=(3, 14), sys_platform="linux")
    starts = (start or StartPoint(module="app"),)
    return find_reach(
        ReachQuestion(finder=finder, starts=starts, platform="linux-x86_64", machine="x86_64", parse=parse_module)
    )


def is_silent(answer: ReachAnswer) -> bool:
    """Return whether the answer is "no way found" without an open site."""
    found = answer.of("fast._c")
    return found is not None and found.reached is ReachClass.NONE and not answer.open_sites


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nsys.path.insert(0, 'vendor')\nimport helper",
        "import sys\nsys.meta_path.append(object())",
        "import sys\nsys.modules.update(fast=None)",
        "import os\n__path__ = [os.getcwd()]",
        "try:\n    from inspect import nothing_there\nexcept ImportError:\n    import fast._c",
        "class E(Exception):\n    pass\nA = E\ntry:\n    raise E\nexcept A:\n    import fast._c",
        "e = ValueError()\ntry:\n    raise e\nexcept ValueError:\n    import fast._c",
        "n = 0\nwhile n < 90:\n    n += 1\n    if n == 90:\n        import fast._c",
        "from dataclasses import dataclass\n@dataclass\nclass C:\n    on: bool = False\n"
        "if C(on=True).on:\n    import fast._c",
        "D = {'a': 0}\ndel D['a']\nif 'a' not in D:\n    import fast._c",
        "on = []\ndef f():\n    on.append(1)\nimport atexit\natexit.register(f)\nif on:\n    import fast._c",
        LOAD + "from collections import ChainMap\nR = {}\nV = ChainMap(R)\nR['a'] = 'fast._c'\n"
        "for n in V.values():\n    import_module(n)",
        "x = False\nglobals()['x' + ''] = True\nif x:\n    import fast._c",
        "class O:\n    on = False\nsetattr(O, str('on'), True)\nif O.on:\n    import fast._c",
        "import runpy\nrunpy.run_path('other.py')",
        "from importlib.machinery import SourceFileLoader as L\nL('a', 'a.py').load_module()",
        "import pkgutil as p\np.resolve_name('fast._c')",
        "import logging.config as c\nc.dictConfig({'handlers': {}})",
        "import pickle\npickle.loads(b'')",
        "code = input()\neval(code)",
        LOAD + "from concurrent.futures import ThreadPoolExecutor\n"
        "ThreadPoolExecutor().submit(import_module, 'fast._c')",
        "def f(n):\n    if n:\n        f(n - 1)\n    else:\n        unknown(__import__)\nf(50)",
        "class C:\n    TYPE_CHECKING = True\nif C.TYPE_CHECKING:\n    import fast._c",
        "import nothing_there",
    ],
)
def test_what_is_not_followed_is_never_silently_left_out(code: str, tmp_path: Path) -> None:
    assert not is_silent(ask(tmp_path, {"app.py": code}))


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nif sys.platform == 'win32':\n    import fast._c",
        "import sys\nif sys.version_info < (3, 8):\n    import fast._c",
        "import os\nif os.name == 'nt':\n    import fast._c",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import fast._c",
        "import typing as t\nif t.TYPE_CHECKING:\n    import fast._c",
        "DEBUG = False\nif DEBUG:\n    import fast._c",
        "from settings import DEBUG\nif DEBUG:\n    import fast._c",
        "import settings\nif settings.DEBUG:\n    import fast._c",
        "try:\n    import json\nexcept ImportError:\n    import fast._c",
        "def f():\n    return 1\n    import fast._c\nf()",
        "if __name__ == '__main__':\n    import fast._c",
    ],
)
def test_a_reason_that_cannot_change_leaves_no_open_site(code: str, tmp_path: Path) -> None:
    assert is_silent(ask(tmp_path, {"app.py": code, "settings.py": "DEBUG = False"}))


def test_a_script_has_no_package_for_relative_imports(tmp_path: Path) -> None:
    text = "try:\n    from . import near\nexcept ImportError:\n    import fast._c"
    files = {"tools/run.py": text, "tools/near.py": ""}
    ask(tmp_path, files)
    start = parse_start(str(tmp_path / "src/tools/run.py"), [tmp_path / "src"])
    found = ask(tmp_path, files, start).of("fast._c")
    assert found is not None and found.reached is ReachClass.START


def test_a_file_name_that_is_not_text_is_no_crash(tmp_path: Path) -> None:
    assert is_silent(ask(tmp_path, {"app.py": "", "odd\udcff.py": ""}))


@pytest.mark.parametrize(
    "code",
    [
        "from dataclasses import dataclass\n@dataclass\nclass C:\n    name: str = 'fast'\n"
        "import_module(C('fast._c').name)",
        "from typing import NamedTuple\nclass C(NamedTuple):\n    name: str = 'fast'\n"
        "import_module(C(name='fast._c').name)",
        "L = ['fast', 'fast._c']\nL.reverse()\nimport_module(L[0])",
        "L = ['json', 'fast._c']\nL.sort()\nimport_module(L[0])",
        "match 'fast._c':\n    case name:\n        import_module(name)",
        "try:\n    assert False\nexcept AssertionError:\n    import fast._c",
        "try:\n    import broken\nexcept Exception:\n    pass\n"
        "try:\n    import broken\nexcept RuntimeError:\n    import fast._c",
        "import runpy\nrunpy.run_module('fast._c')",
        "import json\nimport queue as shadowed",
    ],
)
def test_what_real_code_does_is_followed_exactly(code: str, tmp_path: Path) -> None:
    files = {"app.py": LOAD + code, "broken.py": "raise RuntimeError", "queue.py": "import fast._c"}
    found = ask(tmp_path, files).of("fast._c")
    assert found is not None and found.reached is ReachClass.START


@pytest.mark.parametrize(
    "code",
    [
        LOAD + "import json\nD = {'n': 'json'}\nD.update(json.loads(input()))\nimport_module(D['n'])",
        LOAD + "D = {'n': 'json', **unknown}\nimport_module(D['n'])",
        "from plugins import *",
        "import importlib\nvars(importlib)['import_module']('fast._c')",
    ],
)
def test_an_unknown_change_of_a_table_leaves_an_open_site(code: str, tmp_path: Path) -> None:
    plugins = {"plugins/__init__.py": "__all__ = [n for n in unknown]", "plugins/a.py": "import fast._c"}
    assert not is_silent(ask(tmp_path, {"app.py": code, **plugins}))


def test_a_script_finds_the_modules_of_its_own_folder_first(tmp_path: Path) -> None:
    files = {"tools/run.py": "import helper", "tools/helper.py": "import fast._c", "tools/__init__.py": "import fast"}
    ask(tmp_path, files)
    found = ask(tmp_path, files, parse_start(str(tmp_path / "src/tools/run.py"), [tmp_path / "src"])).of("fast._c")
    assert found is not None and found.reached is ReachClass.START


def test_a_file_of_the_user_hides_a_package_of_that_name(tmp_path: Path) -> None:
    found = ask(tmp_path, {"app.py": "import fast", "fast.py": ""}).of("fast._c")
    assert found is None or found.reached is not ReachClass.START


def test_a_start_function_that_does_not_exist_is_an_open_site(tmp_path: Path) -> None:
    start = StartPoint(module="app", function="nothing_there")
    assert not is_silent(ask(tmp_path, {"app.py": "def main():\n    pass"}, start))
    assert is_silent(ask(tmp_path, {"app.py": "def main():\n    pass"}, StartPoint(module="app", function="main")))
