"""Replacements in a build for `abi3t` for names that the limited API does not have.

Sources: the documentation of the C API of 3.15 and `Doc/howto/abi3t-migration.rst`. A test checks each recommended
name against the headers of 3.15t.
"""

from __future__ import annotations

import re
from typing import Final

REPLACEMENTS: Final = {
    "PyList_GET_ITEM": "`PyList_GetItemRef`, which returns a strong reference",
    "PyList_SET_ITEM": "`PyList_SetItem`",
    "PyList_GET_SIZE": "`PyList_Size`",
    "PyTuple_GET_ITEM": "`PyTuple_GetItem`",
    "PyTuple_SET_ITEM": "`PyTuple_SetItem`",
    "PyTuple_GET_SIZE": "`PyTuple_Size`",
    "PyBytes_AS_STRING": "`PyBytes_AsString`",
    "PyBytes_GET_SIZE": "`PyBytes_Size`",
    "PyByteArray_AS_STRING": "`PyByteArray_AsString`",
    "PyByteArray_GET_SIZE": "`PyByteArray_Size`",
    "PyFloat_AS_DOUBLE": "`PyFloat_AsDouble`",
    "PySet_GET_SIZE": "`PySet_Size`",
    "PyDict_GET_SIZE": "`PyDict_Size`",
    "PyUnicode_AsUTF8": "`PyUnicode_AsUTF8AndSize(text, NULL)`",
    "PyUnicode_GET_LENGTH": "`PyUnicode_GetLength`",
    "PyUnicode_READ": "`PyUnicode_ReadChar`",
    "PyUnicode_READ_CHAR": "`PyUnicode_ReadChar`",
    "PyUnicode_WRITE": "`PyUnicode_FromStringAndSize` with your own buffer",
    "PyUnicode_New": "`PyUnicode_FromStringAndSize` with your own buffer",
    "PyUnicode_DATA": "`PyUnicode_AsUTF8AndSize` or `PyUnicode_AsUCS4Copy`",
    "PyUnicode_KIND": "`PyUnicode_AsUTF8AndSize` or `PyUnicode_AsUCS4Copy`",
    "PyUnicode_1BYTE_DATA": "`PyUnicode_AsUTF8AndSize`",
    "PyUnicode_2BYTE_DATA": "`PyUnicode_AsUCS4Copy`",
    "PyUnicode_4BYTE_DATA": "`PyUnicode_AsUCS4Copy`",
    "PyUnicode_IS_ASCII": "`PyUnicode_AsUTF8AndSize`, whose size is the length of ASCII text",
    "PySequence_Fast_GET_ITEM": "`PySequence_GetItem`, or `PyList_GetItemRef` and `PyTuple_GetItem`",
    "PySequence_Fast_GET_SIZE": "`PySequence_Size`",
    "PySequence_Fast_ITEMS": "`PySequence_GetItem`, or `PyList_GetItemRef` and `PyTuple_GetItem`",
    "PyWeakref_GET_OBJECT": "`PyWeakref_GetRef`",
    "PyCFunction_GET_SELF": "`PyCFunction_GetSelf`",
    "PyCFunction_GET_FUNCTION": "`PyCFunction_GetFunction`",
    "PyCFunction_GET_FLAGS": "`PyCFunction_GetFlags`",
    "PyObject_CallOneArg": "`PyObject_CallFunctionObjArgs(callable, argument, NULL)`",
    "PyObject_CallMethodNoArgs": "`PyObject_CallMethodObjArgs(object, name, NULL)`",
    "PyObject_CallMethodOneArg": "`PyObject_CallMethodObjArgs(object, name, argument, NULL)`",
    "_PyObject_CallNoArgs": "`PyObject_CallNoArgs`",
    "_PyObject_CallMethodId": "`PyObject_CallMethodObjArgs`",
    "_PyObject_GetAttrId": "`PyObject_GetAttrString`",
    "_PyObject_New": "`PyObject_New` or the type's `tp_alloc` from `PyType_GetSlot`",
    "_PyUnicode_FromId": "`PyUnicode_InternFromString`",
    "_PyLong_AsByteArray": "`PyLong_AsNativeBytes`",
    "_PyLong_FromByteArray": "`PyLong_FromNativeBytes`",
    "_PyLong_Sign": "`PyObject_RichCompareBool` with zero",
    "_PyBytes_Resize": "`PyBytes_FromStringAndSize` with a buffer of the right size",
    "_PyTuple_Resize": "`PyList_AsTuple` or `PySequence_GetSlice`",
    "_Py_HashDouble": "`PyObject_Hash` on a float",
    "_Py_IDENTIFIER": "`PyUnicode_InternFromString`, kept in the module's state",
    "_PyThreadState_UncheckedGet": "`PyThreadState_Get`",
    "PyThreadState_GET": "`PyThreadState_Get`",
    "PyInterpreterState_Main": "`PyInterpreterState_Get`",
    "PyRun_String": "`Py_CompileString` and `PyEval_EvalCode`",
    "PyRun_SimpleString": "`Py_CompileString` and `PyEval_EvalCode`",
    "PyEval_SetProfile": "`sys.setprofile`",
    "PyEval_SetTrace": "`sys.settrace`",
    "PyMutex_Lock": "`PyThread_acquire_lock`, or a critical section of an object",
    "PyMutex_Unlock": "`PyThread_release_lock`, or a critical section of an object",
    "PyMutex": "`PyThread_type_lock`, or a critical section of an object",
    "PyGen_Check": "`PyIter_Check`, or a comparison with `types.GeneratorType`",
    "PyFunction_Check": "`PyCallable_Check`, or a comparison with `types.FunctionType`",
    "PyMethod_Check": "`PyCallable_Check`, or a comparison with `types.MethodType`",
    "PyCode_Check": "a comparison with `types.CodeType`",
    "PyModule_GetState": "`PyModule_GetState`",
    "PyType_GetDict": "`PyObject_GetAttrString` with `__dict__`",
    "PyErr_Fetch": "`PyErr_GetRaisedException`",
    "_PyDict_GetItem_KnownHash": "`PyDict_GetItemRef`",
    "_PyDict_SetItem_KnownHash": "`PyDict_SetItem`",
    "PyDict_Pop": "`PyDict_GetItemRef` and `PyDict_DelItem`",
}
_FAMILIES: Final = (
    (
        re.compile(r"PyDateTime_\w+|PyDate_\w+|PyTime_From\w+|PyTime_Check\w*|PyDelta_\w+|PyTimeZone_\w+|PyTZInfo_\w+"),
        "the module `datetime`: import it, call its types, and read the attributes of its objects",
    ),
    (re.compile(r"PyUnstable_\w+"), "a function of the limited API: unstable functions are not in any stable ABI"),
    (re.compile(r"_Py\w+"), "a public function: private functions are not in any stable ABI"),
    (re.compile(r"Py\w+Object"), "the functions of the type: the struct is opaque or missing"),
    (
        re.compile(r"Py(?:Number|Sequence|Mapping|Async|Buffer)(?:Methods|Procs)"),
        "`PyType_Slot` entries and `PyType_GetSlot`",
    ),
)


def find_replacement(name: str) -> str | None:
    """Return the replacement for a name as a phrase, or `None` if none is known."""
    if name in REPLACEMENTS:
        return REPLACEMENTS[name]
    return next((phrase for pattern, phrase in _FAMILIES if pattern.fullmatch(name)), None)
