"""Examples and remedies of C rules are C: one compiler process for each version of the headers reads all of them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from support.freethreaded import interpreter_of

from ftaudit.model import Fix
from ftaudit.registry import load_rules
from ftaudit.rule import Language, SourceRule
from ftaudit.source.fixing.fixed_examples import fix_example
from ftaudit.source.fixing.offer import can_fix

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")

_HEADERS = "".join(
    f"#include <{name}.h>\n"
    for name in (
        *("Python", "locale", "setjmp", "signal", "stdbool", "stdatomic", "pthread", "threads", "time", "string"),
        *("stdlib", "stdio", "math", "unistd", "pwd", "grp", "netdb", "dirent", "wchar"),
    )
)
_FIXED = "fixed"
"""The end of the name of an example with every fix that its rule offers."""
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|//[^\n]*|/\*.*?\*/|\d\w*|[A-Za-z_]\w*', re.DOTALL)
_DEFINED = re.compile(r"(?:^|(?<=[;}] ))(?:[A-Za-z_][\w \t*]*[ \t*])?([A-Za-z_]\w*)[ \t]*(?:\(|=|;|\[)", re.MULTILINE)
_CPP = re.compile(r"\bstd::|\bauto\b|py::|nb::|namespace|class \w+ *\{|PYBIND11|NB_MODULE|BOOST|&\w+\)|new ")
_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        "auto break case char const continue default do double else enum extern float for goto if inline int long"
        " register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while"
        " bool true false NULL defined ifdef ifndef endif elif include define undef pragma error line thread_local",
    )
)
_NEED = {
    "FT302-VALID": "3.14t",
    "FT302-INVALID": "3.14t",
    "FT303-VALID-3": "3.14t",
    "FT303-INVALID-1": "3.15t",
    "FT303-INVALID": "3.14t",
    "FT330-INVALID-0": "",
    "FT357-INVALID-0": "",
    "FT330-INVALID": "host",
    "FT331-VALID-3": "",
    "FT713-INVALID-0": "",
    "FT716-VALID-1": "3.14t",
}
"""Examples, or all of a rule, that compile with these headers alone: declarations without a guard. Or with none: fields
that 3.14t lacks, a function that only 3.14 has."""
_OF_THE_USER = {"Py_LIMITED_API", "Py_TARGET_ABI3T"}
"""Macros that a project defines, and no header."""


def _examples() -> Iterator[tuple[str, str, str]]:
    """Yield each C example of a rule: its name, the target that it is about, its code."""
    for rule in load_rules().rules:
        if not isinstance(rule, SourceRule) or rule.languages != frozenset({Language.C, Language.CPP}):
            continue
        for kind, examples in (("VALID", rule.VALID), ("INVALID", rule.INVALID)):
            for number, example in enumerate(examples):
                path = example.path or "a.c"
                if path.endswith((".c", ".h")) and not _CPP.search(example.code):
                    texts = [text for other, text in example.others if other.endswith(".h")]
                    name = f"{rule.info.code}-{kind}-{number}"
                    yield name, example.target, "\n".join((*texts, example.code))
                    if kind == "INVALID" and can_fix(rule):
                        fixed, _, offered = fix_example(rule, example)
                        if any(isinstance(fix, Fix) for fix in offered):
                            yield f"{name}-{_FIXED}", example.target, "\n".join((*texts, fixed))


@cache
def _include(target: str) -> Path:
    """Return the folder of a version's headers: those of the interpreter that runs the tests, or of a target."""
    if target == "host":
        return Path(sysconfig.get_path("include"))
    command = [interpreter_of(target), "-Ic", "import sysconfig; print(sysconfig.get_path('include'))"]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


@cache
def _names(target: str) -> frozenset[str]:
    """Return every word of the headers, preprocessed, macros included."""
    command = ["gcc", "-E", "-dD", "-x", "c", "-I", str(_include(target)), "-"]
    done = subprocess.run(command, input=_HEADERS, capture_output=True, text=True, check=True)
    return frozenset(re.findall(r"[A-Za-z_]\w*", done.stdout))


def _renamed(name: str, code: str, known: frozenset[str]) -> str:
    """Return an example whose own names end with its name, so that all examples fit into one file."""
    tag = re.sub(r"\W", "_", name)
    own = {word for word in _DEFINED.findall(code) if not word.startswith(("Py", "_Py"))}

    def rename(found: re.Match[str]) -> str:
        word = found[0]
        if not (word[0].isalpha() or word[0] == "_") or word in _KEYWORDS:
            return word
        kept = word in known or word.startswith(("Py", "_Py", "METH_", "T_"))
        return word if kept and word not in own else f"{word}_{tag}"

    if re.search(r"\bObj\b", code) and not re.search(r"\}\s*Obj\b", code):
        # The name that examples use for a type whose fields do not matter.
        code = "typedef struct { PyObject_HEAD } Obj; " + code
    plain = re.sub(r"^\s*#\s*include\b.*$", "", code, flags=re.MULTILINE)
    macros = re.findall(r"^\s*#\s*define\s+(\w+)", plain, flags=re.MULTILINE)
    undefined = "".join(f"#undef {macro}_{tag}\n" for macro in macros)
    return f'#line 1 "{name}"\n{_TOKEN.sub(rename, plain)}\n{undefined}'


@pytest.mark.parametrize(
    "target", ["host", *(pytest.param(name, marks=pytest.mark.interpreter) for name in ("3.14t", "3.15t"))]
)
def test_the_examples_of_c_rules_compile(target: str, tmp_path: Path) -> None:
    known, newest = _names(target), target == "3.15t"
    chosen = [
        (name, code)
        for name, about, code in _examples()
        if _NEED.get(name, _NEED.get(name.rpartition("-")[0], target)) == target
        and (about == "3.15t") == newest
        and not (target == "host" and name.endswith(_FIXED))
    ]
    assert len(chosen) > (20 if newest else 100)
    assert target != "3.14t" or len([name for name, _ in chosen if name.endswith(_FIXED)]) >= 10
    source = tmp_path / "examples.c"
    source.write_text(_HEADERS + "".join(_renamed(name, code, known) for name, code in chosen), encoding="utf-8")
    command = ["gcc", "-fsyntax-only", "-w", "-std=gnu11", "-I", str(_include(target)), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "error:" in line]) == (0, [])


@pytest.mark.interpreter
def test_names_of_the_c_api_in_remedies_exist_and_newer_ones_come_with_their_version() -> None:
    new, old = _names("3.14t"), _names("host")
    wrong: list[str] = []
    for rule in load_rules().rules:
        if not isinstance(rule, SourceRule) or not rule.languages & {Language.C, Language.CPP} or rule.info.migration:
            continue
        remedy = rule.info.remedy
        dated = re.search(r"\b3\.1\d\b|#if|pythoncapi[-_]compat|Py_GIL_DISABLED", remedy) is not None
        for name in set(re.findall(r"\b_?Py[A-Z_]\w*[A-Za-z0-9]\b(?!_)", remedy)) - _OF_THE_USER:
            if name not in new and "3.15" not in remedy:
                wrong.append(f"{rule.info.code}: {name} is not a name of 3.14t")
            elif name in new and name not in old and not dated:
                wrong.append(f"{rule.info.code}: {name} is missing from older versions, and the remedy names none")
    assert wrong == []
