"""The room of build files: what `setup.py`, `pyproject.toml`, `meson.build`, CMake, Cargo and CI files say.

`READER` surveys each file; the facts of the whole tree are a `BuildContext`. Rules on the build are `BuildRule`s and
check the project; one build file by itself is not enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from ftaudit.rule import Language, SourceRule
from ftaudit.source.base import Reader, Room, SourceFile, Survey, TreeContext, Unit
from ftaudit.source.build.build_facts import BuildContext, BuildFact, FactKind, facts_of, find_nanobind_modules
from ftaudit.source.build.build_script import BuildScript
from ftaudit.source.build.ci import find_ci_facts
from ftaudit.source.build.cmake import CMakeFile, CMakeProject, parse_cmake
from ftaudit.source.build.meson import MesonFile, MesonProject, parse_meson
from ftaudit.source.build.python_script import find_script_facts
from ftaudit.source.build.tables import (
    find_cargo_facts,
    find_lock_facts,
    find_pyproject_facts,
    find_setup_cfg_facts,
)

__all__ = ["READER", "BuildContext", "BuildFact", "BuildReader", "FactKind", "find_nanobind_modules"]


class BuildReader(Reader):
    """Reads build files. Meson's and CMake's variables cross files, so those are put together by `gather`."""

    room = Room.BUILD
    languages = frozenset({Language.BUILD})

    def survey(self, source: SourceFile) -> Survey | None:
        """Return the facts of one file, or for Meson and CMake its calls."""
        name = PurePosixPath(source.path).name
        path, text = source.path, source.text
        if name == "meson.build":
            return {"meson": parse_meson(path, text).to_json()}
        if name == "CMakeLists.txt" or name.endswith(".cmake"):
            return {"cmake": parse_cmake(path, text).to_json()}
        if name.endswith((".py", ".pyw")):
            found = find_script_facts(BuildScript(path, text))
        elif name in ("pyproject.toml", "cibuildwheel.toml"):
            found = find_pyproject_facts(path, text)
        elif name == "Cargo.toml":
            found = find_cargo_facts(path, text)
        elif name == "Cargo.lock":
            found = find_lock_facts(path, text)
        elif name == "setup.cfg":
            found = find_setup_cfg_facts(path, text)
        elif name.endswith((".yml", ".yaml")):
            found = find_ci_facts(path, text)
        else:
            return None
        facts = [fact.to_json() for fact in found]
        return {"facts": facts} if facts else None

    def gather(self, surveys: Mapping[str, Survey]) -> BuildContext:
        """Return the facts of all files, including those that need the whole tree."""
        facts = [fact for survey in surveys.values() for fact in facts_of(survey)]
        meson = [MesonFile.from_json(survey["meson"]) for survey in surveys.values() if "meson" in survey]
        cmake = [CMakeFile.from_json(survey["cmake"]) for survey in surveys.values() if "cmake" in survey]
        facts.extend(MesonProject(meson).facts())
        facts.extend(CMakeProject(cmake).facts())
        facts.sort(key=lambda fact: (fact.path, fact.line, fact.column, fact.kind.value, fact.value))
        return BuildContext(facts=tuple(facts))

    def wants(self, source: SourceFile, rules: Sequence[SourceRule]) -> bool:
        """Return `False`: the survey has already read the file, and no rule checks a single one."""
        return False

    def parse(self, source: SourceFile, context: TreeContext) -> Unit:
        """Return a bare unit."""
        return Unit(source, context)


READER = BuildReader()
