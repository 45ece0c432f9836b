"""Targets and platforms, and the tags and markers that follow from them."""

from __future__ import annotations

import sys

import pytest
from packaging.tags import platform_tags
from packaging.version import Version

from ftaudit.errors import UsageError
from ftaudit.target import (
    PLATFORMS,
    TARGETS,
    gil_tags,
    host_platform,
    marker_environment,
    parse_platform,
    parse_target,
    supported_tags,
)


@pytest.mark.parametrize("name", ["", "3.14", "3.12t", "3.16t", "cp314t", "3.14t "])
def test_targets_that_do_not_exist_are_refused_with_those_that_do(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(name)
    assert "3.14t" in str(caught.value.hint)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "linux",
        "linux-sparc",
        "any",
        "win32",
        "manylinux_x_y_x86_64",
        "manylinux_2_28",
        "manylinux_2_28_sparc",
        "macosx_14_0_ppc",
        "musllinux_1_2_i686",
        "../etc/passwd",
    ],
)
def test_platforms_that_do_not_exist_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        parse_platform(name)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_says_its_version_and_abi(name: str) -> None:
    target = parse_target(name)
    digits = name.rstrip("t").replace(".", "")
    assert (target.abi, target.executable) == (f"cp{digits}t", f"python{name}")
    assert target.full_version == Version(f"{name.rstrip('t')}.0")


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("target", TARGETS)
def test_abi3_is_never_installed_and_abi3t_for_every_target(target: str, platform: str) -> None:
    abis = {tag.abi for tag in supported_tags(parse_target(target), parse_platform(platform))}
    assert parse_target(target).abi in abis
    assert "none" in abis
    assert "abi3" not in abis
    # Installers accept it even if no `.abi3t.so` is loaded (packaging 26, uv 0.13).
    assert "abi3t" in abis


@pytest.mark.parametrize("platform", PLATFORMS)
def test_tags_are_unique_and_the_specific_come_first(platform: str) -> None:
    tags = supported_tags(parse_target("3.14t"), parse_platform(platform))
    assert len(set(tags)) == len(tags)
    assert str(tags[0]).startswith("cp314-cp314t-")
    assert tags[0].platform == parse_platform(platform).tags[0]
    assert tags[-1].platform == "any"


def test_the_ordinary_build_takes_abi3_and_no_free_threaded_wheel() -> None:
    abis = {tag.abi for tag in gil_tags(parse_target("3.14t"), parse_platform("windows-amd64"))}
    assert {"cp314", "abi3", "none"} <= abis
    assert "cp314t" not in abis


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("manylinux_2_28_x86_64", "manylinux_2_28_x86_64", "manylinux_2_29_x86_64"),
        ("manylinux_2_28_x86_64", "manylinux2014_x86_64", "musllinux_1_1_x86_64"),
        ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_5_aarch64"),
        ("musllinux_1_1_x86_64", "musllinux_1_0_x86_64", "musllinux_1_2_x86_64"),
        ("macosx_13_0_arm64", "macosx_11_0_universal2", "macosx_14_0_arm64"),
        ("macosx_13_0_x86_64", "macosx_10_9_x86_64", "macosx_13_0_arm64"),
        ("win_arm64", "win_arm64", "win_amd64"),
    ],
)
def test_an_exact_tag_means_what_it_says(name: str, accepted: str, refused: str) -> None:
    tags = parse_platform(name).tags
    assert accepted in tags
    assert refused not in tags


def test_this_machine_accepts_what_packaging_says_and_runs_its_own_wheels() -> None:
    this = host_platform()
    assert this.tags == tuple(platform_tags())
    assert this.is_host
    assert this.sys_platform == sys.platform
    assert parse_platform(this.name) == this


def test_another_systems_wheels_do_not_run_here() -> None:
    elsewhere = [parse_platform(name) for name in PLATFORMS if name != host_platform().name]
    assert not any(platform.is_host for platform in elsewhere)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="an older glibc of the same machine")
def test_an_older_baseline_of_this_machine_runs_here() -> None:
    this = host_platform()
    machine = this.name.partition("-")[2]
    if not this.name.startswith("linux-") or machine not in ("x86_64", "aarch64"):
        pytest.skip("a machine without manylinux wheels")
    assert parse_platform(f"manylinux_2_17_{machine}").is_host
    assert not parse_platform(f"manylinux_2_999_{machine}").is_host


@pytest.mark.parametrize(
    ("platform", "system", "sys_platform", "os_name", "machine"),
    [
        ("linux-aarch64", "Linux", "linux", "posix", "aarch64"),
        ("musllinux-x86_64", "Linux", "linux", "posix", "x86_64"),
        ("macos-arm64", "Darwin", "darwin", "posix", "arm64"),
        ("windows-amd64", "Windows", "win32", "nt", "AMD64"),
        ("windows-arm64", "Windows", "win32", "nt", "ARM64"),
    ],
)
def test_markers_are_those_of_the_platform_and_not_of_this_machine(
    platform: str, system: str, sys_platform: str, os_name: str, machine: str
) -> None:
    found = marker_environment(parse_target("3.13t"), parse_platform(platform))
    assert found["platform_system"] == system
    assert (found["sys_platform"], found["os_name"]) == (sys_platform, os_name)
    assert (found["platform_machine"], found["python_version"]) == (machine, "3.13")
