"""Reads build configuration in TOML and INI: `pyproject.toml`, `Cargo.toml`, `Cargo.lock`, `setup.cfg`."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from typing import Any

import tomli

from ftaudit.source.base import ParseError
from ftaudit.source.build.build_facts import BuildFact, FactKind, limited_version

_DIRECTIVE = re.compile(r"freethreading_compatible\s*=\s*['\"]?(\w+)", re.IGNORECASE)
_MAX_ITEMS = 1000
"""How many items of one list are read; real lists hold a few dozen."""


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a document, or raise `ParseError`."""
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise ParseError(f"not valid TOML: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ParseError(f"not valid TOML: {error or type(error).__name__}") from error


class _Lines:
    """Finds the place of a value in a document, for parsers that do not keep places."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")

    def of(self, *needles: str, after: int = 1) -> int:
        """Return the first line, at or after a line, that holds all needles; the starting line if none does."""
        for number, line in enumerate(self.lines[after - 1 :], after):
            if all(needle in line for needle in needles) and not line.lstrip().startswith("#"):
                return number
        return after

    def table(self, name: str) -> int:
        """Return the line of a table's header, or 1."""
        header = re.compile(rf"\s*\[+\s*{re.escape(name)}\s*\]+")
        return next((number for number, line in enumerate(self.lines, 1) if header.match(line)), 1)


def find_pyproject_facts(path: str, text: str) -> Iterator[BuildFact]:
    """Yield the build facts of a `pyproject.toml` (or `cibuildwheel.toml`)."""
    document = parse_toml(text)
    lines = _Lines(text)
    build = _table(document, "build-system")
    start = lines.table("build-system")
    for requirement in _strings(build.get("requires")):
        line = lines.of(requirement, after=start)
        yield BuildFact(
            kind=FactKind.REQUIRES, path=path, line=line, value=requirement, names=("build-system.requires",)
        )
    if isinstance(backend := build.get("build-backend"), str):
        line = lines.of("build-backend", after=start)
        yield BuildFact(kind=FactKind.BUILD_BACKEND, path=path, line=line, value=backend)
    if isinstance(python := _table(document, "project").get("requires-python"), str):
        line = lines.of("requires-python", after=lines.table("project"))
        yield BuildFact(kind=FactKind.PYTHON, path=path, line=line, value=python)
    for requirement in _strings(_table(document, "project").get("dependencies")):
        line = lines.of(requirement, after=lines.table("project"))
        yield BuildFact(
            kind=FactKind.REQUIRES, path=path, line=line, value=requirement, names=("project.dependencies",)
        )
    for keys, value in _leaves(document):
        yield from _leaf(path, lines, keys, value)
    yield from _cibuildwheel(path, lines, _table(_table(document, "tool"), "cibuildwheel"))


def _leaf(path: str, lines: _Lines, keys: tuple[str, ...], value: object) -> Iterator[BuildFact]:
    last = keys[-1] if keys else ""
    if last == "freethreading_compatible":
        said = "false" if str(value).lower() in ("false", "0", "") else "true"
        yield BuildFact(kind=FactKind.DECLARES, path=path, line=lines.of(last), value=said, names=("project",))
    elif isinstance(value, str) and "freethreading" in value.lower() and (found := _DIRECTIVE.search(value)):
        said = "false" if found[1].lower() in ("false", "0") else "true"
        yield BuildFact(kind=FactKind.DECLARES, path=path, line=lines.of(value), value=said, names=("project",))
    elif isinstance(value, str) and "CYTHON_FREETHREADING_COMPATIBLE=1" in value:
        yield BuildFact(kind=FactKind.DECLARES, path=path, line=lines.of(value), value="true", names=("project",))
    elif isinstance(value, str) and "allow_limited_api=false" in value:
        yield BuildFact(kind=FactKind.NO_LIMITED_API_OPTION, path=path, line=lines.of("allow_limited_api"))
    elif last.replace("_", "-") in ("py-limited-api", "limited-api") and value not in (False, "", "none"):
        if value == "auto":
            return
        if "meson-python" in keys or "bdist_wheel" in keys or "bdist-wheel" in keys or "ext-modules" in keys:
            start = lines.table(".".join(keys[:-1]))
            line = lines.of(last, after=start)
            asked = limited_version(value) if isinstance(value, str) else None
            yield BuildFact(kind=FactKind.LIMITED_API, path=path, line=line, value=last, asked=asked)
    elif last == "py-api" and "scikit-build" in keys and isinstance(value, str) and "cp3" in value:
        # scikit-build-core builds for the version's own ABI if the interpreter does not have the named one.
        yield BuildFact(kind=FactKind.LIMITED_API, path=path, line=lines.of(last), value=last, settled=True)
    elif value == "Py_LIMITED_API":
        yield BuildFact(
            kind=FactKind.LIMITED_API, path=path, line=lines.of(str(value)), value="the macro Py_LIMITED_API"
        )
    elif "mypyc" in keys and "hooks" in keys and last == "dependencies":
        yield BuildFact(kind=FactKind.MYPYC, path=path, line=lines.of("mypyc"))


def _cibuildwheel(path: str, lines: _Lines, table: dict[str, Any]) -> Iterator[BuildFact]:
    start = lines.table("tool.cibuildwheel")
    for pattern in _words(table.get("skip")):
        line = lines.of(pattern, after=lines.of("skip", after=start))
        yield BuildFact(kind=FactKind.CIBW_SKIP, path=path, line=line, value=pattern)
    if "free-threaded-support" in table:
        name = "free-threaded-support"
        yield BuildFact(
            kind=FactKind.CIBW_OBSOLETE,
            path=path,
            line=lines.of(name, after=start),
            value=name,
            settled=table[name] is True,
        )
    if "cpython-freethreading" in _words(table.get("enable")):
        line = lines.of("cpython-freethreading", after=start)
        yield BuildFact(kind=FactKind.CIBW_ENABLE, path=path, line=line, value="enable")


def find_cargo_facts(path: str, text: str) -> Iterator[BuildFact]:
    """Yield which PyO3 a `Cargo.toml` asks for: in `dependencies`, for a target, or of the workspace."""
    document = parse_toml(text)
    lines = _Lines(text)
    tables = [_table(document, "dependencies"), _table(_table(document, "workspace"), "dependencies")]
    tables += [_table(each, "dependencies") for each in _table(document, "target").values() if isinstance(each, dict)]
    for table in tables:
        if "pyo3" not in table:
            continue
        wanted = table["pyo3"]
        details = wanted if isinstance(wanted, dict) else {"version": wanted}
        header = lines.table("dependencies.pyo3")
        line = header if header > 1 else next(
            (number for number, each in enumerate(lines.lines, 1) if re.match(r"\s*pyo3\s*(\.\w+\s*)?=", each)), 1
        )  # fmt: skip
        version = details.get("version", "")
        features = tuple(f"feature:{each}" for each in _strings(details.get("features")))
        inherited = ("workspace",) if details.get("workspace") is True else ()
        yield BuildFact(
            kind=FactKind.PYO3, path=path, line=line, value=str(version), names=("manifest", *inherited, *features)
        )


def find_lock_facts(path: str, text: str) -> Iterator[BuildFact]:
    """Yield which PyO3 a `Cargo.lock` pins."""
    lines = _Lines(text)
    packages = parse_toml(text).get("package")
    for package in packages if isinstance(packages, list) else ():
        if isinstance(package, dict) and package.get("name") == "pyo3" and isinstance(package.get("version"), str):
            line = lines.of('name = "pyo3"')
            yield BuildFact(kind=FactKind.PYO3, path=path, line=line, value=package["version"], names=("lock",))


def find_setup_cfg_facts(path: str, text: str) -> Iterator[BuildFact]:
    """Yield the build facts of a `setup.cfg`."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ParseError(f"not valid INI: {error.message}") from error
    lines = _Lines(text)
    for option in ("py_limited_api", "py-limited-api"):
        if parser.has_option("bdist_wheel", option):
            line = lines.of(option, after=lines.table("bdist_wheel"))
            asked = limited_version(parser.get("bdist_wheel", option))
            yield BuildFact(kind=FactKind.LIMITED_API, path=path, line=line, value=f"bdist_wheel.{option}", asked=asked)
    if parser.has_option("options", "python_requires"):
        line = lines.of("python_requires", after=lines.table("options"))
        yield BuildFact(kind=FactKind.PYTHON, path=path, line=line, value=parser.get("options", "python_requires"))
    if parser.has_option("options", "setup_requires"):
        start = lines.of("setup_requires", after=lines.table("options"))
        for requirement in parser.get("options", "setup_requires").splitlines():
            if requirement.strip():
                yield BuildFact(
                    kind=FactKind.REQUIRES,
                    path=path,
                    line=lines.of(requirement.strip(), after=start),
                    value=requirement.strip(),
                    names=("options.setup_requires",),
                )


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _strings(value: object) -> list[str]:
    return [each for each in value[:_MAX_ITEMS] if isinstance(each, str)] if isinstance(value, list) else []


def _words(value: object) -> list[str]:
    """Return the words of an option that may be a string or a list of strings."""
    if isinstance(value, str):
        return value.split()
    return [word for each in _strings(value) for word in each.split()]


def _leaves(document: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield every value that is not a table or list, with the keys that lead to it."""
    stack: list[tuple[tuple[str, ...], object]] = [((), document)]
    while stack:
        keys, value = stack.pop()
        if isinstance(value, dict):
            stack.extend(((*keys, str(key)), each) for key, each in value.items())
        elif isinstance(value, list):
            stack.extend((keys, each) for each in value)
        else:
            yield keys, value
