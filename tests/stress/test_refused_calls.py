"""What is learned from the messages of calls that raise."""

from __future__ import annotations

import pytest

from ftaudit.stress.child.arguments_to_try import arguments, options
from ftaudit.stress.child.error_messages import improved


@pytest.mark.parametrize(
    ("message", "count"),
    [
        ("f() takes exactly 2 arguments (1 given)", 2),
        ("function takes exactly one argument (0 given)", 1),
        ("f expected at least 3 arguments, got 1", 3),
        ("f() takes 2 positional arguments but 1 was given", 2),
        ("f() missing 2 required positional arguments: 'a' and 'b'", 2),
        ("f() takes exactly 900000 arguments (0 given)", 6),
    ],
)
def test_the_number_of_arguments_comes_from_the_message(message: str, count: int) -> None:
    found = improved(None, [message])
    assert found is not None and len(found) == count and all(each["required"] for each in found)


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("f() argument 1 must be str, not int", "str"),
        ("a bytes-like object is required, not 'list'", "bytes"),
        ("'int' object is not iterable", "Iterable"),
        ("argument 'x': 'int' object cannot be converted to 'PyString'", "str"),
        ("Argument 'x' has incorrect type (expected spam.Table, got int)", "spam.Table"),
        ("must be real number, not str", "float"),
        ("expected file", "IO"),
        ("dict expected, got 'int'", "dict"),
    ],
)
def test_the_type_of_an_argument_comes_from_the_message(message: str, wanted: str) -> None:
    signature = [{"name": "x", "required": True, "keyword": False, "annotation": ""}]
    found = improved(signature, [message])
    assert found is not None and found[0]["annotation"] == wanted
    assert improved(found, [message]) is None  # The same message says nothing new.


def test_pybind11_names_the_signatures_that_it_supports() -> None:
    message = "f(): incompatible function arguments. These are supported:\n    1. (a: int, b: str) -> None\n"
    found = improved(None, [message])
    assert found is not None and [each["name"] for each in found] == ["a", "b"]


def test_messages_without_a_meaning_change_nothing() -> None:
    assert improved(None, ["", "spam", "(" * 1000, "argument 99 must be"]) is None


def test_objects_of_the_package_come_first_where_a_parameter_has_their_type() -> None:
    signature = [{"name": "x", "required": True, "keyword": False, "annotation": "spam.Table | None"}]
    found = arguments(signature, [], {"spam.Table": "spam.Table(3)"}, dangerous=False)
    assert found[0] == "spam.Table(3)" and {'{"a": spam.Table(3)}', "[spam.Table(3)]"} <= set(found)
    only = [{"name": "key", "required": True, "keyword": True, "annotation": "Callable"}]
    assert arguments(only, [], {}, dangerous=False)[0].startswith("key=(lambda")
    assert [each.partition("=")[0] for each in options([{**only[0], "required": False}])] == ["key"]
