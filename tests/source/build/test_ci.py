"""The facts of continuous-integration files: from the YAML, and from the scripts in its strings."""

from __future__ import annotations

import pytest
from source.build.test_tables import context

from ftaudit.source.build import BuildContext, FactKind

WORKFLOW = ".github/workflows/w.yml"
SCRIPT = "run: |\n  set -e\n  # CIBW_SKIP=cp313t-*\n  export CIBW_SKIP=cp314t-*\n"


def facts(text: str) -> BuildContext:
    return context({WORKFLOW: text})


def skips(text: str) -> list[tuple[int, str]]:
    return [(fact.line, fact.value) for fact in facts(text).of(FactKind.CIBW_SKIP)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("env:\n  CIBW_SKIP: cp314t-* pp*\n", [(2, "cp314t-*"), (2, "pp*")]),
        ("env: {CIBW_SKIP: 'cp314t-*', X: y}\n", [(1, "cp314t-*")]),
        ('env:\n  "CIBW_SKIP": "cp314t-*"  # for now\n', [(2, "cp314t-*")]),
        ("env:\n  CIBW_SKIP_LINUX: cp314t-*\n", [(2, "cp314t-*")]),
        ("env:\n  CIBW_SKIP: |\n    pp*\n    cp314t-*\n  OTHER: x\n", [(3, "pp*"), (4, "cp314t-*")]),
        ("env:\n  CIBW_SKIP: >-\n\n    pp*\n\n    cp314t-*\n", [(4, "pp*"), (6, "cp314t-*")]),
        ("env:\n  CIBW_SKIP: pp*\n    cp314t-*\nx: y\n", [(2, "pp*"), (3, "cp314t-*")]),
        ('env:\n  CIBW_SKIP: "pp*\n    cp314t-*"\n', [(2, "pp*"), (3, "cp314t-*")]),
        ("env:\n  ? CIBW_SKIP\n  : cp314t-*\n", [(3, "cp314t-*")]),
        ("variables:\n- name: CIBW_SKIP\n  value: cp314t-*\n", [(3, "cp314t-*")]),
        ("x: &a\n  CIBW_SKIP: cp314t-*\ny: *a\n", [(2, "cp314t-*")]),
        ("a: 1\n---\nCIBW_SKIP: cp314t-*\n", [(3, "cp314t-*")]),
        ("job: !reference [.setup]\nCIBW_SKIP: cp314t-*\n", [(2, "cp314t-*")]),
        ("run: export CIBW_SKIP='cp314t-*'\n", [(1, "cp314t-*")]),
        (SCRIPT, [(4, "cp314t-*")]),
        ("env:\n  # CIBW_SKIP: cp314t-*\n  A: b # CIBW_SKIP: cp314t-*\n", []),
        ("env:\n  CIBW_SKIP:\n", []),
    ],
)
def test_what_cibuildwheel_skips_is_found_with_its_line(text: str, found: list[tuple[int, str]]) -> None:
    assert skips(text) == found


@pytest.mark.parametrize(
    ("text", "lane"),
    [
        ("python-version: ['3.14', 3.14t]\n", True),
        ("python-version: ['3.14']\n# one day: 3.14t\n", False),
        ("python-version: ['3.14']  # and 3.14t\n", False),
        ("python-version: ['3.14']\nenv:\n  CIBW_SKIP: cp314t-*\n", False),
        ("matrix:\n  python-version: ['3.14']\n  exclude:\n  - python-version: 3.14t\n", False),
        ("run: tox -e py314t\nenv: {PYTHON_GIL: '0', X: freethreaded}\n", True),
        ("run: pytest\n", False),
    ],
)
def test_a_comment_a_skipped_build_or_an_excluded_version_is_no_free_threaded_job(text: str, lane: bool) -> None:
    (job,) = facts(text).of(FactKind.CI_FILE)
    assert job.settled is lane


def test_a_workflow_without_python_is_no_job_of_ours() -> None:
    assert facts("run: cargo test\n# pytest\n").of(FactKind.CI_FILE) == ()


def test_the_line_of_a_job_is_that_of_the_key_of_its_versions() -> None:
    (job,) = facts("on: push\nmatrix:\n  python-version:\n  - '3.13'\n  - '3.14'\n").of(FactKind.CI_FILE)
    assert job.line == 3


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("- uses: pypa/cibuildwheel@v2.21.3\n", "2.21.3"),
        ("- run: pip install cibuildwheel==3.0\n", "3.0"),
        ("- run: |\n    pip install -U pip\n    pip install cibuildwheel==3.0\n", "3.0"),
        ("- uses: pypa/cibuildwheel@" + "0123456789" * 4 + " # v4.1.0\n", "4.1.0"),
    ],
)
def test_the_version_of_cibuildwheel_is_found(text: str, version: str) -> None:
    assert [fact.value for fact in facts(text).of(FactKind.CIBW_VERSION)] == [version]


@pytest.mark.parametrize(
    ("value", "wanted"), [("true", True), ("1", True), ("'yes'", True), ("false", False), ("", False)]
)
def test_an_option_that_is_gone_says_what_it_asked_for(value: str, wanted: bool) -> None:
    (fact,) = facts(f"env:\n  CIBW_FREE_THREADED_SUPPORT: {value}\n").of(FactKind.CIBW_OBSOLETE)
    assert (fact.line, fact.settled) == (2, wanted)


@pytest.mark.parametrize(
    "text",
    [
        "{% if x %}\nenv:\n  CIBW_SKIP: >-\n    cp314t-*\n{% endif %}\n",
        "env:\n\tx: y\n\n  CIBW_SKIP: cp314t-*\n",
        "a: " + "[" * 5000 + "\nb:\n  CIBW_SKIP: cp314t-*\n",
    ],
)
def test_a_template_that_is_not_yaml_is_read_line_by_line(text: str) -> None:
    assert [value for _, value in skips(text)] == ["cp314t-*"]


def test_aliases_of_aliases_are_looked_at_once() -> None:
    layers = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 20)}]\n" for n in range(1, 30))
    assert skips("l0: &l0\n  CIBW_SKIP: cp314t-*\n" + layers) == [(2, "cp314t-*")]
