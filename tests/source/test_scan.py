"""Scans of small trees, from the files on disk to the result."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from ftaudit.cache.result_file import ResultFile
from ftaudit.model import Confidence, Finding, Severity
from ftaudit.registry import load_rules
from ftaudit.rule import RuleInfo, SourceRule
from ftaudit.source.base import BuildRule, Project, PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.result_cache import open_results
from ftaudit.source.source_files import find_files
from ftaudit.source.tree_scan import ScanResult, scan
from ftaudit.target import parse_target
from ftaudit_rules.c.missing_mod_gil import MissingModGil

COUNTER = "_n = 0\ndef f():\n    global _n\n    _n += 1\n"


def info(code: str, name: str) -> RuleInfo:
    return RuleInfo(
        code=code,
        name=name,
        summary="A rule of the tests.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="None.",
    )


class Raises(PythonRule):
    """Fails on every file."""

    info = info("TST1", "raises")

    def check(self, module: PythonModule) -> Iterator[Finding]:
        raise ZeroDivisionError("on purpose")
        yield


class Exits(PythonRule):
    """Ends the process that runs it, as a crash in a native parser would."""

    info = info("TST2", "exits")

    def check(self, module: PythonModule) -> Iterator[Finding]:
        if "crash" in module.path:
            os._exit(42)
        yield self.finding("looked at", location=module.location(1))


class Counts(BuildRule):
    """Says how many findings it was shown."""

    info = info("TST3", "counts")

    def check(self, project: Project) -> Iterator[Finding]:
        yield self.finding(f"{len(project.findings)} findings")


class Names(BuildRule):
    """Says in which order it was shown the findings."""

    info = info("TST4", "names")

    def check(self, project: Project) -> Iterator[Finding]:
        yield self.finding(" ".join(str(finding.location) for finding in project.findings))


def rules(*names: str) -> tuple[SourceRule, ...]:
    found = tuple(rule for rule in load_rules().select(select=names) if isinstance(rule, SourceRule))
    assert found
    return found


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def look(
    folder: Path, chosen: Sequence[SourceRule] = (), *, jobs: int | None = 0, cache: ResultFile | None = None
) -> ScanResult:
    found = find_files([folder], trust_git=False, base=folder)
    every = [rule.info for rule in load_rules().rules]
    return scan(
        found,
        rules=chosen or rules("global-augassign"),
        target=parse_target("3.14t"),
        known=every,
        cache=cache,
        jobs=jobs,
    )


def places(result: ScanResult) -> list[str]:
    return [f"{finding.location} {finding.rule}" for finding in result.findings]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("broken.py", "def f(:\n", "does not parse"),
        ("latin.py", b"# \xe9\nx = 1\n", "not UTF-8"),
        ("null.py", "x = 1\0\n", "does not parse"),
        ("brackets.py", "(" * 10_000 + ")" * 10_000, "does not parse"),
        ("indent.py", "".join(" " * i + "if x:\n" for i in range(200)) + " " * 200 + "pass\n", "does not parse"),
    ],
)
def test_a_file_that_cannot_be_read_as_python_is_a_row_and_the_others_are_looked_at(
    tmp_path: Path, name: str, content: str | bytes, reason: str
) -> None:
    result = look(write(tmp_path, {name: content, "good.py": COUNTER}))
    assert places(result) == ["good.py:4 global-augassign"]
    assert [skip.path for skip in result.skipped] == [name]
    assert reason in result.skipped[0].reason
    assert result.exit_code(Severity.ERROR) == 3


def test_a_file_of_fifty_megabytes_is_a_row(tmp_path: Path) -> None:
    write(tmp_path, {"good.py": COUNTER})
    with (tmp_path / "big.py").open("wb") as file:
        file.truncate(50_000_000)
    result = look(tmp_path)
    assert [(skip.path, skip.reason) for skip in result.skipped] == [("big.py", "larger than 10 MB")]
    assert result.files == 2


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_in_a_circle_and_pipes_are_rows(tmp_path: Path) -> None:
    write(tmp_path, {"good.py": COUNTER})
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "a.py").symlink_to(tmp_path / "b.py")
    (tmp_path / "b.py").symlink_to(tmp_path / "a.py")
    (tmp_path / "same.py").symlink_to(tmp_path / "good.py")
    (tmp_path / "out.py").symlink_to(__file__)
    os.mkfifo(tmp_path / "pipe.py")
    result = look(tmp_path)
    assert places(result) == ["good.py:4 global-augassign"]
    rows = {Path(skip.path).name: skip.reason for skip in result.skipped}
    assert rows.keys() == {"a.py", "b.py", "out.py", "pipe.py"}
    assert "not followed" in rows["out.py"]
    assert rows["pipe.py"] == "not a regular file"
    assert result.files == 5


def test_a_file_that_vanishes_is_a_row(tmp_path: Path) -> None:
    write(tmp_path, {"good.py": COUNTER, "gone.py": COUNTER})
    found = find_files([tmp_path], trust_git=False, base=tmp_path)
    (tmp_path / "gone.py").unlink()
    result = scan(found, rules=rules("FT504"), target=parse_target("3.14t"), jobs=0)
    assert places(result) == ["good.py:4 global-augassign"]
    assert [skip.path for skip in result.skipped] == ["gone.py"]


def test_ten_thousand_terms_and_attributes_are_read_without_a_recursion_limit(tmp_path: Path) -> None:
    result = look(write(tmp_path, {"a.py": COUNTER + "x" + ".a" * 5_000 + "\n"}))
    assert places(result) == ["a.py:4 global-augassign"] or [skip.path for skip in result.skipped] == ["a.py"]


def test_syntax_newer_than_this_interpreter_does_not_make_a_file_invisible(tmp_path: Path) -> None:
    newer = (
        "_n = 0\n"
        "type Pair[T] = tuple[T, T]\n"
        "def f[T](a: T) -> str:\n"
        "    global _n\n"
        "    try:\n"
        "        g()\n"
        "    except* ValueError:\n"
        "        pass\n"
        '    text = f"""{\n'
        '        a["x"]\n'
        '    } {"y"}"""\n'
        "    _n += 1\n"
        '    return f"{text + "z"}"\n'
    )
    result = look(write(tmp_path, {"newer.py": newer}))
    assert places(result) == ["newer.py:12 global-augassign"]
    assert result.skipped == ()


def test_syntax_of_3_15_is_scanned_on_any_interpreter(tmp_path: Path) -> None:
    newer = (
        "lazy import json as j, os.path\n"
        "lazy from x.y import (\n"
        "    z as w,\n"
        ")\n"
        "try:\n"
        "    lazy from . import a; lazy import b\n"
        "except ImportError: pass\n"
        '__lazy_modules__ = ["numpy"]\n'
        "import numpy\n"
        "lazy = [*row for row in w]\n"
        "joined = {**each for each in w}\n"
        "_n = 0\n"
        "def f() -> None:\n"
        "    global _n\n"
        "    _n += 1\n"
    )
    result = look(write(tmp_path, {"newer.py": newer}))
    assert places(result) == ["newer.py:15 global-augassign"]
    assert result.skipped == ()


def test_a_rule_that_raises_is_a_row_with_its_place_and_the_other_rules_go_on(tmp_path: Path) -> None:
    result = look(write(tmp_path, {"a.py": COUNTER}), [Raises(), *rules("FT504")])
    assert places(result) == ["a.py:4 global-augassign"]
    (skip,) = result.skipped
    assert skip.path == "a.py"
    assert skip.reason.startswith("rule raises failed at test_scan.py:")
    assert "ZeroDivisionError: on purpose" in skip.reason


def test_a_crash_of_the_worker_process_is_a_row_and_the_other_files_are_looked_at(tmp_path: Path) -> None:
    files = {f"m{number}.py": "x = 1\n" for number in range(5)} | {"crash.py": "x = 1\n"}
    result = look(write(tmp_path, files), [Exits()], jobs=2)
    assert sorted(str(finding.location) for finding in result.findings) == [f"m{n}.py:1" for n in range(5)]
    assert [(skip.path, skip.reason) for skip in result.skipped] == [
        ("crash.py", "the process that read it ended with exit code 42")
    ]


def test_worker_processes_find_what_one_process_finds(tmp_path: Path) -> None:
    write(tmp_path, {f"m{number}.py": "\n" * number + COUNTER for number in range(30)})
    assert look(tmp_path, jobs=2).findings == look(tmp_path, jobs=0).findings != ()


def test_a_rule_of_the_whole_tree_sees_what_the_others_found(tmp_path: Path) -> None:
    result = look(write(tmp_path, {"a.py": COUNTER, "b.py": COUNTER}), [*rules("FT504"), Counts()])
    assert [finding.message for finding in result.findings if finding.rule == "counts"] == ["2 findings"]


def test_a_rule_of_the_whole_tree_sees_findings_by_their_place_whatever_file_was_done_first(tmp_path: Path) -> None:
    larger = COUNTER + "# later in the alphabet, and looked at first\n" * 100
    result = look(write(tmp_path, {"a.py": COUNTER, "b.py": larger}), [*rules("FT504"), Names()])
    assert [finding.message for finding in result.findings if finding.rule == "names"] == ["a.py:4 b.py:4"]


def test_an_unchanged_file_is_answered_from_the_cache_and_a_changed_one_is_not(tmp_path: Path) -> None:
    tree, cache = write(tmp_path / "tree", {"a.py": COUNTER, "b.py": "x = 1\n"}), open_results(tmp_path / "cache")
    first = look(tree, cache=cache)
    again = look(tree, cache=cache)
    assert (first.cached, again.cached) == (0, 2)
    assert again.findings == first.findings
    write(tree, {"b.py": COUNTER})
    changed = look(tree, cache=cache)
    assert changed.cached == 1
    assert places(changed) == ["a.py:4 global-augassign", "b.py:4 global-augassign"]


def test_a_damaged_cache_is_no_obstacle(tmp_path: Path) -> None:
    tree, cache = write(tmp_path / "tree", {"a.py": COUNTER}), open_results(tmp_path / "cache")
    look(tree, cache=cache)
    (database,) = (tmp_path / "cache" / "scan").glob("*.sqlite3")
    database.write_bytes(b"no database" * 100)
    assert places(look(tree, cache=cache)) == ["a.py:4 global-augassign"]
    assert look(tree, cache=cache).cached in (0, 1)


SWIG = """\
/* This file was automatically generated by SWIG (http://www.swig.org). */
#define SWIG_init    PyInit__m
static struct PyModuleDef SWIG_module = {PyModuleDef_HEAD_INIT, "_m", NULL, -1, NULL};
PyObject *
SWIG_init(void) {
  PyObject *m;
  m = PyModule_Create(&SWIG_module);
  return m;
}
"""


def test_tests_vendored_code_and_ignored_files_are_left_out_and_counted(tmp_path: Path) -> None:
    files = {
        ".gitignore": "build/\n*.gen.py\n",
        "pkg/a.py": COUNTER,
        "tests/test_a.py": COUNTER,
        "pkg/_vendor/lib.py": COUNTER,
        "build/x.py": COUNTER,
        "pkg/y.gen.py": COUNTER,
    }
    result = look(write(tmp_path, files))
    assert places(result) == ["pkg/a.py:4 global-augassign"]
    assert result.left_out == {"test": 1, "vendored": 1}


@pytest.mark.parametrize("git", [False, True])
def test_a_source_distribution_is_read_whole_whatever_git_ignores(tmp_path: Path, git: bool) -> None:
    files = {
        "PKG-INFO": "Metadata-Version: 2.2\nName: pkg\nVersion: 1.0\n",
        ".gitignore": "*_wrap.c\n",
        "pkg/.gitignore": "y.py\n",
        "pkg/y.py": COUNTER,
        "pkg/m_wrap.c": SWIG,
    }
    tree = write(tmp_path, files)
    if git:
        subprocess.run(["git", "init", "-q", "."], cwd=tree, check=True)
    found = find_files([tree], trust_git=git, base=tree)
    result = scan(found, rules=rules("FT504", "FT301"), target=parse_target("3.14t"), jobs=0)
    assert (places(result), result.skipped) == (["pkg/m_wrap.c:7 missing-mod-gil", "pkg/y.py:4 global-augassign"], ())


def test_what_builds_tools_and_others_wrote_is_recognized_without_gitignore(tmp_path: Path) -> None:
    files = {
        "setup.py": "",
        "pkg/a.py": COUNTER,
        "build/lib/pkg/a.py": COUNTER,
        "build/lib.linux-x86_64-cpython-314/pkg/a.py": COUNTER,
        "target/CACHEDIR.TAG": "Signature: 8a477f597d28d172789f06886806bc55",
        "target/package/b.py": COUNTER,
        "pkg/a_pb2.py": f"# Generated by the protocol buffer compiler.  DO NOT EDIT!\n{COUNTER}",
        "pkg/parsetab.py": f"# This file is automatically generated. Do not edit.\n_tabversion = '3.10'\n{COUNTER}",
        "pkg/versioneer.py": COUNTER,
        "pkg/matrix.m": "% a function of MATLAB\nfunction y = f(x)\n",
    }
    result = look(write(tmp_path, files))
    assert places(result) == ["pkg/a.py:4 global-augassign"]
    assert (result.left_out, result.skipped) == ({"built": 2, "vendored": 1}, ())


def test_scripts_of_the_developers_and_copies_of_other_projects_are_recognized(tmp_path: Path) -> None:
    counter = "static int n;\nint f(void) { return ++n; }\n"
    files = {
        "pyproject.toml": "",
        "LICENSE": "",
        "pkg/__init__.py": "",
        "pkg/a.py": COUNTER,
        "pkg/tasks/__init__.py": "",
        "pkg/tasks/b.py": COUNTER,
        "tools/release.py": COUNTER,
        "packaging/pep517_backend/__init__.py": "",
        "packaging/pep517_backend/_compat.py": COUNTER,
        "pkg/_setup.py": f"from setuptools import setup\n{COUNTER}",
        "src/own.c": counter,
        "src/zlib/LICENSE": "",
        "src/zlib/deep/inflate.c": counter,
        "python/LICENSE": "",
        "python/setup.py": "",
        "python/ext/own.c": counter,
    }
    found = find_files([write(tmp_path, files)], trust_git=False, base=tmp_path)
    result = scan(found, rules=rules("FT504", "FT321"), target=parse_target("3.14t"), jobs=0)
    assert places(result) == [
        "pkg/a.py:4 global-augassign",
        "pkg/tasks/b.py:4 global-augassign",
        "python/ext/own.c:1 mutable-global",
        "src/own.c:1 mutable-global",
    ]
    assert result.left_out == {"script": 4, "vendored": 1}


def test_c_in_objective_c_is_read(tmp_path: Path) -> None:
    text = """#import <Foundation/Foundation.h>
#include <Python.h>
@implementation Thing
- (void)run { if (x) { [self stop]; } }
@end
static PyObject *cache;
static PyObject *get(PyObject *self, PyObject *key) {
    if (!cache) cache = PyDict_New();
    return Py_NewRef(cache);
}
"""
    result = scan(
        find_files([write(tmp_path, {"a.m": text})], trust_git=False, base=tmp_path),
        rules=rules("FT320"),
        target=parse_target("3.14t"),
        jobs=0,
    )
    assert places(result) == ["a.m:6 static-pyobject-cache"]


def test_a_named_file_is_looked_at_whatever_its_role(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": "", "tests/test_a.py": COUNTER, "pkg/b.py": COUNTER})
    found = find_files([tmp_path / "tests" / "test_a.py"], trust_git=False, base=tmp_path)
    result = scan(found, rules=rules("FT504"), target=parse_target("3.14t"), jobs=0)
    assert places(result) == ["tests/test_a.py:4 global-augassign"]


def test_every_named_file_is_looked_at_and_none_becomes_context_of_the_next(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": "", "a.py": COUNTER, "b.py": COUNTER, "c.py": COUNTER})
    for names in (("a.py", "b.py"), ("b.py", "a.py"), ("a.py", "a.py", "b.py")):
        found = find_files([tmp_path / name for name in names], trust_git=False, base=tmp_path)
        result = scan(found, rules=rules("FT504"), target=parse_target("3.14t"), jobs=0)
        assert places(result) == ["a.py:4 global-augassign", "b.py:4 global-augassign"]


def test_a_module_without_an_entry_point_that_is_recognized_is_not_called_clean(tmp_path: Path) -> None:
    (tmp_path / "m.c").write_text("#include <Python.h>\nSTART(m) { return PyModule_Create(&def); }\n")
    result = scan(find_files([tmp_path]), rules=(MissingModGil(),), target=parse_target("3.14t"), jobs=0)
    assert result.exit_code(Severity.ERROR) == 3
    assert [(row.line, "could not be determined" in row.reason) for row in result.skipped] == [(2, True)]
