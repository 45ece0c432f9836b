"""Compare the binary tier's answers with the target's behavior, module by module: `compare_tiers.py [FILE]`.

FILE lists distributions as requirements do, a name perhaps with several versions; the default is
`compare_tiers.txt` next to this script, and `compare_tiers_3.15.txt` for `--target 3.15t`. Linux x86-64 is judged by
imports: decided, undetermined, and wrong if a module's declaration and CPython's answer differ. For the other
platforms it prints the decided share, with every module whose declaration differs from Linux's. With `--survey` the
distributions are those of a data set of `ftaudit fleet survey` that have free-threaded wheels for Linux x86-64, and
what the data set says of each module is compared with the binary tier's answer. The exit status is 1 if a figure
misses its target, if the data set differs, or if fewer distributions than `--at-least` were compared.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from packaging.utils import canonicalize_name

import ftaudit
from ftaudit.fleet.dataset import read_rows
from ftaudit.fleet.schema import MODULES, PACKAGES
from ftaudit.model import ExtensionModule, GilDeclaration, Package, Report, WheelKind
from ftaudit.settings import Settings
from ftaudit.target import DEFAULT_TARGET

LINUX = "linux-x86_64"
WANTED = {LINUX: 99.5, "linux-aarch64": 98.0, "macos-arm64": 98.0, "windows-amd64": 98.0}
"""Percent of the modules that are to be decided."""
LISTS = {"3.14t": ("compare_tiers.txt", 150), "3.15t": ("compare_tiers_3.15.txt", 60)}
"""The list for each target, and how many distributions are wanted."""


@dataclass(frozen=True, slots=True)
class Module:
    """One module of one distribution, on one platform."""

    distribution: str
    """Name and version: a list may have several of one name."""
    facts: ExtensionModule

    @property
    def key(self) -> tuple[str, str]:
        """The key that it shares with the same module on another platform."""
        return self.distribution, self.facts.name

    @property
    def declaration(self) -> GilDeclaration:
        """The binary tier's answer."""
        return self.facts.binary.declaration if self.facts.binary else GilDeclaration.UNDETERMINED

    @property
    def how(self) -> str:
        """How the binary tier found it."""
        return self.facts.binary.how if self.facts.binary else "was not read"


def main() -> int:
    """Audit the list on every platform, print the comparison and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", help="the distributions")
    parser.add_argument("--survey", type=Path, help="a data set: compare its releases instead of FILE's")
    parser.add_argument("--target", default=DEFAULT_TARGET, help=f"the target, {DEFAULT_TARGET} by default")
    parser.add_argument("--at-least", type=int, help="distributions with free-threaded wheels that are wanted")
    parser.add_argument("--find-links", action="append", default=[], help="a folder of wheels to take first")
    parser.add_argument("--python", type=Path, help="the free-threaded interpreter")
    parser.add_argument("--platforms", nargs="*", default=[*WANTED], help="those to compare Linux x86-64 with")
    options = parser.parse_args()
    name, wanted = LISTS[options.target]
    file = options.file or Path(__file__).with_name(name)
    least = wanted if options.at_least is None else options.at_least
    links = tuple(options.find_links)
    others = tuple(platform for platform in options.platforms if platform != LINUX)
    text = releases_of(options.survey, options.target) if options.survey else file.read_text()
    here: dict[tuple[str, str], Module] = {}
    there: dict[str, dict[tuple[str, str], Module]] = {platform: {} for platform in others}
    with tempfile.TemporaryDirectory() as folder:
        for number, part in enumerate(rounds(text)):
            path = Path(folder) / f"requirements-{number}.txt"
            path.write_text(part)
            settings = Settings(target=options.target, python=options.python, find_links=links, platforms=(LINUX,))
            here |= modules_of(ftaudit.audit(path, settings=settings))
            if not others:
                continue
            elsewhere = Settings(target=options.target, static=True, find_links=links, platforms=others)
            report = ftaudit.audit(path, settings=elsewhere)
            for platform in others:
                there[platform] |= modules_of(report, platform)
    names = {module.distribution.partition("==")[0] for module in here.values()}
    good = [print_truth(here.values()), len(names) >= least]
    if options.survey:
        good.append(print_survey(options.survey, options.target, here.values()))
    releases = {module.distribution for module in here.values()}
    print(f"{len(releases)} releases of {len(names)} distributions with free-threaded wheels for {LINUX}")
    for platform in others:
        good.append(print_share(platform, list(there[platform].values())))
        print_disagreements(platform, here, there[platform].values())
    return 0 if all(good) else 1


def releases_of(survey: Path, target: str) -> str:
    """Return the releases of a data set whose wheel for Linux x86-64 is free-threaded, one on each line."""
    kinds = {WheelKind.FREE_THREADED.value, WheelKind.ABI3T.value}
    found = {
        f"{row['package']}=={row['version']}\n"
        for row in read_rows(survey, PACKAGES)
        if row["target"] == target and row["platform"] == LINUX and row["wheel_kind"] in kinds
    }
    return "".join(sorted(found))


def print_survey(survey: Path, target: str, modules: Iterable[Module]) -> bool:
    """Compare a data set's declarations with the binary tier's answers; return whether they are the same."""
    answers = {
        (f"{row['package']}=={row['version']}", row["path"]): row["declaration"]
        for row in read_rows(survey, MODULES)
        if row["target"] == target and not row["rebuild"]
    }
    counts: Counter[str] = Counter()
    surveyed = set(releases_of(survey, target).split())
    for module in modules:
        if module.distribution not in surveyed:
            continue  # A dependency, which the survey was not asked for.
        answer = answers.get((module.distribution, module.facts.path))
        outcome = "missing" if answer is None else "the same" if answer == module.declaration.value else "different"
        counts[outcome] += 1
        if outcome != "the same":
            print(f"{outcome}: {module.distribution}: {module.facts.path}: {answer}, not {module.declaration.value}")
    print(f"the data set: {', '.join(f'{number} modules {outcome}' for outcome, number in sorted(counts.items()))}")
    return counts.keys() == {"the same"}


def rounds(text: str) -> list[str]:
    """Split the lines of a list into files that have each name once: an audit takes one version of a package."""
    dealt: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        if line and not line.startswith("#"):
            dealt[canonicalize_name(line.partition("==")[0])].append(line)
    # The newest versions, which stand last, come together.
    groups = zip_longest(*(reversed(lines) for lines in dealt.values()))
    return ["".join(f"{line}\n" for line in group if line is not None) for group in groups]


def modules_of(report: Report, platform: str = LINUX) -> dict[tuple[str, str], Module]:
    """Return the modules of the free-threaded wheels that the target installs on the platform, by their keys."""
    found = (
        Module(f"{package.facts.pin.name}=={package.facts.pin.version}", module)
        for package in report.packages
        if package.facts.platform == platform and is_free_threaded(package)
        for module in package.facts.modules
        if module.binary is not None
    )
    return {module.key: module for module in found}


def is_free_threaded(package: Package) -> bool:
    """Return whether the target installs a wheel that was built for it, or for the stable ABI of such builds."""
    return package.facts.index.kind in (WheelKind.FREE_THREADED, WheelKind.ABI3T)


def print_truth(modules: Iterable[Module]) -> bool:
    """Compare declarations with imports; return whether enough are decided and none is wrong."""
    counts: Counter[str] = Counter()
    frameworks: dict[str, Counter[str]] = defaultdict(Counter)
    for module in modules:
        runtime = module.facts.runtime
        if runtime is None or runtime.requires_gil is None:
            outcome = "without truth"
        elif module.declaration is GilDeclaration.UNDETERMINED:
            outcome = "undetermined"
            print(f"undetermined: {module.distribution}: {module.facts.path}: {module.how}")
        elif (module.declaration is not GilDeclaration.NOT_USED) is runtime.requires_gil:
            outcome = "decided"
        else:
            outcome = "wrong"
            told = f"{module.declaration} ({module.how}); required: {runtime.requires_gil}"
            print(f"WRONG: {module.distribution}: {module.facts.path}: {told}")
        counts[outcome] += 1
        binary = module.facts.binary
        frameworks[(binary.framework if binary else None) or "unknown"][outcome] += 1
    compared = counts["decided"] + counts["undetermined"] + counts["wrong"]
    share = 100 * counts["decided"] / compared if compared else 0.0
    for framework, seen in sorted(frameworks.items()):
        print(f"  {framework}: {', '.join(f'{number} {outcome}' for outcome, number in sorted(seen.items()))}")
    print(
        f"{LINUX}: {compared} modules with a truth: {counts['decided']} decided ({share:.2f} %, wanted "
        f"{WANTED[LINUX]}), {counts['undetermined']} undetermined, {counts['wrong']} wrong (wanted 0); "
        f"{counts['without truth']} more could not be imported"
    )
    return share >= WANTED[LINUX] and not counts["wrong"]


def print_share(platform: str, modules: list[Module]) -> bool:
    """Print how many of a platform's modules are decided, and which are not; return whether they are enough."""
    undecided = [module for module in modules if module.declaration is GilDeclaration.UNDETERMINED]
    share = 100 * (1 - len(undecided) / len(modules)) if modules else 0.0
    print(f"{platform}: {len(modules) - len(undecided)} of {len(modules)} decided ({share:.2f} %, {WANTED[platform]})")
    for module in undecided:
        print(f"  undetermined: {module.distribution}: {module.facts.path}: {module.how}")
    return share >= WANTED[platform]


def print_disagreements(platform: str, linux: dict[tuple[str, str], Module], modules: Iterable[Module]) -> None:
    """Print the modules whose declaration differs from that of the same module on Linux, both decided."""
    undetermined = GilDeclaration.UNDETERMINED
    for module in modules:
        same = linux.get(module.key)
        if same is None or undetermined in (same.declaration, module.declaration):
            continue
        if same.declaration is not module.declaration:
            told = f"{module.declaration} ({module.how}), on {LINUX} {same.declaration}"
            print(f"  differs: {module.distribution}: {module.facts.name}: {told}")


if __name__ == "__main__":
    sys.exit(main())
