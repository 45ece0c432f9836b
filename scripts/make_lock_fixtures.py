"""Makes the lock files in `fixtures/lockfiles/` with the real tools, and removes the hosts from them.

    python scripts/make_lock_fixtures.py [PYTHON >= 3.13]

Each fixture names the tool and its version in its first line; JSON, which has no comments, in `records/TOOLS.txt`. The
hosts become `index.example` and `files.example`; JSON has no folders of this machine and nothing of the keys in
`LEFT_OUT`; nothing else is changed. Needs a package index and uv, and takes what the index has that day.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from uv import find_uv_bin

FIXTURES = Path(__file__).parents[1] / "fixtures" / "lockfiles"

STACK = [
    "aiohttp",
    "bcrypt",
    "charset-normalizer",
    "click",
    "coverage",
    "cryptography",
    "django",
    "fastapi",
    "flask",
    "gevent",
    "h5py",
    "httpx",
    "lxml",
    "lz4",
    "matplotlib",
    "msgpack",
    "numpy",
    "orjson",
    "pandas",
    "pillow",
    "protobuf",
    "psycopg[binary]",
    "pyarrow",
    "pydantic",
    "pyzmq",
    "regex",
    "requests",
    "scikit-learn",
    "scipy",
    "shapely",
    "sqlalchemy",
    "tokenizers",
    "tornado",
    "ujson",
    "uvloop",
    "wrapt",
    "zstandard",
]
"""Popular packages with compiled code: with their dependencies some hundred packages and 2,500 wheels."""

WEB = """
[project]
name = "web-shop"
version = "0.1.0"
requires-python = ">=3.12"
dependencies = ["flask>=3", "psycopg[binary]>=3.2", "colorama; sys_platform == 'win32'", "shop-core"]

[project.optional-dependencies]
metrics = ["prometheus-client>=0.20"]
cache = ["hiredis>=3"]
all = ["web-shop[metrics,cache]"]

[dependency-groups]
dev = ["pytest>=8", { include-group = "lint" }]
lint = ["pyflakes>=3"]

[tool.uv]
package = false

[tool.uv.workspace]
members = ["core"]

[tool.uv.sources]
shop-core = { workspace = true }
"""

CORE = """
[project]
name = "shop-core"
version = "0.1.0"
requires-python = ">=3.12"
dependencies = ["markupsafe>=3", "tzdata; sys_platform == 'win32'"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""


SCRIPT = """# /// script
# requires-python = ">=3.12"
# dependencies = ["httpx==0.28.1", "colorama; sys_platform == 'win32'"]
# ///
import httpx
"""

LEFT_OUT = {"description", "author", "authors", "author_email", "maintainer", "maintainer_email", "keywords"}
"""JSON keys that say nothing about requirements."""

INSTALLED = ["httpx==0.28.1", "zope.interface==8.1.1"]


def main() -> None:
    """Write every fixture."""
    version = _uv("--version", folder=Path.cwd()).split("(")[0].strip()
    FIXTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        web = Path(scratch, "web-shop")
        (web / "core").mkdir(parents=True)
        (web / "pyproject.toml").write_text(WEB)
        (web / "core" / "pyproject.toml").write_text(CORE)
        _uv("lock", folder=web)
        _write("web-shop/uv.lock", (web / "uv.lock").read_text(), version)
        exported = _uv("export", "--format", "pylock.toml", "--no-header", "--no-emit-local", folder=web)
        _write("web-shop/pylock.toml", exported, version)
        _copy("web-shop/pyproject.toml", WEB)
        _copy("web-shop/core/pyproject.toml", CORE)
        stack = Path(scratch, "stack")
        stack.mkdir()
        dependencies = ", ".join(f'"{name}"' for name in STACK)
        (stack / "pyproject.toml").write_text(
            f'[project]\nname = "stack"\nversion = "0"\nrequires-python = ">=3.13"\ndependencies = [{dependencies}]\n'
            "[tool.uv]\npackage = false\n"
        )
        _uv("lock", "--no-build", folder=stack)
        _write("stack/uv.lock", (stack / "uv.lock").read_text(), version)
        pinned = ["pip", "compile", "pyproject.toml", "--format", "pylock.toml", "--no-header", "--no-build"]
        arguments = [*pinned, "--python-version", "3.14", "--python-platform", "linux"]
        _write("one-environment/pylock.toml", _uv(*arguments, folder=web), version)
        _script(Path(scratch), version)
        _records(Path(scratch), version)


def _script(scratch: Path, version: str) -> None:
    """Write the lock of a script (PEP 723)."""
    (scratch / "tool.py").write_text(SCRIPT)
    _uv("lock", "--script", "tool.py", folder=scratch)
    _write("script/tool.py.lock", (scratch / "tool.py.lock").read_text(), version)
    _copy("script/tool.py", SCRIPT)


def _records(scratch: Path, version: str) -> None:
    """Write the JSON output of tools for an environment with a few packages, and for a project."""
    environment = scratch / "environment"
    _uv("venv", "--seed", str(environment), folder=scratch)
    python = str(environment / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    _run([*pip, "install", "--quiet", *INSTALLED], folder=scratch)
    project = scratch / "project"
    project.mkdir()
    listed = ", ".join(f'"{line}"' for line in INSTALLED)
    (project / "pyproject.toml").write_text(
        f'[project]\nname = "shop"\nversion = "1.0"\nrequires-python = ">=3.12"\ndependencies = [{listed}]\n'
    )
    _uv("lock", folder=project)
    report = ["--quiet", "--dry-run", "--ignore-installed", "--report", "-", *INSTALLED]
    cyclonedx = [find_uv_bin(), "tool", "run", "--quiet", "--from", "cyclonedx-bom", "cyclonedx-py", "environment"]
    texts = {
        "pip-list.json": _run([*pip, "list", "--format", "json"], folder=scratch),
        "pip-inspect.json": _run([*pip, "inspect", "--local"], folder=scratch),
        "pip-report.json": _run([*pip, "install", *report], folder=scratch),
        "cyclonedx-py.json": _run([*cyclonedx, "--output-format", "JSON", python], folder=scratch),
        "uv.cdx.json": _uv("export", "--format", "cyclonedx1.5", folder=project),
    }
    for name, text in texts.items():
        _copy(f"records/{name}", json.dumps(_public(json.loads(text), str(scratch)), indent=1) + "\n")
    tools = [_run([*pip, "--version"], folder=scratch).partition(" from ")[0], version]
    tools.append(f"cyclonedx-py {_run([*cyclonedx[:-1], '--version'], folder=scratch).strip()}")
    _copy("records/TOOLS.txt", "\n".join((*tools, "")))


def _public(value: object, scratch: str) -> object:
    """Return a JSON value without hosts, folders of this machine and descriptions of packages."""
    match value:
        case dict():
            return {key: _public(each, scratch) for key, each in value.items() if key not in LEFT_OUT}
        case list():
            return [_public(each, scratch) for each in value]
        case str():
            return re.sub(r"file://\S*/|https?://[^/\s]+/?", "https://files.example/", value).replace(scratch, "")
    return value


def _run(command: list[str], *, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def _uv(*arguments: str, folder: Path) -> str:
    command = [find_uv_bin(), *arguments]
    if arguments != ("--version",):
        # Resolving for one environment takes the tags of a GIL-enabled build, which this interpreter should be.
        python = sys.argv[1] if len(sys.argv) > 1 and arguments[0] != "pip" else sys.executable
        command += ["--quiet", "--no-config", "--no-python-downloads", "--python", python]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def _write(name: str, text: str, version: str) -> None:
    text = re.sub(r'(registry = "|index = ")[^"]+', r"\1https://index.example/simple", text)
    text = re.sub(r'(url = ")https?://[^/"]+', r"\1https://files.example", text)
    _copy(name, f"# Made by {version} and scripts/make_lock_fixtures.py, which took the hosts out.\n{text}")


def _copy(name: str, text: str) -> None:
    path = FIXTURES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"{name}: {text.count('[[package')} packages, {len(text):,} characters")


if __name__ == "__main__":
    main()
