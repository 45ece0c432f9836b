"""Packages in an environment of the target are read in place: no index is queried, and nothing is run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from support.command import Answer, check, ftaudit
from support.freethreaded import behaviours, interpreter, make_wheel, suffix
from support.selection import write

from ftaudit import audit
from ftaudit.errors import InterpreterError, UsageError
from ftaudit.settings import Settings

IMAGES = Path(__file__).parents[2] / "fixtures" / "binaries" / "linux-x86_64"
EXT = ".cpython-314t-x86_64-linux-gnu.so"


def install(
    site: Path, name: str, *modules: str, record: bool = True, tag: str = "cp314-cp314t-manylinux_2_17_x86_64"
) -> Path:
    """Install a distribution with a module for each image, under the image's own name."""
    info = site / f"{name}-1.0.dist-info"
    write(info, "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    write(info, "WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
    files = [f"{name}/__init__.py"]
    write(site, files[0], "")
    for module in modules:
        files.append(f"{name}/{module}{EXT}")
        shutil.copy(IMAGES / f"{module}{EXT}", site / files[-1])
    if record:
        write(info, "RECORD", "".join(f"{file},,\n" for file in (*files, f"{name}-1.0.dist-info/METADATA")))
    return info


def judge(folder: Path, *options: str) -> Answer:
    arguments = ("--static", "--offline", "--platform", "linux-x86_64", "--env", str(folder), *options)
    return check(*arguments, cwd=folder)


@pytest.mark.parametrize(
    "site",
    [
        "lib/python3.14t/site-packages",
        "Lib/site-packages",
        "usr/local/lib/python3.14t/site-packages",
        "usr/lib/python3.14t/site-packages",
    ],
)
def test_the_modules_on_disk_are_judged_without_an_index(tmp_path: Path, site: str) -> None:
    for name, images in {"good": ["multi_not_used"], "bad": ["multi_used", "multi_not_used"], "plain": []}.items():
        install(tmp_path / site, name, *images, tag="py3-none-any" if name == "plain" else "cp314-cp314t-linux_x86_64")
    answer = judge(tmp_path)
    assert answer.verdicts == {"good": "ready", "bad": "reenables-gil", "plain": "pure"}
    assert "1 of 2 extension modules" in answer.reasons("bad")
    assert answer.code == 1


def test_a_distribution_without_a_record_is_read_off_the_tree(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.14t" / "site-packages"
    install(site, "bad", "multi_used", record=False)
    assert judge(tmp_path).verdicts == {"bad": "reenables-gil"}


def test_a_module_that_no_distribution_lists_is_a_row(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.14t" / "site-packages"
    install(site, "good", "multi_not_used")
    (site / "loose").mkdir()
    shutil.copy(IMAGES / f"multi_used{EXT}", site / "loose" / f"multi_used{EXT}")
    assert judge(tmp_path).verdicts == {"good": "ready", "loose": "reenables-gil"}


def test_a_module_of_another_build_is_no_module_of_the_target(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.14t" / "site-packages"
    info = install(site, "odd", "multi_used")
    (site / "odd" / f"multi_used{EXT}").rename(site / "odd" / "multi_used.cpython-314-x86_64-linux-gnu.so")
    write(info, "RECORD", "odd/multi_used.cpython-314-x86_64-linux-gnu.so,,\n")
    assert judge(tmp_path).verdicts == {"odd": "broken"}


def test_a_conda_environment_is_judged_from_disk(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.14t" / "site-packages"
    write(install(site, "numpy", "multi_not_used", tag="cp314-cp314t-linux_x86_64"), "INSTALLER", "conda\n")
    (site / "bare").mkdir()
    shutil.copy(IMAGES / f"multi_used{EXT}", site / "bare" / f"multi_used{EXT}")
    for name, version, build, files in (
        ("python", "3.14.0", "h1_0_cp314t", ["bin/python3.14t"]),
        ("bare-package", "2.0", "0", [f"lib/python3.14t/site-packages/bare/multi_used{EXT}"]),
        ("libzlib", "1.3", "0", ["lib/libz.so.1"]),
    ):
        record = {"name": name, "version": version, "build": build, "files": files}
        write(tmp_path, f"conda-meta/{name}-{version}-{build}.json", json.dumps(record))
    write(tmp_path, "conda-meta/broken.json", "{")
    answer = judge(tmp_path)
    assert answer.verdicts == {"numpy": "ready", "bare-package": "reenables-gil"}
    assert answer.rows["bare-package"]["version"] == "2.0"
    assert not [note for note in answer.document["notes"] if "installed by conda" in note]


def test_what_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.14t" / "site-packages"
    install(site, "odd", "multi_not_used")
    (site / "odd" / f"multi_not_used{EXT}").unlink()
    os.mkfifo(site / "odd" / f"multi_not_used{EXT}")
    answer = judge(tmp_path)
    assert (answer.verdicts, answer.code) == ({"odd": "unknown"}, 3)


def test_what_is_installed_for_another_system_is_unknown_on_this_one(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.14t" / "site-packages"
    install(site, "good", "multi_not_used")
    answer = judge(tmp_path, "--platform", "windows-amd64")
    assert answer.code == 3


def test_an_empty_environment_has_nothing_to_check(tmp_path: Path) -> None:
    write(tmp_path, "pyvenv.cfg", "version_info = 3.14.0\n")
    (tmp_path / "lib" / "python3.14t" / "site-packages").mkdir(parents=True)
    answer = judge(tmp_path)
    assert (answer.verdicts, answer.code) == ({}, 0)


OWN_WORDS = {
    "cause": "try:\n    import absent\nexcept ImportError as error:\n    raise RuntimeError('install it') from error\n",
    "context": "try:\n    import absent\nexcept ImportError:\n    raise ImportError('install it')\n",
    "hidden": "try:\n    import absent\nexcept ImportError:\n    raise ImportError('install it') from None\n",
    "faulty": "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise RuntimeError('install it') from error\n",
}
"""Packages that report in their own words that a module is missing; the last one is at fault itself."""


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real virtual environment of the free-threaded interpreter, with our packages in it."""
    home = tmp_path_factory.mktemp("venv")
    folder = home / "env"
    subprocess.run([interpreter().path, "-m", "venv", "--without-pip", folder], check=True)
    site = folder / "lib" / "python3.14t" / "site-packages"
    wheels = [
        make_wheel(home, "good", {"good/__init__.py": "", "good/first.EXT": "extension"}),
        make_wheel(home, "bad", {"bad/__init__.py": "from bad import guilty", "bad/guilty.EXT": "extension"}),
        make_wheel(home, "needy", {"needy/__init__.py": "import absent", "needy/first.EXT": "extension"}),
        make_wheel(home, "starter", {"starter.pth": "import bad", "starter.py": ""}),
        make_wheel(home, "recordless", {"recordless/__init__.py": "", "recordless/guilty.EXT": "extension"}),
    ]
    wheels += [
        make_wheel(home, name, {f"{name}/__init__.py": text, f"{name}/first.EXT": "extension"})
        for name, text in OWN_WORDS.items()
    ]
    for wheel in wheels:
        with zipfile.ZipFile(wheel.location) as archive:
            archive.extractall(site)
    (site / "recordless-1.0.dist-info" / "RECORD").unlink()
    (site / "loose").mkdir()
    (site / "loose" / f"guilty{suffix()}").write_bytes(behaviours())
    return folder


@pytest.mark.interpreter
def test_an_environment_imports_with_its_own_interpreter(venv: Path, tmp_path: Path) -> None:
    before = sorted(venv.rglob("*"))
    answer = check("--offline", "--env", str(venv), "--run-env", cwd=tmp_path)
    assert answer.verdicts == {
        "good": "ready",
        "bad": "reenables-gil",
        "loose": "reenables-gil",
        "needy": "ready",
        "recordless": "reenables-gil",
        "starter": "reenables-gil",
        "cause": "ready",
        "context": "ready",
        "hidden": "ready",
        "faulty": "broken",
    }
    assert "seen on import" in answer.reasons("bad")
    assert answer.document["coverage"]["imports"]["done"] == 4, "the others are not there without what they need"
    assert sorted(venv.rglob("*")) == before, "nothing in the environment changes"


@pytest.mark.interpreter
def test_an_interpreter_that_is_not_the_targets_ends_the_command(venv: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for number, script in enumerate((f"touch {canary}; exit 0", "while :; do echo; done")):
        other = tmp_path / f"env-{number}"
        shutil.copytree(venv, other, symlinks=True)
        for python in (other / "bin").glob("python*"):
            python.unlink()
        (other / "bin" / "python").write_text(f"#!/bin/sh\n{script}\n")
        (other / "bin" / "python").chmod(0o755)
        ended = ftaudit("check", "--offline", "--timeout", "2", "--env", other, "--run-env", cwd=tmp_path)
        assert ended.returncode == 2
        assert "does not start in the sandbox" in ended.stderr
    assert not canary.exists(), "it starts in the sandbox alone, where it cannot write"


def test_running_an_environment_needs_one_and_excludes_static(tmp_path: Path) -> None:
    write(tmp_path, "r.txt", "# nothing\n")
    with pytest.raises(UsageError, match="no input is an environment"):
        audit(str(tmp_path / "r.txt"), settings=Settings(run_env=True))
    with pytest.raises(UsageError, match="imports nothing"):
        audit(str(tmp_path / "r.txt"), settings=Settings(run_env=True, static=True))
    python = tmp_path / "lib" / "python3.14t" / "site-packages"
    install(python, "good", "multi_not_used")
    with pytest.raises(InterpreterError, match=r"has no python3\.14t in its bin folder"):
        audit(str(tmp_path), settings=Settings(run_env=True, offline=True, no_cache=True))
