"""Makes `fixtures/lockfiles/shop/`: one project, locked by every tool that ftaudit reads, in the tool's own format.

    python scripts/make_shop_fixtures.py

Each tool runs through uv in the version that `TOOLS` names, in a scratch folder, and takes what the index has that
day; all in one run, so that they agree. The hosts become `index.example` and `files.example`; of Poetry 2's lock the
sources are taken out, so that it reads like one made from the default index. Nothing else is changed. Needs a
package index, and uv in this environment.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from pypi_simple import PYPI_SIMPLE_ENDPOINT
from uv import find_uv_bin

SHOP = Path(__file__).parents[1] / "fixtures" / "lockfiles" / "shop"
INDEX = PYPI_SIMPLE_ENDPOINT.rstrip("/")
TOOLS = {
    "poetry-1.1": ["poetry==1.1.15", "setuptools<70"],
    "poetry-1.8": ["poetry==1.8.5"],
    "poetry-2.2": ["poetry==2.2.1"],
    "pdm": ["pdm==2.29.3", "hishel==1.1.0", "unearth==0.17.5"],
    "pipenv": ["pipenv==2026.10.3"],
    "pip-tools": ["pip-tools==7.5.3", "pip==25.3"],
}
"""The tool, and its constraints."""

DEPENDENCIES = ["flask>=3", "redis[hiredis]>=6", "polars>=1", "colorama; sys_platform == 'win32'"]
PROJECT = """\
[project]
name = "shop"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = [
    "flask>=3",
    "redis[hiredis]>=6",
    "polars>=1",
    "colorama; sys_platform == 'win32'",
]

[project.optional-dependencies]
metrics = ["prometheus-client>=0.20"]
mail = ["dnspython>=2"]

[dependency-groups]
dev = ["pytest>=8"]
lint = ["pyflakes>=3"]
"""
POETRY = """\
[tool.poetry]
name = "shop"
version = "0.1.0"
description = ""
authors = []

[tool.poetry.dependencies]
python = ">=3.11"
flask = "^3"
redis = { version = ">=6", extras = ["hiredis"] }
polars = ">=1"
colorama = { version = "*", markers = "sys_platform == 'win32'" }
prometheus-client = { version = ">=0.20", optional = true }
dnspython = { version = ">=2", optional = true }

[tool.poetry.extras]
metrics = ["prometheus-client"]
mail = ["dnspython"]
"""
POETRY_1_1 = f"""{POETRY}
[tool.poetry.dev-dependencies]
pytest = ">=8"
pyflakes = ">=3"
"""
POETRY_1_8 = f"""{POETRY}
[tool.poetry.group.dev.dependencies]
pytest = ">=8"

[tool.poetry.group.lint.dependencies]
pyflakes = ">=3"
"""
PIPFILE = """\
[[source]]
name = "main"
url = "{index}"
verify_ssl = true

[packages]
flask = ">=3"
redis = {{ version = ">=6", extras = ["hiredis"] }}
polars = ">=1"
colorama = {{ version = "*", markers = "sys_platform == 'win32'" }}

[dev-packages]
pytest = ">=8"

[lint]
pyflakes = ">=3"
"""
SOURCE = '\n[[tool.poetry.source]]\nname = "main"\nurl = "{index}"\n{kind}\n'


def main() -> None:
    """Write every fixture."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        uv = _uv(scratch, "--version").split("(")[0].strip()
        project = f"{PROJECT}\n[tool.uv]\npackage = false\n"
        _prepare(scratch / "uv", "pyproject.toml", project)
        _uv(scratch / "uv", "lock", "--quiet", "--no-config", "--python", sys.executable)
        _write("uv", scratch / "uv", ["pyproject.toml", "uv.lock"], uv)
        everything = ["export", "--quiet", "--format", "pylock.toml", "--no-header", "--no-emit-project", "--no-dev"]
        pylock = _uv(scratch / "uv", *everything, "--python", sys.executable)
        _prepare(scratch / "pylock", "pylock.toml", pylock)
        _write("pylock", scratch / "pylock", ["pylock.toml"], uv)
        for name, text, kind in (
            ("poetry-1.1", POETRY_1_1, "default = true"),
            ("poetry-1.8", POETRY_1_8, 'priority = "primary"'),
            ("poetry-2.2", f"{PROJECT}\n[tool.poetry]\npackage-mode = false\n", 'priority = "primary"'),
        ):
            _prepare(scratch / name, "pyproject.toml", text + SOURCE.format(index=INDEX, kind=kind))
            _run(scratch / name, name, "poetry", "lock", "--no-interaction")
            _write(name, scratch / name, ["pyproject.toml", "poetry.lock"], TOOLS[name][0])
        _prepare(scratch / "pdm", "pyproject.toml", f"{PROJECT}\n[tool.pdm]\ndistribution = false\n")
        _run(scratch / "pdm", "pdm", "pdm", "lock", "--group", ":all")
        _write("pdm", scratch / "pdm", ["pyproject.toml", "pdm.lock"], TOOLS["pdm"][0])
        _prepare(scratch / "pipenv", "Pipfile", PIPFILE.format(index=INDEX))
        _run(scratch / "pipenv", "pipenv", "pipenv", "lock")
        _write("pipenv", scratch / "pipenv", ["Pipfile", "Pipfile.lock"], TOOLS["pipenv"][0])
        _prepare(scratch / "pip-tools", "requirements.in", "".join(f"{line}\n" for line in DEPENDENCIES))
        plain = ["--no-emit-find-links", "--no-emit-index-url", "--quiet", "--generate-hashes", "--no-strip-extras"]
        _run(scratch / "pip-tools", "pip-tools", "pip-compile", *plain)
        _write("pip-tools", scratch / "pip-tools", ["requirements.in", "requirements.txt"], TOOLS["pip-tools"][0])


def _prepare(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / name).write_text(text)


def _uv(folder: Path, *arguments: str) -> str:
    return _call([find_uv_bin(), *arguments], folder)


def _run(folder: Path, tool: str, *command: str) -> None:
    packages = TOOLS[tool]
    extra = [part for package in packages[1:] for part in ("--with", package)]
    _call([find_uv_bin(), "tool", "run", "--quiet", "--from", packages[0], *extra, *command], folder)


def _call(command: list[str], folder: Path) -> str:
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    quiet = {"POETRY_VIRTUALENVS_CREATE": "false", "PDM_CHECK_UPDATE": "0", "PIPENV_IGNORE_VIRTUALENVS": "1"}
    kept = {"UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))}
    environment = {**os.environ, **kept, **quiet, "HOME": str(home), "PIP_CONFIG_FILE": os.devnull}
    environment.pop("PIP_FIND_LINKS", None)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _write(name: str, made: Path, files: list[str], tool: str) -> None:
    (SHOP / name).mkdir(parents=True, exist_ok=True)
    for file in files:
        text = (made / file).read_text().replace(INDEX, "https://index.example/simple")
        text = re.sub(
            r'((?:url = |registry = |index = )")https?://(?!index\.example)[^/"]+', r"\1https://files.example", text
        )
        # The hash of the project's text no longer matches: its hosts have changed.
        text = re.sub(r"^content[-_]hash = .*\n", "", text, flags=re.MULTILINE)
        text = re.sub(r'        "hash": \{\n.*?\n        \},\n', "", text, count=1, flags=re.DOTALL)
        if name == "poetry-2.2" and file == "poetry.lock":
            text = re.sub(r'\n\[package\.source\]\ntype = "legacy"\nurl = "[^"]*"\nreference = "main"\n', "", text)
        if name == "poetry-2.2" and file == "pyproject.toml":
            text = text.partition("\n[[tool.poetry.source]]")[0]
        if file not in (
            "pyproject.toml",
            "requirements.in",
            "Pipfile.lock",
        ):  # JSON has no comments: the Pipfile has it.
            text = f"# Made by {tool} and scripts/make_shop_fixtures.py, which took the hosts out.\n{text}"
        (SHOP / name / file).write_text(text)
        print(f"{name}/{file}: {len(text):,} characters")


if __name__ == "__main__":
    main()
