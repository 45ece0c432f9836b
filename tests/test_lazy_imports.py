"""On 3.15t a module that only a lazy import reaches (PEP 810) is found, and named with the use that resolves it."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from support.freethreaded import FIXTURES, interpreter_of
from support.guarded import AUDITOR, pytest_folder
from support.wheels import wheel

from ftaudit.interpreters import probe_interpreter
from ftaudit.model import RuntimeFacts
from ftaudit.sandbox import SandboxSettings, WheelToImport, import_distributions
from ftaudit.target import parse_target

pytestmark = [
    pytest.mark.interpreter,
    pytest.mark.skipif((sys.platform, platform.machine()) != ("linux", "x86_64"), reason="images for Linux on x86-64"),
]
LAZY = "lazy from . import uses_gil, silent\ndef late():\n    return uses_gil\n"


def image(case: str) -> bytes:
    """Return a module of fixtures/abi3t."""
    (path,) = (FIXTURES / "abi3t" / "linux-x86_64").glob(f"{case}.*")
    return path.read_bytes()


def install(folder: Path) -> Path:
    """Return a `site-packages` with a package `lib` that lazily imports a module that turns the GIL on."""
    package = folder / "lib" / "site-packages" / "lib"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(LAZY)
    for case in ("uses_gil", "silent"):
        (package / f"{case}.abi3t.so").write_bytes(image(case))
    return package.parent


def run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run 3.15t next to the `site-packages`."""
    path = os.pathsep.join(map(str, (AUDITOR, site, pytest_folder())))
    return subprocess.run(
        [interpreter_of("3.15t"), *arguments],
        cwd=site.parent,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_guard_stops_a_lazy_import_when_it_is_resolved_and_names_the_use(tmp_path: Path) -> None:
    site = install(tmp_path)
    program = "import ftaudit.guard, lib, sys\nprint('started', sys._is_gil_enabled())\nlib.late()\n"
    (site.parent / "app.py").write_text(program)
    ran = run(site, "app.py")
    assert "started False" in ran.stdout
    assert ran.returncode == 1
    assert "GilEnabledError: the GIL was turned on by an import: lib.uses_gil" in ran.stderr
    assert f"  Lazy import:   resolved by {site / 'lib' / '__init__.py'}:3\n" in ran.stderr
    assert f"  Your code:     {site.parent / 'app.py'}:3: lib.late()\n" in ran.stderr


def test_the_pytest_plugin_names_the_test_in_which_a_lazy_import_is_resolved(tmp_path: Path) -> None:
    site = install(tmp_path)
    tests = "import lib\ndef test_before(): pass\ndef test_late(): lib.late()\ndef test_later(): lib.silent\n"
    (site.parent / "test_it.py").write_text(tests)
    ran = run(
        site, "-m", "pytest", "-p", "ftaudit.pytest_plugin", "-p", "no:cacheprovider", "--ftaudit-gil", "test_it.py"
    )
    assert ran.returncode == 1
    assert "lib.uses_gil, in test_it.py::test_late\n" in ran.stdout
    assert "lib.silent, in test_it.py::test_later\n" in ran.stdout
    assert f"resolved by {site / 'lib' / '__init__.py'}:3" in ran.stdout


def test_the_runtime_tier_names_what_a_plain_import_reaches_lazily(tmp_path: Path) -> None:
    tag = "cp315-abi3.abi3t-linux_x86_64"
    files = {
        "lib/__init__.py": LAZY.encode(),
        "lib/uses_gil.abi3t.so": image("uses_gil"),
        "lib/silent.abi3t.so": image("silent"),
    }
    path = tmp_path / f"demo-1.0-{tag}.whl"
    path.write_bytes(wheel(files, tags=(tag,)))
    wanted = WheelToImport(
        name=canonicalize_name("demo"),
        version="1.0",
        filename=path.name,
        location=str(path),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    found = probe_interpreter(Path(interpreter_of("3.15t")), parse_target("3.15t"))
    facts: RuntimeFacts = import_distributions(found, [wanted], settings=SandboxSettings(cache_dir=tmp_path / "cache"))[
        "demo"
    ]
    told = {module.name: module.runtime for module in facts.modules}
    assert {name: runtime and runtime.requires_gil for name, runtime in told.items()} == {
        "lib.silent": True,
        "lib.uses_gil": True,
    }
    plain = dict(facts.toplevels)["lib"]
    assert (plain.imported, plain.gil_enabled_after, plain.culprits) == (True, False, ())
    assert plain.lazy_chain == ("lib", "lib.silent") or plain.lazy_chain == ("lib", "lib.uses_gil")
    assert set(plain.lazy_culprits) == {"lib.silent", "lib.uses_gil"}
