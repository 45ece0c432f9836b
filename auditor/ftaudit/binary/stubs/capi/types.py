"""The C API's answers about types and instances, the interpreter and its threads."""

from __future__ import annotations

from ftaudit.binary.stubs.capi.attributes import attribute
from ftaudit.binary.stubs.capi.emulated_python import Python, registry
from ftaudit.binary.stubs.capi.objects_in_memory import Object

TYPE_ANSWERS, answers = registry()


# Types


@answers("PyType_Ready")
def _type_ready(python: Python) -> int:
    address, objects = python.argument(0), python.objects
    machine, at = python.process.machine, objects.layout.type_offset
    if objects.kind_of(address) == "type":
        return 0
    flags = machine.read_word(address + at(168))
    machine.write_word(address + at(168), flags | 1 << 12)
    base = machine.read_word(address + at(256)) or objects.type("PyBaseObject_Type")
    machine.write_word(address + at(256), base)
    if not machine.read_word(address + objects.layout.type_field):
        machine.write_word(address + objects.layout.type_field, objects.type("PyType_Type"))
    objects.known[address] = Object("type", name=machine.read_text(machine.read_word(address + at(24))))
    for offset in (32, 48, 88, 120, 136, 144, 152, 200, 296, 304, 312, 320):
        if not machine.read_word(address + at(offset)):
            machine.write_word(address + at(offset), machine.read_word(base + at(offset)))
    if not machine.read_word(address + at(264)):
        machine.write_word(address + at(264), objects.new("dict"))
    return 0


@answers("PyType_FromSpec", "PyType_FromSpecWithBases")
def _type_from_spec(python: Python) -> int:
    return _spec_type(python, python.argument(0))


@answers("PyType_FromModuleAndSpec")
def _type_from_module_spec(python: Python) -> int:
    return _spec_type(python, python.argument(1))


@answers("PyType_FromMetaclass")
def _type_from_metaclass(python: Python) -> int:
    return _spec_type(python, python.argument(2))


def _spec_type(python: Python, spec: int) -> int:
    machine = python.process.machine
    name = machine.read_text(machine.read_word(spec))
    size = machine.read_int(spec + 8)
    return python.objects.type(f"{name} at {spec:#x}", basic_size=size if size > 0 else 64)


@answers("PyType_GetFlags")
def _type_flags(python: Python) -> int:
    return python.process.machine.read_word(python.argument(0) + python.objects.layout.type_offset(168))


@answers("PyType_GetSlot")
def _type_slot(python: Python) -> int:
    return python.process.symbol(f"type slot {python.argument(1)}")


@answers("PyType_IsSubtype", "PyObject_IsSubclass")
def _is_subtype(python: Python) -> int:
    return int(derives(python, python.argument(0), python.argument(1)))


@answers("PyObject_IsInstance", "PyObject_TypeCheck")
def _is_instance(python: Python) -> int:
    if derives(python, python.objects.type_of(python.argument(0)), python.argument(1)):
        return 1
    return python.process.oracle.ask("isinstance", 2)


def derives(python: Python, derived: int, base: int) -> bool:
    """Return whether a type is another or derives from it, along `tp_base`."""
    machine, offset = python.process.machine, python.objects.layout.type_offset(256)
    for _ in range(32):
        if not derived or derived == base:
            break
        derived = machine.read_word(derived + offset)
    return derived == base and base != 0


@answers("Py_TYPE", "PyObject_Type")
def _type_of(python: Python) -> int:
    return python.objects.type_of(python.argument(0))


@answers("PyCallable_Check")
def _callable(python: Python) -> int:
    return int(python.argument(0) != 0)


@answers(
    "PyType_GenericAlloc", "PyType_GenericNew", "PyObject_Init", "PyObject_InitVar", "_PyObject_New",
    "_PyObject_GC_New",
    "_PyObject_GC_NewVar", "_PyObject_NewVar", "tp_alloc@object", "tp_new@type",
)  # fmt: skip
def _instance(python: Python) -> int:
    """Make an instance of a type: in the heap, because the code may write to any of its fields."""
    objects, machine, process = python.objects, python.process.machine, python.process
    name = process.current
    kind = python.argument(1) if name.startswith("PyObject_Init") else python.argument(0)
    if name.startswith("PyObject_Init"):
        address = python.argument(0)
    else:
        size = machine.read_word(kind + objects.layout.type_offset(32)) + 64
        address = process.allocate(min(size, 1 << 16) + 8 * min(python.argument(1), 4096 if "Var" in name else 0))
    if not address:
        return 0
    machine.write(address, objects.layout.header(machine, kind))
    objects.known[address] = Object("object")
    return address


@answers(
    "PyObject_Call", "PyObject_CallObject", "PyObject_CallNoArgs", "PyObject_CallOneArg", "PyObject_CallFunction",
    "PyObject_CallFunctionObjArgs", "PyObject_Vectorcall", "PyObject_VectorcallDict", "_PyObject_CallFunction_SizeT",
)  # fmt: skip
def _call(python: Python) -> int:
    """Call an object: one of the module's own types returns an instance, anything else an object."""
    called, objects, process = python.argument(0), python.objects, python.process
    own = any(linked.image.base <= called < linked.image.end for linked in process.images)
    if not own or objects.kind_of(called) != "type":
        return objects.new("object", name=f"{process.current}()")
    size = process.machine.read_word(called + objects.layout.type_offset(32)) + 64
    address = process.allocate(min(size, 1 << 16))
    process.machine.write(address, objects.layout.header(process.machine, called))
    objects.known[address] = Object("object")
    return address


# The interpreter


@answers("Py_GetVersion")
def _version(python: Python) -> int:
    text = python.version_text()
    known = text.index(".", 2) + 1
    address = python.process.text(text)
    # The release of the minor version, and its builder, are unknown.
    python.process.unknown_memory(address + known, len(text) - known, "Py_GetVersion()")
    return address


@answers("Py_GetBuildInfo", "Py_GetCompiler", "Py_GetPlatform", "Py_GetCopyright", "Py_GetPath", "Py_GetPrefix")
def _description(python: Python) -> int:
    """Answer with some text: it differs from build to build, and is a guess."""
    return python.process.text("linux (main, Oct  7 2025) [GCC 14.2.0]")


@answers("Py_IsInitialized", "PyGILState_Check")
def _one(python: Python) -> int:
    return 1


@answers(
    "PyThreadState_Get",
    "PyThreadState_GetUnchecked",
    "_PyThreadState_UncheckedGet",
    "PyGILState_GetThisThreadState",
)
def _thread_state(python: Python) -> int:
    process = python.process
    if not python.thread_state:
        python.thread_state = process.allocate(4096)
        process.machine.write_word(python.thread_state + 16, _interpreter(python))
    return python.thread_state


@answers("PyEval_SaveThread")
def _save_thread(python: Python) -> int:
    return _thread_state(python)


@answers(
    "PyInterpreterState_Get",
    "PyInterpreterState_Main",
    "PyThreadState_GetInterpreter",
    "_PyInterpreterState_Get",
)
def _interpreter_state(python: Python) -> int:
    return _interpreter(python)


def _interpreter(python: Python) -> int:
    return python.process.symbol("(the interpreter state)")


@answers("PyInterpreterState_GetDict", "PyThreadState_GetDict", "PyEval_GetBuiltins", "PyEval_GetGlobals")
def _state_dict(python: Python) -> int:
    name = f"{python.process.current}()"
    if name not in python.modules:
        python.modules[name] = python.objects.new("dict", name=name)
    return python.modules[name]


@answers("PySys_GetObject", "PySys_GetAttrString")
def _sys_object(python: Python) -> int:
    return attribute(python, python.imported("sys"), python.string(0))


@answers("PyCFunction_New", "PyCFunction_NewEx", "PyCMethod_New")
def _function_new(python: Python) -> int:
    """Answer a function with the name that its `PyMethodDef` gives it: PyO3 asks for that."""
    made = python.objects.new("object", name=f"{python.process.current}()")
    if definition := python.argument(0):
        name = python.process.machine.read_text(python.process.machine.read_word(definition))
        python.objects.known[made].attributes["__name__"] = python.objects.text(name)
    return made


@answers("PyThread_tss_create")
def _tss_create(python: Python) -> int:
    python.process.machine.write_int(python.argument(0), 1)
    return 0


@answers("PyThread_tss_is_created")
def _tss_created(python: Python) -> int:
    return int(python.argument(0) != 0 and python.process.machine.read_int(python.argument(0)) != 0)


@answers("PyThread_tss_set")
def _tss_set(python: Python) -> int:
    python.capsules[f"tss {python.argument(0)}"] = python.argument(1)
    return 0


@answers("PyThread_tss_get")
def _tss_get(python: Python) -> int:
    return python.capsules.get(f"tss {python.argument(0)}", 0)


@answers("PyThread_tss_alloc", "PyThread_allocate_lock")
def _tss_alloc(python: Python) -> int:
    return python.process.allocate(64)


@answers("PyThread_get_thread_ident")
def _thread_ident(python: Python) -> int:
    return 0x7001


@answers("PyThread_acquire_lock", "PyThread_acquire_lock_timed")
def _acquire(python: Python) -> int:
    return 1
