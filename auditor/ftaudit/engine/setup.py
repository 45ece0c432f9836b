"""The common start of every audit: the index client and the rules from the settings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ftaudit.folders import temporary_folder
from ftaudit.index import index_settings
from ftaudit.index.client import Index
from ftaudit.index.pace import Pace
from ftaudit.registry import load_rules
from ftaudit.rule import PackageRule, Rule
from ftaudit.settings import Settings

R = TypeVar("R", bound=Rule)


def open_index(settings: Settings, said: Iterable[index_settings.IndexOptions] = ()) -> Index:
    """Return the index client from the command line, the environment, and the input files (`said`), in that order."""
    options = index_settings.IndexOptions(
        index_url=settings.index_url, extra_index_urls=settings.extra_index_urls, find_links=settings.find_links
    )
    folder = settings.open_cache()
    cache = None if folder is None else folder / "index"
    found = index_settings.find_settings(
        options=options,
        env=os.environ,
        requirements=said,
        cache=cache,
        offline=settings.offline,
        network_seconds=settings.network_seconds,
    )
    if settings.rate is not None or settings.connections is not None:
        workers = found.workers if settings.connections is None else min(found.workers, _share(settings))
        found = replace(found, pace=Pace(folder, settings.rate), workers=workers)
    return Index(found)


def _share(settings: Settings) -> int:
    """Return how many of the connections are for pages: the others are for wheels, which two pools of threads read."""
    return max(1, (settings.connections or 0) // 4)


@contextmanager
def cache_folder(settings: Settings) -> Iterator[Path]:
    """Yield the cache folder, or with `--no-cache` a temporary one."""
    if not settings.no_cache:
        yield settings.cache
        return
    with temporary_folder() as folder:
        yield folder


def choose_rules(settings: Settings, kind: type[R]) -> tuple[tuple[R, ...], tuple[str, ...]]:
    """Return the chosen rules of a kind, and a sentence for each pack or rule that could not be loaded.

    Raise `UsageError` for an unknown rule name.
    """
    named = settings.select or settings.ignore  # Any rule can be named, and an unknown name is an error.
    registry = load_rules(settings.rules, of_packages=kind is PackageRule and not named)
    chosen = registry.select(select=settings.select, ignore=settings.ignore)
    return tuple(rule for rule in chosen if isinstance(rule, kind)), registry.problems
