"""FT431: Rust state that threads share based on an unsafe promise or on the GIL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ftaudit.model import Confidence, Finding, Severity, Site
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import Room, RustRule
from ftaudit.source.rust import RustContext, RustUnit
from ftaudit.source.shared_state import AccessKind

if TYPE_CHECKING:
    from tree_sitter import Node

_OBJECT: Final = re.compile(r"\bPy\s*<|(?<!::)\bPyObject\b|\bPyAny\b")
_TABLE: Final = re.compile(
    r"\bPy(?:Module|Method|Member|GetSet)Def(?:_\w+)?\b|\bPyType(?:Object|_S\w+)\b|\bPy\w+(?:Methods|Procs)\b"
)
_GUARDED: Final = re.compile(r"\b(?:OnceBox|\w*OnceLock|LazyLock|Lazy|Mutex|RwLock|Atomic\w+)\b")
_ONCE_NAME: Final = re.compile(r"^_*(?:PyInit_|init|setup|register)|(?:^|_)(?:init|initialize|exec|setup|once)(?:_|$)")
_ONCE_CALL: Final = re.compile(rb"\b(?:call_once\w*|get_or_init\w*|get_or_try_init\w*)\s*\(")
_ATTACHED: Final = frozenset({"assume_attached", "assume_gil_acquired"})
_SYNC: Final = frozenset({"Sync", "Send"})
_PROMISE: Final = re.compile(r"\s*unsafe\s+impl\b(?:\s*<.*?>)?\s+(?:[\w:]*::)?(\w+)\s+for\s+(.+)", re.DOTALL)
_UNSENDABLE: Final = re.compile(r"#\[\s*(?:\w+::)*pyclass\s*\([^\]]*\bunsendable\b")
_EXTENSION: Final = re.compile(r"\bpyo3|\bPyObject\b|\bpyo3_ffi\b|PyMethodDef|PyModuleDef")
_SYNCHRONISES: Final = re.compile(
    r"\b(?:Once|OnceBox|\w*OnceLock|LazyLock|\w*Mutex\w*|RwLock|Condvar|Atomic\w+|Semaphore|ArcSwap\w*)\b"
)
"""Types of fields that a structure uses to exclude or to order the threads that use it."""
_FOR_C: Final = re.compile(r'[^({]*\bextern\s+"C')
_EXCLUSIVE: Final = re.compile(r"&mut\s*\*\s*\(\s*(\w+)\s+as\s+\*mut\s+(?!Py)[A-Z]\w*")
_TAKES_LOCK: Final = re.compile(r"(?i)\block\s*\(|critical_section")
_CELL: Final = re.compile(r"\b(?:Sync)?(?:Unsafe|Ref|Once)?Cell\b")
_IN_C: Final = re.compile(r"#\[\s*repr\s*\(\s*C\b")
_GIL_TYPES: Final = re.compile(r"\bGILProtected\b")
_MOST_SITES: Final = 40


class RustUnsyncState(RustRule):
    """`unsafe` code in extensions often assumes that the GIL excludes other threads.

    `static mut`, `unsafe impl Sync` and `UnsafeCell` are sound only if something else synchronizes the threads. The
    types that rely on the GIL for that (`GILProtected`, `GILOnceCell`) are deprecated, and `GILProtected` does not
    exist in free-threaded builds. The rule reports an error if functions write a `static mut` after import, because
    simultaneous access from two threads is undefined behavior.
    """

    info = RuleInfo(
        code="FT431",
        name="rust-unsync-state",
        summary="Threads share Rust state without a lock and rely on the GIL or on an `unsafe` promise.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Use `OnceLock`, `PyOnceLock`, `Mutex` or atomics, and remove the `unsafe impl` if the compiler then "
            "accepts the type without it."
        ),
        links=("https://pyo3.rs/latest/free-threading.html",),
    )

    VALID = (
        SourceExample(
            code='use pyo3::prelude::*;\nunsafe extern "C" fn acquire(flags: *mut c_void, key: u64) -> c_int {\n'
            "    let flags = &*(flags as *mut Flags);\n    flags.acquire(key)\n}\n"
        ),
        SourceExample(
            code="use pyo3_ffi::*;\nstruct Inner {\n    value: Zone,\n    refcnt: AtomicUsize,\n}\n"
            "impl Handle {\n    fn incref(&self) {\n"
            "        unsafe { self.inner.as_ref().refcnt.fetch_add(1, Ordering::Relaxed) };\n    }\n}\n"
            "type Found = PyObject;\n"
        ),
        SourceExample(
            code='use pyo3::prelude::*;\nunsafe extern "C" fn acquire(flags: *mut c_void) -> c_int {\n'
            "    let py = Python::assume_attached();\n    work(py, flags)\n}\n"
        ),
        SourceExample(code="use pyo3::prelude::*;\nstatic CACHE: OnceLock<u32> = OnceLock::new();\n", instead=True),
        SourceExample(
            code="use pyo3::prelude::*;\n#[cfg(not(Py_GIL_DISABLED))]\nstatic mut CACHE: Option<u32> = None;\n"
        ),
        SourceExample(code="use pyo3::prelude::*;\nthread_local! { static DEPTH: Cell<u32> = Cell::new(0); }\n"),
        SourceExample(code="fn f(x: &'static mut u32) {}\nuse pyo3::prelude::*;\n"),
        SourceExample(code='use pyo3::ffi::*;\nextern "C" {\n    pub static mut PyExc_E: *mut PyObject;\n}\n'),
        SourceExample(code="static mut COUNT: u32 = 0; // no Python in this crate\n"),
        SourceExample(
            code="use pyo3::ffi::*;\nstatic mut METHODS: [PyMethodDef; 1] = [PyMethodDef::zeroed()];\n"
            "fn methods() -> *mut PyMethodDef { unsafe { std::ptr::addr_of_mut!(METHODS).cast() } }\n"
        ),
        SourceExample(
            code="use pyo3::prelude::*;\npub struct Policy(*mut u8);\nunsafe impl Send for Policy {}\n",
            others=(("cache.rs", "struct Cache { raw: Box<crate::mutex::Mutex<crate::internal::Policy>> }\n"),),
        ),
        SourceExample(
            code="use pyo3::prelude::*;\npub struct Slot<T> { once: Once, data: UnsafeCell<Option<T>> }\n"
            "unsafe impl<T: Send> Send for Slot<T> {}\nunsafe impl<T: Sync> Sync for Slot<T> {}\n"
        ),
        SourceExample(
            code='use pyo3::ffi::*;\n#[repr(C)]\npub struct Date_CAPI { pub make: unsafe extern "C" fn() -> c_int }\n'
            "unsafe impl Sync for Date_CAPI {}\n"
        ),
        SourceExample(
            code="use pyo3::prelude::*;\nstruct Types {\n    busy: Mutex<Vec<u32>>,\n}\n"
            "impl Types {\n    fn push(&self, id: u32) { self.busy.lock().unwrap().push(id) }\n}\n"
        ),
        SourceExample(code="use pyo3::ffi::*;\npub static mut TYPES: OnceBox<Types> = OnceBox::new();\n"),
        SourceExample(
            code="use pyo3::ffi::*;\nstatic mut NONE: *mut PyObject = null_mut();\n"
            "fn init_typerefs() { unsafe { NONE = Py_None(); } }\n"
        ),
        SourceExample(
            code="use pyo3::prelude::*;\nstatic ONCE: Once = Once::new();\nstatic mut TABLE: Option<Table> = None;\n"
            "fn table() -> &'static Table {\n"
            "    ONCE.call_once(|| unsafe { TABLE = Some(Table::new()) });\n"
            "    unsafe { TABLE.as_ref().unwrap() }\n}\n"
        ),
    )
    INVALID = (
        SourceExample(
            code='use pyo3::prelude::*;\nunsafe extern "C" fn acquire(flags: *mut c_void, key: u64) -> c_int {\n'
            "    let flags = &mut *(flags as *mut Flags);\n    flags.acquire(key)\n}\n",
            lines=(3,),
        ),
        SourceExample(
            code="use pyo3_ffi::*;\nstruct Inner {\n    value: Zone,\n    refcnt: UnsafeCell<usize>,\n}\n"
            "impl Handle {\n    fn incref(&self) {\n"
            "        unsafe { *self.inner.as_ref().refcnt.get() += 1; }\n    }\n}\n"
            "type Found = PyObject;\n",
            lines=(4,),
        ),
        SourceExample(
            code="use pyo3::prelude::*;\npub struct Slot<T>(UnsafeCell<Option<T>>);\n"
            "unsafe impl<T: Send> Send for Slot<T> {}\nunsafe impl<T: Sync> Sync for Slot<T> {}\n"
            "impl<T> Slot<T> {\n    fn set(&self, value: T) { unsafe { *self.0.get() = Some(value) } }\n}\n",
            lines=(3,),
        ),
        SourceExample(
            code="use pyo3::sync::GILProtected;\nstruct Types {\n    busy: GILProtected<RefCell<Vec<u32>>>,\n}\n"
            "impl Types {\n    fn push(&self, py: Python, id: u32) { self.busy.get(py).borrow_mut().push(id) }\n}\n",
            lines=(3,),
        ),
        SourceExample(
            code="use pyo3::prelude::*;\n#[pyclass(unsendable, subclass)]\nstruct Doc { inner: Rc<Inner> }\n",
            lines=(2,),
        ),
        SourceExample(
            code="use pyo3::prelude::*;\nstruct Policy(*mut u8);\nunsafe impl Send for Policy {}\n",
            others=(("other.rs", "struct Other { raw: Mutex<u8> }\n"),),
            lines=(3,),
        ),
        SourceExample(
            code="use pyo3::prelude::*;\nstatic mut CACHE: Option<u32> = None;\n"
            "fn get() -> u32 { unsafe { *CACHE.get_or_insert_with(work) } }\n",
            lines=(2,),
        ),
        SourceExample(code="use pyo3::prelude::*;\npub static mut CACHE: Option<u32> = None;\n", lines=(2,)),
        SourceExample(code="use pyo3::prelude::*;\nstruct P(*mut u8);\nunsafe impl Sync for P {}\n", lines=(3,)),
        SourceExample(
            code="use pyo3::sync::GILProtected;\n"
            "static X: GILProtected<RefCell<u32>> = GILProtected::new(RefCell::new(0));\n",
            lines=(2,),
        ),
        SourceExample(
            code="use pyo3::prelude::*;\n"
            "thread_local! { static T: RefCell<Option<Py<PyAny>>> = RefCell::new(None); }\n",
            lines=(2,),
        ),
    )

    def check(self, unit: RustUnit) -> Iterator[Finding]:
        """Yield each place that declares such state or makes such a promise."""
        if not _EXTENSION.search(unit.text):
            return
        for item in unit.of("attribute_item"):
            text = unit.text_of(item)
            if _UNSENDABLE.match(text) and not unit.off_when_free_threaded(item):
                yield self.finding(
                    "an object of an `unsendable` class panics when a thread uses it that did not create it",
                    location=unit.at(item.start_byte),
                )
        guarded = unit.context.of(Room.RUST, RustContext).guarded
        yield from self._promises(unit, guarded)
        yield from self._gil_protected_fields(unit)
        yield from self._cells(unit)
        yield from self._exclusive(unit)
        for node in unit.of("static_item", "macro_invocation", "call_expression"):
            message = severity = None
            match node.type:
                case "static_item":
                    message, severity = _static(unit.text_of(node), [child.type for child in node.children])
                    if _is_mutable(node):
                        written = _is_written(unit, node)
                        if written is None:
                            continue
                        severity = Severity.ERROR if written else None
                case "macro_invocation":
                    macro = node.child_by_field_name("macro")
                    if unit.text_of(macro).endswith("thread_local") and _OBJECT.search(unit.text_of(node)):
                        message = "each thread caches its own Python object here, and drops it when the thread ends"
                        severity = Severity.INFO
                case _:
                    function = unit.text_of(node.child_by_field_name("function"))
                    if function.rpartition("::")[2] in _ATTACHED and not _is_called_from_c(unit, node):
                        message = "this assumes that the thread is attached, which the GIL no longer guarantees"
            if message is not None and not _foreign(node) and not unit.off_when_free_threaded(node):
                yield self.finding(message, location=unit.at(node.start_byte), severity=severity)

    def _promises(self, unit: RustUnit, guarded: frozenset[str]) -> Iterator[Finding]:
        """Yield one finding for each type that `unsafe impl` calls `Sync` or `Send`, with the places that rely on it.

        A structure that contains a lock, a `Once` or an atomic orders its threads itself, so the promise has another
        reason than the GIL. So does a table of C, which no Rust code changes.
        """
        promised: dict[str, list[tuple[Node, str]]] = {}
        for node in unit.of("impl_item"):
            found = _PROMISE.match(unit.text_of(node).partition("{")[0])
            if found is None or found[1] not in _SYNC or unit.off_when_free_threaded(node):
                continue
            named = re.match(r"(?:\w+::)*(\w+)", found[2])
            if named is not None and named[1] not in guarded:
                promised.setdefault(named[1], []).append((node, found[1]))
        if not promised:
            return
        structs = {unit.text_of(each.child_by_field_name("name")): each for each in unit.of("struct_item", "enum_item")}
        for name, impls in promised.items():
            struct = structs.get(name)
            if struct is not None and _is_ordered(unit, struct):
                continue
            first = impls[0][0]
            shown = " ".join(_head_type(unit.text_of(first)).split())[:60]
            traits = " and ".join(dict.fromkeys(trait for _, trait in impls))
            yield self.finding(
                f"`unsafe impl` promises that `{shown}` is {traits}, which may rely on the GIL",
                location=unit.at(first.start_byte),
                sites=tuple(
                    Site(location=unit.at(at), access=kind.value, entry_point=name)
                    for at, kind in _places(unit, name, struct, [node for node, _ in impls])
                ),
            )

    def _gil_protected_fields(self, unit: RustUnit) -> Iterator[Finding]:
        """Yield each field of a structure that `GILProtected` guards, with the places that use it."""
        for struct in unit.of("struct_item"):
            body = struct.child_by_field_name("body")
            for each in body.named_children if body is not None else ():
                kind = unit.text_of(each.child_by_field_name("type"))
                if each.type != "field_declaration" or not _GIL_TYPES.search(kind) or unit.off_when_free_threaded(each):
                    continue
                field = unit.text_of(each.child_by_field_name("name"))
                owner = unit.text_of(struct.child_by_field_name("name"))
                uses = re.finditer(rb"\b" + re.escape(field.encode()) + rb"\b(?!\s*:\s*\w)", unit.data)
                places = [each.start_byte, *(use.start() for use in uses)][:_MOST_SITES]
                yield self.finding(
                    f"`{owner}.{field}` is a `GILProtected`, which does not exist on free-threaded builds",
                    location=unit.at(each.start_byte),
                    sites=tuple(
                        Site(location=unit.at(at), access=AccessKind.READ.value, entry_point=owner) for at in places
                    ),
                )

    def _exclusive(self, unit: RustUnit) -> Iterator[Finding]:
        """Yield each function for C code that makes an exclusive reference of a pointer that others have as well."""
        for function in unit.of("function_item"):
            text = unit.text_of(function)
            if not _FOR_C.match(text) or _TAKES_LOCK.search(text) or unit.off_when_free_threaded(function):
                continue
            found = _EXCLUSIVE.search(text)
            if found is not None and re.search(rf"\b{found[1]}\s*:\s*\*mut\s", text.partition("{")[0]):
                yield self.finding(
                    f"C code can call this from two threads with the same `{found[1]}`, but `&mut` promises exclusive "
                    "access",
                    location=unit.at(function.start_byte + len(text[: found.start()].encode())),
                    remedy=(
                        "Take a shared reference (`&*`), and keep the fields that change in a `Mutex` or in atomics."
                    ),
                )

    def _cells(self, unit: RustUnit) -> Iterator[Finding]:
        """Yield each `UnsafeCell` field that a method changes through `&self`, in types that promise nothing."""
        promised = {
            found[1]
            for node in unit.of("impl_item")
            if (found := re.match(r"(?:\w+::)*(\w+)", _head_type(unit.text_of(node)))) is not None
        }
        for struct in unit.of("struct_item"):
            name = unit.text_of(struct.child_by_field_name("name"))
            body = struct.child_by_field_name("body")
            if name in promised or unit.off_when_free_threaded(struct) or _is_ordered(unit, struct):
                continue
            for each in body.named_children if body is not None else ():
                kind = unit.text_of(each.child_by_field_name("type"))
                if each.type != "field_declaration" or not re.match(r"(?:\w+::)*UnsafeCell\b", kind):
                    continue
                field = unit.text_of(each.child_by_field_name("name"))
                reached = re.compile(rb"\.\s*" + re.escape(field.encode()) + rb"\s*\.\s*get\s*\(\s*\)")
                places = [found.start() for found in reached.finditer(unit.data)][:_MOST_SITES]
                if places:
                    yield self.finding(
                        f"`{name}.{field}` is an `UnsafeCell`, which two threads can change at the same time",
                        location=unit.at(each.start_byte),
                        remedy="Use an atomic or a `Mutex`.",
                        sites=tuple(
                            Site(location=unit.at(at), access=AccessKind.WRITE.value, entry_point=name)
                            for at in (each.start_byte, *places)
                        ),
                    )


def _is_called_from_c(unit: RustUnit, node: Node) -> bool:
    """Return whether a place is in a function for C code, which CPython calls with the thread attached."""
    above = node.parent
    while above is not None and above.type != "function_item":
        above = above.parent
    if above is None:
        return False
    return _FOR_C.match(unit.text_of(above)) is not None


def _is_ordered(unit: RustUnit, struct: Node) -> bool:
    """Return whether a type has a field that orders its threads, or is a table that C code defines."""
    text = unit.text_of(struct)
    if _SYNCHRONISES.search(text):
        return True
    return not _CELL.search(text) and any(_IN_C.match(unit.text_of(each.node)) for each in unit.attributes(struct))


def _places(unit: RustUnit, name: str, struct: Node | None, impls: list[Node]) -> Iterator[tuple[int, AccessKind]]:
    """Yield the places that a promise is about: itself, the type, and the uses of the type's cells in its methods."""
    for node in impls:
        yield node.start_byte, AccessKind.READ
    if struct is None:
        return
    yield struct.start_byte, AccessKind.READ
    body = struct.child_by_field_name("body")
    cells: list[str] = []
    for index, each in enumerate(body.named_children if body is not None else ()):
        if each.type == "field_declaration" and _CELL.search(unit.text_of(each.child_by_field_name("type"))):
            cells.append(unit.text_of(each.child_by_field_name("name")))
            yield each.start_byte, AccessKind.READ
        elif body is not None and body.type == "ordered_field_declaration_list" and _CELL.search(unit.text_of(each)):
            cells.append(str(index))
    if not cells:
        return
    used = re.compile(rb"\bself\s*\.\s*(?:" + b"|".join(re.escape(cell.encode()) for cell in cells) + rb")\b")
    count = 0
    for block in unit.of("impl_item"):
        if not re.match(rf"(?:\w+::)*{re.escape(name)}\b", unit.text_of(block.child_by_field_name("type"))):
            continue
        for use in used.finditer(unit.data, block.start_byte, block.end_byte):
            count += 1
            if count > _MOST_SITES:
                return
            yield use.start(), AccessKind.WRITE


def _head_type(text: str) -> str:
    found = _PROMISE.match(text.partition("{")[0])
    return found[2] if found else ""


def _is_mutable(node: Node) -> bool:
    return any(child.type == "mutable_specifier" for child in node.children)


def _is_written(unit: RustUnit, static: Node) -> bool | None:
    """Return whether the file changes a `static mut` after module creation, or more than once: yes, maybe, no.

    Tables for CPython's C API are `mut` because it takes pointers to them; no code changes them afterwards. If the
    file does not mention a variable again, other code writes it, because it would not be `mut` otherwise.
    """
    if _TABLE.search(unit.text_of(static.child_by_field_name("type"))):
        return None
    name = re.escape(unit.text_of(static.child_by_field_name("name")).encode())
    written = re.compile(
        rb"(?<![\w.])" + name + rb"\b(?:\s*\[[^\]\n]*\]|\.\w+(?!\s*\())*\s*(?:(?:<<|>>|[-+*/%&|^])?=(?![=>]))"
        rb"|&(?:raw\s+)?mut\s+(?:\w+::)*" + name + rb"\b|addr_of_mut!\s*\(\s*" + name + rb"\b"
        rb"|(?<![\w.])" + name + rb"\s*\.\s*(?:as_mut|get_or_insert\w*|insert|push\w*|replace|take|write|remove|clear"
        rb"|extend|get_mut|iter_mut|as_mut_ptr|pop\w*|entry|retain|drain|append|swap)\s*\("
    )
    if len(re.findall(rb"\b" + name + rb"\b", unit.data)) < 2:
        return None if _GUARDED.search(unit.text_of(static.child_by_field_name("type"))) else False
    functions = list(unit.of("function_item"))
    for found in written.finditer(unit.data):
        if static.start_byte <= found.start() < static.end_byte:
            continue
        around = [f for f in functions if f.start_byte <= found.start() < f.end_byte]
        names = [unit.text_of(function.child_by_field_name("name")) for function in around]
        if any(_ONCE_NAME.search(each) for each in names) or _in_once(unit, around, found.start()):
            continue
        if any(unit.off_when_free_threaded(function) for function in around):
            continue
        return True
    return None


def _in_once(unit: RustUnit, around: list[Node], at: int) -> bool:
    """Return whether a place is in code that `call_once` or `get_or_init` runs."""
    if not around:
        return False
    before = unit.data[around[0].start_byte : at]
    opened = [found.end() for found in _ONCE_CALL.finditer(before)]
    return any(before.count(b"(", start) >= before.count(b")", start) for start in opened)


def _foreign(node: Node) -> bool:
    """Return whether the item only declares a name that C code defines."""
    above = node.parent
    return above is not None and above.parent is not None and above.parent.type == "foreign_mod_item"


def _static(text: str, children: list[str]) -> tuple[str | None, Severity | None]:
    declared = text.partition("=")[0]
    if "mutable_specifier" in children:
        return "all threads share this `static mut` without synchronization", None
    if "GILProtected" in declared:
        return "`GILProtected` relies on the GIL, and does not exist on free-threaded builds", None
    if "GILOnceCell" in declared:
        return (
            "`GILOnceCell` is deprecated, and may run its initializer in several threads at the same time",
            Severity.PEDANTIC,
        )
    if "UnsafeCell" in declared or "SyncUnsafeCell" in declared:
        return "all threads share this static cell without a lock", None
    return None, None
