"""What runs when a module is imported, as Python does it: each program was compared with a run under CPython 3.14t."""

from __future__ import annotations

from pathlib import Path

import pytest
from reach.test_reach import IF, NONE, RUN, START, UNSURE, ask, fast
from support.command import ftaudit

from ftaudit.model.reachability import ReachClass, StartPoint

C = "import fast._c"
OPERATORS = {
    "__add__(self, o)": "A() + 1",
    "__radd__(self, o)": "1 + A()",
    "__eq__(self, o)": "A() == 1",
    "__bool__(self)": "if A(): pass",
    "__contains__(self, o)": "1 in A()",
    "__iter__(self)": "for x in A(): pass",
    "__setitem__(self, k, v)": "A()[1] = 2",
    "__setattr__(self, k, v)": "A().x = 2",
    "__format__(self, s)": "f'{A()}'",
    "__hash__(self)": "{A(): 1}",
    "__post_init__(self)": "A()",
}


@pytest.mark.parametrize(("method", "use"), OPERATORS.items())
def test_operators_may_call_the_special_methods_of_objects(method: str, use: str, tmp_path: Path) -> None:
    code = f"class A:\n    def {method}:\n        {C}\n"
    assert fast(ask(tmp_path, {"app.py": f"{code}{use}\n"})).reached is IF
    assert fast(ask(tmp_path / "unused", {"app.py": code})).reached is RUN


@pytest.mark.parametrize(
    ("code", "reached"),
    [
        (f"def g():\n    {C}\n    yield 1\ng()", RUN),
        (f"def g():\n    {C}\n    yield 1\nfor x in g(): pass", START),
        (f"def g():\n    {C}\n    yield 1\na, = g()", START),
        (f"def g():\n    {C}\n    yield 1\n''.join(g())", START),
        (f"def g():\n    {C}\n    yield 1\nnext(g())", IF),
        (f"def g():\n    yield 1\n    {C}\nnext(g())", IF),
        ("(__import__('fast._c') for i in [1])", NONE),
        ("list(__import__('fast._c') for i in [1])", START),
        (f"def f(x):\n    {C}\nmap(f, [1])", RUN),
        (f"def f(x):\n    {C}\nlist(map(f, [1]))", START),
        (f"def f(x):\n    {C}\nsorted([1], key=f)", IF),
        (f"import asyncio\nasync def f():\n    {C}\nasyncio.run(f())", START),
        (f"import asyncio\nasync def f():\n    {C}\nasync def g():\n    await f()\nasyncio.run(g())", START),
        (
            f"import asyncio\nasync def f():\n    {C}\nasync def g():\n    asyncio.create_task(f())\nasyncio.run(g())",
            IF,
        ),
        (f"import asyncio\nasync def f():\n    {C}\nasync def g():\n    f()\nasyncio.run(g())", RUN),
        (
            f"import asyncio\nasync def f():\n    {C}\n    yield\nasync def g():\n    async for x in f(): pass\n"
            "asyncio.run(g())",
            START,
        ),
        (f"import threading\ndef f():\n    {C}\nthreading.Thread(target=f).start()", IF),
        (f"import threading\nclass T(threading.Thread):\n    def run(self):\n        {C}\nT().start()", IF),
        (f"def M(n, b, d):\n    {C}\nclass A(metaclass=M): pass", START),
        (f"class M(type):\n    def __iter__(c):\n        {C}\nclass A(metaclass=M): pass\nfor x in A: pass", IF),
        (f"class A:\n    def __class_getitem__(c, k):\n        {C}\nA[int]", START),
        (
            f"class A:\n    @property\n    def x(s): pass\n    @x.setter\n    def x(s, v):\n        {C}\nA().x = 1",
            IF,
        ),
        (f"class D:\n    def __set__(self, o, v):\n        {C}\nclass A:\n    x = D()\nA().x = 1", IF),
        (f"class E(Exception):\n    def __init__(self):\n        {C}\ntry:\n    raise E\nexcept E: pass", START),
        (f"class E(ImportError): pass\ntry:\n    raise E\nexcept ImportError:\n    {C}", START),
        (f"try:\n    raise KeyError\nexcept LookupError:\n    {C}", START),
        ("assert 0, __import__('fast._c')", IF),
        ("def d(f): return f\n@d\ndef f(x: __import__('fast._c')): pass", IF),
        ("from __future__ import annotations\ndef d(f): return f\n@d\ndef f(x: __import__('fast._c')): pass", NONE),
        (f"import json\nif getattr(json, 'x', None) is None:\n    {C}", IF),
        ("import importlib\nclass A:\n    f = staticmethod(importlib.import_module)\nA.f('fast._c')", START),
        ("import importlib.util as u\nu.module_from_spec(u.find_spec('fast._c'))", START),
        (f"import sys\nsys.modules['json'] = None\ntry:\n    import json\nexcept ImportError:\n    {C}", START),
    ],
)
@pytest.mark.parametrize("own", [True, False])
def test_code_runs_when_python_runs_it(code: str, reached: ReachClass, own: bool, tmp_path: Path) -> None:
    files = {"app.py": code} if own else {"app.py": "import lib"}
    assert fast(ask(tmp_path, files, {"lib.py": code})).reached is reached


def test_annotations_run_where_they_are_defined_before_3_14(tmp_path: Path) -> None:
    code = "def f(x: __import__('fast._c')): pass"
    assert fast(ask(tmp_path, {"app.py": code})).reached is NONE
    (tmp_path / "site" / "fast" / "_c.abi3.so").write_text("")
    assert fast(ask(tmp_path, {"app.py": code}, version=(3, 12))).reached is START


@pytest.mark.parametrize(
    "code",
    [
        "import pickle\npickle.loads(b'')",
        "import builtins\nbuiltins.__import__ = print",
        "from importlib.machinery import SourceFileLoader\nSourceFileLoader('a', 'b').load_module()",
        "from importlib.util import spec_from_file_location\nspec_from_file_location('a', 'b')",
        "import sys\nsys.path.append('x')\nimport elsewhere",
    ],
)
def test_other_ways_to_import_in_packages_are_open_sites(code: str, tmp_path: Path) -> None:
    answer = ask(tmp_path, {"app.py": "import lib"}, {"lib.py": code})
    assert [site.file for site in answer.open_sites] == ["lib.py"] and fast(answer).reached in (NONE, UNSURE)


def test_a_circular_import_may_lack_a_name(tmp_path: Path) -> None:
    lib = {"a.py": "import b\nX = 1", "b.py": f"try:\n    from a import X\nexcept ImportError:\n    {C}"}
    assert fast(ask(tmp_path, {"app.py": "import a"}, lib)).reached is IF


def test_an_import_of_the_program_by_its_name_runs_it_again(tmp_path: Path) -> None:
    own = {"app.py": f"import near\nif __name__ != '__main__':\n    {C}", "near.py": "import app"}
    starts = (StartPoint(module="app", is_main=True, text="app.py"),)
    assert fast(ask(tmp_path, own, starts=starts)).reached is START


@pytest.mark.parametrize("name", ["sitecustomize.py", "a.pth"])
def test_what_python_runs_when_it_starts_is_loaded_at_start(name: str, tmp_path: Path) -> None:
    found = fast(ask(tmp_path, {"app.py": ""}, {name: f"# a comment\n{C}\n"}))
    assert found.reached is START and [f"{step.site.file}:{step.site.line}" for step in found.path] == [f"{name}:2"]


@pytest.mark.parametrize("name", ["a.pth", "a-nspkg.pth"])
def test_a_namespace_package_that_a_path_file_makes_is_found(name: str, tmp_path: Path) -> None:
    line = "import sys, types; sys.modules.setdefault('ns', types.ModuleType('ns'))\n"
    found = fast(ask(tmp_path, {"app.py": "import ns.a"}, {name: line, "ns/a.py": C}))
    assert found.reached is START


@pytest.mark.parametrize("text", ["a" * 2000, f"app:{'a' * 2000}", "a" * 2000 + ".py", f"a/{'b' * 2000}"])
def test_a_start_point_of_absurd_length_is_a_usage_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("attrs==25.1.0\n")
    ran = ftaudit("check", "requirements.txt", "--offline", "--reach", text, cwd=tmp_path)
    assert ran.returncode == 2 and f"--reach {text[:200]}…: " in ran.stderr and len(ran.stderr) < 500


def test_links_to_folders_are_followed_and_those_that_lead_back_are_not(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "__init__.py").write_text(C)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "linked").symlink_to(elsewhere)
    (tmp_path / "src" / "round").symlink_to(tmp_path / "src")
    (elsewhere / "back").symlink_to(elsewhere)
    assert fast(ask(tmp_path, {"app.py": "import linked"})).reached is START
