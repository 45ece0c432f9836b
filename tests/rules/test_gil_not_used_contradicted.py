"""FT304: a declaration that a hazard in the same project contradicts."""

from __future__ import annotations

import pytest

from ftaudit.source.run_rules import check_texts
from ftaudit.target import parse_target
from ftaudit_rules.build.gil_not_used_contradicted import GilNotUsedContradicted
from ftaudit_rules.c.borrowed_weakref import BorrowedWeakref

HAZARD = "static void use(PyObject *r) { PyObject *o = PyWeakref_GetObject(r); if (o != Py_None) call(o); }\n"
DECLARES = "static PyModuleDef_Slot s[] = {{Py_mod_gil, Py_MOD_GIL_NOT_USED}, {0, NULL}};\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DECLARES, []),
        (HAZARD, []),
        (DECLARES + HAZARD, [1]),
    ],
)
def test_a_declaration_is_contradicted_by_an_error_that_remains(text: str, expected: list[int]) -> None:
    checked = check_texts({"m.c": text}, [BorrowedWeakref(), GilNotUsedContradicted()], parse_target("3.14t"))
    assert not checked.skipped
    assert [f.location.line for f in checked.findings if f.code == "FT304" and f.location] == expected
