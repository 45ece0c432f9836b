"""FT407: Cython code allocates memory for the length of an object and fills it up to a length that it asks again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ftaudit.model import Confidence, Finding, Severity, Site
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CythonRule
from ftaudit.source.cython import CythonFunction, CythonUnit, LogicalLine
from ftaudit.source.shared_state import AccessKind

_ALLOCATES: Final = re.compile(
    r"\b(?:malloc|calloc|realloc|PyMem_(?:Raw)?(?:Malloc|Calloc|Realloc)|PyObject_(?:Malloc|Calloc))\b"
)
_LENGTH: Final = re.compile(r"\b(?:len|PyList_Size|PyList_GET_SIZE|PySequence_Size|PyObject_Size) \( (\w+) \)")
_FILLS: Final = re.compile(r"\bfor \w+ (?:in range \( |from 0 <= \w+ < )")


class CythonSizeAskedTwice(CythonRule):
    """If another thread appends to the list between the two calls of `len`, the loop writes past the end of the memory
    that was allocated for the first length."""

    info = RuleInfo(
        code="FT407",
        name="cython-size-asked-twice",
        summary="Cython code reads the length of an object to allocate memory, and reads it again afterwards.",
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Copy the object first (`cdef tuple items = tuple(a)`), read the length once, and keep it.",
        links=("https://cython.readthedocs.io/en/latest/src/userguide/freethreading.html#thread-safety",),
    )

    VALID = (
        SourceExample(
            code="def f(a):\n    cdef tuple items = tuple(a)\n    cdef Py_ssize_t i, n = len(items)\n"
            "    cdef int *p = <int *>malloc(n * sizeof(int))\n"
            "    for i in range(n):\n        p[i] = items[i]\n    free(p)\n",
            instead=True,
        ),
        SourceExample(
            code="def f(tuple a):\n    cdef int *p = <int *>malloc(len(a) * sizeof(int))\n"
            "    for i in range(len(a)):\n        p[i] = a[i]\n    free(p)\n"
        ),
        SourceExample(
            code="def f(list a):\n    with cython.critical_section(a):\n"
            "        p = <int *>malloc(len(a) * sizeof(int))\n"
            "        for i in range(len(a)):\n            p[i] = a[i]\n"
        ),
    )
    INVALID = (
        SourceExample(
            code="cpdef unsigned int total(object a) except 0:\n"
            "    cdef long *p = <long *>malloc(len(a) * sizeof(long))\n"
            "    for i in range(len(a)):\n        p[i] = hash(a[i])\n    return p[0]\n",
            lines=(3,),
        ),
        SourceExample(
            code="def f(list a):\n    cdef double *p = <double *>PyMem_Malloc(sizeof(double) * len(a))\n"
            "    for i in range(PyList_GET_SIZE(a)):\n        p[i] = a[i]\n",
            lines=(3,),
        ),
    )

    def check(self, unit: CythonUnit) -> Iterator[Finding]:
        """Yield the loops whose end is a length that was also asked for an allocation before."""
        if not _ALLOCATES.search(unit.text):
            return
        for function in unit.functions:
            fixed = _of_fixed_length(function)
            allocated: dict[str, LogicalLine] = {}
            for line in function.body:
                text = " ".join(line.words)
                if _ALLOCATES.search(text):
                    allocated.update((name, line) for name in _LENGTH.findall(text))
                elif allocated and _FILLS.match(text) and (asked := _LENGTH.search(text)) is not None:
                    first = allocated.pop(asked[1], None)
                    if first is None or asked[1] in fixed or unit.locked(line, function):
                        continue
                    yield self.finding(
                        f"the length of `{asked[1]}` is read again here, but the memory was allocated for the length "
                        f"from line {first.number}",
                        location=unit.location(line.number, line.tokens[0].column),
                        sites=tuple(
                            Site(
                                location=unit.location(each.number, each.tokens[0].column),
                                access=AccessKind.INDEX.value,
                                entry_point=function.name,
                            )
                            for each in (first, line)
                        ),
                    )


def _of_fixed_length(function: CythonFunction) -> frozenset[str]:
    """Return the names of a function that are declared as objects whose length never changes."""
    lines = (function.head, *function.body)
    return frozenset(
        after
        for line in lines
        for kind, after in zip(line.words, line.words[1:], strict=False)
        if kind in ("tuple", "bytes", "str", "unicode", "frozenset")
    )
