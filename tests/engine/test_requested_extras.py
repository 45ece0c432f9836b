"""`check --reach` names the user's extras that alone bring in a package which the code can do without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import jsonschema
import pytest
from support.command import Answer, check, ftaudit
from support.distributions import wheel, with_members
from support.fixture_wheels import BINARIES, GUILTY
from support.index_server import IndexServer, ServedFile

from ftaudit.report.package import check_json

MODULE = BINARIES / f"{GUILTY}.cpython-314t-x86_64-linux-gnu.so"
PLATFORM = "manylinux_2_17_x86_64"
BINARY = "cp314-cp314t-manylinux_2_17_x86_64"
SERVER = "try:\n    import loop.multi_used\nexcept ImportError:\n    loop = None\n"


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        for name in ("loop", "tools"):
            running.add_project(name, [extension(name)])
        yield running


def extension(name: str) -> ServedFile:
    """Return a wheel with the extension module `NAME.multi_used`, which turns the GIL on."""
    members = {f"{name}/__init__.py": "", f"{name}/{MODULE.name}": MODULE.read_bytes()}
    return with_members(wheel(name, "1", tag=BINARY), members)


def serve(server: IndexServer, name: str, requires: Iterable[str], files: dict[str, str | bytes]) -> None:
    made = wheel(name, "1", requires=requires, extras=["fast", "all"])
    server.add_project(name, [with_members(made, files)])


def ask(server: IndexServer, folder: Path, requirements: str) -> Answer:
    (folder / "app.py").write_text("import web\n")
    (folder / "r.txt").write_text(requirements)
    return check(*given(server), cwd=folder)


def given(server: IndexServer) -> tuple[str, ...]:
    return "--static", "--platform", PLATFORM, "--index-url", server.simple_url, "r.txt", "--reach", "app"


def extras(answer: Answer, name: str = "loop") -> list[tuple[str, str]]:
    (module,) = answer.rows[name]["modules"]
    assert module["reach"]["class"] == "start" and module["reach"]["optional"]
    return [(each["package"], each["extra"]) for each in module["reach"]["extras"]]


def test_the_extra_that_alone_needs_a_package_is_named(server: IndexServer, tmp_path: Path) -> None:
    serve(server, "web", ["loop; extra == 'fast'", "tools; extra == 'all'"], {"web/__init__.py": SERVER})
    answer = ask(server, tmp_path, "web[Fast,all]\n")
    assert extras(answer) == [("web", "fast")]
    jsonschema.validate(answer.document, check_json.schema())
    table = ftaudit("check", *given(server), cwd=tmp_path).stdout
    assert "without the extra `fast` of web, its package is not installed" in " ".join(table.split())


def test_an_extra_that_brings_a_package_through_another_is_named(server: IndexServer, tmp_path: Path) -> None:
    serve(server, "web", ["middle[all]; extra == 'fast'"], {"web/__init__.py": SERVER})
    serve(server, "middle", ["loop; extra == 'all' and python_version > '3'"], {"middle.py": ""})
    assert extras(ask(server, tmp_path, "web[fast]\n")) == [("web", "fast")]


@pytest.mark.parametrize(
    ("requirements", "requires"),
    [
        ("web[fast]\nloop\n", ["loop; extra == 'fast'"]),
        ("web[fast,all]\n", ["loop; extra == 'fast'", "loop; extra == 'all'"]),
        ("web[fast]\n", ["loop; extra == 'fast'", "loop; sys_platform == 'linux'"]),
        ("web[fast]\nother\n", ["loop; extra == 'fast'"]),
        ("web[fast]\nback\n", ["loop; extra == 'fast'"]),
        ("web\n", ["loop"]),
    ],
    ids=["required itself", "two extras", "needed anyway", "needed by another", "the extra is needed", "no extra"],
)
def test_no_extra_is_named_if_the_package_stays_installed(
    server: IndexServer, tmp_path: Path, requirements: str, requires: list[str]
) -> None:
    serve(server, "web", requires, {"web/__init__.py": SERVER})
    serve(server, "other", ["loop>=1"], {"other.py": ""})
    serve(server, "back", ["web[fast]"], {"back.py": ""})
    assert extras(ask(server, tmp_path, requirements)) == []
