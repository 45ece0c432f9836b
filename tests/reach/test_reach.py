"""When code loads a module, by class: small programs, each with one deciding feature."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ftaudit.model.reach_sentences import reach_summary
from ftaudit.model.reachability import ModuleReach, OpenKind, ReachAnswer, ReachClass, StartPoint
from ftaudit.reach.abstract_run import AbstractRun
from ftaudit.reach.abstract_values import Scope, Value
from ftaudit.reach.analysis import LANGUAGE
from ftaudit.reach.finder import Finder
from ftaudit.reach.folder_tree import FolderTree
from ftaudit.reach.run import ReachQuestion, find_reach
from ftaudit.reach.starts import default_starts, parse_start
from ftaudit.source.python.parse import parse_module

SUFFIX = ".cpython-314t-x86_64-linux-gnu.so"
START, IF, RUN, NONE, UNSURE = ReachClass.START, ReachClass.START_IF, ReachClass.RUN, ReachClass.NONE, ReachClass.UNSURE


def asked(
    tmp_path: Path,
    own: dict[str, str],
    packages: dict[str, str] | None = None,
    *,
    starts: tuple[StartPoint, ...] = (StartPoint(module="app"),),
    version: tuple[int, int] = (3, 14),
    sys_platform: str = "linux",
    unread: tuple[str, ...] = (),
) -> ReachQuestion:
    """Return the question which modules `app` loads. A file whose name ends in `.so` is an extension module."""
    trees = []
    for name, files in (("src", own), ("site", {**(packages or {}), "fast/_c.so": "", "fast/__init__.py": ""})):
        for path, text in files.items():
            place = (
                tmp_path
                / name
                / (path.removesuffix(".so") + SUFFIX if path.endswith(("_c.so", "x.so", "y.so", "z.so")) else path)
            )
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        trees.append(FolderTree(name=name, root=tmp_path / name, own=name == "src"))
    finder = Finder(trees=trees, version=version, sys_platform=sys_platform, unread=unread)
    return ReachQuestion(finder=finder, starts=starts, platform="linux-x86_64", machine="x86_64", parse=parse_module)


def ask(tmp_path: Path, own: dict[str, str], packages: dict[str, str] | None = None, **given: Any) -> ReachAnswer:
    """Return the modules that `app` loads."""
    return find_reach(asked(tmp_path, own, packages, **given))


def fast(reach: ReachAnswer) -> ModuleReach:
    found = reach.of("fast._c")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("code", "reached"),
    [
        ("import fast._c", START),
        ("from fast import _c", START),
        ("import os\nif os.environ.get('X'):\n    import fast._c", IF),
        ("def f():\n    import fast._c", RUN),
        ("import fast", NONE),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import fast._c", NONE),
        ("import typing as t\nif not t.TYPE_CHECKING:\n    import fast._c", START),
        ("import sys\nif sys.version_info >= (3, 12):\n    import fast._c", START),
        ("import sys\nif sys.version_info[:2] < (3, 12):\n    import fast._c", NONE),
        ("import sys\nif sys.version_info >= (3, 14, 2):\n    import fast._c", IF),
        ("import sys\nif sys.platform == 'win32':\n    import fast._c", NONE),
        ("import platform\nif platform.system() == 'Linux':\n    import fast._c", START),
        ("import platform\nif platform.python_implementation() == 'PyPy':\n    import fast._c", NONE),
        ("try:\n    import nothing_there\nexcept ImportError:\n    import fast._c", START),
        ("try:\n    import json\nexcept ImportError:\n    import fast._c", NONE),
        ("try:\n    import imp\nexcept ImportError:\n    import fast._c", START),
        ("try:\n    import nothing_there\nexcept ValueError:\n    pass\nimport fast._c", START),
        (
            "import contextlib\nwith contextlib.suppress(ImportError):\n    import nothing_there\n    import fast._c",
            NONE,
        ),
        ("import nothing_there\nimport fast._c", START),
        ("from importlib.util import find_spec\nif find_spec('fast'):\n    import fast._c", START),
        ("import importlib.util as u\nif u.find_spec('nothing_there') is None:\n    import fast._c", START),
        ("import importlib\nimportlib.import_module('fast._c')", START),
        ("import importlib\nimportlib.import_module('._c', 'fast')", START),
        ("from importlib import import_module as load\nfor n in ('_c', '_d'):\n    load(f'fast.{n}')", START),
        ("import importlib\nTABLE = {'a': 'fast._c'}\nfor v in TABLE.values():\n    importlib.import_module(v)", START),
        ("__import__('fast._c')", START),
        ("exec('import fast._c')", START),
        ("def load(name):\n    __import__(name)\nload('fast.' + '_c')", START),
        ("class Base:\n    def __init_subclass__(cls):\n        import fast._c\nclass A(Base):\n    pass", START),
        ("class M(type):\n    def __new__(m, *a):\n        import fast._c\nclass A(metaclass=M):\n    pass", START),
        ("class A:\n    def __init__(self):\n        import fast._c\nA()", START),
        ("class A:\n    @property\n    def x(self):\n        import fast._c\nA().x", START),
        ("class A:\n    def __enter__(self):\n        import fast._c\nwith A():\n    pass", START),
        ("def deco(f):\n    import fast._c\n    return f\n@deco\ndef g():\n    pass", START),
        ("def deco(f):\n    def inner():\n        import fast._c\n    return inner\n@deco\ndef g():\n    pass", RUN),
        ("from functools import partial\ndef f(n):\n    __import__(n)\npartial(f, 'fast._c')()", START),
        (
            "from contextlib import *\n@contextmanager\ndef c():\n    import fast._c\n    yield\nwith c():\n    pass",
            START,
        ),
        ("async def f():\n    import fast._c\nf()", RUN),
        ("f = lambda: __import__('fast._c')", RUN),
        ("if __name__ == '__main__':\n    import fast._c", NONE),
        ("import os\ndef f():\n    if os.environ:\n        return\n    import fast._c\nf()", IF),
        ("import os\ntry:\n    if os.environ:\n        raise ImportError\nexcept ImportError:\n    import fast._c", IF),
        ("import os\nos.environ.get('A') and __import__('fast._c')", IF),
        ("import sys\nx = 'fast._c' if sys.platform == 'linux' else 'fast'\n__import__(x)", START),
        ("raise SystemExit\nimport fast._c", NONE),
    ],
)
def test_one_thing_decides_when_a_module_is_loaded(code: str, reached: ReachClass, tmp_path: Path) -> None:
    assert fast(ask(tmp_path, {"app.py": code})).reached is reached


HOOKED = {"lib/__init__.py": "def __getattr__(name):\n    import fast._c\n    return fast._c\n"}
LOADED = {"lib/__init__.py": "def __getattr__(name):\n    return __import__('lib.' + name, fromlist=['x'])\n",
          "lib/sub.py": "import fast._c\n"}  # fmt: skip
PLUGIN = {"plug-1.dist-info/entry_points.txt": "[plugs]\na = plug\n", "plug.py": "import fast._c\n"}
POINTS = "from importlib.metadata import entry_points\n"


@pytest.mark.parametrize(
    ("code", "packages", "lines", "cuts"),
    [
        ("import os\nfrom lib import engine", HOOKED, ["app.py:2", "lib/__init__.py:2"], [2]),
        ("import lib\nlib.engine", HOOKED, ["app.py:2", "lib/__init__.py:2"], [2]),
        ("import lib\nlib.sub\n\nlib.sub", LOADED, ["app.py:2", "lib/__init__.py:2", "lib/sub.py:1"], [2, 4]),
        ("import lib\ndef f():\n    lib.engine", HOOKED, ["app.py:3", "lib/__init__.py:2"], []),
        (f"{POINTS}for e in entry_points(group='plugs'):\n    e.load()", PLUGIN, ["app.py:3", "plug.py:1"], [3]),
        ("import host", {**PLUGIN, "host.py": f"{POINTS}def f(e):\n    e.load()\nf(entry_points(group='plugs')['a'])"},
         ["app.py:1", "host.py:3", "plug.py:1"], [1]),
        ("def run():\n    import plug", PLUGIN, ["app.py:2", "plug.py:1"], [2]),
    ],
)  # fmt: skip
def test_a_way_begins_at_the_line_of_the_user(
    code: str, packages: dict[str, str], lines: list[str], cuts: list[int], tmp_path: Path
) -> None:
    starts = (StartPoint(module="app", function="run" if "run" in code else None),)
    found = fast(ask(tmp_path, {"app.py": code}, packages, starts=starts))
    assert [f"{step.site.file}:{step.site.line}" for step in found.path] == lines
    assert [site.line for site in found.cuts] == cuts


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (f"{POINTS}def f(g):\n    for e in entry_points(group=g):\n        e.load()", OpenKind.COMPUTED),
        ("lazy import fast._c", OpenKind.UNPARSED),
        ("if True:\n    lazy import fast._c", OpenKind.UNPARSED),
    ],
)
def test_own_code_that_is_not_followed_is_an_open_site(code: str, kind: OpenKind, tmp_path: Path) -> None:
    answer = ask(tmp_path, {"app.py": code})
    assert [site.kind for site in answer.open_sites] == [kind]
    assert fast(answer).reached is (UNSURE if kind is OpenKind.UNPARSED else NONE)


def test_a_call_whose_budget_ends_at_start_may_do_what_its_function_can_do(tmp_path: Path) -> None:
    work = (
        "def work(n):\n    for i in range(400):\n        for j in range(400):\n            n += j\n    import fast._c\n"
    )
    found = fast(ask(tmp_path, {"app.py": "import lib\nlib.work(1)"}, {"lib.py": work}))
    assert found.reached in (START, IF)


def test_a_package_with_a_finder_may_have_any_module(tmp_path: Path) -> None:
    lib = {"lib/__init__.py": "import sys\nsys.meta_path.append(object())\n"}
    code = "try:\n    import lib.made\nexcept ImportError:\n    raise\nelse:\n    import fast._c"
    assert fast(ask(tmp_path, {"app.py": code}, lib)).reached in (START, IF)


@pytest.mark.parametrize(
    ("data", "reached"),
    [
        (b"import os\rdef f():\r    x = 1\r    import fast._c\r", RUN),
        (b"# coding: utf-7\n+AGkAbQBwAG8AcgB0- fast._c\n", START),
        (b"# coding: latin-1\nname = '\xe9'\nimport fast._c\n", START),
        (b"\xef\xbb\xbfimport fast._c\n", START),
    ],
)
def test_a_file_is_read_as_cpython_reads_it(data: bytes, reached: ReachClass, tmp_path: Path) -> None:
    question = asked(tmp_path, {"app.py": "import lib"}, {"lib.py": ""})
    (tmp_path / "site" / "lib.py").write_bytes(data)
    assert fast(find_reach(question)).reached is reached


@pytest.mark.parametrize("data", [b"name = '\xe9'\nimport fast._c\n", b"# coding: no-such-encoding\nimport fast._c\n"])
def test_a_file_that_cpython_cannot_decode_is_an_open_site(data: bytes, tmp_path: Path) -> None:
    question = asked(tmp_path, {"app.py": "import lib"}, {"lib.py": ""})
    (tmp_path / "site" / "lib.py").write_bytes(data)
    answer = find_reach(question)
    assert fast(answer).reached is NONE
    assert [(site.module, site.kind) for site in answer.open_sites] == [("lib", OpenKind.UNPARSED)]


@pytest.mark.parametrize(
    ("code", "package", "reached"),
    [
        ("from pkg import thing", {"pkg/__init__.py": "def __getattr__(n):\n    import fast._c"}, START),
        ("import pkg", {"pkg/__init__.py": "def __getattr__(n):\n    import fast._c"}, RUN),
        ("import pkg\npkg.thing", {"pkg/__init__.py": "def __getattr__(n):\n    import fast._c"}, START),
        ("import pkg.sub", {"pkg/__init__.py": "import fast._c", "pkg/sub.py": ""}, START),
        (
            "import pkg\npkg.thing",
            {
                "pkg.py": "import os, sys\nclass M:\n    pass\nme = sys.modules[__name__]\n"
                "sys.modules[__name__] = me if os.environ else M()\nimport fast._c"
            },
            START,
        ),
        (
            "from pkg import *",
            {
                "pkg.py": "NAMES = {'a', 'b'}\n__all__ = list(NAMES | {'c'})\n"
                "def __getattr__(n):\n    if n == 'b':\n        import fast._c"
            },
            START,
        ),
        (
            "from pkg import *",
            {
                "pkg.py": "import os\n__all__ = list({'a'} | set(os.environ))\n"
                "def __getattr__(n):\n    if n == 'b':\n        import fast._c"
            },
            IF,
        ),
        ("from pkg import *", {"pkg/__init__.py": "__all__ = ['sub']", "pkg/sub.py": "import fast._c"}, START),
        ("from pkg import sub", {"pkg/__init__.py": "sub = 1", "pkg/sub.py": "import fast._c"}, NONE),
        ("import a", {"a.py": "import b\nimport fast._c", "b.py": "import a"}, START),
        ("try:\n    import a\nexcept ImportError:\n    pass", {"a.py": "import nope\nimport fast._c"}, NONE),
        ("try:\n    import a\nexcept ImportError:\n    import fast._c", {"a.py": "import nope"}, START),
        ("from a import A\nA().load()", {"a.py": "class A:\n    def load(self):\n        import fast._c"}, START),
        (
            "from importlib.metadata import entry_points\nfor e in entry_points(group='g'):\n    e.load()",
            {"p-1.dist-info/entry_points.txt": "[g]\nx = fast._c\n"},
            START,
        ),
        (
            "import pkg\npkg.Thing",
            {
                "pkg/__init__.py": "import sys\nclass L:\n    def __getattr__(self, n):\n        import fast._c\n"
                "sys.modules[__name__] = L()"
            },
            START,
        ),
        (
            "import pkgutil, importlib, pkg\nfor m in pkgutil.iter_modules(pkg.__path__):\n"
            "    importlib.import_module('pkg.' + m[1])",
            {"pkg/__init__.py": "", "pkg/sub.py": "import fast._c"},
            START,
        ),
        ("import six_like.moves", {"six_like.py": "import sys, fast._c\nsys.modules['six_like.moves'] = 1"}, START),
    ],
)
def test_what_a_package_does_decides_when_a_module_is_loaded(
    code: str, package: dict[str, str], reached: ReachClass, tmp_path: Path
) -> None:
    assert fast(ask(tmp_path, {"app.py": code}, package)).reached is reached


@pytest.mark.parametrize(
    "change",
    [
        "TABLE['f'] = other\nTABLE['f']()",
        "TABLE.update(f=other)\nTABLE['f']()",
        "TABLE.update({'f': other})\nTABLE['f']()",
        "TABLE.update([('f', other)])\nTABLE['f']()",
        "LIST[0] = other\nLIST[0]()",
        "globals()['f'] = other\nf()",
        "setattr(one, 'f', other)\none.f()",
        "setattr(One, 'f', other)\nOne.f()",
        "setattr(sys.modules[__name__], 'f', other)\nf()",
        "two = one\nelse:\n    two = One()\ntwo.f = other\none.f()",
    ],
)
def test_a_change_under_a_condition_leaves_the_old_value_possible(change: str, tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "def f():\n    import fast._c\n"
        "def other():\n    pass\n"
        "class One:\n    pass\n"
        "one = One()\none.f = One.f = f\n"
        "TABLE, LIST = {'f': f}, [f]\n"
        f"if os.environ.get('X'):\n    {change}"
    )
    assert fast(ask(tmp_path, {"app.py": code})).reached is IF


def test_a_way_has_every_step_with_file_and_line_and_names_the_lines_to_change(tmp_path: Path) -> None:
    own = {"app/__init__.py": "", "app/main.py": "\nfrom app import feed", "app/feed.py": "import lib\nimport lib2"}
    packages = {"lib.py": "import fast._c", "lib2.py": "\n\nfrom fast import _c"}
    found = fast(ask(tmp_path, own, packages, starts=(StartPoint(module="app.main"),)))
    assert [(step.site.file, step.site.line, step.target) for step in found.path] == [
        ("app/main.py", 2, "app.feed"),
        ("app/feed.py", 1, "lib"),
        ("lib.py", 1, "fast._c"),
    ]
    assert found.ways == 2
    assert [(site.file, site.line) for site in found.cuts] == [("app/feed.py", 1), ("app/feed.py", 2)]


def test_the_condition_of_a_way_is_named_with_its_line(tmp_path: Path) -> None:
    found = fast(ask(tmp_path, {"app.py": "import os\nif os.environ.get('FAST'):\n    import fast._c"}))
    (condition,) = found.path[-1].conditions
    assert (condition.line, condition.text) == (2, "os.environ.get('FAST')")


def test_the_first_function_on_a_way_is_named(tmp_path: Path) -> None:
    found = fast(
        ask(tmp_path, {"app.py": "class A:\n    def export(self):\n        import lib"}, {"lib.py": "import fast._c"})
    )
    assert found.reached is RUN
    assert (found.path[0].site.function, found.path[0].site.line) == ("A.export", 3)


def test_a_console_script_calls_its_function(tmp_path: Path) -> None:
    start = (StartPoint(module="app", function="main"),)
    assert fast(ask(tmp_path, {"app.py": "def main():\n    import fast._c"}, starts=start)).reached is START


def test_a_file_that_is_run_is_the_main_program(tmp_path: Path) -> None:
    start = (StartPoint(module="app", is_main=True),)
    code = "if __name__ == '__main__':\n    import fast._c"
    assert fast(ask(tmp_path, {"app.py": code}, starts=start)).reached is START


def test_an_extension_module_loads_what_its_binary_names_and_what_its_source_imports(tmp_path: Path) -> None:
    packages = {"a/__init__.py": "", "a/x.so": "\0fast._c\0", "b/__init__.py": "", "b/y.so": "", "b/y.py": "import c.z"}
    packages |= {"c/__init__.py": "", "c/z.so": "an inner fast._c name in a docstring"}
    reach = ask(tmp_path, {"app.py": "import a.x, b.y"}, packages)
    found = {each.module: each.reached for each in reach.modules}
    assert found == {"a.x": START, "b.y": START, "c.z": START, "fast._c": IF}


def test_a_package_whose_imports_are_all_guarded_is_optional(tmp_path: Path) -> None:
    code = "try:\n    import fast._c\nexcept ImportError:\n    pass"
    assert fast(ask(tmp_path, {"app.py": code})).optional
    assert not fast(ask(tmp_path / "other", {"app.py": "import fast._c"})).optional


@pytest.mark.parametrize(
    ("version", "code", "reached"),
    [
        ((3, 15), "lazy import fast._c", NONE),
        ((3, 15), "lazy import fast._c\nfast._c", START),
        ((3, 15), "lazy from fast import _c\ndef f():\n    _c.x()", RUN),
        ((3, 15), "__lazy_modules__ = ['fast._c']\nimport fast._c", NONE),
        ((3, 14), "__lazy_modules__ = ['fast._c']\nimport fast._c", START),
    ],
)
def test_a_lazy_import_loads_when_its_name_is_used(
    version: tuple[int, int], code: str, reached: ReachClass, tmp_path: Path
) -> None:
    packages = {f"fast/_c.cpython-{version[0]}{version[1]}t-x86_64-linux-gnu.so": ""}
    assert fast(ask(tmp_path, {"app.py": code}, packages, version=version)).reached is reached


@pytest.mark.parametrize(
    ("code", "packages", "kind"),
    [
        ("import importlib, os\nimportlib.import_module('fast.' + os.environ['X'])", {}, OpenKind.COMPUTED),
        ("import fast.broken", {"fast/broken.py": "def ("}, OpenKind.UNPARSED),
        ("import fast.deep", {"fast/deep.py": "x = " + "(" * 5000 + ")" * 5000}, OpenKind.UNPARSED),
        ("import fast.large", {"fast/large.py": "#" + "x" * (4 << 20)}, OpenKind.TOO_LARGE),
    ],
)
def test_what_cannot_be_followed_is_an_open_site_that_covers_what_depends_on_it(
    code: str, packages: dict[str, str], kind: OpenKind, tmp_path: Path
) -> None:
    found = fast(ask(tmp_path, {"app.py": code}, packages))
    assert found.reached is UNSURE
    assert [site.kind for site in found.open_sites] == [kind]


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    return f() or f()\nf()",
        "while True:\n    x = [x for x in range(10**9)] if 0 else 1\n    break",
        "x = 'a'\nfor i in range(100):\n    x = x + x\ny = [0] * 10**9\nz = 9**9**9",
        "'%*d' % (10**9, 1)\n'{:>9999999999}'.format(1)",
        "class A(A):\n    pass",
        "import app\nfrom app import nothing\nimport app.app.app",
        "from . import x\nfrom ... import y",
        "def f(n):\n    for i in range(50):\n        f(n + [i])\nf([])",
        "class M(type):\n    def __call__(c, *a):\n        return c(*a)\nclass A(metaclass=M):\n    pass\nA()",
        "class A:\n    def __getattr__(self, n):\n        return getattr(self, n)\nA().x",
        "x = {}\nx['x'] = x\nfor k in x: x[k + 'y'] = x\ny = []\ny.append(y)\nfor e in y: y.append(e)",
    ],
)
def test_code_that_has_no_end_gets_an_answer_for_the_rest(code: str, tmp_path: Path) -> None:
    own = {"app.py": f"import rest\n{code}", "rest.py": "import fast._c"}
    assert fast(ask(tmp_path, own)).reached is START


def test_two_runs_give_one_answer(tmp_path: Path) -> None:
    own = {"app.py": "import os\nfor n in os.listdir():\n    __import__(n)\ndef f():\n    import fast._c"}
    one, other = ask(tmp_path / "a", own), ask(tmp_path / "b", own)
    assert (one.modules, one.open_sites, one.steps) == (other.modules, other.open_sites, other.steps)


def test_names_that_differ_by_case_and_packages_that_shadow_the_standard_library(tmp_path: Path) -> None:
    packages = {"Fast/__init__.py": "", "json/__init__.py": "import fast._c", "math.py": "import fast._c"}
    assert fast(ask(tmp_path, {"app.py": "import Fast, math"}, packages)).reached is NONE
    assert fast(ask(tmp_path / "own", {"app.py": "import json", "json.py": "import fast._c"})).reached is START


def test_an_absent_module_may_be_in_a_package_that_could_not_be_read(tmp_path: Path) -> None:
    code = "try:\n    import elsewhere\nexcept ImportError:\n    import fast._c"
    reach = ask(tmp_path, {"app.py": code}, unread=("other-dist",))
    assert fast(reach).reached is IF
    assert [site.package for site in reach.open_sites] == ["other-dist"]


def test_a_package_without_files_is_found_by_its_name(tmp_path: Path) -> None:
    code = "import dark_matter\ndef f():\n    import gray\ntry:\n    import other\nexcept ImportError:\n    pass"
    found = ask(tmp_path, {"app.py": code}, unread=("dark-matter", "gray", "unused"))
    modules = {each.module: each for each in found.modules}
    assert modules["dark_matter"].reached is START and modules["dark_matter"].cuts[0].line == 1
    assert modules["gray"].reached is RUN
    assert not {"other", "unused"} & modules.keys()


def test_a_start_point_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    reach = ask(tmp_path, {"app.py": ""}, starts=(StartPoint(module="nope"),))
    assert [(site.kind, site.module) for site in reach.open_sites] == [(OpenKind.MISSING, "nope")]
    assert fast(reach).reached is UNSURE


def test_the_summary_says_what_could_not_be_found_read_parsed_or_followed(tmp_path: Path) -> None:
    starts = tuple(StartPoint(module=name, text=name) for name in ("app", "nothing_there"))
    own = {"app.py": "import bad\n__import__(input())", "bad.py": "def (:"}
    reach = ask(tmp_path, own, starts=starts, unread=("gone", "lost"))
    assert list(reach_summary(reach)) == [
        "reach on linux-x86_64, from app, nothing_there: 1 Python file was followed",
        "1 start point could not be found: nothing_there",
        "2 packages could not be read: gone, lost",
        "1 file in 1 package could not be parsed: bad.py:1",
        "1 computed import in 1 package could not be followed: app.py:2",
    ]


def test_a_file_of_the_user_that_does_not_parse_could_load_anything(tmp_path: Path) -> None:
    reach = ask(tmp_path, {"app.py": "import other", "other.py": "def ("})
    assert fast(reach).reached is UNSURE
    assert [site.file for site in fast(reach).open_sites] == ["other.py"]


def test_start_points_are_modules_functions_files_and_by_default_the_project_s_own(tmp_path: Path) -> None:
    for path in ("src/app/__init__.py", "src/app/main.py", "src/setup.py", "src/tests/__init__.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    tree = FolderTree(name="src", root=tmp_path / "src", own=True)
    finder = Finder(trees=[tree], version=(3, 14), sys_platform="linux")
    assert parse_start("app.main:run", [tree.root]).function == "run"
    assert parse_start(str(tmp_path / "src/app/main.py"), [tree.root]).module == "app.main"
    assert [each.module for each in default_starts([tree], [("cmd", "app.main:run")], finder)] == ["app.main", "app"]


def test_a_loop_whose_import_fails_does_not_end_the_answer(tmp_path: Path) -> None:
    own = {"app.py": "def load(names):\n    for name in names:\n        import missing_package\n    import fast._c\n"}
    assert fast(ask(tmp_path, own)).reached is RUN


def test_an_error_in_ftaudit_leaves_one_statement_open_and_the_rest_is_answered(tmp_path: Path) -> None:
    def evaluate(machine: AbstractRun, node: ast.expr, scope: Scope) -> Value:
        if isinstance(node, ast.Constant) and node.value == "crash":
            raise KeyError(node.value)
        return LANGUAGE.evaluate(machine, node, scope)

    code = "if 1:\n    with open('x'):\n        name = 'crash'\nimport fast._c"
    question = asked(tmp_path, {"app.py": code}, {"other/_c.so": "", "other/__init__.py": ""})
    reach = find_reach(question, replace(LANGUAGE, evaluate=evaluate))
    assert fast(reach).reached is START and fast(reach).path[0].conditions == ()
    other = reach.of("other._c")
    assert other is not None and other.reached is UNSURE
    assert [(site.kind, site.line) for site in reach.open_sites] == [(OpenKind.ERROR, 3)]
    assert "could not be evaluated because of an error in ftaudit: app.py:3" in " ".join(reach_summary(reach))
