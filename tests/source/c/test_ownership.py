"""Strong references in place of borrowed ones: released on every path, transferred once, or refused."""

# ruff: noqa: E501 - a function of C on one line

from __future__ import annotations

import pytest

from ftaudit.model import Applicability, Fix, NoFix, Obstacle
from ftaudit.registry import load_rules
from ftaudit.rule import SourceExample, SourceRule
from ftaudit.source.fixing.fixed_examples import fix_example

(RULE,) = (rule for rule in load_rules().rules if isinstance(rule, SourceRule) and rule.info.code == "FT311")
NEW = ("pyproject.toml", '[project]\nname = "x"\nrequires-python = ">=3.13"\n')


def fixed(
    body: str, *, returns: str = "PyObject *", others: tuple[tuple[str, str], ...] = (NEW,)
) -> tuple[str, object]:
    """Return the body of a function after the fix of its one finding, and the offered fix."""
    code = f"static {returns}f(Obj *self, PyObject *k)\n{{\n{body}}}\n"
    example = SourceExample(code=code, path="m.c", others=others)
    text, _, (offered,) = fix_example(RULE, example)
    return text.split("{\n", 1)[-1].removesuffix("}\n"), offered


CALL = "    PyObject *v;\n    (void)PyDict_GetItemRef(self->cache, k, &v);\n"
BORROWS = "    PyObject *v = PyDict_GetItemWithError(self->cache, k);\n"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        pytest.param(
            "    if (v == NULL) {\n        return NULL;\n    }\n    return PyObject_Str(v);\n",
            "    if (v == NULL) {\n        return NULL;\n    }\n    PyObject *result = PyObject_Str(v);\n    Py_DECREF(v);\n"
            "    return result;\n",
            id="an expression is worked out before the release",
        ),
        pytest.param(
            "    if (v == NULL)\n        return NULL;\n    if (PyObject_IsTrue(v))\n        return NULL;\n    Py_RETURN_NONE;\n",
            "    if (v == NULL)\n        return NULL;\n    if (PyObject_IsTrue(v))\n        { Py_DECREF(v); return NULL; }\n"
            "    Py_DECREF(v);\n    Py_RETURN_NONE;\n",
            id="a statement without braces gets them",
        ),
        pytest.param(
            "    if (v != NULL) {\n        Py_INCREF(v);\n        return v;\n    }\n    Py_RETURN_NONE;\n",
            "    if (v != NULL) {\n        return v;\n    }\n    Py_XDECREF(v);\n    Py_RETURN_NONE;\n",
            id="what is counted and returned is handed over",
        ),
        pytest.param(
            "    Py_XINCREF(v);\n    self->last = v;\n    return v;\n",
            "    self->last = v;\n    return v;\n",
            id="what is counted at once is the function's own from there on",
        ),
        pytest.param(
            "    if (!v) goto error;\n    if (PyObject_IsTrue(v) < 0) goto error;\n    Py_RETURN_NONE;\nerror:\n    return NULL;\n",
            "    if (!v) goto error;\n    if (PyObject_IsTrue(v) < 0) { Py_DECREF(v); goto error; }\n    Py_DECREF(v);\n"
            "    Py_RETURN_NONE;\nerror:\n    return NULL;\n",
            id="a jump to the end releases first",
        ),
    ],
)
def test_every_way_out_releases_the_reference_once(body: str, wanted: str) -> None:
    text, offered = fixed(BORROWS + body)
    assert isinstance(offered, Fix), offered
    assert text == CALL + wanted


@pytest.mark.parametrize(
    ("body", "obstacle"),
    [
        (BORROWS + "    return v;\n", Obstacle.RETURNED),
        (BORROWS + "    return v ? v : k;\n", Obstacle.RETURNED),
        (BORROWS + "    self->last = v;\n    Py_RETURN_NONE;\n", Obstacle.KEPT),
        (BORROWS + "    PyTuple_SET_ITEM(self->all, 0, v);\n    Py_RETURN_NONE;\n", Obstacle.KEPT),
        (BORROWS + "    v = k;\n    use(v);\n    Py_RETURN_NONE;\n", Obstacle.KEPT),
        (BORROWS + "    keep(&v);\n    Py_RETURN_NONE;\n", Obstacle.KEPT),
        (BORROWS + "    CHECK_OR_LEAVE(v);\n    Py_RETURN_NONE;\n", Obstacle.IN_MACRO),
        (BORROWS + "#if A\n    use(v);\n#endif\n    Py_RETURN_NONE;\n", Obstacle.CONDITIONAL),
        ("    use(PyDict_GetItemWithError(self->cache, k));\n    Py_RETURN_NONE;\n", Obstacle.IN_ARGUMENT),
        (
            "    PyObject *v;\n    if ((v = PyDict_GetItem(self->cache, k))) use(v);\n    return NULL;\n",
            Obstacle.IN_ARGUMENT,
        ),
        ("    return PyDict_GetItemWithError(self->cache, k);\n", Obstacle.RETURNED),
        (BORROWS + "    return PyTuple_GetItem(v, 1);\n", Obstacle.RETURNED),
        (BORROWS + "    PyObject *first = PyTuple_GET_ITEM(v, 0);\n    return first;\n", Obstacle.RETURNED),
        (BORROWS + "    self->name = PyUnicode_AsUTF8(v);\n    Py_RETURN_NONE;\n", Obstacle.KEPT),
        (BORROWS + '    PyArg_ParseTuple(v, "O", &self->last);\n    Py_RETURN_NONE;\n', Obstacle.KEPT),
        (
            "    PyObject *last = NULL;\n    for (;;) {\n    "
            + BORROWS
            + "        last = (PyObject *)PyTuple_GET_ITEM(v, 0);\n        break;\n    }\n    return PyObject_Str(last);\n",
            Obstacle.KEPT,
        ),
        (BORROWS + "again:\n    if (use(v)) goto again;\n    Py_RETURN_NONE;\n", Obstacle.KEPT),
    ],
)
def test_what_cannot_be_shown_from_the_function_is_refused_with_the_reason(body: str, obstacle: Obstacle) -> None:
    text, offered = fixed(body)
    assert offered == NoFix(obstacle=obstacle)
    assert text == body


def test_in_a_loop_each_turn_releases_and_so_does_each_way_out_of_it() -> None:
    body = (
        "    for (int i = 0; i < 3; i++) {\n        PyObject *v = PyDict_GetItemWithError(self->cache, k);\n"
        "        if (v == NULL) continue;\n        if (PyObject_IsTrue(v)) break;\n        for (;;) { break; }\n    }\n"
        "    Py_RETURN_NONE;\n"
    )
    text, offered = fixed(body)
    assert isinstance(offered, Fix)
    assert "if (v == NULL) continue;" in text
    assert "if (PyObject_IsTrue(v)) { Py_DECREF(v); break; }" in text
    assert "for (;;) { break; }\n        Py_DECREF(v);\n    }" in text


def test_a_value_that_goes_to_functions_of_the_project_is_only_suggested() -> None:
    _, known = fixed(BORROWS + "    if (v == NULL) return NULL;\n    return PyObject_Str(v);\n")
    _, unknown = fixed(BORROWS + "    if (v == NULL) return NULL;\n    own(v);\n    Py_RETURN_NONE;\n")
    assert isinstance(known, Fix) and known.applicability is Applicability.SAFE
    assert isinstance(unknown, Fix) and unknown.applicability is Applicability.SUGGESTED


def test_older_pythons_get_the_function_from_pythoncapi_compat_or_from_the_file_itself() -> None:
    body = "#include <Python.h>\n#include <string.h>\nstatic PyObject *f(Obj *self, PyObject *k)\n{\n" + BORROWS
    code = body + "    return Py_XNewRef(v);\n}\n"
    old = ("pyproject.toml", '[project]\nname = "x"\nrequires-python = ">=3.9"\n')
    alone, _, _ = fix_example(RULE, SourceExample(code=code, path="src/m.c", others=(old,)))
    assert "#include <string.h>\n\n#if PY_VERSION_HEX < 0x030D0000\nstatic inline int\nPyDict_GetItemRef(" in alone
    compat = ("vendor/pythoncapi_compat.h", "/* … */\n")
    there, _, _ = fix_example(RULE, SourceExample(code=code, path="src/m.c", others=(old, compat)))
    assert '#include <string.h>\n#include "../vendor/pythoncapi_compat.h"\n' in there
    new, _, _ = fix_example(RULE, SourceExample(code=code, path="src/m.c", others=(NEW,)))
    assert "PY_VERSION_HEX" not in new
