"""Shapes of real init functions that ask before they declare: decided where no answer changes the declaration."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.unknowns import compiled_file

from ftaudit.binary.declaration import read_declaration
from ftaudit.binary.emulator.budget import Budget
from ftaudit.binary.image.call_sites import is_written_only_by
from ftaudit.binary.loaders import load_images
from ftaudit.model import GilDeclaration

pytestmark = pytest.mark.interpreter

FOLDER = Path(__file__).parents[2] / "fixtures" / "proofs"
SOURCES = sorted(FOLDER.glob("*.c"))
WRITTEN_BY_HAND = sorted(FOLDER.glob("*.cpp"))


@pytest.mark.parametrize("optimize", ["-O0", "-O2"])
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_path_that_makes_no_module_does_not_count(source: Path, optimize: str) -> None:
    image = compiled_file(source, optimize)
    answer = read_declaration(image, module_name="subject", path="subject.so", target_version=(3, 14))
    assert answer.declaration is GilDeclaration.NOT_USED, answer.how


@pytest.mark.parametrize("optimize", ["-O0", "-O2"])
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_path_that_makes_another_module_counts(source: Path, optimize: str) -> None:
    image = compiled_file(source, optimize, "-DGUILTY")
    answer = read_declaration(image, module_name="subject", path="subject.so", target_version=(3, 14))
    assert answer.declaration in (GilDeclaration.UNDETERMINED, GilDeclaration.USED), answer.how


@pytest.mark.parametrize("optimize", ["-O0", "-O2"])
@pytest.mark.parametrize("source", WRITTEN_BY_HAND, ids=lambda source: source.stem)
def test_a_path_on_which_a_hand_written_module_may_go_on_counts(source: Path, optimize: str) -> None:
    image = compiled_file(source, optimize, "-lstdc++")
    answer = read_declaration(image, module_name="subject", path="subject.so", target_version=(3, 14))
    assert answer.declaration is GilDeclaration.UNDETERMINED, answer.how


@pytest.mark.parametrize("optimize", ["-O0", "-O2"])
def test_constructors_of_a_library_count_if_they_may_write_what_its_hook_reads(optimize: str) -> None:
    library = FOLDER / "libraries" / "many_constructors.c"
    shim = compiled_file(FOLDER / "libraries" / "shim.c", optimize, "-Wl,--no-as-needed", "-l:libm.so.6")
    found = {}
    for flags in ((), ("-DGUILTY",)):
        siblings = {"libm.so.6": compiled_file(library, optimize, *flags)}
        answer = read_declaration(
            shim, module_name="subject", path="subject.so", target_version=(3, 14), siblings=siblings
        )
        found[flags] = answer.declaration
    assert found == {(): GilDeclaration.NOT_USED, ("-DGUILTY",): GilDeclaration.UNDETERMINED}


@pytest.mark.parametrize("optimize", ["-O0", "-O2"])
@pytest.mark.parametrize(
    ("name", "version"), [("next_to_a_counter", (3, 14)), ("shared_abi_info", (3, 15))], ids=["3.14", "3.15"]
)
def test_other_code_of_a_framework_counts_only_if_it_names_the_slots(
    name: str, version: tuple[int, int], optimize: str
) -> None:
    found = {}
    for flags in ((), ("-DGUILTY",)):
        image = compiled_file(FOLDER / "other" / f"{name}.c", optimize, *flags)
        answer = read_declaration(image, module_name="subject", path="subject.so", target_version=version)
        found[flags] = answer.declaration
    assert found == {(): GilDeclaration.NOT_USED, ("-DGUILTY",): GilDeclaration.UNDETERMINED}


def test_an_addition_to_a_counter_names_only_that() -> None:
    image = compiled_file(FOLDER / "other" / "next_to_a_counter.c", "-O2")
    (loaded,) = load_images(image, Budget(), every_export=True)
    hook, counter = loaded.exports["PyInit_subject"], loaded.exports["exported"] + 4
    own = frozenset(range(hook, hook + 64))
    assert is_written_only_by(loaded, (counter + 4, counter + 12), own)
    assert not is_written_only_by(loaded, (counter, counter + 4), own)


def test_a_module_whose_code_can_declare_nothing_is_undeclared_whatever_decides() -> None:
    image = compiled_file(FOLDER / "other" / "declares_nothing.c", "-O2")
    answer = read_declaration(image, module_name="subject", path="subject.so", target_version=(3, 14))
    assert answer.declaration is GilDeclaration.UNDECLARED, answer.how
