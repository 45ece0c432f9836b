"""Every module of fixtures/abi3t is read, on every platform it was built for, as CPython 3.15 takes it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ftaudit.binary.declaration import read_declaration
from ftaudit.binary.facts_cache import parse_binary
from ftaudit.binary.inspection import _claims_stable_abi
from ftaudit.model import GilDeclaration, Hook, ModuleBinary, RefusalKind

ROOT = Path(__file__).resolve().parents[2] / "fixtures" / "abi3t"
FILES = sorted(path for folder in ROOT.iterdir() if folder.name != "src" for path in folder.iterdir())
LEGACY = {
    "both_differ",
    "both_hooks",
    "definition_abi",
    "definition_conflict",
    "definition_gil_only",
    "definition_of_3_13",
    "removed",
    "single_of_3_13",
}
"""Cases with a `PyInit_` hook, which 3.14 finds."""


def case_of(path: Path) -> str:
    """Return the name of the source that a fixture was built from."""
    return re.sub(r"_(?:315t|abi3)$", "", path.name.partition(".")[0])


def expected(path: Path) -> tuple[str, str | None]:
    """Return the declaration that a source states, and the kind of refusal."""
    source = (ROOT / "src" / f"{case_of(path)}.c").read_text()
    match = re.search(r"/\* expect: (\w+)(?:, refused: ([\w-]+) (\w+))? \*/", source)
    assert match is not None, f"{path.name} states no expectation"
    return match[1], match[2]


def declare(path: Path, *, version: tuple[int, int] = (3, 15)) -> ModuleBinary:
    """Read one fixture as the module of a wheel that claims a stable ABI."""
    name = path.name.partition(".")[0]
    return read_declaration(
        path.read_bytes(), module_name=name, path=f"pkg/{path.name}", target_version=version, stable_abi=True
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name.partition('.')[0]}")
def test_the_declaration_and_the_refusal_are_what_the_source_states(path: Path) -> None:
    declaration, refused = expected(path)
    answer = declare(path)
    assert answer.declaration == declaration, answer.how
    assert (None if answer.refusal is None else answer.refusal.kind.value) == refused


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name.partition('.')[0]}")
def test_3_14_refuses_a_module_that_has_an_export_hook_alone(path: Path) -> None:
    refusal = declare(path, version=(3, 14)).refusal
    if case_of(path) in LEGACY:
        assert refusal is None or refusal.kind is not RefusalKind.NO_HOOK
    else:
        assert refusal is not None
        assert refusal.kind is RefusalKind.NO_HOOK


def test_of_two_hooks_the_export_hook_is_named_and_its_abi_is_kept() -> None:
    good = declare(next((ROOT / "macos-arm64").glob("good.*")))
    assert good.hook is Hook.EXPORT
    assert good.abi_info is not None
    assert (good.abi_info.flags, good.abi_info.abi_version >> 16) == (7, 0x030F)
    assert declare(next((ROOT / "windows-amd64").glob("both_hooks.*"))).hook is Hook.EXPORT
    assert declare(next((ROOT / "windows-amd64").glob("both_hooks.*")), version=(3, 14)).hook is Hook.INIT


def test_what_a_module_of_a_stable_abi_wheel_takes_from_cpython_is_kept() -> None:
    outside = declare(next((ROOT / "linux-x86_64").glob("outside.*")))
    assert outside.python_symbols == ("PyObject_SetAttrString", "PyUnicode_New")
    linked = {path.name: declare(path).python_libraries for path in (ROOT / "windows-amd64").glob("good*")}
    assert linked == {
        "good.pyd": ("python3t.dll",),
        "good_315t.pyd": ("python315t.dll",),
        "good_abi3.pyd": ("python3.dll",),
    }
    assert _claims_stable_abi("pkg-1.0-cp315-abi3.abi3t-win_amd64.whl")
    assert not _claims_stable_abi("pkg-1.0-cp315-cp315t-win_amd64.whl")


@pytest.mark.parametrize("case", ["good", "outside", "removed", "other_version", "unknown_slot"])
def test_what_was_read_is_the_same_after_it_was_remembered(case: str) -> None:
    import json
    from dataclasses import asdict

    answer = declare(next((ROOT / "linux-x86_64").glob(f"{case}.*")))
    assert parse_binary(json.loads(json.dumps(asdict(answer)))) == answer


@pytest.mark.parametrize("version", [(3, 14), (3, 15)])
def test_a_value_of_the_gil_slot_is_compared_as_each_version_does(version: tuple[int, int]) -> None:
    # A `PyModuleDef` with `Py_mod_gil` = 2 would do; the export hook's module shows the half of 3.15.
    path = next((ROOT / "linux-x86_64").glob("odd_value.*"))
    answer = declare(path, version=version)
    assert answer.declaration is (GilDeclaration.USED if version == (3, 15) else GilDeclaration.UNDETERMINED)
