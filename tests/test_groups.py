"""Tests of one group run in one process: shared fixtures are made once, and timed tests run alone."""

from __future__ import annotations

import pytest


@pytest.mark.timing
def test_pytest_xdist_knows_the_group_of_a_test(request: pytest.FixtureRequest) -> None:
    # It reads the group behind the last @ of a test's name, so a pytest that ignores the names it gives splits groups.
    if not hasattr(request.config, "workerinput"):
        pytest.skip("the suite runs in one process")
    assert request.node.nodeid.endswith("@timing")
