"""The hooks of `.pre-commit-hooks.yaml`, run by the real pre-commit on small git repositories."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any

import pytest
import yaml
from support.command import environment, network
from support.distributions import wheel
from support.uv_locks import uv_lock

from ftaudit.cli import build_parser
from ftaudit.lockfiles.entry import format_of
from ftaudit.source.base import Role
from ftaudit.source.source_files import role_of

ROOT = Path(__file__).parents[1]
MANIFEST = ROOT / ".pre-commit-hooks.yaml"
HOOKS: dict[str, dict[str, Any]] = {hook["id"]: hook for hook in yaml.safe_load(MANIFEST.read_text("utf-8"))}
PACKED = ("auditor", "rules", "pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml")
"""The files that an install from the repository needs."""
COUNTER = "_n = 0\ndef f():\n    global _n\n    _n += 1\n"
NO_NETWORK = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
Run = Callable[..., subprocess.CompletedProcess[str]]


def locked(tag: str) -> str:
    return uv_lock({"fast": "cp314-cp314t-manylinux_2_17_x86_64", "slow": tag})


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_is_a_command_that_exists(name: str) -> None:
    program, *arguments = shlex.split(HOOKS[name]["entry"])
    assert program == "ftaudit"
    files = [] if HOOKS[name].get("pass_filenames") is False else ["a file", "b"]
    options = build_parser().parse_args([*arguments, *HOOKS[name].get("args", ()), *files])
    assert options.answer is not None


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("requirements.txt", True),
        ("requirements-dev.txt", True),
        ("a b/requirements.prod.txt", True),
        ("requirements/base.txt", True),
        ("uv.lock", True),
        ("services/api/uv.lock", True),
        ("pylock.toml", True),
        ("pylock.dev.toml", True),
        ("poetry.lock", True),
        ("pdm.lock", True),
        ("Pipfile.lock", True),
        ("Cargo.lock", False),
        ("flake.lock", False),
        ("my-uv.lock.bak", False),
        ("requirementsfoo.txt", False),
        ("docs/requirements.md", False),
        ("pyproject.toml", False),
        ("notes.txt", False),
    ],
)
def test_the_check_hook_takes_files_that_pin_and_each_is_of_a_known_format(path: str, taken: bool) -> None:
    assert bool(re.search(HOOKS["ftaudit-check"]["files"], path)) is taken
    if taken:
        assert format_of(Path(path))


@pytest.mark.parametrize(
    "path",
    [
        *("src/a.py", "a.py", "src/testing_tools.py", "latest/a.c", "contest.py", "src/attest.py", "vendors.py"),
        *("tests/a.py", "src/pkg/tests/a.py", "test/a.c", "docs/conf.py", "examples/x.pyx", "benchmarks/b.py"),
        *("bench/b.py", "pkg/_vendor/x.py", "vendor/y.c", "third_party/z.cc", "extern/a.h", "external/b.h"),
        *("src/test_a.py", "src/a_test.py", "conftest.py", "src/conftest.py", "noxfile.py", "test_core.c"),
    ],
)
def test_the_scan_hook_leaves_out_what_a_scan_of_the_folder_leaves_out(path: str) -> None:
    scanned = role_of(PurePath(path)) in (Role.OWN, Role.GENERATED)
    assert (re.search(HOOKS["ftaudit-scan"]["exclude"], path) is None) is scanned


def test_pre_commit_takes_the_manifest() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-manifest", MANIFEST], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(folder: Path, *arguments: str | Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["git", *IDENTITY, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def env(home: Path) -> dict[str, str]:
    own = {"PRE_COMMIT_HOME": str(home / "pre-commit"), "GIT_CONFIG_GLOBAL": os.devnull, "PRE_COMMIT_COLOR": "never"}
    return environment(home, network() | own)


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory, env: dict[str, str]) -> Path:
    """Return a repository of the working tree, as pre-commit clones it."""
    folder = tmp_path_factory.mktemp("hooks")
    for name in PACKED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "-q", "-b", "main", env=env)
    git(folder, "add", "-A", env=env)
    git(folder, "commit", "-q", "-m", "as it is", env=env)
    return folder


@pytest.fixture
def repo(tmp_path: Path, hooks: Path, env: dict[str, str]) -> Path:
    """Return a repository that has the hooks installed, with nothing committed."""
    folder = tmp_path / "a repo"
    folder.mkdir()
    rev = git(hooks, "rev-parse", "HEAD", env=env).stdout.strip()
    chosen = "".join(f"      - id: {name}\n" for name in HOOKS)
    config = f"repos:\n  - repo: {hooks.as_uri()}\n    rev: {rev}\n    hooks:\n{chosen}"
    (folder / ".pre-commit-config.yaml").write_text(config)
    git(folder, "init", "-q", "-b", "main", env=env)
    return folder


@pytest.fixture
def pre_commit(repo: Path, env: dict[str, str]) -> Iterator[Run]:
    def run(*arguments: str | Path, more: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pre_commit", *map(str, arguments)]
        return subprocess.run(
            command, cwd=repo, env=env | (more or {}), capture_output=True, text=True, timeout=600, check=False
        )

    yield run


@needs_git
@pytest.mark.network
def test_try_repo_on_the_working_tree_passes_and_fails(
    repo: Path, hooks: Path, pre_commit: Run, env: dict[str, str]
) -> None:
    (repo / "uv.lock").write_text(locked("cp314-cp314-manylinux_2_17_x86_64"))
    (repo / "fine.py").write_text("x = 1\n")
    git(repo, "add", ".", env=env)
    ran = pre_commit("try-repo", hooks, "--all-files")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "uv.lock:16: error: slow 1.0 unavailable" in ran.stdout
    assert re.search(r"ftaudit scan\.+Passed", ran.stdout)


@needs_git
@pytest.mark.network
def test_a_commit_without_a_network_is_refused_for_what_the_lock_file_tells_and_not_for_what_is_unknown(
    repo: Path, pre_commit: Run, env: dict[str, str]
) -> None:
    assert pre_commit("install", "--install-hooks").returncode == 0
    cut = env | NO_NETWORK | {"FTAUDIT_CACHE_DIR": str(repo.parent / "empty")}
    folder = repo / "with a space"
    folder.mkdir()
    (folder / "uv.lock").write_text(locked("cp314-cp314-manylinux_2_17_x86_64"))
    git(repo, "add", ".", env=env)
    refused = git(repo, "commit", "-m", "one", env=cut)
    said = refused.stdout + refused.stderr
    assert refused.returncode == 1, said
    assert "with a space/uv.lock:16: error: slow 1.0 unavailable" in said

    (folder / "uv.lock").write_text(locked("py3-none-any"))
    git(repo, "add", ".", env=env)
    taken = git(repo, "commit", "-m", "two", env=cut)
    said = taken.stdout + taken.stderr
    assert taken.returncode == 0, said
    assert "left out: 1 package (fast 1.0): cannot be fetched" in said
    assert "NOT SURE" in said and "(ignored: --allow-unknown)" in said


@needs_git
@pytest.mark.network
def test_staged_sources_are_scanned_whatever_their_names_and_others_are_not(
    repo: Path, pre_commit: Run, env: dict[str, str]
) -> None:
    assert pre_commit("install", "--install-hooks").returncode == 0
    names = ("a b.py", "-dash.py", "sub dir/ümlaut.py")
    for name in (*names, "unstaged.py"):
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_text(COUNTER)
    git(repo, "add", "--", *names, env=env)
    refused = git(repo, "commit", "-m", "one", env=env)
    said = refused.stdout + refused.stderr
    assert refused.returncode == 1, said
    for name in names:
        assert f"{name}:4:5: warning: FT504" in said
    assert "unstaged.py" not in said
    for name in names:
        (repo / name).write_text("import itertools\n_n = itertools.count()\ndef f():\n    return next(_n)\n")
    git(repo, "add", "--", *names, env=env)
    taken = git(repo, "commit", "-m", "two", env=env)
    assert taken.returncode == 0, taken.stdout + taken.stderr


@needs_git
@pytest.mark.network
def test_wheels_are_judged_at_the_manual_stage_alone(repo: Path, pre_commit: Run, env: dict[str, str]) -> None:
    (repo / "dist").mkdir()
    made = wheel("fast", "1.0", tag="cp314-cp314t-manylinux_2_17_x86_64")
    (repo / "dist" / made.filename).write_bytes(made.data[:-30])
    (repo / "x.md").write_text("x\n")
    git(repo, "add", "x.md", env=env)
    assert "ftaudit wheel" not in pre_commit("run").stdout
    ran = pre_commit("run", "--hook-stage", "manual", "ftaudit-wheel")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "fast 1.0 broken" in ran.stdout


@needs_git
@pytest.mark.network
def test_a_new_user_has_the_hooks_at_work_with_what_the_readme_says(
    repo: Path, hooks: Path, pre_commit: Run, env: dict[str, str]
) -> None:
    section = (ROOT / "README.md").read_text("utf-8").partition("## Keep it in your repository")[2]
    shown = section.partition("```yaml\n")[2].partition("```")[0]
    rev = git(hooks, "rev-parse", "HEAD", env=env).stdout.strip()
    theirs = shown.replace("https://example.org/ftaudit", hooks.as_uri()).replace("COMMIT", rev)
    assert theirs.count(rev) == 1 and hooks.as_uri() in theirs
    (repo / ".pre-commit-config.yaml").write_text(theirs)
    assert "run `pre-commit install`" in section
    assert pre_commit("install").returncode == 0
    (repo / "uv.lock").write_text(locked("cp314-cp314-manylinux_2_17_x86_64"))
    git(repo, "add", ".", env=env)
    refused = git(repo, "commit", "-m", "one", env=env)
    assert refused.returncode == 1
    assert "uv.lock:16: error: slow 1.0 unavailable" in refused.stdout + refused.stderr
    (repo / "uv.lock").write_text(locked("py3-none-any"))
    git(repo, "add", ".", env=env)
    taken = git(repo, "commit", "-m", "two", env=env)
    assert taken.returncode == 0, taken.stdout + taken.stderr
