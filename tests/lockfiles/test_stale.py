"""Lock files that are older than their project: packages that they do not hold are not checked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from support.command import check
from support.selection import select, write

PROJECT = """
[project]
name = "app"
version = "1"
requires-python = ">=3.12"
dependencies = [{dependencies}]
[project.optional-dependencies]
fast = ["orjson>=3"]
[dependency-groups]
dev = ["pytest>=8", {{include-group = "lint"}}]
lint = ["ruff"]
"""
UV = """
version = 1
requires-python = ">=3.12"

[[package]]
name = "app"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "six" }]

[package.dev-dependencies]
dev = [{ name = "six" }]

[package.metadata]
requires-dist = [
    { name = "colorama", marker = "sys_platform == 'win32'" },
    { name = "orjson", marker = "extra == 'fast'", specifier = ">=3" },
    { name = "six", specifier = ">=1.16" },
]
provides-extras = ["fast"]

[package.metadata.requires-dev]
dev = [{ name = "pytest", specifier = ">=8" }, { name = "ruff" }]
lint = [{ name = "ruff" }]

[[package]]
name = "six"
version = "1.17.0"
source = { registry = "https://index.example/simple" }
wheels = [{ url = "https://files.example/six-1.17.0-py2.py3-none-any.whl" }]
"""
SAME = "\"colorama; sys_platform=='win32'\", 'Six >= 1.16'"


def stale(path: Path) -> bool:
    return any("is out of date" in told for told in select(path).incomplete)


@pytest.mark.parametrize(
    ("dependencies", "expected"),
    [
        (SAME, False),
        (f"{SAME}, 'idna'", True),
        (SAME.replace("1.16", "2"), True),
        (SAME.replace("win32", "linux"), True),
        ("'six>=1.16'", True),
        (SAME.replace("Six", "six[x]"), True),
    ],
)
def test_a_uv_lock_is_held_against_what_the_project_asks_for(tmp_path: Path, dependencies: str, expected: bool) -> None:
    write(tmp_path, "pyproject.toml", PROJECT.format(dependencies=dependencies))
    assert stale(write(tmp_path, "uv.lock", UV)) is expected


def test_a_group_that_has_grown_makes_a_lock_stale(tmp_path: Path) -> None:
    text = PROJECT.format(dependencies=SAME)
    path = write(tmp_path, "uv.lock", UV)
    write(tmp_path, "pyproject.toml", text.replace('lint = ["ruff"]', 'lint = ["ruff", "mypy"]'))
    assert stale(path)


def test_a_lock_that_was_made_when_the_project_needed_nothing_may_be_stale(tmp_path: Path) -> None:
    # uv does not record the request if nothing was requested.
    package = '[[package]]\nname = "app"\nversion = "1"\nsource = { virtual = "." }\n'
    old = package + 'dependencies = [{ name = "six" }]\n[[package]]\nname = "six"\nversion = "1.17.0"\n'
    for number, (lock, project, told) in enumerate(
        (
            (package, 'dependencies = ["orjson"]', "asks for orjson, which is not locked"),
            (package, '[dependency-groups]\ndev = ["orjson"]', "asks for orjson, which is not locked"),
            (package, "", None),
            (old, 'dependencies = ["orjson"]', None),
        )
    ):
        folder = tmp_path / str(number)
        write(folder, "pyproject.toml", f'[project]\nname = "app"\nversion = "1"\n{project}\n')
        path = write(folder, "uv.lock", f'version = 1\nrequires-python = ">=3.12"\n{lock}')
        said = " ".join(select(path).incomplete)
        assert (told or "is out of date") in said if told else "is out of date" not in said
    answer = check("--static", "--offline", str(tmp_path / "0" / "uv.lock"), cwd=tmp_path)
    assert (answer.code, answer.verdicts) == (3, {})


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ("", None),
        ('[tool.uv]\nconstraint-dependencies = ["six<2"]\n', "different constraint-dependencies for six"),
        ('[tool.uv]\noverride-dependencies = ["orjson==3"]\n', "different override-dependencies for orjson"),
        ('[tool.uv.sources]\nsix = { git = "https://git.example/six" }\n', "gets six from a different source"),
        ('[tool.uv.sources]\nsix = { index = "own" }\n', None),
        ('[tool.uv.workspace]\nmembers = ["m*"]\n', "describes member-x, which is not locked"),
        ('[tool.uv.workspace]\nmembers = ["m*"]\nexclude = ["member"]\n', None),
    ],
)
def test_settings_of_uv_that_a_lock_does_not_hold_make_it_stale(tmp_path: Path, more: str, text: str | None) -> None:
    write(tmp_path / "member", "pyproject.toml", '[project]\nname = "Member.X"\nversion = "1"\n')
    write(tmp_path, "pyproject.toml", PROJECT.format(dependencies=SAME) + more)
    incomplete = " ".join(select(write(tmp_path, "uv.lock", UV)).incomplete)
    assert text in incomplete if text else not incomplete


@pytest.mark.parametrize(
    ("pythons", "expected"),
    [
        (">=3.13", True),
        ("==3.14.*", True),
        (">=3.12.5", True),
        (">=3.12,<3.14.50", True),
        (">3.11", True),
        (">=3.12,!=3.12.0", True),
        (">= 3.12.0", False),
        # uv keeps these locks: it compares the first and the last version, without pre-releases.
        (">=3.12,!=3.13.*", False),
        (">=3.12rc1", False),
        (">=3.12,>=3.9", False),
    ],
)
def test_a_lock_for_other_pythons_than_the_project_supports_is_stale(
    tmp_path: Path, pythons: str, expected: bool
) -> None:
    write(tmp_path, "pyproject.toml", PROJECT.format(dependencies=SAME).replace(">=3.12", pythons))
    assert stale(write(tmp_path, "uv.lock", UV)) is expected


def test_a_lock_within_a_workspace_is_not_the_one_that_uv_reads(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", '[tool.uv.workspace]\nmembers = ["packages/*"]\nexclude = ["packages/apart"]\n')
    for name, expected in (("packages/member", True), ("packages/apart", False), ("elsewhere", False)):
        write(tmp_path / name, "pyproject.toml", PROJECT.format(dependencies=SAME))
        path = write(tmp_path / name, "uv.lock", UV)
        assert any("uv reads the lock file next to" in told for told in select(path).incomplete) is expected, name


def test_the_command_says_so_and_is_not_sure(tmp_path: Path) -> None:
    write(tmp_path, "uv.lock", UV)
    write(tmp_path, "pyproject.toml", PROJECT.format(dependencies=f"{SAME}, 'orjson==3.11.4'"))
    answer = check("--static", "--offline", "uv.lock", cwd=tmp_path)
    assert answer.code == 3
    assert "orjson" in " ".join(answer.document["incomplete"])


POETRY = """# This file is automatically @generated by Poetry 2.2.1 and should not be changed by hand.

[[package]]
name = "six"
version = "1.17.0"
optional = false
python-versions = "*"
groups = ["main"]
files = [{{file = "six-1.17.0-py2.py3-none-any.whl", hash = "sha256:00"}}]

[metadata]
lock-version = "2.1"
python-versions = ">=3.12"
content-hash = "{digest}"
"""


def poetry_project(*dependencies: str) -> str:
    head = '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.12"\n'
    return f"{head}dependencies = {json.dumps(dependencies)}\n"


def poetry_digest(*dependencies: str) -> str:
    content = {"requires-python": ">=3.12", "dependencies": dependencies}
    text = json.dumps({"project": content, "tool": {"poetry": {}}}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("now", "expected"), [(("six>=1",), False), (("six>=1.1",), True), (("six>=2",), True), (("six>=1", "six"), True)]
)
def test_a_poetry_lock_is_held_against_its_hash(tmp_path: Path, now: tuple[str, ...], expected: bool) -> None:
    write(tmp_path, "pyproject.toml", poetry_project(*now))
    assert stale(write(tmp_path, "poetry.lock", POETRY.format(digest=poetry_digest("six>=1")))) is expected


PDM = """
[metadata]
groups = ["default"]
strategy = ["inherit_metadata"]
lock_version = "4.5.0"
content_hash = "sha256:{digest}"

[[package]]
name = "six"
version = "1.17.0"
groups = ["default"]
files = [{{file = "six-1.17.0-py2.py3-none-any.whl", hash = "sha256:00"}}]
"""


@pytest.mark.parametrize(("now", "expected"), [("six>=1", False), ("six>=1.1", True), ("six<1", True)])
def test_a_pdm_lock_is_held_against_its_hash(tmp_path: Path, now: str, expected: bool) -> None:
    content = {
        "sources": [], "dependencies": ["six>=1"], "dev-dependencies": {}, "optional-dependencies": {},
        "requires-python": ">=3.12", "resolution": {},
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    write(tmp_path, "pyproject.toml", poetry_project(now))
    assert stale(write(tmp_path, "pdm.lock", PDM.format(digest=digest))) is expected


PIPFILE = (
    '[[source]]\nname = "main"\nurl = "https://index.internal/simple"\nverify_ssl = true\n[packages]\nsix = "{0}"\n'
)


@pytest.mark.parametrize(("now", "expected"), [("*", False), (">=1", True), ("<1", True)])
def test_a_pipfile_lock_is_held_against_its_hash(tmp_path: Path, now: str, expected: bool) -> None:
    source = {"name": "main", "url": "https://index.internal/simple", "verify_ssl": True}
    data = {"_meta": {"sources": [source], "requires": {}}, "default": {"six": "*"}, "develop": {}}
    digest = hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    meta = {"hash": {"sha256": digest}, "pipfile-spec": 6, "requires": {}, "sources": [source]}
    lock = {"_meta": meta, "default": {"six": {"version": "==1.17.0", "hashes": []}}, "develop": {}}
    write(tmp_path, "Pipfile", PIPFILE.format(now))
    assert stale(write(tmp_path, "Pipfile.lock", json.dumps(lock))) is expected


PYLOCK = """
lock-version = "1.0"
created-by = "t"
[[packages]]
name = "six"
version = "1.17.0"
wheels = [{ url = "https://files.example/six-1.17.0-py2.py3-none-any.whl", hashes = { sha256 = "00" } }]
"""


@pytest.mark.parametrize(
    ("now", "expected"),
    [("six>=1", False), ("six>=2", True), ("idna", True), ("idna; sys_platform == 'win32'", False)],
)
def test_a_pylock_is_held_against_the_project_beside_it(tmp_path: Path, now: str, expected: bool) -> None:
    write(tmp_path, "pyproject.toml", poetry_project(now))
    assert stale(write(tmp_path, "pylock.toml", PYLOCK)) is expected
    assert not stale(write(tmp_path, "pylock.tools.toml", PYLOCK))


def test_a_project_that_cannot_be_read_leaves_the_lock_as_it_is(tmp_path: Path) -> None:
    for text in ("[project\n", "project = 3\n", "[project]\ndependencies = ['a b c']\n", "[tool]\nuv = 3\n"):
        write(tmp_path, "pyproject.toml", text)
        assert not stale(write(tmp_path, "uv.lock", UV))
