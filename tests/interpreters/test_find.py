"""The interpreter that the user names is accepted or refused; otherwise the first one that fits the target."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.freethreaded import interpreter

from ftaudit.errors import InterpreterError
from ftaudit.interpreters import find_interpreter, provide_interpreter
from ftaudit.interpreters.build import build_interpreter
from ftaudit.target import parse_target

TARGET = parse_target("3.14t")


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hide this machine's interpreters, and return an empty folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.delenv("FTAUDIT_PYTHON", raising=False)
    return folder


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def link(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(REAL)
    return path


def test_where_there_is_none_the_error_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InterpreterError) as caught:
        find_interpreter(TARGET, cache_dir=tmp_path)
    for place in ("on PATH", "managed by uv", "installed by pyenv", "provided by ftaudit"):
        assert place in caught.value.problem
    assert "ftaudit python install" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("#!/bin/sh\necho 'pyenv: python3.14t: command not found' >&2; exit 127\n", "command not found"),
        ("#!/bin/sh\necho hello\n", "does not behave like"),
        ("#!/bin/sh\necho '[]'\n", "does not behave like"),
        ("no program at all", "does not run"),
        (
            '#!/bin/sh\necho \'{"version": "3.14.0", "build": "", "implementation": "cpython", '
            '"free_threaded": false, "executable": "x", "missing": []}\'\n',
            "GIL-enabled build",
        ),
    ],
)
def test_what_the_user_names_and_is_none_is_an_error_that_says_why(tmp_path: Path, text: str, why: str) -> None:
    named = executable(tmp_path / "named", text)
    with pytest.raises(InterpreterError, match="--python") as caught:
        find_interpreter(TARGET, explicit=named, cache_dir=tmp_path)
    assert why in caught.value.problem


def test_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InterpreterError, match=r"not CPython 3\.14"):
        find_interpreter(TARGET, explicit=Path(sys.executable), cache_dir=tmp_path)


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InterpreterError, match="does not run"):
        find_interpreter(TARGET, explicit=tmp_path / "nowhere", cache_dir=tmp_path)


def test_a_target_without_a_known_source_is_not_built(tmp_path: Path) -> None:
    with pytest.raises(InterpreterError, match=r"3\.13t"):
        build_interpreter(parse_target("3.13t"), cache_dir=tmp_path, progress=lambda text: None)


def test_nothing_is_built_below_a_folder_with_a_blank_in_its_name_and_all_that_was_tried_is_told(
    tmp_path: Path, bare: Path
) -> None:
    for name in ("gcc", "apt-get", "apt-cache", "dpkg"):
        executable(bare / name, "#!/bin/sh\nexit 1\n")
    heard: list[str] = []
    with pytest.raises(InterpreterError) as caught:
        provide_interpreter(TARGET, cache_dir=tmp_path / "a folder", progress=heard.append)
    assert "uv python install 3.14t" in heard[0]
    assert "on PATH" in caught.value.problem
    assert "uv python install" in caught.value.problem
    assert not (tmp_path / "a folder").exists()


@pytest.mark.interpreter
class TestWithAnInterpreter:
    """Tests that need an interpreter."""

    def test_the_variable_is_obeyed_or_an_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FTAUDIT_PYTHON", REAL)
        assert find_interpreter(TARGET, cache_dir=tmp_path).source == "named by FTAUDIT_PYTHON"
        link(tmp_path / "bin" / "python3.14t")
        monkeypatch.setenv("FTAUDIT_PYTHON", str(tmp_path / "nowhere"))
        with pytest.raises(InterpreterError, match="FTAUDIT_PYTHON"):
            find_interpreter(TARGET, cache_dir=tmp_path)
        with pytest.raises(InterpreterError, match="FTAUDIT_PYTHON"):
            provide_interpreter(TARGET, cache_dir=tmp_path, progress=lambda text: None)

    def test_a_shim_that_does_not_run_hides_no_real_one(
        self, tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shim = executable(bare / "python3.14t", "#!/bin/sh\nexit 127\n")
        link(tmp_path / "second" / "python3.14t")
        monkeypatch.setenv("PATH", f"{bare}:{tmp_path / 'second'}")
        found = find_interpreter(TARGET, cache_dir=tmp_path)
        assert found.source == "python3.14t on PATH"
        assert any(str(shim) in attempt for attempt in found.attempts)
        assert found.version.startswith("3.14.")
        assert "free-threading" in found.build

    def test_one_that_pyenv_installed_is_found(self, tmp_path: Path) -> None:
        link(tmp_path / "pyenv" / "versions" / "3.14.7t" / "bin" / "python3.14t")
        assert find_interpreter(TARGET, cache_dir=tmp_path).source == "python3.14t installed by pyenv"

    def test_one_that_we_built_counts_once_it_is_complete(self, tmp_path: Path) -> None:
        prefix = tmp_path / "cache" / "python" / "3.14.7t"
        link(prefix / "bin" / "python3.14t")
        with pytest.raises(InterpreterError):
            find_interpreter(TARGET, cache_dir=tmp_path / "cache")
        (prefix / ".complete").touch()
        found = provide_interpreter(TARGET, cache_dir=tmp_path / "cache", progress=lambda text: None)
        assert found.source == "python3.14t provided by ftaudit"

    def test_the_folder_of_an_installation_may_be_named(self, tmp_path: Path) -> None:
        link(tmp_path / "environment" / "bin" / "python3")
        found = find_interpreter(TARGET, explicit=tmp_path / "environment", cache_dir=tmp_path)
        assert found.source == "named by --python"


def _real() -> str:
    try:
        return interpreter().path
    except InterpreterError:
        return "/nonexistent"


REAL = _real()
