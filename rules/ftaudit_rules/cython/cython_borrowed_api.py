"""FT404: Cython code uses a C-API function that returns a borrowed reference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CythonRule
from ftaudit.source.cython import CythonFunction, CythonUnit, stores

_BORROWING: Final = {
    "PyDict_GetItem": "Use `PyDict_GetItemRef`.",
    "PyDict_GetItemWithError": "Use `PyDict_GetItemRef`.",
    "PyDict_GetItemString": "Use `PyDict_GetItemStringRef`.",
    "PyDict_SetDefault": "Use `PyDict_SetDefaultRef`.",
    "PyDict_Next": "Hold a critical section around the loop.",
    "PyList_GetItem": "Use `PyList_GetItemRef`.",
    "PyList_GET_ITEM": "Use `PyList_GetItemRef`.",
    "PySequence_Fast_GET_ITEM": "Copy the sequence with `PySequence_Tuple` first.",
    "PyWeakref_GetObject": "Use `PyWeakref_GetRef`.",
    "PyWeakref_GET_OBJECT": "Use `PyWeakref_GetRef`.",
}
_FRESH: Final = re.compile(
    r"^(?:\[|\{|<\w+>\s*\[|(?:list|dict|sorted|tuple)\s*\(|PyList_New|PyDict_New|PyDict_Copy|PySequence_(?:List|Tuple))"
)


class CythonBorrowedApi(CythonRule):
    """A borrowed reference is valid only as long as its container holds the object. Without the GIL another thread can
    remove the object before this thread takes its own reference. Cython's `d[k]` and `l[i]` are safe."""

    info = RuleInfo(
        code="FT404",
        name="cython-borrowed-api",
        summary="Cython code takes a borrowed reference from a container that other threads can change.",
        severity=Severity.WARNING,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Use Cython's subscripts (`d[k]`), or the function that returns a strong reference.",
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html#borrowed-references",),
        default=False,
    )

    VALID = (
        SourceExample(code="def f(dict d, k):\n    return d[k]\n", instead=True),
        SourceExample(code="def f(n):\n    cdef list out = [None] * n\n    return PyList_GET_ITEM(out, 0)\n"),
        SourceExample(
            code="def f(dict d, k):\n"
            "    with cython.critical_section(d):\n"
            "        return <object>PyDict_GetItem(d, k)\n"
        ),
        SourceExample(
            path="m.pxd", code="cdef extern from 'Python.h':\n    PyObject* PyDict_GetItem(object d, object k)\n"
        ),
    )
    INVALID = (
        SourceExample(code="def f(dict d, k):\n    cdef PyObject *v = PyDict_GetItem(d, k)\n", lines=(2,)),
        SourceExample(
            code="cdef class C:\n    def get(self, i):\n        return PyList_GET_ITEM(self.items, i)\n", lines=(3,)
        ),
        SourceExample(code="def f(ref):\n    return <object>PyWeakref_GetObject(ref)\n", lines=(2,)),
    )

    def check(self, unit: CythonUnit) -> Iterator[Finding]:
        """Yield each such call on a container that this function did not create."""
        for function in unit.functions:
            fresh = _fresh_names(function)
            for line in function.body:
                tokens = line.tokens
                for position, token in enumerate(tokens[:-2]):
                    if token.text not in _BORROWING or tokens[position + 1].text != "(":
                        continue
                    if tokens[position + 2].text in fresh or unit.locked(line, function):
                        continue
                    yield self.finding(
                        f"`{token.text}` returns a borrowed reference that another thread can invalidate",
                        remedy=_BORROWING[token.text],
                        location=unit.location(token.line, token.column),
                    )


def _fresh_names(function: CythonFunction) -> frozenset[str]:
    """Return the locals that hold a container that this function creates."""
    found: set[str] = set()
    for line in function.body:
        for target, operator in stores(line):
            if operator == "=" and target[-1].kind == "name" and "." not in [token.text for token in target]:
                at = line.tokens.index(target[-1])
                value = "".join(token.text for token in line.tokens[at + 2 : at + 8])
                if _FRESH.match(value):
                    found.add(target[-1].text)
    return frozenset(found)
