"""The wheel chooser against two others: `packaging`'s list of supported tags, and what uv installs (over loopback)."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version
from support.distributions import wheel
from support.freethreaded import interpreter
from support.index_server import IndexServer, ServedFile
from uv import find_uv_bin

from ftaudit import target as target_module
from ftaudit.index.choose import choose_wheel
from ftaudit.index.release import ReleaseFiles
from ftaudit.model import DistributionFile, Pin, Status
from ftaudit.target import PLATFORMS, TARGETS, Platform, Target, parse_platform, parse_target

EXACT = ("manylinux_2_17_x86_64", "manylinux_2_28_aarch64", "macosx_11_0_x86_64", "musllinux_1_1_x86_64", "win_arm64")
PLATFORM_TAGS = (
    *("manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_28_x86_64", "manylinux_2_39_x86_64"),
    *("manylinux_2_17_aarch64", "manylinux_2_28_aarch64", "musllinux_1_1_x86_64", "musllinux_1_2_aarch64"),
    *("macosx_10_13_x86_64", "macosx_11_0_arm64", "macosx_11_0_universal2", "macosx_15_0_arm64"),
    *("win_amd64", "win_arm64", "win32", "linux_x86_64", "manylinux_2_17_i686", "any"),
)
BUILDS = ("cp313-cp313t", "cp314-cp314", "cp314-cp314t", "cp315-cp315t", "cp39-abi3", "cp315-abi3.abi3t", "cp314-none")
PYTHONS = ("py3-none", "py2.py3-none", "py314-none", "cp313-none", "pp311-pypy311_pp73")
PINS = (None, ">=3.8", ">=3.14", ">=3.99", "<3.14", "!=3.14.*", "nonsense")


def release(seed: int, builds: Sequence[str] = BUILDS) -> tuple[DistributionFile, ...]:
    """Return the files of a release in many variants: build numbers, compressed tags, yanked ones."""
    rng = random.Random(seed)
    files: dict[str, DistributionFile] = {}
    for _ in range(rng.randint(1, 12)):
        tags = rng.choice((*builds, *builds, *builds, *PYTHONS))
        platforms = ".".join(sorted({rng.choice(PLATFORM_TAGS) for _ in range(rng.choice((1, 1, 1, 2, 3)))}))
        build = rng.choice(("", "", "", "1-", "2-", "10-", "2b-"))
        name = f"demo-1.0-{build}{tags}-{platforms}.whl"
        files[name] = DistributionFile(
            filename=name,
            requires_python=rng.choice(PINS) if rng.random() < 0.3 else None,
            yanked="broken" if rng.random() < 0.2 else None,
        )
    return tuple(files.values())


def chosen(files: Sequence[DistributionFile], target: Target, platform: Platform) -> str | None:
    """Return the wheel that ftaudit chooses."""
    pin = Pin(name=canonicalize_name("demo"), version=Version("1.0"))
    found = choose_wheel(pin, ReleaseFiles(status=Status.DONE, files=tuple(files)), target, platform)
    return found.wheel.filename if found.wheel else None


def by_packaging(files: Sequence[DistributionFile], target: Target, platform: Platform) -> set[str]:
    """Return the best wheels by the rank of their best tag and their build number; several if those are equal."""
    interpreter = f"cp{target.version[0]}{target.version[1]}"
    specific = cpython_tags(target.version, [target.abi], platform.tags)
    generic = compatible_tags(target.version, interpreter, platform.tags)
    # Until 3.15 `packaging` names abi3t, which those versions cannot load: see `ftaudit.target.supported_tags`.
    loads = target.version >= (3, 15)
    supported = [tag for tag in (*specific, *generic) if loads or tag.abi != "abi3t"]
    rank = {tag: number for number, tag in reversed(list(enumerate(supported)))}

    def admits(file: DistributionFile) -> bool:
        try:
            return SpecifierSet(file.requires_python or "").contains(target.full_version, prereleases=True)
        except ValueError:
            return True

    fitting = []
    for file in files:
        _, _, build, tags = parse_wheel_filename(file.filename)
        places = [rank[tag] for tag in tags if tag in rank]
        if places and admits(file):
            fitting.append(((file.yanked is None, -min(places), build), file.filename))
    best = max((key for key, _ in fitting), default=None)
    return {name for key, name in fitting if key == best}


@pytest.mark.parametrize("name", [*PLATFORMS, *EXACT])
@pytest.mark.parametrize("target", TARGETS)
def test_what_is_chosen_is_what_the_supported_tags_put_first(target: str, name: str) -> None:
    for seed in range(60):
        files = release(seed)
        expected = by_packaging(files, parse_target(target), parse_platform(name))
        found = chosen(files, parse_target(target), parse_platform(name))
        assert (found in expected) if expected else found is None, f"seed {seed}: {found} and not {expected}"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[IndexServer, dict[int, tuple[DistributionFile, ...]]]]:
    """Serve each generated release as a separate project."""
    releases = {}
    with IndexServer() as server:
        for seed in range(1000, 1024):
            # uv takes one file's requires-python for the whole release, heeds only lower bounds, and with an exact
            # pin, like pip, does not prefer other files to a yanked one. So here a release is uniform.
            builds = [build for build in BUILDS if "abi3t" not in build]
            whole = {"requires_python": PINS[seed % 4], "yanked": "broken" if seed % 5 == 0 else None}
            files = tuple(replace(file, **whole) for file in release(seed, builds))
            releases[seed] = files
            name = f"demo{seed}"
            pages = [
                ServedFile(
                    filename=file.filename.replace("demo-", f"{name}-", 1),
                    data=wheel(name, "1.0").data,
                    requires_python=file.requires_python,
                    yanked=file.yanked,
                )
                for file in files
            ]
            server.add_project(name, pages)
        yield server, releases


@pytest.mark.interpreter
@pytest.mark.parametrize("name", PLATFORMS)
def test_what_is_chosen_is_what_uv_installs(
    served: tuple[IndexServer, dict[int, tuple[DistributionFile, ...]]], name: str, tmp_path: Path
) -> None:
    server, releases = served
    target, platform = parse_target("3.14t"), parse_platform(name)
    server.forget()
    there = [seed for seed, files in releases.items() if chosen(files, target, platform) is not None]
    ran = uv(server, platform, tmp_path, [f"demo{seed}" for seed in there])
    assert ran.returncode == 0, ran.stderr
    for seed in there:
        (fetched,) = taken(server, f"demo{seed}")
        equals = by_packaging(releases[seed], target, platform)
        assert {chosen(releases[seed], target, platform), fetched.replace(f"demo{seed}-", "demo-", 1)} <= equals
    for seed in releases.keys() - set(there):
        assert uv(server, platform, tmp_path, [f"demo{seed}"]).returncode != 0, seed


def uv(
    server: IndexServer, platform: Platform, folder: Path, projects: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """Ask uv what it installs for exact pins, from no other index."""
    python = interpreter().path
    deployment = {"macos-arm64": target_module.BASELINE_MACOS, "macos-x86_64": target_module.BASELINE_MACOS_X86}
    return subprocess.run(
        [
            *(find_uv_bin(), "pip", "install", "--dry-run", "--only-binary", ":all:", "--no-config"),
            *("--python", python, "--target", str(folder / "site"), "--python-platform", platform.uv_name),
            *("--cache-dir", str(folder / "cache"), "--default-index", server.simple_url),
            *(f"{project}==1.0" for project in projects),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "MACOSX_DEPLOYMENT_TARGET": ".".join(map(str, deployment.get(platform.name, (14, 0)))),
        },
    )


def taken(server: IndexServer, project: str) -> set[str]:
    """Return the wheels of a project that were fetched, whole or for their metadata."""
    names = (seen.path.rpartition("/")[2].removesuffix(".metadata") for seen in server.requests)
    return {name for name in names if name.startswith(f"{project}-") and name.endswith(".whl")}
