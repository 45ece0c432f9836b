"""FT377 on objects that Python code holds in capsules, in each way in which C code takes the pointer out."""

from __future__ import annotations

import pytest

from ftaudit.model import Severity
from ftaudit.source.run_rules import check_texts
from ftaudit.target import parse_target
from ftaudit_rules.c.unlocked_shared_state import UnlockedSharedState

MODULE = """\
#include <Python.h>
#define NAME "ctx"
DEFINITION
static PyObject *feed(PyObject *self, PyObject *args) {
    PyObject *capsule; int c;
    struct context *ctx;
    if (!PyArg_ParseTuple(args, "Oi", &capsule, &c)) return NULL;
    ctx = TAKES;
    BEGIN
    if (ctx->used == ctx->size) {
        ctx->buffer = realloc(ctx->buffer, ctx->size * 2);
        ctx->size *= 2;
    }
    ctx->buffer[ctx->used++] = (char)c;
    END
    Py_RETURN_NONE;
}
static PyObject *text(PyObject *self, PyObject *capsule) {
    struct context *ctx = (struct context *)PyCapsule_GetPointer(capsule, NAME);
    PyObject *made;
    BEGIN
    made = PyBytes_FromStringAndSize(ctx->buffer, ctx->used);
    END
    return made;
}
static PyMethodDef methods[] = {{"feed", feed, METH_VARARGS, NULL}, {"text", text, METH_O, NULL}, {0}};
"""
STRUCT = "struct context { char *buffer; size_t used; size_t size; };"
MACRO = "#define GET(o) ((struct context *) PyCapsule_GetPointer((o), NAME))"
FUNCTION = "static struct context *get(PyObject *o) { return PyCapsule_GetPointer(o, NAME); }"


def severities(definition: str, takes: str, begin: str = "", end: str = "") -> list[Severity]:
    text = MODULE.replace("DEFINITION", definition).replace("TAKES", takes)
    text = text.replace("BEGIN", begin).replace("END", end)
    checked = check_texts({"m.c": text}, (UnlockedSharedState(),), parse_target("3.14t"))
    assert not checked.skipped
    return [finding.severity for finding in checked.findings]


@pytest.mark.parametrize(
    ("definition", "takes"),
    [
        (STRUCT, "(struct context *) PyCapsule_GetPointer (capsule, NAME)"),
        (STRUCT, "PyCapsule_GetPointer(capsule, NAME)"),
        (f"{STRUCT}\n{MACRO}", "GET(capsule)"),
        (f"{STRUCT}\n{FUNCTION}", "get(capsule)"),
    ],
)
def test_the_object_in_a_capsule_is_shared_however_its_pointer_is_taken(definition: str, takes: str) -> None:
    assert severities(definition, takes) == [Severity.ERROR, Severity.INFO, Severity.INFO]


def test_a_critical_section_of_the_capsule_is_a_lock() -> None:
    found = severities(
        STRUCT,
        "PyCapsule_GetPointer(capsule, NAME)",
        "Py_BEGIN_CRITICAL_SECTION(capsule);",
        "Py_END_CRITICAL_SECTION();",
    )
    assert found == []


def test_a_library_that_gets_the_handle_in_a_capsule_may_do_its_own_locking() -> None:
    text = (
        "#include <Python.h>\nstruct binding { struct conn *native; };\n"
        "static PyObject *shut(PyObject *self, PyObject *capsule) {\n"
        "    struct binding *b = PyCapsule_GetPointer(capsule, NAME);\n"
        "    conn_close(b->native);\n    Py_RETURN_NONE;\n}\n"
        "static PyObject *is_open(PyObject *self, PyObject *capsule) {\n"
        "    struct binding *b = PyCapsule_GetPointer(capsule, NAME);\n"
        "    return PyBool_FromLong(conn_is_open(b->native));\n}\n"
        'static PyMethodDef methods[] = {{"shut", shut, METH_O, NULL}, {"is_open", is_open, METH_O, NULL}, {0}};\n'
    )
    checked = check_texts({"m.c": text}, (UnlockedSharedState(),), parse_target("3.14t"))
    assert (checked.findings, checked.skipped) == ((), ())


def test_what_one_consumer_takes_over_is_not_shared() -> None:
    takes = "(DLManagedTensor *) PyCapsule_GetPointer(capsule, NAME)"
    definition = "typedef struct DLManagedTensor { char *buffer; size_t used; size_t size; } DLManagedTensor;"
    text = MODULE.replace("struct context", "DLManagedTensor").replace("DEFINITION", definition)
    text = text.replace("TAKES", takes).replace("BEGIN", "").replace("END", "")
    checked = check_texts({"m.c": text}, (UnlockedSharedState(),), parse_target("3.14t"))
    assert (list(checked.findings), list(checked.skipped)) == ([], [])
