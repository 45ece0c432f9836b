"""Without an extra, what its engines would have checked is reported as not checked, with the way to install it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import tomli
import yaml
from support.command import environment
from support.compiled import BAD, GOOD, release

import ftaudit as installed
from ftaudit.cli import main as run_main
from ftaudit.extras import EMULATOR, IMAGES, SOURCE_ENGINES

ROOT = Path(__file__).parents[1]
MODULE = "#include <Python.h>\nPyMODINIT_FUNC PyInit_m(void) { return PyModule_Create(&def); }\n"
CRATE = "use pyo3::prelude::*;\n#[pymodule]\nfn m(_m: &Bound<PyModule>) -> PyResult<()> { Ok(()) }\n"
LAZY = "import sys\ndef names():\n    return [m for m in sys.modules.values() if m]\n"


def python_without(folder: Path, modules: tuple[str, ...]) -> Path:
    """Return an interpreter that has everything of this one, except some modules."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python3*/site-packages") if sys.platform != "win32" else folder.glob("Lib/site-packages")
    hidden = f"import sys; sys.modules.update(dict.fromkeys({modules!r}))"
    (site / "without.pth").write_text("\n".join((*(path for path in sys.path if path), hidden)) + "\n")
    return next(path for path in folder.glob("*/python*") if path.suffix in ("", ".exe"))


def test_a_module_is_unknown_without_the_binary_engines_and_determined_once_they_are_installed(tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    for file in (release("good", "1.0", GOOD)[1], release("bad", "1.0", BAD)[1]):
        (links / file.filename).write_bytes(file.data)
    light = python_without(tmp_path / "light", (*EMULATOR, *IMAGES))

    def verdicts(python: str | Path) -> tuple[int, dict[str, str], str]:
        command = [python, "-m", "ftaudit", "check", "--static", "--offline", "--format", "json", "links"]
        command += ["--platform", "linux-x86_64"]
        paths = {"PYTHONPATH": str(Path(installed.__file__).parents[1])}
        ran = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment(tmp_path, paths), check=False
        )
        return ran.returncode, {row["name"]: row["verdict"] for row in json.loads(ran.stdout)["packages"]}, ran.stdout

    code, found, text = verdicts(light)
    assert (code, found) == (3, {"good": "unknown", "bad": "unknown"})
    assert "needs unicorn and capstone: pip install 'ftaudit[binary]'" in text
    assert json.loads(text)["coverage"]["binaries"] == {"done": 0, "total": 2}
    assert verdicts(sys.executable)[:2] == (1, {"good": "ready", "bad": "reenables-gil"}), "nothing of that was cached"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {"m.c": MODULE, "lib.rs": CRATE, "a.py": LAZY}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FTAUDIT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def hide(monkeypatch: pytest.MonkeyPatch, modules: tuple[str, ...]) -> None:
    """Let this process, and the workers that are copies of it, miss some modules."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(30)  # Of an earlier test: as long as it runs, workers are no copies.
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)


def test_a_scan_without_the_parsers_reads_python_names_the_rest_and_does_not_remember_it(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["scan", "--jobs", "1", "--format", "json", "m.c", "lib.rs", "a.py"]
    with pytest.MonkeyPatch.context() as patch:
        hide(patch, SOURCE_ENGINES)
        assert run_main(arguments) == 1, "the race in a.py is found"
        out, err = capsys.readouterr()
    skipped = {row["path"]: row["reason"] for row in json.loads(out)["skipped"]}
    assert skipped == {
        "m.c": "needs tree-sitter, tree-sitter-c and tree-sitter-cpp: pip install 'ftaudit[source]'",
        "lib.rs": "needs tree-sitter and tree-sitter-rust: pip install 'ftaudit[source]'",
    }
    assert "the report has no fixes: it needs tree-sitter" in err
    assert run_main(arguments) == 1
    assert json.loads(capsys.readouterr().out)["skipped"] == []


@pytest.mark.parametrize("option", ["--diff", "--write", "--declare"])
def test_an_edit_that_needs_a_missing_editor_is_a_usage_error(
    option: str, tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hide(monkeypatch, ("libcst",))
    assert run_main(["scan", option]) == 2
    assert f"{option} needs libcst: pip install 'ftaudit[source]'" in capsys.readouterr().err


def test_syntax_newer_than_the_running_python_is_not_called_invalid_where_the_parser_is_missing(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "new.py").write_text("lazy import json\n")
    hide(monkeypatch, ("libcst",))
    assert run_main(["scan", "--jobs", "1", "--no-cache", "new.py"]) == 3
    assert "needs libcst" in " ".join(capsys.readouterr().out.split())


def test_the_extras_are_what_the_code_needs_and_what_the_hooks_install() -> None:
    project = tomli.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    names = {extra: {line.partition(">=")[0].replace("-", "_") for line in extras[extra]} for extra in extras}
    assert names["binary"] == {*EMULATOR, *IMAGES} and names["source"] == {*SOURCE_ENGINES}
    assert extras["all"] == ["ftaudit[binary,conda,source]"]
    conditional = [line.partition(";") for line in project["dependencies"] if ";" in line]
    assert [name for name, _, _ in conditional] == [*extras["binary"], *extras["source"]]
    assert len({marker for _, _, marker in conditional}) == 1, "all engines come together or not at all"
    hooks = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))}
    wanted = [*extras["binary"], *extras["source"]]
    assert all(hook["additional_dependencies"] == wanted for hook in hooks.values()), "they share one environment"
