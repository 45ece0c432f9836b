"""Whether nothing that a module does after its one declaration can change it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ftaudit.binary.emulator.attach import own_code_of
from ftaudit.binary.image.call_sites import Branches, call_sites, is_entered, jumps_into
from ftaudit.binary.image.mapped import Image

SET_GIL: Final = "PyUnstable_Module_SetGIL"
_CREATE: Final = "PyModule_Create2"
_OTHERS: Final = frozenset(
    {"PyModuleDef_Init", "PyModule_FromDefAndSpec2", "PyModule_NewObject", "PyModule_New", "PyModule_FromSlotsAndSpec"}
)
"""The other functions that make something which a hook may return."""
_LOOKUPS: Final = frozenset({"dlsym", "dlvsym", "GetProcAddress"})
_SAVES: Final = ("setjmp", "_setjmp", "__sigsetjmp", "sigsetjmp", "__intrinsic_setjmp", "__intrinsic_setjmpex",
                 "_setjmpex", "getcontext")  # fmt: skip
"""Functions to whose calls the code may come back later."""
_NEVER_RETURNS: Final = re.compile(
    r"^_*(?:stack_chk_fail|abort|exit|assert_\w+|wassert|Unwind_Resume|cxa_(?:re)?throw|chk_fail|purecall)$|"
    r"^Py_FatalError$|^_Py_FatalError\w+$|terminate|throw_|^_?CxxThrowException$|_invalid_parameter_noinfo_noreturn"
)
"""Functions after whose calls there may be the code of another function."""
_CATCHES: Final = frozenset({"__cxa_begin_catch", "__CxxFrameHandler3", "__CxxFrameHandler4", "__C_specific_handler"})
"""Names that an image imports if one of its functions may go on after an exception."""


def is_final(image: Image, hook: str, others: Sequence[Image]) -> bool:
    """Return whether a module declares in one place, and nothing after it can declare again or return another module.

    The hook itself has the only call of `PyUnstable_Module_SetGIL`, and before it the only call that makes a module.
    No jump of its own leads back to either, and neither does an exception or `longjmp`: what is called in between may
    do anything else. `others` are the images that are loaded with it.
    """
    imports = image.imports.union(*(other.imports for other in others))
    if SET_GIL not in image.imports or any(SET_GIL in other.imports or _CREATE in other.imports for other in others):
        return False
    if imports & (_OTHERS | _LOOKUPS):
        return False
    branches = Branches(image=image)
    declares, creates = call_sites(image, SET_GIL, branches), call_sites(image, _CREATE, branches)
    if declares is None or creates is None or len(declares) != 1 or len(creates) != 1:
        return False
    ends = [call_sites(image, name, branches) for name in sorted(image.imports) if _NEVER_RETURNS.search(name)]
    code = own_code_of(image, hook, frozenset().union(*(sites for sites in ends if sites)))
    (declared,), (created,) = declares, creates
    if not code.complete or not {declared, created} <= code.returns:
        return False
    if is_entered(image, frozenset(code.following) - {code.start}, branches):
        return False  # The code of another function follows a call that does not return.
    later = code.reached_from(declared)
    calls = {address for address, follows in code.following.items() if declared in follows or created in follows}
    if later & calls:
        return False
    for name in _SAVES:
        if name in image.imports and ((saves := call_sites(image, name, branches)) is None or saves & code.returns):
            return False
    if not _CATCHES & image.imports:
        return True
    return not jumps_into(image, code.leading_to(declared) - {code.start}, frozenset(code.following), branches)
