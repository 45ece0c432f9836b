"""Which of a release's files the target installs, and why not the others."""

from __future__ import annotations

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version
from support.facts import gap

from ftaudit.index.choose import choose_wheel
from ftaudit.index.release import ReleaseFiles, query_for
from ftaudit.model import DistributionFile, Gap, GapKind, IndexFacts, Pin, Status, WheelKind
from ftaudit.model.reasons import Excluded, Exclusion
from ftaudit.model.sentences import exclusion
from ftaudit.target import parse_platform, parse_target

T314 = parse_target("3.14t")
T315 = parse_target("3.15t")
GLIBC_2_36 = parse_platform("manylinux_2_36_x86_64")


def pin(**changes: object) -> Pin:
    values: dict[str, object] = {"name": canonicalize_name("demo"), "version": Version("1.0"), **changes}
    return Pin(**values)  # type: ignore[arg-type]


def release(*files: str | DistributionFile) -> ReleaseFiles:
    listed = tuple(DistributionFile(filename=f) if isinstance(f, str) else f for f in files)
    return ReleaseFiles(status=Status.DONE, origin="index", files=listed)


def facts(*files: str | DistributionFile, target: str = "3.14t", platform: str = "manylinux_2_36_x86_64") -> IndexFacts:
    return choose_wheel(pin(), release(*files), parse_target(target), parse_platform(platform))


def taken(found: IndexFacts) -> str | None:
    return found.wheel.filename if found.wheel else None


@pytest.mark.parametrize(
    "name",
    [
        "demo-1.0-cp314-cp314-manylinux_2_28_x86_64.whl",
        "demo-1.0-cp310-abi3-manylinux_2_28_x86_64.whl",
        "demo-1.0-cp315-abi3.abi3t-manylinux_2_28_x86_64.whl",
        "demo-1.0-cp313-cp313t-manylinux_2_28_x86_64.whl",
        "demo-1.0-cp314-cp314t-manylinux_2_28_aarch64.whl",
        "demo-1.0-cp314-cp314t-musllinux_1_2_x86_64.whl",
        "demo-1.0-cp314-cp314t-win_amd64.whl",
        "demo-1.0-cp315-cp315t-manylinux_2_28_x86_64.whl",
        "demo-1.0-py3-none-win_amd64.whl",
        "demo-1.0-py2-none-any.whl",
    ],
)
def test_wheels_of_other_builds_and_platforms_are_not_taken(name: str) -> None:
    found = facts(name)
    assert found.status is Status.DONE
    assert (found.kind, found.wheel) == (WheelKind.NONE, None)
    assert [file.filename for file in found.wheels] == [name]


@pytest.mark.parametrize(
    "name",
    [
        "demo-1.1-py3-none-any.whl",
        "other-1.0-py3-none-any.whl",
        "demo-1.0-py3-none.whl",
        "demo-1.0-x1-py3-none-any.whl",
        "demo-1.0-1-2-py3-none-any.whl",
        "demo-one-py3-none-any.whl",
        "-----.whl",
        "demo-" + "9" * 5000 + "-py3-none-any.whl",
        "-" * 100_000 + ".whl",
        "demo-1.0-" + ".".join(f"py{n}" for n in range(100)) + "-none-any.whl",
    ],
)
def test_files_that_are_not_the_pins_wheels_are_passed_over_and_said(name: str) -> None:
    found = facts(name)
    assert found.wheels == ()
    assert name in found.warnings[0]


def test_a_release_that_could_not_be_looked_up_stays_failed_with_its_reason() -> None:
    failed = ReleaseFiles(status=Status.FAILED, reason=gap("the index answered 500"))
    found = choose_wheel(pin(), failed, T314, GLIBC_2_36)
    assert (found.status, found.reason) == (Status.FAILED, gap("the index answered 500"))


def test_a_pin_that_could_not_be_resolved_is_failed() -> None:
    found = choose_wheel(pin(version=None, problem="no such package"), None, T314, GLIBC_2_36)
    assert (found.status, found.reason) == (Status.FAILED, Gap(kind=GapKind.UNRESOLVED, detail="no such package"))


def test_local_projects_and_pins_nobody_asked_about_are_skipped() -> None:
    assert choose_wheel(pin(source_tree="./lib"), None, T314, GLIBC_2_36).status is Status.SKIPPED
    assert choose_wheel(pin(), None, T314, GLIBC_2_36).status is Status.SKIPPED


@pytest.mark.parametrize(
    ("name", "target", "kind"),
    [
        ("demo-1.0-cp314-cp314t-manylinux_2_28_x86_64.whl", "3.14t", WheelKind.FREE_THREADED),
        ("demo-1.0-cp314-cp314t-linux_x86_64.whl", "3.14t", WheelKind.FREE_THREADED),
        ("demo-1.0-cp315-abi3.abi3t-manylinux_2_28_x86_64.whl", "3.15t", WheelKind.ABI3T),
        ("demo-1.0-py3-none-manylinux_2_28_x86_64.whl", "3.14t", WheelKind.NATIVE),
        ("demo-1.0-cp314-none-manylinux_2_28_x86_64.whl", "3.14t", WheelKind.NATIVE),
        ("demo-1.0-py2.py3-none-any.whl", "3.14t", WheelKind.PURE),
        ("demo-1.0-cp314-none-any.whl", "3.14t", WheelKind.PURE),
        ("demo-1.0-cp313.cp314-cp313t.cp314t-manylinux_2_28_x86_64.whl", "3.14t", WheelKind.FREE_THREADED),
    ],
)
def test_the_kind_follows_from_the_tag_that_matched(name: str, target: str, kind: WheelKind) -> None:
    found = facts(name, target=target)
    assert (taken(found), found.kind) == (name, kind)


def test_abi3t_wheels_are_taken_from_the_version_of_their_python_tag_on() -> None:
    name = "demo-1.0-cp315-abi3.abi3t-win_amd64.whl"
    assert taken(facts(name, target="3.14t", platform="windows-amd64")) is None
    assert taken(facts(name, target="3.15t", platform="windows-amd64")) == name


@pytest.mark.parametrize("tag", ["cp312-abi3.abi3t", "cp314-abi3t"])
def test_an_abi3t_wheel_comes_before_the_pure_one_where_installers_take_it(tag: str) -> None:
    name = f"demo-1.0-{tag}-manylinux_2_28_x86_64.whl"
    found = facts("demo-1.0-py3-none-any.whl", name)
    assert (taken(found), found.kind) == (name, WheelKind.ABI3T)


def test_the_most_specific_tag_wins_then_the_higher_build() -> None:
    order = [
        "demo-1.0-py3-none-any.whl",
        "demo-1.0-cp314-cp314t-manylinux_2_17_x86_64.whl",
        "demo-1.0-2-cp314-cp314t-manylinux_2_17_x86_64.whl",
        "demo-1.0-10-cp314-cp314t-manylinux_2_17_x86_64.whl",
        "demo-1.0-cp314-cp314t-manylinux_2_28_x86_64.whl",
    ]
    for count in range(1, len(order) + 1):
        assert taken(facts(*order[:count])) == order[count - 1]
        assert taken(facts(*reversed(order[:count]))) == order[count - 1]


def test_a_pure_wheel_beside_compiled_ones_is_taken_and_the_release_is_compiled() -> None:
    found = facts("demo-1.0-py3-none-any.whl", "demo-1.0-cp314-cp314-win_amd64.whl")
    assert (found.kind, found.compiled) == (WheelKind.PURE, True)
    assert facts("demo-1.0-py3-none-any.whl").compiled is False


def test_the_ordinary_builds_wheel_is_named_too() -> None:
    found = facts("demo-1.0-cp310-abi3-manylinux2014_x86_64.whl", "demo-1.0.tar.gz")
    assert found.gil_wheel is not None
    assert (found.wheel, found.gil_wheel.filename) == (None, "demo-1.0-cp310-abi3-manylinux2014_x86_64.whl")
    assert found.sdist is not None


def test_what_needs_a_newer_system_is_excluded_and_says_what_it_needs() -> None:
    newer = "demo-1.0-cp314-cp314t-manylinux_2_39_x86_64.whl"
    found = facts(newer, "demo-1.0-cp314-cp314t-manylinux_2_39_aarch64.whl")
    assert found.excluded == (
        Excluded(filename=newer, by=Exclusion.SYSTEM, wanted="glibc 2.39 (manylinux_2_39_x86_64)", has="2.36"),
    )
    mac = "demo-1.0-cp314-cp314t-macosx_26_0_arm64.whl"
    assert "needs macOS 26.0" in exclusion(facts(mac, platform="macos-arm64").excluded[0])


def test_other_platforms_of_the_free_threaded_wheels_are_listed() -> None:
    found = facts(
        "demo-1.0-cp314-cp314t-win_amd64.whl",
        "demo-1.0-cp314-cp314t-manylinux_2_28_x86_64.whl",
        "demo-1.0-cp314-cp314-win_arm64.whl",
        "demo-1.0-cp313-cp313t-win32.whl",
    )
    assert found.other_platforms == ("win_amd64",)


def test_requires_python_excludes_with_the_reason_and_nonsense_excludes_nothing() -> None:
    name = "demo-1.0-py3-none-any.whl"
    found = facts(DistributionFile(filename=name, requires_python="<3.14"))
    assert found.wheel is None
    assert found.excluded == (Excluded(filename=name, by=Exclusion.REQUIRES_PYTHON, wanted="<3.14", has="3.14.0"),)
    assert found.gil_wheel is None
    for nonsense in ("whatever", ">=3." + "9" * 5000):
        assert taken(facts(DistributionFile(filename=name, requires_python=nonsense))) == name


def test_a_yanked_wheel_is_taken_only_where_no_other_fits_and_then_it_is_said() -> None:
    best = "demo-1.0-cp314-cp314t-manylinux_2_28_x86_64.whl"
    yanked = DistributionFile(filename=best, yanked="segfaults")
    alone = facts(yanked)
    assert taken(alone) == best
    assert alone.warnings == (f"{best} was yanked: segfaults; it is used because the pin is exact",)
    beside = facts(yanked, "demo-1.0-py3-none-any.whl")
    assert taken(beside) == "demo-1.0-py3-none-any.whl"
    assert beside.warnings == ()


def test_hashes_that_the_input_does_not_allow_exclude() -> None:
    name = "demo-1.0-py3-none-any.whl"
    file = DistributionFile(filename=name, hashes=(("sha256", "aa"),))
    for allowed, wheel in (("sha256:bb", None), ("sha256:aa", file), ("md5:bb", file)):
        found = choose_wheel(pin(allowed_hashes=frozenset({allowed})), release(file), T314, GLIBC_2_36)
        assert found.wheel == wheel
    found = choose_wheel(pin(allowed_hashes=frozenset({"sha256:bb"})), release(file), T314, GLIBC_2_36)
    assert found.excluded == (Excluded(filename=name, by=Exclusion.HASH),)


def test_files_of_a_lock_file_are_used_without_an_index() -> None:
    locked = pin(files=(DistributionFile(filename="demo-1.0-cp314-cp314t-win_amd64.whl"),))
    assert query_for(locked) is None
    failed = ReleaseFiles(status=Status.FAILED, reason=gap("no network"))
    found = choose_wheel(locked, failed, T314, parse_platform("windows-amd64"))
    assert (found.status, found.origin, found.kind) == (Status.DONE, "lock file", WheelKind.FREE_THREADED)


def test_a_lock_entry_with_hashes_and_no_files_needs_the_index() -> None:
    asked = query_for(pin(allowed_hashes=frozenset({"sha256:aa"}), index_url="https://index.example/simple"))
    assert asked is not None
    assert (asked.name, asked.index_url) == ("demo", "https://index.example/simple")
    assert query_for(pin(version=None)) is None
    assert query_for(pin(source_tree=".")) is None


def test_names_are_compared_normalized_and_versions_as_versions() -> None:
    locked = pin(
        name=canonicalize_name("my-demo"), files=(DistributionFile(filename="My.Demo-1.0.0-py3-none-any.whl"),)
    )
    assert choose_wheel(locked, None, T315, GLIBC_2_36).kind is WheelKind.PURE
