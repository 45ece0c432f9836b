"""FT432: a Python method takes `&mut self`, and a second thread that calls it gets an exception."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ftaudit.model import Confidence, Finding, Severity, Site
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import RustRule
from ftaudit.source.rust import RustUnit
from ftaudit.source.shared_state import AccessKind

if TYPE_CHECKING:
    from tree_sitter import Node

_PRIVATE: Final = frozenset(
    {
        "__new__",
        "new",
        "__init__",
        "__traverse__",
        "__clear__",
        "__next__",
        "__iter__",
        "__enter__",
        "__exit__",
        "__setstate__",
    }
)


class PyclassMutMethod(RustRule):
    """PyO3 checks borrows at run time: while one thread is in a `&mut self` method, a call from any other thread raises
    `Already borrowed`. Under the GIL this was rare, because only one thread ran at a time. Memory is not
    corrupted, but programs get exceptions that never occurred before.

    By default, the rule reports classes that threads are meant to share: their names say so (a cache, a pool, a
    client, a store), their fields are already behind `Arc`, locks or atomics, or methods that only read take
    `&mut self`. It reports other classes with `--pedantic`.
    """

    info = RuleInfo(
        code="FT432",
        name="pyclass-mut-method",
        summary="A method with `&mut self` raises `Already borrowed` if two threads use the object at the same time.",
        severity=Severity.INFO,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Make the class `frozen`, and keep the fields that change in a `Mutex` or in atomics.",
        links=("https://pyo3.rs/latest/free-threading.html",),
    )

    summarized = True
    VALID = (
        SourceExample(
            code="#[pyclass(frozen)]\nstruct Store { inner: Arc<RwLock<Rows>> }\n#[pymethods]\nimpl Store {\n"
            "    fn add(&self, row: u32) { self.inner.write().unwrap().push(row); }\n"
            "    fn size(&self) -> usize { self.inner.read().unwrap().len() }\n}\n",
            instead=True,
        ),
        SourceExample(code="#[pymethods]\nimpl Counter {\n    fn get(&self) -> u32 { self.n.load(Relaxed) }\n}\n"),
        SourceExample(code="impl Counter {\n    fn add(&mut self) { self.n += 1; }\n}\n"),
    )
    INVALID = (
        SourceExample(
            code="#[pyclass]\nstruct Rows { inner: Arc<RwLock<Vec<u32>>> }\n#[pymethods]\nimpl Rows {\n"
            "    fn add(&mut self, row: u32) { self.inner.write().unwrap().push(row); }\n"
            "    fn size(&self) -> usize { self.inner.read().unwrap().len() }\n}\n",
            lines=(5,),
        ),
        SourceExample(code="#[pymethods]\nimpl Counter {\n    fn add(&mut self) { self.n += 1; }\n}\n", lines=(3,)),
        SourceExample(
            code="#[pymethods]\nimpl Counter {\n    fn get(&self) -> u32 { self.n }\n"
            "    fn add(&mut self) { self.n += 1; }\n"
            "    fn sub(&mut self) { self.n -= 1; }\n}\n",
            lines=(4,),
        ),
    )

    def check(self, unit: RustUnit) -> Iterator[Finding]:
        """Yield one finding for each `#[pymethods]` block of a class, at the first method that takes `&mut self`."""
        for block in unit.of("impl_item"):
            if not any(each.path.rpartition("::")[2] == "pymethods" for each in unit.attributes(block)):
                continue
            body = block.child_by_field_name("body")
            methods = [
                node for node in (body.named_children if body is not None else ()) if node.type == "function_item"
            ]
            borrowing = [method for method in methods if _borrows(unit, method)]
            exclusive = [
                method
                for method in borrowing
                if "mut" in _receiver(unit, method) and not unit.off_when_free_threaded(method)
            ]
            if not exclusive:
                continue
            owner = unit.text_of(block.child_by_field_name("type"))
            names = [unit.text_of(method.child_by_field_name("name")) for method in exclusive]
            listed = ", ".join(names[:_MOST_NAMES]) + (
                f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
            )
            alone = (
                len(borrowing) == 1
                or _OF_ONE.search(owner) is not None
                or not (any(_READS.match(name) for name in names) or _is_shared(unit, owner))
            )
            yield self.finding(
                f"{listed} of `{owner}` borrows the object mutably: meanwhile a call from another thread raises an "
                "exception",
                location=unit.at(exclusive[0].start_byte),
                severity=Severity.PEDANTIC if alone else None,
                sites=tuple(
                    Site(
                        location=unit.at(method.start_byte),
                        access=AccessKind.WRITE.value,
                        entry_point=unit.text_of(method.child_by_field_name("name")),
                    )
                    for method in exclusive[:_MOST_SITES]
                ),
                interleaving=(
                    f"Thread 1 runs `{names[0]}`.",
                    f"Thread 2 calls a method of the same `{owner}`, which raises `RuntimeError: Already borrowed`.",
                ),
            )


_MOST_NAMES: Final = 4
_MOST_SITES: Final = 20
_OF_ONE: Final = re.compile(r"(?i)iter|builder|cursor|reader|writer|parser|stream|encoder|decoder|guard")
"""Names of classes whose objects belong to one thread."""


_SHARED: Final = re.compile(
    r"(?i)cache|pool|client|connection|stor(?:e|age)|regist|database|manager|counter|shared|engine|catalog|table|config|schema"
)
"""Names of classes whose objects threads share."""
_READS: Final = re.compile(
    r"(?:py_)?(?:get|is|has|len|contains|find|to|as|items|keys|values)(?:_|$)|__(?:repr|str|len|getitem|contains|eq)__$"
)
"""Names of methods that only read: two readers do not expect to exclude each other."""
_SYNCHRONISED: Final = re.compile(r"\b(?:Arc|Mutex|RwLock|\w*OnceLock|Atomic\w+|DashMap|ArcSwap\w*|Sender|watch)\b")


def _is_shared(unit: RustUnit, owner: str) -> bool:
    """Return whether threads are meant to share a class: by its name, or because its fields can be shared."""
    name = owner.partition("<")[0].rpartition("::")[2]
    if _SHARED.search(name):
        return True
    for struct in unit.of("struct_item"):
        if unit.text_of(struct.child_by_field_name("name")) == name:
            return _SYNCHRONISED.search(unit.text_of(struct.child_by_field_name("body"))) is not None
    return False


def _receiver(unit: RustUnit, method: Node) -> str:
    """Return `&self` or `&mut self` in its original spelling; empty for any other receiver."""
    parameters = method.child_by_field_name("parameters")
    first = parameters.named_children[0] if parameters is not None and parameters.named_children else None
    text = unit.text_of(first) if first is not None and first.type == "self_parameter" else ""
    return text if "&" in text else ""


def _borrows(unit: RustUnit, method: Node) -> bool:
    """Return whether other threads can borrow the object at the same time: no constructor, setter or iteration."""
    name = unit.text_of(method.child_by_field_name("name"))
    if name in _PRIVATE or not _receiver(unit, method):
        return False
    return not any(each.path.rpartition("::")[2] == "setter" for each in unit.attributes(method))
