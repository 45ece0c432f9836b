"""Every small module of fixtures/binaries has the declaration that its source states, on every platform."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ftaudit.binary.declaration import read_declaration
from ftaudit.model import GilDeclaration, ModuleBinary

ROOT = Path(__file__).resolve().parents[2] / "fixtures" / "binaries"
FILES = sorted(
    path for folder in ROOT.iterdir() if folder.name not in ("src", "libraries") for path in folder.iterdir()
)
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
FORMATS = {"linux": "elf", "macos": "macho", "windows": "pe"}


def expected(case: str) -> tuple[str, str]:
    """Return the declaration that a case's source states, and for `undetermined` the text of the reason."""
    source = next((ROOT / "src").glob(f"{case}.c*")).read_text()
    match = re.search(r"/\* expect: (\w+)(?:: (.*?))? \*/", source)
    assert match is not None, f"{case} states no expectation"
    return match[1], match[2] or ""


def declare(path: Path, *, version: tuple[int, int] = (3, 14), name: str | None = None) -> ModuleBinary:
    """Read one fixture, with the modules next to it and the shared libraries of its platform as its siblings."""

    def sibling(wanted: str) -> bytes | None:
        libraries = ROOT / "libraries" / path.parent.name
        places = (*path.parent.glob(f"{wanted}.*"), *libraries.glob(wanted))
        return next((other.read_bytes() for other in places), None)

    module = name or path.name.partition(".")[0]
    return read_declaration(
        path.read_bytes(), module_name=module, path=f"pkg/{path.name}", target_version=version, siblings=sibling
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name.partition('.')[0]}")
def test_the_declaration_is_what_the_source_states(path: Path) -> None:
    case = path.name.partition(".")[0]
    declaration, reason = expected(case)
    answer = declare(path)
    assert answer.declaration == declaration, answer.how
    assert answer.how
    if declaration == "undetermined":
        assert reason in answer.how
    system, _, machine = path.parent.name.partition("-")
    assert answer.format == FORMATS[system]
    assert answer.machine == MACHINES[machine.partition("-")[0]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name.partition('.')[0]}")
def test_the_build_it_was_compiled_for_is_told_wherever_something_tells(path: Path) -> None:
    answer = declare(path)
    case = path.name.partition(".")[0]
    if answer.free_threaded_build is None:
        assert case in {"cffi_like", "mypyc_shim", "library_shim", "endless", "never", "no_module"}, (
            "nothing in these names a build"
        )
        assert answer.free_threaded_evidence is None
    else:
        assert answer.free_threaded_build is not case.startswith("gil_build")
        assert answer.free_threaded_evidence


@pytest.mark.parametrize("platform", ["linux-x86_64", "macos-x86_64", "windows-arm64"])
def test_a_decoy_hook_is_read_only_where_the_file_has_its_name(platform: str) -> None:
    path = next((ROOT / platform).glob("several.*"))
    assert declare(path, name="pkg.decoy").declaration is GilDeclaration.USED
    assert declare(path, name="pkg.spaß").declaration is GilDeclaration.USED
    absent = declare(path, name="pkg.absent")
    assert absent.declaration is GilDeclaration.UNDETERMINED
    assert "PyInit_absent" in absent.how


@pytest.mark.parametrize("platform", ["linux-aarch64", "macos-x86_64", "windows-amd64"])
def test_the_export_hook_counts_from_3_15_on_and_its_nested_slots_are_read(platform: str) -> None:
    path = next((ROOT / platform).glob("export_hook.*"))
    assert declare(path, version=(3, 14)).declaration is GilDeclaration.USED
    assert declare(path, version=(3, 15)).declaration is GilDeclaration.NOT_USED


def test_a_shim_without_its_group_module_is_undetermined_and_names_it() -> None:
    path = next((ROOT / "linux-x86_64").glob("mypyc_shim.*"))
    answer = read_declaration(path.read_bytes(), module_name="mypyc_shim", path=path.name, target_version=(3, 14))
    assert answer.declaration is GilDeclaration.UNDETERMINED
    assert "fixture__mypyc" in answer.how


def test_single_and_multi_phase_initialization_are_told_apart() -> None:
    folder = ROOT / "windows-arm64"
    assert declare(next(folder.glob("multi_used.*"))).multi_phase is True
    assert declare(next(folder.glob("single_set.*"))).multi_phase is False
    assert declare(next(folder.glob("endless.*"))).multi_phase is None


@pytest.mark.parametrize("platform", ["linux-aarch64", "linux-x86_64", "macos-x86_64", "windows-amd64"])
def test_a_branch_that_no_unknown_decides_is_not_turned_round(platform: str) -> None:
    answer = declare(next((ROOT / platform).glob("never.*")))
    assert answer.declaration == "undetermined"
    assert "branch" not in answer.how
