"""Examples and fixes of Cython rules are Cython: its compiler translates each of them; the fixes compile as C++."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from Cython.Compiler import Options
from Cython.Compiler.Main import CompilationOptions, compile
from support.freethreaded import interpreter_of

from ftaudit.model import Fix
from ftaudit.registry import load_rules
from ftaudit.rule import Language, SourceExample, SourceRule
from ftaudit.source.examples import example_path
from ftaudit.source.fixing.fixed_examples import fix_example
from ftaudit.source.fixing.offer import can_fix

_DECLARED = {
    r"\bcython\b": "cimport cython",
    r"\b(?:malloc|realloc|free)\b": "from libc.stdlib cimport malloc, realloc, free",
    r"\b(?:memset|memcpy)\b": "from libc.string cimport memset, memcpy",
    r"\buint8_t\b": "from libc.stdint cimport uint8_t",
    r"\barray\.array\b": "from cpython cimport array",
    r"\bprange\b": "from cython.parallel import prange",
    r"\bPyBuffer_FillInfo\b": "from cpython.buffer cimport PyBuffer_FillInfo",
    r"\bPyObject\b": "from cpython.ref cimport PyObject",
    r"\bPyDict_GetItem\b": "from cpython.ref cimport PyObject\n"
    "cdef extern from 'Python.h':\n    PyObject *PyDict_GetItem(object, object)",
    r"\bPyMem_(?:Malloc|Free)\b": "from cpython.mem cimport PyMem_Malloc, PyMem_Free",
    r"\bWriter \*": "cdef struct Writer:\n    char *buf",
}
"""The declarations of names that examples use without one."""


def _texts() -> Iterator[tuple[str, SourceExample, str, str]]:
    """Yield each example for Cython: its name, itself, its suffix and its text; also with the fixes of its rule."""
    for rule in load_rules().rules:
        if not isinstance(rule, SourceRule) or not rule.languages & {Language.CYTHON, Language.BUILD}:
            continue
        for kind, examples in (("VALID", rule.VALID), ("INVALID", rule.INVALID)):
            for number, example in enumerate(examples):
                suffix = Path(example_path(rule, example)).suffix
                if suffix != ".pyx" and (suffix != ".py" or Language.CYTHON not in rule.languages):
                    continue
                name = f"{rule.info.code}_{kind}_{number}"
                yield name, example, suffix, example.code
                if kind == "INVALID" and can_fix(rule):
                    text, _, offered = fix_example(rule, example)
                    if any(isinstance(fix, Fix) for fix in offered):
                        yield f"{name}_fixed", example, suffix, text


def _with_names(code: str, suffix: str) -> str:
    """Return an example with the declarations that it needs, after its directives."""
    if suffix == ".py":
        return code
    declared = "".join(f"{line}\n" for pattern, line in _DECLARED.items() if re.search(pattern, code))
    directives = re.match(r"(?:#[^\n]*\n)*", code)
    at = directives.end() if directives else 0
    return code[:at] + declared + code[at:]


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the C++ file of each example and of each fix."""
    folder = tmp_path_factory.mktemp("cython")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return _translate(folder, patch)


def _translate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    # Names of Python objects need no declaration: Cython looks them up when the line runs.
    monkeypatch.setattr(Options, "error_on_unknown_names", False)
    wrong: dict[str, str] = {}
    made: dict[str, Path] = {}
    for name, example, suffix, code in _texts():
        (tmp_path / name).mkdir()
        for path, text in example.others:
            (tmp_path / name / Path(path).name).write_text(text, encoding="utf-8")
        source = tmp_path / name / f"{name}{suffix}"
        source.write_text(_with_names(code, suffix), encoding="utf-8")
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            done = compile([str(source)], CompilationOptions(language_level=3, cplus=True))
        made[name] = source.with_suffix(".cpp")
        if done.num_errors:
            wrong[name] = said.getvalue()
    assert not wrong, "\n".join(wrong.values())
    return made


def test_the_examples_of_cython_rules_and_their_fixes_are_cython(translated: dict[str, Path]) -> None:
    assert len(translated) > 60
    assert any(name.endswith("_fixed") for name in translated)


@pytest.mark.interpreter
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_what_cython_makes_of_the_fixes_compiles(translated: dict[str, Path]) -> None:
    told = "import sysconfig; print(sysconfig.get_path('include'))"
    include = subprocess.run([interpreter_of("3.14t"), "-Ic", told], capture_output=True, text=True, check=True).stdout
    files = [str(path) for name, path in translated.items() if name.endswith("_fixed")]
    command = ["g++", "-fsyntax-only", "-w", "-DPy_GIL_DISABLED=1", "-I", include.strip(), *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
