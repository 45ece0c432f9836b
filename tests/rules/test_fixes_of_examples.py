"""Every fix of every rule is applied to the rule's INVALID examples: the result is correct, and no longer flagged."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from support.freethreaded import interpreter_of

from ftaudit.model import Finding, Fix
from ftaudit.registry import load_rules
from ftaudit.rule import SourceExample, SourceRule
from ftaudit.source.examples import example_path
from ftaudit.source.fixing.fixed_examples import fix_example
from ftaudit.source.fixing.offer import can_fix
from ftaudit.source.run_rules import check_texts
from ftaudit.target import parse_target

RULES = [rule for rule in load_rules().rules if isinstance(rule, SourceRule)]
FIXERS = [rule for rule in RULES if can_fix(rule)]

UNFIXED = {"mod-gil-used", "raw-ffi-mod-gil"}
"""Rules that explain for each finding why it has no fix."""


def flagged(example: SourceExample, path: str, text: str) -> list[Finding]:
    """Return what all rules find in an example whose own file has another text."""
    files = {path: text, **dict(example.others)}
    checked = check_texts(files, RULES, parse_target(example.target))
    assert checked.skipped == ()
    return [finding for finding in checked.findings if finding.location is not None and finding.location.path == path]


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.info.name) for rule in FIXERS])
def test_what_a_fix_makes_of_an_example_is_flagged_no_more_and_for_nothing_new(rule: SourceRule) -> None:
    fixes = 0
    for example in rule.INVALID:
        path = example_path(rule, example)
        text, findings, offered = fix_example(rule, example)
        made = sum(isinstance(fix, Fix) for fix in offered)
        assert len(offered) == len(findings)
        assert (text == example.code) is (made == 0)
        if made:
            fixes += made
            was = Counter(finding.code for finding in flagged(example, path, example.code))
            now = Counter(finding.code for finding in flagged(example, path, text))
            assert now[rule.info.code] <= was[rule.info.code] - made, text
            # The place where a project declares is not a fault: that rule is off by default.
            assert not {code for code in now - was if code != "FT305"}, text
    assert fixes or rule.info.name in UNFIXED, "no INVALID example of the rule has a fix"


PRELUDE = """\
#include <Python.h>
typedef struct { PyObject ob_base; PyObject *cache; PyObject *loops; } Obj;
static PyTypeObject T;
void call(PyObject *);
void copy(PyObject *);
PyObject *use(PyObject *);
int mod_exec(PyObject *);
#define def definition_of_an_example
static struct PyModuleDef def;
#define JOIN(a, b) PyInit_example
"""
"""Names that the examples of C rules use without a declaration."""
COMPAT = """\
#if PY_VERSION_HEX < 0x030D0000
int PyDict_GetItemRef(PyObject *, PyObject *, PyObject **);
#endif
"""


def headers_of_this_python() -> str:
    return sysconfig.get_paths()["include"]


def headers_of_the_target() -> str:
    command = [interpreter_of("3.14t"), "-c", "import sysconfig; print(sysconfig.get_paths()['include'])"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler")
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(headers_of_this_python, id="this Python"),
        pytest.param(headers_of_the_target, id="3.14t", marks=pytest.mark.interpreter),
    ],
)
def test_what_the_fixes_make_of_c_examples_compiles(headers: Callable[[], str], tmp_path: Path) -> None:
    include = headers()
    if not (Path(include) / "Python.h").is_file():
        pytest.skip("no headers of this Python")
    prelude = tmp_path / "prelude.h"
    prelude.write_text(PRELUDE)
    gcc = ["gcc", f"-I{include}", "-Werror=incompatible-pointer-types", "-Werror=implicit-function-declaration"]
    wrong = {}
    made = 0
    for rule in FIXERS:
        for number, example in enumerate(rule.INVALID):
            path = example_path(rule, example)
            text, _, offered = fix_example(rule, example)
            if not path.endswith(".c") or not all(isinstance(fix, Fix) for fix in offered):
                continue
            if example.target != "3.14t":
                continue
            made += 1
            folder = tmp_path / f"{rule.info.code}_{number}"
            for name, other in (("pythoncapi_compat.h", COMPAT), *example.others):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(other)
            file = folder / "example.c"
            file.write_text(text)
            # An example that declares its own type does without that of the prelude.
            named = "#define Obj Obj_of_the_prelude\n" + PRELUDE + "#undef Obj\n"
            prelude.write_text(named if re.search(r"\}\s*Obj\s*;", text) else PRELUDE)
            command = [*gcc, "-include", str(prelude), "-fsyntax-only", str(file)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                wrong[folder.name] = done.stderr
    assert wrong == {}
    assert made >= 8
