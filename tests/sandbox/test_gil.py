"""Which module turns the GIL on, which one only finds it on, and through which imports."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from support.freethreaded import interpreter, make_wheel

from ftaudit.model import ModuleRuntime, RuntimeFacts, Status
from ftaudit.sandbox import SandboxSettings, import_distributions

pytestmark = pytest.mark.interpreter


def run(folder: Path, *distributions: tuple[str, dict[str, str | bytes]]) -> dict[str, RuntimeFacts]:
    wheels = [make_wheel(folder, name, files) for name, files in distributions]
    facts = import_distributions(interpreter(), wheels, settings=SandboxSettings(cache_dir=folder / "cache"))
    assert {found.status for found in facts.values()} == {Status.DONE}, facts
    return facts


def rows(facts: RuntimeFacts) -> dict[str, ModuleRuntime]:
    return {module.name: module.runtime for module in facts.modules if module.runtime is not None}


@pytest.mark.parametrize("guilty", ["guilty", "silent", "single"])
def test_each_way_of_not_declaring_requires_the_gil(tmp_path: Path, guilty: str) -> None:
    files = {"pack/__init__.py": "", "pack/first.EXT": "extension", f"pack/{guilty}.EXT": "extension"}
    facts = run(tmp_path, ("pack", files))["pack"]
    found = rows(facts)
    assert (found["pack.first"].requires_gil, found["pack.first"].gil_enabled_after) == (False, False)
    culprit = found[f"pack.{guilty}"]
    assert (culprit.requires_gil, culprit.gil_enabled_after) == (True, True)
    assert (culprit.culprits, culprit.chain) == ((f"pack.{guilty}",), (f"pack.{guilty}",))
    assert facts.interpreter is not None
    assert "free-threading build" in facts.interpreter


def test_importing_the_package_may_be_fine_where_a_module_in_it_is_not(tmp_path: Path) -> None:
    files = {"pack/__init__.py": "", "pack/guilty.EXT": "extension"}
    (name, toplevel), *others = run(tmp_path, ("pack", files))["pack"].toplevels
    assert (name, toplevel.imported, toplevel.gil_enabled_after, toplevel.culprits) == ("pack", True, False, ())
    assert not others


def test_every_culprit_is_named_although_the_interpreter_warns_of_the_first_alone(tmp_path: Path) -> None:
    names = ["guilty", "silent", "single"]
    files = {"pack/__init__.py": "from pack import guilty, silent, single"}
    files |= {f"pack/{name}.EXT": "extension" for name in names}
    facts = run(tmp_path, ("pack", files))["pack"]
    assert [found.requires_gil for found in rows(facts).values()] == [True, True, True]
    assert dict(facts.toplevels)["pack"].culprits == tuple(f"pack.{name}" for name in names)
    assert dict(facts.toplevels)["pack"].chain == ("pack", "pack.guilty")


def test_a_single_phase_module_that_declares_itself_leaves_the_gil_off(tmp_path: Path) -> None:
    files = {"pack/__init__.py": "", "pack/single_free.EXT": "extension"}
    found = rows(run(tmp_path, ("pack", files))["pack"])["pack.single_free"]
    assert (found.requires_gil, found.gil_enabled_after, found.culprits) == (False, False, ())


def test_the_gil_that_is_held_while_a_single_phase_module_starts_is_nobodys_fault(tmp_path: Path) -> None:
    files = {
        "pack/__init__.py": "import pack.nesting",
        "pack/nesting.EXT": "extension",
        "pack/nesting_payload.py": "import pack.first",
        "pack/first.EXT": "extension",
    }
    facts = run(tmp_path, ("pack", files))["pack"]
    for row in (*rows(facts).values(), dict(facts.toplevels)["pack"]):
        assert (row.imported, row.gil_enabled_after, row.culprits) == (True, False, ()), row


def test_an_innocent_module_that_imports_a_guilty_one_is_innocent_and_the_chain_is_named(tmp_path: Path) -> None:
    facts = run(
        tmp_path,
        (
            "app",
            {
                "app/__init__.py": "",
                "app/first.EXT": "extension",
                "app/importer.EXT": "extension",
                "app/importer_payload.py": "import app.middle",
                "app/middle.py": "import lib.guilty",
                "app/last.EXT": "extension",
            },
        ),
        ("lib", {"lib/__init__.py": "", "lib/guilty.EXT": "extension"}),
    )
    found = rows(facts["app"])
    importer = found["app.importer"]
    assert (importer.imported, importer.requires_gil, importer.gil_enabled_after) == (True, False, True)
    assert importer.culprits == ("lib.guilty",)
    assert importer.chain == ("app.importer", "app.importer_payload", "app.middle", "lib.guilty")
    # Later imports of the same process ran again in a fresh one.
    assert (found["app.last"].gil_enabled_after, found["app.last"].culprits) == (False, ())
    assert (found["app.first"].gil_enabled_after, found["app.first"].culprits) == (False, ())
    assert rows(facts["lib"])["lib.guilty"].requires_gil


def test_a_module_whose_package_imports_a_guilty_one_is_told_which(tmp_path: Path) -> None:
    facts = run(
        tmp_path,
        ("app", {"app/__init__.py": "import lib.guilty", "app/first.EXT": "extension"}),
        ("lib", {"lib/__init__.py": "", "lib/guilty.EXT": "extension"}),
    )
    found = rows(facts["app"])["app.first"]
    assert (found.requires_gil, found.gil_enabled_after) == (False, True)
    assert found.culprits == ("lib.guilty",)
    assert found.chain == ("app.first", "app", "lib.guilty")
    assert dict(facts["app"].toplevels)["app"].chain == ("app", "lib.guilty")


def test_the_init_module_of_a_package_may_be_an_extension(tmp_path: Path) -> None:
    facts = run(tmp_path, ("package", {"package/__init__.EXT": "extension"}))["package"]
    assert [(module.name, module.runtime.requires_gil) for module in facts.modules] == [("package", False)]
    assert dict(facts.toplevels)["package"].imported


def test_a_plain_shared_library_a_vendored_one_and_another_builds_module_are_not_modules(tmp_path: Path) -> None:
    files = {
        "pack/__init__.py": "",
        "pack/libplain.so": "extension",
        "pack/first.cpython-312-x86_64-linux-gnu.so": "extension",
        "pack/not-a-name.EXT": "extension",
        "pack.libs/libz-1234.so": "extension",
        "pack/last.so": "extension",
        "pack/silent.abi3.so": "extension",
    }
    facts = run(tmp_path, ("pack", files))["pack"]
    assert {module.name: module.path for module in facts.modules} == {
        "pack.last": "pack/last.so",
        # `importlib.import_module` imports it, although no import statement can.
        "pack.not-a-name": "pack/not-a-name.cpython-314t-x86_64-linux-gnu.so",
        "pack.silent": "pack/silent.abi3.so",
    }


def test_a_module_that_fails_after_others_is_asked_again_in_a_fresh_process(tmp_path: Path) -> None:
    files = {
        "alpha/__init__.py": "",
        "alpha/first.EXT": "extension",
        "alpha/importer.EXT": "extension",
        "alpha/importer_payload.py": "import sys\nif 'alpha.first' in sys.modules: raise ImportError('too late')",
    }
    found = rows(run(tmp_path, ("alpha", files))["alpha"])
    assert found["alpha.importer"].imported
    assert found["alpha.importer"].requires_gil is False


TRIES = "try:\n    import not_there_at_all\nexcept ImportError:\n"


def test_a_missing_dependency_is_the_environments_fault_and_a_removed_module_is_not(tmp_path: Path) -> None:
    payloads = {
        "missing": ("import not_there_at_all", True),
        "removed": ("import distutils.core", False),
        "own": ("import own.part", False),
        "library": ("import ctypes; ctypes.CDLL('libnot-there.so.3')", True),
        "symbol": ("raise ImportError('x.so: undefined symbol: PyUnicode_AsUnicode')", False),
        "display": ("raise RuntimeError('cannot connect to display')", True),
        "said": (f"{TRIES}    raise ImportError('this needs NumPy')", True),
        "wrapped": (f"{TRIES[:-2]} as e:\n    raise RuntimeError('broken installation') from e", True),
        "hidden": (f"{TRIES}    raise ImportError('this needs NumPy') from None", True),
        "second": (f"{TRIES}    raise ImportError('x.so: undefined symbol: PyUnicode_AsUnicode')", False),
        "fallback": ("try:\n    import distutils.core\nexcept ImportError:\n    raise ImportError('broken')", False),
        "unrelated": (f"{TRIES}    pass\nraise ValueError('a fault of its own')", False),
    }
    facts = run(
        tmp_path,
        *(
            (
                name,
                {
                    f"{name}/__init__.py": "",
                    f"{name}/importer.EXT": "extension",
                    f"{name}/importer_payload.py": payload,
                },
            )
            for name, (payload, _) in payloads.items()
        ),
    )
    for name, (_, environmental) in payloads.items():
        row = rows(facts[name])[f"{name}.importer"]
        assert (row.imported, row.outcome, row.environmental) == (False, "exception", environmental), (name, row)


def test_a_file_that_the_import_does_not_load_is_said_not_to_have_been(tmp_path: Path) -> None:
    files = {"pack/__init__.py": "", "pack/first/__init__.py": "", "pack/first.EXT": "extension"}
    found = rows(run(tmp_path, ("pack", files))["pack"])["pack.first"]
    assert found.requires_gil is None
    assert "did not load this file" in (found.error or "")


def test_a_circular_import_that_works_from_its_other_end_is_no_failure(tmp_path: Path) -> None:
    files = {
        "pack/__init__.py": "",
        "pack/importer.EXT": "extension",
        "pack/importer_payload.py": "import pack.back",
        # Like a generated module whose two halves need each other: it works if this half comes first.
        "pack/back.py": (
            "import sys\n"
            "if 'pack.importer' in sys.modules: from pack.importer import not_there_yet\n"
            "import pack.importer\n"
        ),
    }
    found = rows(run(tmp_path, ("pack", files))["pack"])["pack.importer"]
    assert (found.imported, found.requires_gil) == (True, False)


def test_a_file_whose_module_another_one_put_in_place_is_asked_all_the_same(tmp_path: Path) -> None:
    """mypyc's group modules register the modules of their group, so that an import never loads their files."""
    place = textwrap.dedent(
        """
        import importlib.util, os, sys, types
        from importlib.machinery import EXTENSION_SUFFIXES
        for name in ("first", "silent"):
            path = os.path.join(os.path.dirname(__file__), name + EXTENSION_SUFFIXES[0])
            module = types.ModuleType("group." + name)
            module.__spec__ = importlib.util.spec_from_file_location("group." + name, path)
            sys.modules["group." + name] = module
        """
    )
    files = {"group/__init__.py": place, "group/first.EXT": "extension", "group/silent.EXT": "extension"}
    found = rows(run(tmp_path, ("group", files))["group"])
    asked = {name: runtime.requires_gil for name, runtime in found.items()}
    assert asked == {"group.first": False, "group.silent": True}
