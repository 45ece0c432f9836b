"""The text of package rules' findings: the module, its framework, the evidence, the framework's own remedy."""

from __future__ import annotations

import pytest
from support.facts import facts, imported

from ftaudit.model import ExtensionModule, Finding, GilDeclaration, ModuleBinary, WheelKind
from ftaudit.registry import load_rules
from ftaudit.rule import PackageRule

REMEDIES = [
    ("Cython", "freethreading_compatible=True"),
    ("pybind11", "py::mod_gil_not_used()"),
    ("nanobind", "FREE_THREADED"),
    ("PyO3", "gil_used = false"),
    ("f2py", "--freethreading-compatible"),
    ("C", "Py_MOD_GIL_NOT_USED"),
    (None, "PyUnstable_Module_SetGIL"),
]


def findings_of(code: str, *modules: ExtensionModule) -> list[Finding]:
    rule = load_rules().find(code)
    assert isinstance(rule, PackageRule)
    return list(rule.check(facts(*modules, kind=WheelKind.FREE_THREADED)))


def read(declaration: GilDeclaration, framework: str | None, version: str | None = None) -> ExtensionModule:
    binary = ModuleBinary(
        declaration=declaration, how="emulated: Py_mod_gil = USED", framework=framework, framework_version=version
    )
    return ExtensionModule(name="demo._core", path="demo/_core.so", binary=binary)


@pytest.mark.parametrize(("framework", "wanted"), REMEDIES)
@pytest.mark.parametrize(
    ("code", "declaration"), [("FT201", GilDeclaration.UNDECLARED), ("FT202", GilDeclaration.USED)]
)
def test_the_remedy_is_the_frameworks_own(
    code: str, declaration: GilDeclaration, framework: str | None, wanted: str
) -> None:
    (finding,) = findings_of(code, read(declaration, framework))
    assert finding.remedy is not None
    assert wanted in finding.remedy


def test_the_message_names_module_framework_version_and_how_it_was_seen() -> None:
    (finding,) = findings_of("FT202", read(GilDeclaration.USED, "Cython", "3.1.2"))
    assert finding.module == "demo._core"
    for part in ("demo._core", "(Cython 3.1.2)", "emulated: Py_mod_gil = USED"):
        assert part in finding.message


def test_an_import_that_leaves_the_gil_off_silences_the_binary_and_is_a_disagreement() -> None:
    module = ExtensionModule(
        name="demo._core",
        path="demo/_core.so",
        binary=ModuleBinary(declaration=GilDeclaration.USED, how="emulated"),
        runtime=imported(requires_gil=False),
    )
    assert findings_of("FT202", module) == []
    assert findings_of("FT209", module) == []
    assert [finding.code for finding in findings_of("FT210", module)] == ["FT210"]
