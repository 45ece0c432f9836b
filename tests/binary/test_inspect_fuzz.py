"""A small, seeded part of `scripts/fuzz_binary.py`: spoilt images and wheels have declared outcomes only."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
VARIANTS = 200


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_binary", ROOT / "scripts" / "fuzz_binary.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_spoilt_binaries_of_all_formats_have_declared_outcomes_only(fuzz: ModuleType) -> None:
    # A module that never ends is its own test: here it would use up its whole budget in every variant.
    seeds = [seed for seed in fuzz.find_seeds([fuzz.BINARIES]) if seed.module != "endless"]
    assert {fuzz.image_format(seed.data) for seed in seeds} == {"elf", "macho", "pe"}
    outcomes = fuzz.run(seeds, variants=VARIANTS, seed=3, workers=2, seconds=20.0)
    assert sum(outcomes.values()) == VARIANTS
    assert [outcome for outcome in outcomes if outcome.startswith("FLAW")] == []
    assert len([outcome for outcome in outcomes if outcome.startswith("wheel")]) > 2
