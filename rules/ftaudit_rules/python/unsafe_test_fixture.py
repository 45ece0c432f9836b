"""FT531: a test uses a fixture that changes the process."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule


class UnsafeTestFixture(PythonRule):
    """A test uses `monkeypatch`, `capsys`, `capfd` or `recwarn`. These fixtures change the whole process, so the test
    cannot run in several threads at the same time. pytest-run-parallel runs tests in this way to find races."""

    info = RuleInfo(
        code="FT531",
        name="unsafe-test-fixture",
        summary=(
            "A test uses a fixture that changes the whole process, so it cannot run in several threads at the same "
            "time."
        ),
        severity=Severity.PEDANTIC,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Mark the test with `@pytest.mark.thread_unsafe`, or write it without the fixture.",
        links=("https://py-free-threading.github.io/testing/",),
        default=False,
    )
    VALID = (
        SourceExample(
            path="test_env.py",
            code="""\
import pytest
@pytest.mark.thread_unsafe
def test_env(monkeypatch):
    monkeypatch.setenv("A", "1")
""",
            instead=True,
        ),
        SourceExample(
            code="""\
def test_add():
    assert 1 + 1 == 2
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
def test_env(monkeypatch):
    monkeypatch.setenv("A", "1")
""",
            lines=(1,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield test functions with such fixtures that are not marked."""
        for function in module.tree.functions():
            if not function.name.startswith("test"):
                continue
            used = {argument.arg for argument in function.args.args} & _FIXTURES
            if used and not any("thread_unsafe" in ast.unparse(decorator) for decorator in function.decorator_list):
                yield self.finding(
                    (
                        f"`{function.name}` uses {', '.join(f'`{name}`' for name in sorted(used))}, which changes the "
                        "whole process"
                    ),
                    location=module.location(function.lineno, function.col_offset + 1),
                )


_FIXTURES = frozenset({"monkeypatch", "capsys", "capfd", "capsysbinary", "capfdbinary", "recwarn"})
