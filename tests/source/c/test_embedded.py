"""C inside other files: strings that Python passes to CFFI, and names with placeholders in templates."""

from __future__ import annotations

import pytest

from ftaudit.source.base import ParseError
from ftaudit.source.c.embedded import embedded_c
from ftaudit.source.run_rules import check_texts
from ftaudit.target import parse_target
from ftaudit_rules.c.mutable_global import MutableGlobal

COUNTER = "static int calls;\n\n\n\nint hit(void) { return ++calls; }\n"


def lines(path: str, text: str) -> list[int | None]:
    checked = check_texts({path: text}, [MutableGlobal()], parse_target("3.14t"))
    assert not checked.skipped
    return [finding.location.line for finding in checked.findings if finding.location is not None]


def test_only_what_is_compiled_is_c() -> None:
    text = 'import cffi\nffi.cdef("""int hit(void);""")\nNOTE = """' + COUNTER + '"""\nffi.set_source("m", None)\n'
    assert not embedded_c(text).strip()
    assert not lines("build_ffi.py", text)


def test_a_file_that_is_no_python_is_told() -> None:
    with pytest.raises(ParseError):
        embedded_c("def f(:\n")


def test_c_stands_where_it_stands_in_the_file() -> None:
    text = 'import cffi  # é\nffi.set_source("m", r"""' + COUNTER + '""", libraries=["z"])\n'
    shown = embedded_c(text)
    assert [len(line) for line in shown.split("\n")] == [len(line) for line in text.split("\n")]
    assert lines("build_ffi.py", text) == [2]


def test_a_name_may_hold_the_source() -> None:
    assert lines("b.py", 'from cffi import FFI\nSRC = """\n' + COUNTER + '"""\nFFI().set_source("m", SRC)\n') == [3]


@pytest.mark.parametrize("path", ["loops.c.src", "loops.c.in"])
def test_a_hole_is_part_of_a_name(path: str) -> None:
    assert lines(path, "static @t@ n_@t@;\n\n\n\nint hit_@t@(void) { return ++n_@t@; }\n") == [1]
