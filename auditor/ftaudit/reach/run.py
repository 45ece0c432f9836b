"""The entry point of the package: takes trees and start points, returns the answer for every extension module."""

from __future__ import annotations

import ast
import gc
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ftaudit.model.reachability import OpenKind, OpenSite, ReachAnswer, StartPoint
from ftaudit.reach.abstract_run import AbstractRun, PythonLanguage
from ftaudit.reach.analysis import LANGUAGE, analyze
from ftaudit.reach.binary_names import names_in
from ftaudit.reach.classify import classify
from ftaudit.reach.finder import Finder, Found
from ftaudit.reach.wheel_files import WheelTree


@dataclass(frozen=True, kw_only=True, slots=True)
class ReachQuestion:
    """The question for one platform."""

    finder: Finder
    starts: Sequence[StartPoint]
    platform: str
    machine: str
    """`platform.machine()` there."""
    parse: Callable[[str], ast.Module]


def find_reach(question: ReachQuestion, language: PythonLanguage = LANGUAGE) -> ReachAnswer:
    """Return what the start points load. Anything that cannot be read, parsed, or followed is an open site of the
    answer.
    """
    finder = question.finder
    known = module_names(finder)
    digest = hashlib.sha256("\n".join(sorted(known)).encode(errors="surrogateescape")).hexdigest()[:16]

    def find_names(found: Found) -> Sequence[str] | None:
        tree = found.tree
        if isinstance(tree, WheelTree):
            return tree.names(found.path, found.name, known, digest)
        data = None if tree is None else tree.read(found.path)
        return None if data is None else names_in(data, known, found.name)

    machine = AbstractRun(
        finder=finder,
        version=finder.version,
        sys_platform=finder.sys_platform,
        machine=question.machine,
        parse=question.parse,
        language=language,
        names_in=find_names,
    )
    collects = gc.isenabled()
    gc.disable()  # Trees have no cycles, and the search for cycles adds half of the time.
    try:
        return _answer(question, machine)
    finally:
        if collects:
            gc.enable()


def _answer(question: ReachQuestion, machine: AbstractRun) -> ReachAnswer:
    finder = question.finder
    try:
        missing = analyze(machine, question.starts)
    finally:
        for tree in finder.trees:
            if isinstance(tree, WheelTree):
                tree.close()
    absent = tuple(
        OpenSite(kind=OpenKind.MISSING, package="", module=each.label, file="", line=0, at_start=True)
        for each in missing
    )
    unread = tuple(
        OpenSite(kind=OpenKind.UNREAD, package=name, module="", file="", line=0, at_start=True)
        for name in finder.unread
    )
    modules, sites = classify(machine, finder.extensions(), (*absent, *unread))
    return ReachAnswer(
        platform=question.platform,
        starts=tuple(question.starts),
        modules=modules,
        open_sites=sites,
        own=tuple(sorted(set(_own_names(machine)))),
        files=machine.files,
        steps=machine.steps,
        bytes_read=sum(tree.bytes_read for tree in finder.trees if isinstance(tree, WheelTree)),
    )


def _own_names(machine: AbstractRun) -> Iterator[str]:
    for name, module in machine.modules.items():
        if module.found.is_own:
            yield name.partition(".")[0]


def module_names(finder: Finder) -> frozenset[str]:
    """Return the names of all modules in the packages."""
    names: set[str] = {found.name for found in finder.extensions()}
    for tree in finder.trees:
        for path in tree.paths():
            if path.endswith(".py") and "-" not in path.partition("/")[0]:
                stem = path.removesuffix(".py").removesuffix("/__init__")
                names.add(stem.replace("/", "."))
    return frozenset(names)
