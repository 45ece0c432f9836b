"""The existing rules: those of each pack that an entry point of `ftaudit.rules` names, and of local folders."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Final

from ftaudit.errors import UsageError
from ftaudit.rule import Rule, RuleInfo, SourceRule

GROUP: Final = "ftaudit.rules"
PACKAGE_FOLDER: Final = "package"
"""The folder of a pack with its package rules: an audit without source imports no other rules."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Registry:
    """Every rule, one instance each, by code; and the parts of packs that could not be loaded."""

    rules: tuple[Rule, ...]
    problems: tuple[str, ...] = ()
    """A sentence for each pack, file or rule that is broken."""

    def find(self, name: str) -> Rule | None:
        """Return the rule of that code or name."""
        wanted = name.strip()
        return next((r for r in self.rules if wanted.upper() == r.info.code or wanted.lower() == r.info.name), None)

    def select(
        self, *, select: Sequence[str] = (), ignore: Sequence[str] = (), pedantic: bool = False
    ) -> tuple[Rule, ...]:
        """Return the rules of the default profile, or the selected ones, without the ignored ones.

        A rule is named by its code, its name, or a prefix of its code. A selection by exact name or code includes rules
        that are off by default; a selection by prefix includes them only with `pedantic`. Rules of the migration to the
        stable ABI are on by default, but a scan skips them if the project does not use the limited API. Raise
        `UsageError` for an unknown name.
        """
        for name in (*select, *ignore):
            if not any(means(name, rule) for rule in self.rules):
                import difflib

                near = difflib.get_close_matches(name.lower(), [rule.info.name for rule in self.rules], 1)
                hint = f"did you mean {near[0]}?" if near else "see `ftaudit explain` for all of them"
                raise UsageError(f"no rule is named {name!r}", hint=hint)
        chosen = [
            rule
            for rule in self.rules
            if _selected(rule, select, pedantic) and not any(means(name, rule) for name in ignore)
        ]
        codes = {rule.info.code for rule in chosen}
        of_source = any(isinstance(rule, SourceRule) for rule in chosen)
        return tuple(
            rule
            for rule in self.rules
            if rule in chosen
            or (
                (codes & {*rule.info.speaks_as} or (of_source and rule.info.accompanies))
                and not any(means(name, rule) for name in ignore)
            )
        )


_LOADED: Final[dict[str, RuleInfo]] = {}
"""The description of every rule that this process has loaded, by code."""


def info_of(code: str) -> RuleInfo | None:
    """Return the rule's description by code; `None` if neither a loaded nor an installed pack has the rule."""
    if code not in _LOADED:
        load_rules()
    return _LOADED.get(code)


def means(name: str, rule: Rule) -> bool:
    """Return whether a name that a user wrote selects the rule: its name, its code, or a prefix of the code (`FT5`)."""
    return is_named(name, rule.info.name, rule.info.code)


def is_named(wanted: str, name: str, code: str) -> bool:
    """Return whether a user's selector matches the rule of that name and code."""
    wanted = wanted.strip()
    return wanted.lower() == name or (
        len(wanted) >= 2 and wanted.upper().startswith("FT") and code.startswith(wanted.upper())
    )


def is_exact(name: str, rule: Rule) -> bool:
    """Return whether a name means only this rule."""
    return name.strip().lower() == rule.info.name or name.strip().upper() == rule.info.code


def _selected(rule: Rule, select: Collection[str], pedantic: bool) -> bool:
    if rule.info.migration:
        # Without a selection the scan decides, because it is not known yet whether the project uses the limited API.
        return not select or any(means(name, rule) for name in select)
    if not select:
        return rule.info.default or pedantic
    return any(is_exact(name, rule) or (means(name, rule) and (rule.info.default or pedantic)) for name in select)


@functools.lru_cache(maxsize=8)
def load_rules(folders: tuple[Path, ...] = (), *, of_packages: bool = False) -> Registry:
    """Return all rules of the installed packs and of the local folders, sorted by code.

    With `of_packages`, a pack that has a separate folder for its package rules (`package`) loads only that folder. A
    pack that cannot be imported and an invalid rule are problems of the registry, never exceptions.
    """
    problems: list[str] = []
    found: dict[str, Rule] = {}
    for module in (*_packed(problems, of_packages=of_packages), *_local(folders, problems)):
        for rule in _rules_of(module, problems):
            other = found.get(rule.info.code)
            if other is not None and type(other) is not type(rule):
                problems.append(f"{module.__name__}: {rule.info.code} is {other.info.name} already")
            else:
                found[rule.info.code] = rule
    _LOADED.update((code, rule.info) for code, rule in found.items())
    return Registry(rules=tuple(found[code] for code in sorted(found)), problems=tuple(problems))


@functools.lru_cache(maxsize=8)
def rules_identity(folders: tuple[Path, ...] = ()) -> str:
    """Return a digest of the content of all installed packs and of the local folders: it changes with any rule.

    Call it before rules are loaded; it is as old in this process as they are.
    """
    digest = hashlib.sha256()
    for mark, path in rule_files(folders):
        digest.update(f"{mark}\0".encode("utf-8", "surrogateescape"))
        if path is not None:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def rule_files(folders: tuple[Path, ...] = ()) -> Iterator[tuple[str, Path | None]]:
    """Yield the files of all installed packs and of the local folders, with their relative paths, sorted.

    Each pack starts with a pair of its name and version, without a file.
    """
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.value):
        yield f"{entry.value} {entry.dist.version if entry.dist else None}", None
        try:
            spec = importlib.util.find_spec(entry.value)
        except (ImportError, ValueError):
            spec = None
        places = () if spec is None else spec.submodule_search_locations or filter(None, (spec.origin,))
        for place in map(Path, places):
            yield from _files(place)
    for folder in folders:
        yield from _files(folder)


def _files(place: Path) -> Iterator[tuple[str, Path]]:
    for path in [place] if place.is_file() else sorted(place.rglob("*")):
        if path.suffix != ".pyc" and path.is_file():
            yield str(path.relative_to(place.parent)), path


def _packed(problems: list[str], *, of_packages: bool) -> Iterator[ModuleType]:
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.value):
        package = _imported(entry.value, problems)
        if package is None:
            continue
        yield package
        for name in sorted(_modules_of(package, package_rules_only=of_packages)):
            module = _imported(name, problems)
            if module is not None:
                yield module


def _modules_of(pack: ModuleType, *, package_rules_only: bool) -> Iterator[str]:
    """Yield the dotted names of the modules with a pack's rules, at its top or in the folders of the languages."""
    path = getattr(pack, "__path__", ())
    found = list(pkgutil.walk_packages(path, f"{pack.__name__}."))
    folder = f"{pack.__name__}.{PACKAGE_FOLDER}"
    if package_rules_only and any(info.name == folder for info in found):
        found = [info for info in found if info.name.startswith(f"{folder}.")]
    yield from (info.name for info in found if not info.ispkg)


def _imported(name: str, problems: list[str]) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except Exception as error:
        problems.append(f"{name} cannot be imported: {type(error).__name__}: {error}")
        return None


def _local(folders: Iterable[Path], problems: list[str]) -> Iterator[ModuleType]:
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"the rules folder {folder} does not exist", hint="see `rules` in the configuration")
        for path in sorted(folder.glob("*.py")):
            module = _executed(path, problems)
            if module is not None:
                yield module


def _executed(path: Path, problems: list[str]) -> ModuleType | None:
    name = f"ftaudit_local_rules.{path.resolve().parent.name}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    # Worker processes find classes by their module's name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        problems.append(f"{path} cannot be loaded: {type(error).__name__}: {error}")
        del sys.modules[name]
        return None
    return module


def _rules_of(module: ModuleType, problems: list[str]) -> Iterator[Rule]:
    for value in vars(module).values():
        if inspect.isclass(value) and issubclass(value, Rule) and value.__module__ == module.__name__:
            if not hasattr(value, "info"):
                continue
            try:
                yield value()
            except Exception as error:
                problems.append(
                    f"{module.__name__}.{value.__name__} cannot be created: {type(error).__name__}: {error}"
                )
