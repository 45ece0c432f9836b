"""Finds the versions of unlocked packages and their dependencies with uv; one failing package never loses another."""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.lockfiles.dependencies.graph import find_chains
from ftaudit.lockfiles.direct import local_path
from ftaudit.lockfiles.fields import listing
from ftaudit.lockfiles.listed import ListedRequirements, list_roots
from ftaudit.lockfiles.requirements import InputRequirement, Requirements
from ftaudit.lockfiles.resolve import uv
from ftaudit.lockfiles.resolve.passed_over import PassedOver, children_of
from ftaudit.lockfiles.resolve.uv_failures import FailedPackage, Failure, FailureKind
from ftaudit.lockfiles.selection import ResolveOptions, Selection
from ftaudit.model import GapKind, Location, Pin
from ftaudit.target import Platform, Target
from ftaudit.urls import default_index, public

MAX_SPARE_CALLS: Final = 60
"""Maximum number of calls to uv, in addition to one for each root: each failed call settles one package or more."""


_WITHOUT_WHEELS: Final = (FailureKind.NO_WHEEL, FailureKind.PYTHON)
"""Failures that do not show whether the versions are compatible."""
_TIME_OVER: Final = Failure(kind=FailureKind.OUT_OF_REACH, message="the time limit of --network-seconds was reached")


def resolve(requirements: Requirements, target: Target, platform: Platform, options: ResolveOptions) -> Selection:
    """Return the packages that the requirements resolve to on the target and platform.

    Exact pins do not change. A package that does not resolve is a pin with `problem`; `incomplete` lists what was not
    checked. Raise `InputError` for a malformed marker, `ResolutionError` if uv cannot be run.
    """
    listed = list_roots(requirements, target, platform, follow_trees=not options.no_deps)
    resolution = _Resolution(requirements, listed, target, platform, options)
    if not options.no_deps or any(root.exact is None for root in listed.named.values()):
        resolution.run()
    return resolution.selection()


def prove(
    requirements: Requirements,
    target: Target,
    platform: Platform,
    options: ResolveOptions,
    *,
    lowest: bool = False,
    interpreter: str | None = None,
    without_wheels: Iterable[tuple[NormalizedName, Version]] = (),
) -> Selection | Failure:
    """Return the packages that the requirements resolve to together, or why they exclude each other.

    Like `resolve`, but without relaxing any requirement: if uv finds no solution, that is a failure. A release without
    a wheel counts anyway, with the dependencies in its metadata. `lowest` selects the lowest versions of the listed
    requirements, and `interpreter` is the Python whose wheels count instead of those of the GIL-enabled build. Releases
    that are known to have no wheel, and whose dependencies do not matter, are used without a check: a call to uv for
    each takes too long.
    """
    listed = list_roots(requirements, target, platform, follow_trees=not options.no_deps)
    resolution = _Resolution(
        requirements, listed, target, platform, options, strict=True, lowest=lowest, interpreter=interpreter
    )
    resolution.stand_in_for(without_wheels)
    resolution.run()
    return resolution.conflict or resolution.selection()


class _Resolution:
    """The state across repeated calls to uv."""

    def __init__(
        self,
        requirements: Requirements,
        listed: ListedRequirements,
        target: Target,
        platform: Platform,
        options: ResolveOptions,
        *,
        strict: bool = False,
        lowest: bool = False,
        interpreter: str | None = None,
    ) -> None:
        self._requirements, self._listed, self._options = requirements, listed, options
        self._target, self._platform = target, platform
        self._strict, self._lowest, self._interpreter = strict, lowest, interpreter
        self.conflict: Failure | None = None
        self._known: dict[NormalizedName, Version] = {
            constraint.name: constraint.exact
            for constraint in listed.constraints
            if constraint.name and constraint.exact
        }
        self._known |= {name: root.exact for name, root in listed.named.items() if root.exact}
        self._stand_ins: dict[tuple[NormalizedName, Version], tuple[str, ...]] = {}
        self._any_sdist: set[NormalizedName] = set()
        self._no_sdist: set[NormalizedName] = set()
        self._excluded: dict[NormalizedName, str] = {}
        self._excluded_by: dict[NormalizedName, tuple[NormalizedName, ...]] = {}
        self._problems: dict[NormalizedName, str] = {}
        self._forced = False
        self._notes = list(listed.notes)
        self._incomplete = list(listed.incomplete)
        self._uncached: list[NormalizedName] = []
        self._offline = options.offline
        self._without = "offline"
        """Why no network is available: it is disabled, or does not answer."""
        self._unreached = False
        """Whether uv's cache was used because the index did not answer."""
        self._answer: tuple[uv.Resolved, ...] = ()
        self._unread: dict[tuple[NormalizedName, Version], str] = {}
        """Why the dependencies of releases are unknown; releases that uv then discards do not count."""
        self._passed_over = PassedOver(listed, requirements.index, platform, options.find_versions)

    def stand_in_for(self, releases: Iterable[tuple[NormalizedName, Version]]) -> None:
        """Treat releases as having no wheel and no dependencies."""
        self._stand_ins |= dict.fromkeys(releases, ())

    def run(self) -> None:
        """Call uv until it succeeds, each time without the cause of the last failure."""
        if not self._listed.named and not self._listed.wheels:
            return
        deadline = time.monotonic() + self._options.timeout
        failure = None
        for _ in range(len(self._listed.named) + MAX_SPARE_CALLS):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            if self._online() <= 0 and not self._go_offline(_TIME_OVER):
                failure = _TIME_OVER
                break
            left = min(left, self._online())
            with tempfile.TemporaryDirectory(prefix="ftaudit-uv-") as folder:
                answer = uv.ask(self._question(), Path(folder), left)
            if not isinstance(answer, Failure):
                self._answer = answer
                if not (self._study_sdists() or self._ask_again()):
                    return
                continue
            failure = answer
            if self._passed_over:
                if not self._learn(answer):
                    # They are incompatible with the rest, or uv does not answer: its own choice remains.
                    self._passed_over.end()
                continue
            if answer.kind is FailureKind.OUT_OF_REACH and self._leave_out(answer):
                continue
            if answer.kind is FailureKind.OUT_OF_REACH and self._go_offline(answer):
                continue
            if not self._settle(answer):
                break
        reason = failure.message if failure else f"uv took longer than {self._options.timeout:.0f} s"
        if self._strict:
            self.conflict = failure or Failure(kind=FailureKind.OUT_OF_REACH, message=reason)
        elif self._answer:
            self._incomplete.append(f"some dependencies: {reason}")
        else:
            self._give_up(reason)

    def _ask_again(self) -> bool:
        """Return whether to call uv again to learn why it chose older versions, or because that is now known."""
        if self._passed_over:
            self._passed_over.end()
            return True
        may_ask = not (self._strict or self._offline or self._options.no_deps)
        return may_ask and self._passed_over.request(self._answer)

    def _learn(self, failure: Failure) -> bool:
        """Resolve why uv did not choose the newest versions; return whether to request them again."""
        allows = self._requirements.index.allows_builds
        builds = failure.kind is FailureKind.NO_WHEEL and all(allows(each.name) for each in failure.culprits)
        return (builds and self._make_up_all(failure)) or self._passed_over.give_way(failure)

    def _leave_out(self, failure: Failure) -> bool:
        """Exclude a file that is unreachable by itself; return whether there is one."""
        away = [
            line
            for line in self._listed.wheels
            if failure.url and public(line.partition(" @ ")[2]) == public(failure.url)
        ]
        if not away:
            return False
        self._listed.wheels = [line for line in self._listed.wheels if line not in away]
        for line in away:
            name = line.partition(" @ ")[0].partition("[")[0]
            self._incomplete.append(f"the dependencies of {name}: {failure.message}")
        return True

    def _online(self) -> float:
        """Return for how many seconds uv may still use the network."""
        until = self._options.online_until
        return math.inf if self._offline or until is None else until - time.monotonic()

    def _go_offline(self, failure: Failure) -> bool:
        """Use only uv's cache after the index does not answer; return whether that is useful.

        A proof is never based on the incidental content of a cache.
        """
        if self._strict or self._offline:
            return False
        if self._online() <= 0:
            failure = _TIME_OVER
        self._offline, self._without, self._unreached = True, failure.message, True
        return True

    def selection(self) -> Selection:
        """Return the pins from uv's answer, the listed pins that are not in it, and the problems."""
        named = self._listed.named
        resolved = {package.name: package for package in self._answer}
        children = children_of(self._answer)
        for name, parents in self._excluded_by.items():
            for parent in parents:
                children.setdefault(parent, set()).add(name)
        for child, tree in self._listed.tree_edges:
            children.setdefault(tree, set()).add(child)
        direct = {pin.name: pin for pin in self._listed.pins}
        pulled = {child for child, _ in self._listed.tree_edges}
        roots = [*direct, *(name for name in named if name not in pulled or named[name].location in self._listed.own)]
        everything = {*resolved, *named, *self._excluded, *direct}
        chains = find_chains(roots, children, {name: name for name in (*everything, *children)})
        pins = []
        for name in sorted(everything):
            root = named.get(name)
            found = chains.get(name, ((name,),))
            base = direct.get(name)
            version = resolved[name].version if name in resolved else None
            first = named.get(found[0][0])
            top = direct.get(found[0][0])
            source = first.location if first else top.source if top else None
            if base is not None:
                pins.append(dataclasses.replace(base, required_by=found))
                continue
            extras = {*(root.extras if root else ()), *(resolved[name].extras if name in resolved else ())}
            pins.append(
                Pin(
                    name=name,
                    version=(root.exact if root and root.exact else version) or self._known.get(name),
                    extras=tuple(sorted(extras)),
                    required_by=found,
                    source=source or Location(path=str(self._requirements.path)),
                    also=tuple(place for place in self._listed.also.get(found[0][0], ()) if place != source),
                    allowed_hashes=root.hashes if root else frozenset(),
                    index_url=self._requirements.package_indexes.get(name),
                    problem=self._problem(name, resolved=name in resolved),
                    obstacle=self._obstacle(name, resolved=name in resolved),
                )
            )
        if self._unreached and not named.keys() <= set(self._uncached):
            self._notes.append(f"{self._without}: dependencies were taken from uv's cache, as with --offline")
        return Selection(
            pins=(*pins, *self._listed.rows),
            notes=tuple(self._notes),
            incomplete=tuple(dict.fromkeys((*self._unread_of(pins), *self._incomplete, *self._not_in_the_cache()))),
            without_wheels=tuple(sorted({name for name, _ in self._stand_ins})),
        )

    def _unread_of(self, pins: Iterable[Pin]) -> Iterator[str]:
        """Yield why the dependencies of the chosen releases are unknown."""
        for pin in pins:
            if pin.version is not None and (pin.name, pin.version) in self._unread:
                yield self._unread[pin.name, pin.version]

    def _pinned(self, name: NormalizedName) -> Version | None:
        root = self._listed.named.get(name)
        return None if root is None else root.exact

    def _not_in_the_cache(self) -> Iterator[str]:
        """Yield one sentence for all releases whose dependencies uv's cache does not have."""
        if self._uncached:
            named = listing(self._uncached)
            yield f"the dependencies of {named}: {self._without}, and uv's cache does not have them"

    def _obstacle(self, name: NormalizedName, *, resolved: bool) -> GapKind | None:
        """Return whether a network connection would have avoided a problem."""
        if not self._offline or self._problem(name, resolved=resolved) is None:
            return None
        return GapKind.UNCONNECTED if self._unreached else GapKind.OFFLINE

    def _problem(self, name: NormalizedName, *, resolved: bool) -> str | None:
        root = self._listed.named.get(name)
        pinned = root is not None and root.exact is not None
        # A pin is judged although uv could not resolve it: `incomplete` names what that omits.
        if problem := self._problems.get(name) or (None if pinned else self._excluded.get(name)):
            return problem
        if not resolved and not pinned and name not in self._known:
            return "uv chose no version of it"
        return None

    def _question(self) -> uv.UvRequest:
        options, index = self._options, self._requirements.index
        constraints = [c for c in self._listed.constraints if not (self._forced and c.name in self._known)]
        overrides = [_line(o) for o in self._listed.overrides if o.name not in self._excluded]
        overrides += [f"{name} ; python_version < '0'" for name in sorted(self._excluded)]
        pinned = [root for root in self._listed.named.values() if root.exact and root.name not in self._excluded]
        # What depends on a pinned release that does not exist is resolved as if it did, instead of going back to the
        # last version that does not need it.
        overrides += [_line(root) for root in pinned if self._forced or root.name in self._problems]
        return uv.UvRequest(
            roots=[*(_line(root) for root in self._listed.named.values()), *self._listed.wheels],
            constraints=[
                *(_line(constraint) for constraint in constraints),
                *self._passed_over.constraints(),
            ],
            overrides=overrides,
            stand_ins=self._stand_ins,
            any_sdist=frozenset(self._any_sdist),
            target=self._target,
            platform=self._platform,
            no_deps=options.no_deps,
            offline=self._offline,
            no_cache=options.no_cache,
            cache_dir=options.cache_dir,
            index_urls=self._index_urls(),
            find_links=self._find_links(),
            trusted_hosts=index.trusted_hosts,
            cert=options.cert,
            proxy=options.proxy,
            pre=index.pre,
            lowest=self._lowest,
            interpreter=self._interpreter,
        )

    def _find_links(self) -> tuple[str, ...] | None:
        """Return the places of `--find-links` without missing folders: pip ignores them, but uv fails."""
        given = self._options.find_links
        links = given if given is not None else self._requirements.index.find_links or None
        if links is None:
            return None
        missing = [link for link in links if link.startswith("file:") and not local_path(link, Path()).exists()]
        self._notes += [
            note
            for link in missing
            if (note := f"--find-links {local_path(link, Path())} does not exist: it is ignored") not in self._notes
        ]
        return tuple(link for link in links if link not in missing)

    def _index_urls(self) -> tuple[str, ...] | None:
        index, bound = self._requirements.index, tuple(self._requirements.package_indexes.values())
        if self._options.index_urls is not None:
            return tuple(dict.fromkeys((*bound, *self._options.index_urls)))
        if index.no_index:
            return ()
        if not (index.index_url or index.extra_index_urls or bound):
            return None
        return tuple(dict.fromkeys((*bound, *index.extra_index_urls, index.index_url or default_index())))

    def _settle(self, failure: Failure) -> bool:
        """Remove the cause of uv's failure from the next call; return whether that call is useful."""
        if self._strict and failure.kind not in _WITHOUT_WHEELS:
            self.conflict = failure
            return False
        match failure.kind:
            case FailureKind.OUT_OF_REACH | FailureKind.OTHER:
                return False
            case FailureKind.CONFLICT:
                return self._settle_conflict(failure)
            case _:
                # A proof names more than one package if versions of one need another: excluding a package because
                # another lacks something would lose all its dependencies.
                if self._make_up_all(failure):
                    return True
                lost = next((each.name for each in failure.culprits if each.name not in self._excluded), None)
                if lost is None:
                    return False
                self._exclude(lost, failure)
                return True

    def _make_up_all(self, failure: Failure) -> bool:
        """Provide what each culprit lacks; return whether anything could be provided."""
        made_up = [self._make_up(culprit, failure) for culprit in failure.culprits]
        return any(made_up)

    def _make_up(self, culprit: FailedPackage, failure: Failure) -> bool:
        """Provide what uv needs for a package without a wheel; return whether anything could be provided."""
        name = culprit.name
        if name in self._excluded:
            return False
        version = self._known.get(name) or culprit.version
        lacks_wheel = failure.kind is FailureKind.NO_WHEEL
        if lacks_wheel and self._passed_over.is_unusable(name, version):
            return False
        requested = version is not None and self._passed_over.is_requested(name, version)
        if lacks_wheel and (version is None or requested) and name not in (self._any_sdist | self._no_sdist):
            self._any_sdist.add(name)
            return True
        if lacks_wheel and version is None and name in self._any_sdist:
            self._any_sdist.discard(name)
            self._no_sdist.add(name)
            return True
        if version is None or (name, version) in self._stand_ins:
            return False
        if lacks_wheel and not requested and self._is_outdated(name, version):
            # uv names the last version with any wheel, and an installer would build a later one.
            self._any_sdist.add(name)
            return True
        self._any_sdist.discard(name)
        self._stand_in(name, version, failure)
        return True

    def _is_outdated(self, name: NormalizedName, version: Version) -> bool:
        """Return whether an installer may choose a later version than this one, which has no usable wheel either."""
        if self._offline or name in self._known or name in self._any_sdist:
            return False
        return self._requirements.index.allows_builds(name) and self._passed_over.newest(name, version) is not None

    def _exclude(self, name: NormalizedName, failure: Failure) -> None:
        self._any_sdist.discard(name)
        reason = failure.message
        if self._offline and failure.kind is FailureKind.MISSING:
            reason = f"its version could not be resolved: {self._without}, and uv's cache does not have it"
        self._excluded[name] = reason
        self._excluded_by[name] = tuple(parent for parent in failure.wanted_by if parent != name)
        pinned = self._pinned(name)
        if pinned is not None and (name, pinned) not in self._unread:
            self._incomplete.append(f"the dependencies of {name}: {reason}")

    def _stand_in(self, name: NormalizedName, version: Version, failure: Failure) -> None:
        requires: tuple[str, ...] | None = None
        if failure.kind in (FailureKind.NO_WHEEL, FailureKind.PYTHON):
            requires = self._metadata(name, version)
        elif failure.kind is FailureKind.MISSING and not self._offline:
            self._problems[name] = failure.message
        if version == self._pinned(name) or not self._passed_over:
            self._known.setdefault(name, version)
        self._stand_ins[name, version] = requires or ()
        if requires is None and name not in self._problems:
            if self._offline and failure.kind in (FailureKind.MISSING, FailureKind.NO_WHEEL):
                self._uncached.append(name)
                return
            why = "they are unknown without a build" if failure.kind is FailureKind.NO_WHEEL else failure.message
            self._unread[name, version] = f"the dependencies of {name} {version}: {why}"

    def _metadata(self, name: NormalizedName, version: Version) -> tuple[str, ...] | None:
        find = self._options.find_metadata
        return None if find is None else find(name, version)

    def _study_sdists(self) -> bool:
        """Learn the dependencies of the versions without wheels that uv chose; return whether to call uv again."""
        chosen = [(p.name, p.version) for p in self._answer if p.name in self._any_sdist and p.version is not None]
        news = False
        for name, version in chosen:
            if self._options.no_deps:
                continue
            self._any_sdist.discard(name)
            self._known[name] = version
            self._stand_in(name, version, Failure(kind=FailureKind.NO_WHEEL, message="it has no wheel"))
            news = True
        return news

    def _settle_conflict(self, failure: Failure) -> bool:
        """First keep every pin against the requirements of others; then drop the unpinned root that uv names last."""
        if not self._forced and any(root.exact for root in self._listed.named.values()):
            self._forced = True
            self._notes.append(f"the requirements conflict, so each pin is checked as written: {failure.message}")
            return True
        named = [name for name in self._listed.named if name not in self._excluded and _mentions(failure.message, name)]
        loose = [name for name in named if self._listed.named[name].exact is None] or named
        if not loose:
            return False
        self._exclude(loose[-1], failure)
        return True

    def _give_up(self, reason: str) -> None:
        """Without an answer, judge only the listed pins, and report that this is incomplete."""
        for name, root in self._listed.named.items():
            if root.exact is None:
                self._problems.setdefault(name, f"its version could not be resolved: {reason}")
        pinned = [name for name, root in self._listed.named.items() if root.exact is not None]
        if pinned and not self._options.no_deps:
            self._incomplete.append(f"the dependencies of {listing(pinned)}: {reason}")


def _line(requirement: InputRequirement) -> str:
    extras = f"[{','.join(requirement.extras)}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


def _mentions(message: str, name: str) -> bool:
    words = message.replace(",", " ").replace("[", " ").split()
    return any(
        word == name or word.startswith((f"{name}=", f"{name}<", f"{name}>", f"{name}!", f"{name}~")) for word in words
    )
