"""A declaration that depends on a machine-specific unknown is undetermined; any other one stays decided."""

from __future__ import annotations

import pytest
from support.unknowns import SHAPES, Case, cases, compiled

from ftaudit.binary.declaration import read_declaration
from ftaudit.model import GilDeclaration, ModuleBinary

pytestmark = pytest.mark.interpreter

EVERY = cases()
CHOICE = {
    "addresses/allocated_again", "addresses/bits_of_none", "addresses/caller_of_init", "addresses/heap_bits",
    "addresses/one_byte", "addresses/order_of_allocations", "addresses/return_to_caller", "addresses/stack_below",
    "addresses/two_allocations", "constructors/slow", "library/type_hash", "loops/constructor_walks",
    "loops/counted_without_a_branch", "loops/length_of_a_fill", "loops/moved_where_it_is_so", "loops/pointer_walks",
    "loops/pointer_walks_the_stack",
    "control/longjmp", "control/raised_signal", "control/thread_writes", "control/exception",
    "environment/two_conditions", "environment/two_stored", "environment/environ_walked", "environment/value_hashed",
    "environment/constructor_reads", "environment/function_table", "environment/stored_at_index",
    "environment/stored_at_index_on_heap", "environment/stored_past_a_pointer", "environment/stored_in_another_frame",
    "files/fgets", "files/listed", "files/mapped",
    "files/popen", "files/socketpair", "interpreter/version_micro", "interpreter/hexversion",
    "interpreter/module_missing", "interpreter/os_environ", "interpreter/code_run", "interpreter/dict_iterated",
    "library/errno", "library/qsort", "library/sscanf", "library/sqrt", "library/strtok", "library/strtol_octal",
    "library/snprintf_star", "loader/dlsym", "loader/dladdr", "loader/ifunc", "loader/weak", "machine/cpuid",
    "machine/cpu_supports", "machine/sysconf_two", "machine/uname", "machine/clock_gettime",
}  # fmt: skip
"""One of each kind: `scripts/judge_unknowns.py` judges all of them, in every shape."""
UNFOLLOWED = {
    "control", "loader", "constructors", "loops", "library/qsort", "environment/function_table", "machine/cpu_supports",
}  # fmt: skip
"""Cases that are not followed to the end are undetermined for the honest twin too: threads, signals, exceptions.

So are loops that may store anywhere in the data of a module, which their twin's declaration is read from.
"""


def declare(image: bytes) -> ModuleBinary:
    return read_declaration(image, module_name="subject", path="subject.so", target_version=(3, 14))


def chosen() -> list[tuple[Case, int]]:
    return [(case, SHAPES[n % len(SHAPES)]) for n, case in enumerate(EVERY) if case.label in CHOICE]


@pytest.mark.parametrize(("case", "shape"), chosen(), ids=lambda value: getattr(value, "label", value))
def test_what_depends_on_the_machine_is_never_said_not_to_need_the_gil(case: Case, shape: int) -> None:
    answer = declare(compiled(case, shape, honest=False))
    assert answer.declaration is not GilDeclaration.NOT_USED, answer.how


@pytest.mark.parametrize(("case", "shape"), chosen(), ids=lambda value: getattr(value, "label", value))
def test_what_asks_the_machine_and_declares_the_same_stays_decided(case: Case, shape: int) -> None:
    answer = declare(compiled(case, shape, honest=True))
    wanted = {GilDeclaration.NOT_USED}
    if case.folder in UNFOLLOWED or case.label in (
        "library/qsort",
        "environment/function_table",
        "machine/cpu_supports",
    ):
        wanted.add(GilDeclaration.UNDETERMINED)
    assert answer.declaration in wanted, answer.how


def test_the_reason_names_what_the_declaration_depends_on() -> None:
    case = next(case for case in EVERY if case.label == "environment/two_conditions")
    assert declare(compiled(case, 2, honest=False)).how in {
        f"its declaration depends on getenv {name}" for name in ("HOME", "PATH")
    }
