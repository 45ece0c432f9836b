"""FT432: a Python method takes `&mut self`, and a second thread in it gets an exception."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import RustRule
from ftaudit.source.rust import RustUnit

_PRIVATE: Final = frozenset({"__new__", "new", "__traverse__", "__clear__"})


class PyclassMutMethod(RustRule):
    """PyO3 checks borrows at run time: while one thread is in a `&mut self` method, any other gets `Already borrowed`.

    The GIL hid that, because one thread ran at a time. Nothing is corrupted, but programs see exceptions that they
    never saw before.
    """

    info = RuleInfo(
        code="FT432",
        name="pyclass-mut-method",
        summary="A method with &mut self raises `Already borrowed` when two threads call it at once.",
        severity=Severity.INFO,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Make the class frozen, and put what changes into a Mutex or atomics.",
        links=("https://pyo3.rs/latest/free-threading.html",),
        default=False,
    )

    VALID = (
        SourceExample(code="#[pymethods]\nimpl Counter {\n    fn get(&self) -> u32 { self.n.load(Relaxed) }\n}\n"),
        SourceExample(code="impl Counter {\n    fn add(&mut self) { self.n += 1; }\n}\n"),
    )
    INVALID = (
        SourceExample(code="#[pymethods]\nimpl Counter {\n    fn add(&mut self) { self.n += 1; }\n}\n", lines=(3,)),
    )

    def check(self, unit: RustUnit) -> Iterator[Finding]:
        """Yield each method of a `#[pymethods]` block that takes `&mut self`."""
        for block in unit.of("impl_item"):
            if not any(each.path.rpartition("::")[2] == "pymethods" for each in unit.attributes(block)):
                continue
            body = block.child_by_field_name("body")
            for method in body.named_children if body is not None else ():
                if method.type != "function_item":
                    continue
                name = unit.text_of(method.child_by_field_name("name"))
                parameters = method.child_by_field_name("parameters")
                first = parameters.named_children[0] if parameters is not None and parameters.named_children else None
                if first is None or first.type != "self_parameter" or name in _PRIVATE:
                    continue
                text = unit.text_of(first)
                if "mut" in text.split("self")[0] and "&" in text and not unit.off_when_free_threaded(method):
                    yield self.finding(
                        f"{name} borrows the object mutably: a second thread that calls it gets an exception.",
                        location=unit.at(method.start_byte),
                    )
