"""One bad wheel is a row; the rest is installed and imported, and the second time nothing is installed again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support.freethreaded import interpreter, make_wheel

from ftaudit.model import Status
from ftaudit.sandbox import SandboxSettings, WheelToImport, import_distributions

pytestmark = pytest.mark.interpreter


def good(folder: Path, name: str) -> WheelToImport:
    return make_wheel(folder, name, {f"{name}/__init__.py": "", f"{name}/first.EXT": "extension"})


def test_a_bad_wheel_is_a_row_with_its_reason_and_loses_nothing_else(tmp_path: Path) -> None:
    truncated = good(tmp_path, "truncated")
    content = Path(truncated.location).read_bytes()
    Path(truncated.location).write_bytes(content[: len(content) // 2])
    evil = make_wheel(tmp_path, "evil", {"../escaped.py": "", "evil/__init__.py": "", "evil/first.EXT": "extension"})
    wheels = [
        good(tmp_path, "alpha"),
        dataclasses.replace(good(tmp_path, "changed"), sha256="0" * 64),
        dataclasses.replace(truncated, sha256=None),
        dataclasses.replace(good(tmp_path, "gone"), location=str(tmp_path / "nowhere" / "gone-1.0-py3-none-any.whl")),
        dataclasses.replace(good(tmp_path, "blank"), location="https://index.example/a b\n--index-url=x"),
        evil,
        good(tmp_path, "omega"),
    ]
    settings = SandboxSettings(cache_dir=tmp_path / "cache", offline=True)
    heard: list[str] = []
    facts = import_distributions(interpreter(), wheels, settings=settings, on_done=heard.append)
    assert sorted(heard) == sorted(facts) == sorted(wheel.name for wheel in wheels)
    for name in ("alpha", "omega"):
        assert facts[name].status is Status.DONE
        assert facts[name].modules[0].runtime.imported
    for name in ("changed", "truncated", "gone", "blank"):
        assert facts[name].status is Status.FAILED, name
        assert facts[name].reason
        assert facts[name].modules == ()
    assert "hash" in str(facts["changed"].reason)
    assert not list(tmp_path.rglob("escaped.py"))


def test_what_others_need_is_installed_and_not_reported(tmp_path: Path) -> None:
    app = make_wheel(tmp_path, "app", {"app/__init__.py": "import lib", "app/first.EXT": "extension"})
    lib = dataclasses.replace(make_wheel(tmp_path, "lib", {"lib/__init__.py": ""}), wanted=False)
    facts = import_distributions(interpreter(), [app, lib], settings=SandboxSettings(cache_dir=tmp_path / "cache"))
    assert list(facts) == ["app"]
    assert facts["app"].modules[0].runtime.imported


def test_an_environment_is_made_once_and_a_failed_one_is_tried_again(tmp_path: Path) -> None:
    settings = SandboxSettings(cache_dir=tmp_path / "cache", keep_environments=1)
    wheel = good(tmp_path, "alpha")
    location = Path(wheel.location)
    content = location.read_bytes()
    location.unlink()
    assert import_distributions(interpreter(), [wheel], settings=settings)["alpha"].status is Status.FAILED
    location.write_bytes(content)
    assert import_distributions(interpreter(), [wheel], settings=settings)["alpha"].status is Status.DONE
    location.unlink()
    assert import_distributions(interpreter(), [wheel], settings=settings)["alpha"].status is Status.DONE


def test_old_environments_are_removed(tmp_path: Path) -> None:
    settings = SandboxSettings(cache_dir=tmp_path / "cache", keep_environments=2)
    for name in ("alpha", "beta", "gamma", "delta"):
        import_distributions(interpreter(), [good(tmp_path, name)], settings=settings)
    kept = [path for path in (tmp_path / "cache" / "environments").iterdir() if path.is_dir()]
    assert len(kept) == 2


def test_nothing_wanted_starts_nothing(tmp_path: Path) -> None:
    settings = SandboxSettings(cache_dir=tmp_path / "cache")
    assert import_distributions(interpreter(), [], settings=settings) == {}
    assert not (tmp_path / "cache").exists()


def test_a_distribution_without_importable_things_is_done_with_none(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "empty", {"empty.txt": "nothing to import"})
    facts = import_distributions(interpreter(), [wheel], settings=SandboxSettings(cache_dir=tmp_path / "cache"))
    assert (facts["empty"].status, facts["empty"].modules, facts["empty"].toplevels) == (Status.DONE, (), ())
