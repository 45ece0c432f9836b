"""Imports of modules: no cycles."""

from __future__ import annotations

import grimp
import pytest


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("ftaudit", "ftaudit_rules", cache_dir=None)


def test_no_modules_import_each_other_in_a_circle(graph: grimp.ImportGraph) -> None:
    """Imports in functions and those for type checkers count too."""
    waiting = {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    while free := {module for module, imported in waiting.items() if not imported & waiting.keys()}:
        waiting = {module: imported for module, imported in waiting.items() if module not in free}
    users = {module for module, imported in waiting.items() for other in imported & waiting.keys()}
    imported_too = {other for imported in waiting.values() for other in imported}
    assert sorted(users & imported_too) == []
