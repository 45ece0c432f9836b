"""The verdict table: which facts give which verdict, the negative cases first."""

from __future__ import annotations

from typing import Any

import pytest
from support.facts import SDIST, facts, failed, gap, imported, module

from ftaudit.judge.table import judge
from ftaudit.model import (
    BinaryFacts,
    DistributionFile,
    GilDeclaration,
    PackageFacts,
    RuntimeFacts,
    Status,
    Verdict,
    WheelKind,
)
from ftaudit.model.sentences import sentences

NOT_USED, USED = GilDeclaration.NOT_USED, GilDeclaration.USED
UNDECLARED, UNDETERMINED = GilDeclaration.UNDECLARED, GilDeclaration.UNDETERMINED


def said(given: PackageFacts) -> tuple[Verdict, str]:
    verdict, reasons = judge(given)
    assert reasons, "a verdict always gives its reasons"
    return verdict, "\n".join(sentences(reasons, given.platform))


NEVER_READY: dict[str, PackageFacts] = {
    "a pin that did not resolve": facts(module(binary=NOT_USED), pin={"problem": "no such package"}),
    "an index that did not answer": facts(index={"status": Status.FAILED, "reason": gap("timed out")}),
    "a wheel of which nothing was looked at": facts(),
    "a module that only one silent tier saw": facts(module(binary=UNDETERMINED)),
    "a module that neither tier decides": facts(
        module(binary=UNDETERMINED, runtime=failed(error="ModuleNotFoundError: x", environmental=True))
    ),
    "one undetermined module among good ones": facts(module("a", binary=NOT_USED), module("b", binary=UNDETERMINED)),
    "a wheel whose hash differs, though its binary reads well": facts(
        module(binary=NOT_USED), runtime=RuntimeFacts(status=Status.FAILED, reason=gap("the hash differs"))
    ),
    "an archive that could not be read": facts(
        binary=BinaryFacts(status=Status.FAILED, reason=gap("truncated")), runtime=RuntimeFacts(status=Status.SKIPPED)
    ),
}


@pytest.mark.parametrize("given", NEVER_READY.values(), ids=NEVER_READY.keys())
def test_what_could_not_be_checked_is_unknown_and_says_why(given: PackageFacts) -> None:
    verdict, _ = said(given)
    assert verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("declaration", [USED, UNDECLARED])
def test_a_binary_that_does_not_declare_not_used_reenables_the_gil(declaration: GilDeclaration) -> None:
    verdict, text = said(facts(module("demo.a", binary=NOT_USED), module("demo.b", binary=declaration)))
    assert verdict is Verdict.REENABLES_GIL
    assert "1 of 2" in text and "demo.b" in text and "demo.a" not in text


@pytest.mark.parametrize(
    ("binary", "requires_gil", "expected"),
    [
        (NOT_USED, True, Verdict.REENABLES_GIL),
        (UNDETERMINED, True, Verdict.REENABLES_GIL),
        (USED, False, Verdict.UNKNOWN),
        (UNDECLARED, False, Verdict.UNKNOWN),
        (UNDETERMINED, False, Verdict.READY),
    ],
)
def test_a_runtime_answer_wins_over_the_binary_where_it_is_the_worse_one(
    binary: GilDeclaration, requires_gil: bool, expected: Verdict
) -> None:
    verdict, _ = said(facts(module(binary=binary, runtime=imported(requires_gil=requires_gil))))
    assert verdict is expected


@pytest.mark.parametrize("outcome", ["signal", "timeout", "exit", "memory"])
def test_a_module_that_ends_its_process_is_broken(outcome: str) -> None:
    verdict, text = said(facts(module(binary=NOT_USED, runtime=failed(outcome, f"by {outcome}"))))
    assert verdict is Verdict.BROKEN
    assert f"by {outcome}" in text


def test_a_module_of_the_other_build_is_broken_whatever_it_declares() -> None:
    read = module(binary=NOT_USED, free_threaded_build=False, free_threaded_evidence="imports python314.dll")
    verdict, text = said(facts(read))
    assert verdict is Verdict.BROKEN
    assert "python314.dll" in text


def test_a_submodule_that_wants_a_missing_dependency_is_not_broken_and_the_binary_decides() -> None:
    wanting = failed(error="ModuleNotFoundError: No module named 'torch'", environmental=True)
    verdict, _ = said(facts(module(binary=NOT_USED, runtime=wanting)))
    assert verdict is Verdict.READY


def test_a_package_whose_own_import_raises_is_broken() -> None:
    guilty = module("demo._core", binary=NOT_USED, runtime=failed(error="RuntimeError: no GIL, no fun"))
    ran = RuntimeFacts(
        status=Status.DONE, modules=(guilty,), toplevels=(("demo", failed(error="RuntimeError: no GIL, no fun")),)
    )
    verdict, text = said(facts(guilty, runtime=ran))
    assert verdict is Verdict.BROKEN
    assert "no fun" in text


def test_an_innocent_plain_import_is_said_beside_the_guilty_submodule() -> None:
    guilty = module("demo.etree", runtime=imported(requires_gil=True))
    ran = RuntimeFacts(status=Status.DONE, modules=(guilty,), toplevels=(("demo", imported()),))
    _, text = said(facts(guilty, runtime=ran))
    assert "import demo" in text


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ({"sdist": SDIST, "compiled": True}, Verdict.SOURCE_ONLY),
        ({"sdist": None, "compiled": True}, Verdict.UNAVAILABLE),
    ],
)
def test_without_a_wheel_the_sdist_decides(index: dict[str, Any], expected: Verdict) -> None:
    verdict, text = said(facts(kind=WheelKind.NONE, index=index))
    assert verdict is expected
    assert "cp314t" in text or "no wheel at all" in text


def test_a_wheel_for_another_platform_alone_is_named() -> None:
    other = DistributionFile(filename="demo-1.0-cp314-cp314t-win_amd64.whl")
    index = {"sdist": SDIST, "wheels": (other,), "other_platforms": ("win_amd64",)}
    verdict, text = said(facts(kind=WheelKind.NONE, index=index))
    assert verdict is Verdict.SOURCE_ONLY
    assert "win_amd64" in text


@pytest.mark.parametrize(("compiled", "expected"), [(True, Verdict.FALLBACK), (False, Verdict.PURE)])
def test_a_pure_wheel_beside_compiled_ones_is_a_fallback(compiled: bool, expected: Verdict) -> None:
    verdict, _ = said(facts(kind=WheelKind.PURE, index={"compiled": compiled}))
    assert verdict is expected


def test_a_pure_wheel_that_holds_a_guilty_module_is_judged_by_the_module() -> None:
    verdict, _ = said(facts(module(runtime=imported(requires_gil=True)), kind=WheelKind.PURE))
    assert verdict is Verdict.REENABLES_GIL


def test_a_platform_wheel_without_extension_modules_is_ready() -> None:
    looked = BinaryFacts(status=Status.DONE)
    verdict, text = said(facts(kind=WheelKind.NATIVE, binary=looked))
    assert verdict is Verdict.READY
    assert "no extension module" in text


def test_all_modules_leaving_the_gil_off_is_ready() -> None:
    verdict, text = said(facts(module("a", binary=NOT_USED), module("b", binary=NOT_USED)))
    assert verdict is Verdict.READY
    assert "all 2" in text
