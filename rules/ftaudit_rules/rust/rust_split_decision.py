"""FT434: Rust code tests a value under a lock, releases the lock, and acts on the result under the lock again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import RustRule
from ftaudit.source.rust import RustUnit

if TYPE_CHECKING:
    from tree_sitter import Node

_EXTENSION: Final = re.compile(r"\bpyo3|\bPyObject\b|\bpyo3_ffi\b|PyMethodDef|PyModuleDef")
_TAKES: Final = re.compile(
    r"((?:self|Self|[A-Z_][A-Z0-9_]*)(?:\s*\.\s*\w+)*?)\s*\.\s*"
    r"(lock|read|write|load|store|contains_key|get|insert|set|contains|set_item)\s*\("
)
_DICTIONARY: Final = re.compile(r"\b(\w+)\s*:\s*(?:&\s*)?(?:\w+\s*<\s*'_\s*,\s*)?[\w:]*\bPyDict\b")
"""A parameter that is a dictionary of Python: the caller still has it."""
_OF_PARAMETER: Final = r"\b({names})\s*\.\s*(contains|set_item|get_item)\s*\("
_ASKS: Final = frozenset({"lock", "read", "load", "contains_key", "contains", "get"})
_ACTS: Final = {
    "lock": "lock",
    "read": "write",
    "load": "store",
    "contains_key": "insert",
    "contains": "set_item",
    "get": "set",
}
"""The call that acts on the result of each: `read()` and then `write()`, `load()` and then `store()`."""
_KEPT_GUARD: Final = re.compile(r"\blet\s+(?:mut\s+)?\w+\s*=\s*[\w.:]+\s*\.\s*(?:lock|write)\s*\(\s*\)[^;]*;")
_STORES: Final = frozenset({"store", "insert", "set", "set_item"})
_CHANGES: Final = re.compile(
    r"[^;]*?\)\s*(?:\?|\.\s*(?:unwrap|expect|await)\s*(?:\([^()]*\))?)*\s*(?:=(?!=)|\.\s*(?:insert|push|replace|remove|clear"
    r"|extend|take|append|entry|get_or_insert\w*)\s*\()"
)


class RustSplitDecision(RustRule):
    """Code tests a value behind a lock, an atomic or a map, and changes it in a second call based on the result. In `if
    self.x.lock().unwrap().is_none()`, the guard lives only to the end of the condition. Another thread can take the
    lock before the next `self.x.lock()`, and then both threads do the work. The same applies to `load` and `store` of
    an atomic, `read` and `write` of an RwLock, and `contains` and `set_item` of a dictionary.
    """

    info = RuleInfo(
        code="FT434",
        name="rust-split-decision",
        summary="A value is tested and changed under two separate guards, so another thread can act in between.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Keep one guard for both (`let mut guard = …`), or use a single operation: `get_or_insert_with`, `entry`, "
            "`compare_exchange`, `OnceLock::get_or_init`, `PyDict_SetDefaultRef`."
        ),
        links=("https://pyo3.rs/latest/free-threading.html",),
    )

    VALID = (
        SourceExample(
            code="use pyo3::prelude::*;\n#[pymethods]\nimpl Pool {\n    fn get(&self) {\n"
            "        let mut guard = self.conn.lock().unwrap();\n        if guard.is_none() {\n"
            "            *guard = Some(open());\n        }\n    }\n}\n",
            instead=True,
        ),
        SourceExample(
            code="use pyo3::prelude::*;\n#[pymethods]\nimpl Pool {\n    fn close(&self) {\n"
            "        if self.open.compare_exchange(true, false, AcqRel, Acquire).is_ok() { stop(); }\n    }\n}\n"
        ),
        SourceExample(
            code="use pyo3::prelude::*;\n#[pymethods]\nimpl Pool {\n"
            "    fn is_open(&self) -> bool { self.open.load(Relaxed) }\n"
            "    fn close(&self) { self.open.store(false, Relaxed) }\n}\n"
        ),
        SourceExample(
            code="use pyo3::prelude::*;\n#[pymethods]\nimpl Pool {\n    fn add(&mut self, k: u32) {\n"
            "        if !self.rows.contains_key(&k) { self.rows.insert(k, 1); }\n    }\n}\n"
        ),
    )
    INVALID = (
        SourceExample(
            code="use pyo3::prelude::*;\nuse pyo3::types::PyDict;\n#[pyfunction]\n"
            "fn remember(d: &Bound<'_, PyDict>, k: &str) -> PyResult<()> {\n"
            "    if !d.contains(k)? {\n        d.set_item(k, 1)?;\n    }\n    Ok(())\n}\n",
            lines=(5,),
        ),
        SourceExample(
            code="use pyo3::prelude::*;\n#[pymethods]\nimpl Pool {\n    fn get(&self) {\n"
            "        if self.conn.lock().unwrap().is_none() {\n            *self.conn.lock().unwrap() = Some(open());\n"
            "        }\n    }\n}\n",
            lines=(5,),
        ),
        SourceExample(
            code="use pyo3::prelude::*;\n#[pymethods]\nimpl Pool {\n    fn close(&self) {\n"
            "        if self.open.load(Acquire) {\n            stop();\n            self.open.store(false, Release);\n"
            "        }\n    }\n}\n",
            lines=(5,),
        ),
        SourceExample(
            code="use pyo3::prelude::*;\nstatic TABLE: RwLock<Option<Table>> = RwLock::new(None);\n"
            "fn table() {\n    let made = TABLE.read().unwrap().is_some();\n    if !made {\n"
            "        *TABLE.write().unwrap() = Some(build());\n    }\n}\n",
            lines=(4,),
        ),
    )

    def check(self, unit: RustUnit) -> Iterator[Finding]:
        """Yield the test of each decision that is split."""
        if not _EXTENSION.search(unit.text):
            return
        for function in unit.of("function_item"):
            if unit.off_when_free_threaded(function) or _is_exclusive(unit, function):
                continue
            yield from self._in_function(unit, function)

    @staticmethod
    def _steps(unit: RustUnit, function: Node, text: str) -> Iterator[re.Match[str]]:
        """Yield the calls that test or change shared state, in order."""
        steps = list(_TAKES.finditer(text))
        names = _DICTIONARY.findall(unit.text_of(function.child_by_field_name("parameters")))
        if names:
            steps += re.finditer(_OF_PARAMETER.format(names="|".join(map(re.escape, names))), text)
        yield from sorted(steps, key=re.Match.start)

    def _in_function(self, unit: RustUnit, function: Node) -> Iterator[Finding]:
        text = unit.text_of(function.child_by_field_name("body"))
        start = function.child_by_field_name("body")
        if start is None:
            return
        asked: dict[str, dict[str, int]] = {}
        reported: set[str] = set()
        for found in self._steps(unit, function, text):
            owner, method = "".join(found[1].split()), found[2]
            for question, at in [(q, at) for q, at in asked.get(owner, {}).items() if _ACTS[q] == method]:
                acts = method in ("store", "insert", "set", "set_item") or _CHANGES.match(
                    text[found.end() : found.end() + 200]
                )
                if _is_repeated(text, owner, at, found.start()) or _is_used_only(text, at):
                    continue
                if acts and owner not in reported and _decides(text, at):
                    reported.add(owner)
                    line = unit.line_of(start.start_byte + len(text[: found.start()].encode()))
                    yield self.finding(
                        (
                            f"`{owner}.{question}()` is tested here, but line {line} acts on the result after the "
                            "guard is dropped"
                        ),
                        location=unit.at(start.start_byte + len(text[:at].encode())),
                        interleaving=(
                            f"Thread 1 calls `{owner}.{question}()` and drops the guard.",
                            f"Thread 2 does the same. Then both run line {line}.",
                        ),
                    )
            if method in _ASKS and not _is_kept(text, found):
                asked.setdefault(owner, {}).setdefault(method, found.start())


def _is_exclusive(unit: RustUnit, function: Node) -> bool:
    """Return whether the function has exclusive access to the object: `&mut self`."""
    parameters = function.child_by_field_name("parameters")
    first = parameters.named_children[0] if parameters is not None and parameters.named_children else None
    return first is not None and first.type == "self_parameter" and "mut" in unit.text_of(first)


def _is_repeated(text: str, owner: str, at: int, end: int) -> bool:
    """Return whether the code asks again under a guard that it keeps: `let _guard = self.mutex.lock().unwrap();`."""
    guard = _KEPT_GUARD.search(text, at, end)
    if guard is None:
        return False
    return any("".join(f[1].split()) == owner and f[2] in _ASKS for f in _TAKES.finditer(text, guard.end(), end))


def _is_used_only(text: str, at: int) -> bool:
    """Return whether a block uses the answer and does not leave: `if let Some(port) = self.port.get() { … }`."""
    head = text[max(text.rfind(";", 0, at), text.rfind("{", 0, at), text.rfind("}", 0, at)) + 1 : at]
    opened = text.find("{", at)
    if re.match(r"\s*if\s+let\s+Some\b", head) is None or opened < 0:
        return False
    closed = text.find("}", opened)
    return closed > 0 and not re.match(r"\s*else\b", text[closed + 1 :]) and "return" not in text[opened:closed]


def _decides(text: str, at: int) -> bool:
    """Return whether the statement with the test is a condition, or stores the result under a name."""
    statement = text[max(text.rfind(";", 0, at), text.rfind("{", 0, at), text.rfind("}", 0, at)) + 1 : at].strip()
    return re.match(r"(?:else\s+)?(?:if|while|match|let|return)\b", statement) is not None


_GUARD_ALONE: Final = re.compile(
    r"[^();]*\)\s*(?:\?|\.\s*(?:unwrap|expect|await|unwrap_or_else)\s*(?:\([^();]*\))?)*\s*;"
)


def _is_kept(text: str, found: re.Match[str]) -> bool:
    """Return whether the guard itself is bound to a name, so that it stays alive."""
    before = text[max(text.rfind(";", 0, found.start()), text.rfind("{", 0, found.start())) + 1 : found.start()]
    alone = _GUARD_ALONE.match(text, found.end(), found.end() + 160) is not None
    return re.match(r"\s*let\b", before) is not None and alone and found[2] in ("lock", "read", "write")
