"""FT436: Rust code waits for another thread while its own thread is attached to the interpreter."""

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

_WAITS: Final = frozenset(
    {"block_on", "blocking_lock", "blocking_read", "blocking_write", "blocking_recv", "recv", "join"}
)
"""Methods that wait for other threads, without arguments but for the future that `block_on` gets."""
_RUNS_DETACHED: Final = re.compile(
    r"(?:^|[.:])(?:detach|allow_threads|(?:\w*_)?spawn\w*|future_into_py\w*|without_gil)$"
)
"""Functions whose closure does not run while this thread is attached."""
_TOKEN: Final = re.compile(r"\bPython\s*<|:\s*(?:[\w:]+::)?Python\b")
_GUARD: Final = re.compile(r"\.\s*(?:lock|write)\s*\(\s*\)")
_RETURNS_GUARD: Final = re.compile(
    r"\bfn\s+(\w+)\s*(?:<[^>]*>)?\s*\([^)]*\)\s*->[^{;]*\b(?:MutexGuard|RwLockWriteGuard)\b"
)
_MOST_SITES: Final = 20


class RustBlocksWhileAttached(RustRule):
    """The garbage collector and other stop-the-world pauses wait for every thread that is attached to the interpreter.
    While an attached thread waits for something else, all other threads stop too. If that work has to attach, or needs
    a lock that another waiting thread holds, the process deadlocks.

    The rule reports `block_on`, the `blocking_…` methods of Tokio, `recv()` and `join()` in functions that Python code
    calls, unless the wait is in a closure for `Python::detach` (`allow_threads` before PyO3 0.26). It also reports a
    lock that is held while `block_on` runs.
    """

    info = RuleInfo(
        code="FT436",
        name="rust-blocks-while-attached",
        summary="A function waits for another thread while it is attached to the interpreter.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Wait in `py.detach(|| …)` (`allow_threads` before PyO3 0.26), and take locks inside it.",
        links=("https://pyo3.rs/latest/parallelism.html", "https://pyo3.rs/latest/free-threading.html"),
    )
    VALID = (
        SourceExample(
            code="use pyo3::prelude::*;\n#[pyfunction]\nfn open(py: Python<'_>, path: &str) -> PyResult<File> {\n"
            "    py.detach(|| RUNTIME.block_on(File::open(path)))\n}\n",
            instead=True,
        ),
        SourceExample(
            code="use pyo3::prelude::*;\n#[pymethods]\nimpl Writer {\n"
            "    fn finish(&self, py: Python<'_>) -> PyResult<u64> {\n"
            "        RT.block_on(Some(py), async { self.inner.lock().await.finish().await })\n    }\n}\n"
        ),
        SourceExample(
            code='use pyo3::prelude::*;\n#[pyfunction]\nfn name(parts: Vec<String>) -> String { parts.join("/") }\n'
        ),
        SourceExample(code="fn run() { RUNTIME.block_on(work()) } // no Python in this crate\n"),
        SourceExample(
            code="use pyo3::prelude::*;\n#[pyfunction]\nfn start() {\n"
            "    std::thread::spawn(move || RUNTIME.block_on(work()));\n}\n"
        ),
    )
    INVALID = (
        SourceExample(
            code="use pyo3::prelude::*;\n#[pyfunction]\nfn open(path: &str) -> PyResult<File> {\n"
            "    RUNTIME.block_on(File::open(path))\n}\n",
            lines=(4,),
        ),
        SourceExample(
            code="use pyo3::prelude::*;\n#[pymethods]\nimpl Writer {\n    fn finish(&self) -> PyResult<u64> {\n"
            "        RT.block_on(None, self.inner.lock().unwrap().finish())\n    }\n}\n",
            lines=(5,),
        ),
        SourceExample(
            code="use pyo3::prelude::*;\n#[pymethods]\nimpl Worker {\n    fn stop(&mut self) {\n"
            "        self.stopped.store(true, Release);\n        self.handle.take().unwrap().join().ok();\n    }\n}\n",
            lines=(6,),
        ),
        SourceExample(
            code="use pyo3::prelude::*;\nfn next(py: Python<'_>, rows: &Receiver<Row>) -> Option<Row> {\n"
            "    rows.recv().ok()\n}\n",
            lines=(3,),
        ),
    )

    def check(self, unit: RustUnit) -> Iterator[Finding]:
        """Yield one finding for a file, at the first wait, with the others as its sites."""
        if "pyo3" not in unit.text and "Python<" not in unit.text:
            return
        helpers = [re.compile(rf"\.\s*{name}\s*\(") for name in _RETURNS_GUARD.findall(unit.text)]
        waits: list[tuple[Node, str, bool]] = []
        for call in unit.of("call_expression"):
            name = _method(unit, call)
            if name not in _WAITS or not _is_wait(name, call):
                continue
            guarded = name == "block_on" and _holds_guard(unit, call, helpers)
            function = _attached_function(unit, call, wrapper=_arguments(call) > 1 and not guarded)
            if function is not None and not unit.off_when_free_threaded(function):
                waits.append((call, unit.text_of(function.child_by_field_name("name")), guarded))
        if not waits:
            return
        first, function_name, guarded = next((wait for wait in waits if wait[2]), waits[0])
        what = "holds a lock while the future runs" if guarded else "waits while it is attached to the interpreter"
        more = f" and {len(waits) - 1} more in this file" if len(waits) > 1 else ""
        yield self.finding(
            f"`{function_name}` {what}: `{_method(unit, first)}`{more}",
            location=unit.at(_name_place(first)),
            sites=tuple(
                Site(location=unit.at(_name_place(call)), access=AccessKind.READ.value, entry_point=name)
                for call, name, _ in waits[:_MOST_SITES]
            ),
        )


def _method(unit: RustUnit, call: Node) -> str:
    function = call.child_by_field_name("function")
    if function is None or function.type != "field_expression":
        return ""
    return unit.text_of(function.child_by_field_name("field"))


def _name_place(call: Node) -> int:
    function = call.child_by_field_name("function")
    name = function.child_by_field_name("field") if function is not None else None
    return call.start_byte if name is None else name.start_byte


def _arguments(call: Node) -> int:
    arguments = call.child_by_field_name("arguments")
    return 0 if arguments is None else len(arguments.named_children)


def _is_wait(name: str, call: Node) -> bool:
    """Return whether a method of this name waits here: `parts.join("/")` does not, nor does `recv().await`."""
    if name == "block_on":
        return _arguments(call) >= 1
    return _arguments(call) == 0 and (call.parent is None or call.parent.type != "await_expression")


def _holds_guard(unit: RustUnit, call: Node, helpers: list[re.Pattern[str]]) -> bool:
    """Return whether an argument takes a lock outside of a block that the runtime runs."""
    arguments = call.child_by_field_name("arguments")
    for argument in arguments.named_children if arguments is not None else ():
        if argument.type in ("async_block", "closure_expression"):
            continue
        text = unit.text_of(argument)
        found = _GUARD.search(text) or next((one for one in (each.search(text) for each in helpers) if one), None)
        if found is not None and not text[found.end() :].lstrip(")? ").startswith(".await") and "async" not in text:
            return True
    return False


def _attached_function(unit: RustUnit, call: Node, *, wrapper: bool) -> Node | None:
    """Return the function around a call, if its thread is attached to the interpreter there."""
    if wrapper:
        return None
    above = call.parent
    while above is not None:
        if above.type == "async_block":
            return None
        if above.type == "call_expression" and _RUNS_DETACHED.search(
            "".join(unit.text_of(above.child_by_field_name("function")).split())
        ):
            return None
        if above.type == "function_item":
            return above if _is_attached(unit, above) else None
        above = above.parent
    return None


def _is_attached(unit: RustUnit, function: Node) -> bool:
    """Return whether Python code calls a function, or it gets the token of an attached thread."""
    if unit.text_of(function).lstrip().startswith(("async ", "pub async ")):
        return False
    if _TOKEN.search(unit.text_of(function.child_by_field_name("parameters"))):
        return True
    if any(each.path.rpartition("::")[2] == "pyfunction" for each in unit.attributes(function)):
        return True
    block = function.parent.parent if function.parent is not None else None
    if block is None or block.type != "impl_item":
        return False
    return any(each.path.rpartition("::")[2] == "pymethods" for each in unit.attributes(block))
