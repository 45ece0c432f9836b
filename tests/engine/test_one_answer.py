"""The commands agree: `check`'s advice, `wheel`, and `check` itself on the same release."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from support.command import check, ftaudit
from support.distributions import wheel
from support.index_server import IndexServer, ServedFile

BINARIES = Path(__file__).parents[2] / "fixtures" / "binaries"
PLATFORM = "manylinux_2_17_x86_64"
TAG = f"cp314-cp314t-{PLATFORM}"
SUFFIX = ".cpython-314t-x86_64-linux-gnu.so"
GUILTY = "multi_used"
GOOD = frozenset({"ready", "pure", "fallback"})
IMAGES = tuple(sorted(path.name.partition(".")[0] for path in (BINARIES / "linux-x86_64").iterdir()))


def served(name: str, version: str, modules: Mapping[str, str], *, tag: str = TAG) -> ServedFile:
    """Return a wheel whose modules are fixtures, by `FILE: PLATFORM/CASE`."""
    empty = wheel(name, version, tag=tag)
    buffer = io.BytesIO(empty.data)
    with zipfile.ZipFile(buffer, "a") as archive:
        for member, image in modules.items():
            platform, _, case = image.partition("/")
            (path,) = (BINARIES / platform).glob(f"{case}.*")
            archive.writestr(f"{name.replace('-', '_')}/{member}", path.read_bytes())
    return ServedFile(filename=empty.filename, data=buffer.getvalue())


def guilty(name: str, version: str = "1.0") -> ServedFile:
    return served(name, version, {f"{GUILTY}{SUFFIX}": f"linux-x86_64/{GUILTY}"})


def releases() -> Iterator[tuple[str, list[ServedFile]]]:
    """Yield projects by name, with the files of their release 1.1: all that a publisher may do."""
    for case in IMAGES:
        name = canonicalize_name(f"image-{case}")
        yield name, [served(name, "1.1", {f"{case}{SUFFIX}": f"linux-x86_64/{case}"})]
    good = "linux-x86_64/multi_not_used"
    odd = {
        "gil-build-in-t-wheel": {f"gil_build{SUFFIX}": "linux-x86_64/gil_build"},
        "aarch64-in-x86": {f"multi_not_used{SUFFIX}": "linux-aarch64/multi_not_used"},
        "windows-in-linux": {f"multi_not_used{SUFFIX}": "windows-amd64/multi_not_used"},
        "suffix-of-313t": {"multi_not_used.cpython-313t-x86_64-linux-gnu.so": good},
        "suffix-of-gil-build": {"multi_not_used.cpython-314-x86_64-linux-gnu.so": good},
        "suffix-of-windows": {"multi_not_used.cp314t-win_amd64.pyd": good},
        "two-of-which-one-fits": {"a.cpython-313-x86_64-linux-gnu.so": good, f"multi_not_used{SUFFIX}": good},
        "good-and-guilty": {f"multi_not_used{SUFFIX}": good, f"{GUILTY}{SUFFIX}": f"linux-x86_64/{GUILTY}"},
        "no-module": {"data.txt": good},
    }
    for name, modules in odd.items():
        yield name, [served(name, "1.1", modules)]
    two_tags = [
        guilty("priority", "1.1"),
        served("priority", "1.1", {f"multi_not_used{SUFFIX}": good}, tag=f"{TAG[:-14]}2_12_x86_64"),
    ]
    yield "priority", two_tags
    bad = guilty("builds", "1.1")
    better = served("builds", "1.1", {f"multi_not_used{SUFFIX}": good})
    yield (
        "builds",
        [
            replace(bad, filename=bad.filename.replace("1.1-", "1.1-1-")),
            replace(better, filename=better.filename.replace("1.1-", "1.1-2-")),
        ],
    )
    yield "pure", [wheel("pure", "1.1")]
    yield "slower", [wheel("slower", "1.1"), served("slower", "1.1", {}, tag="cp313-cp313-win_amd64")]
    fine = served("python-399", "1.1", {f"multi_not_used{SUFFIX}": good})
    yield "python-399", [replace(fine, requires_python=">=3.99")]
    yield "yanked", [replace(served("yanked", "1.1", {f"multi_not_used{SUFFIX}": good}), yanked="broken")]
    yield "elsewhere", [served("elsewhere", "1.1", {}, tag="cp314-cp314t-win_amd64")]
    cut = served("cut-off", "1.1", {f"multi_not_used{SUFFIX}": good})
    yield "cut-off", [replace(cut, data=cut.data[:-40])]


NAMES = tuple(name for name, _ in releases())


@dataclass(frozen=True)
class Said:
    """The answers of the commands, by project."""

    advice: dict[str, str]
    """The next step of release 1.0, which blocks."""
    checked: dict[str, dict[str, Any]]
    """The row of release 1.1."""
    wheels: dict[str, dict[str, Any]]
    """The row of `ftaudit wheel` for release 1.1."""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Said:
    folder = tmp_path_factory.mktemp("one-answer")
    with IndexServer() as server:
        for name, files in releases():
            server.add_project(name, [guilty(name), *files])
        options = ("--static", "--no-deps", "--platform", PLATFORM, "--index-url", server.simple_url)
        answers = {}
        for version in ("1.0", "1.1"):
            (folder / "r.txt").write_text("".join(f"{name}=={version}\n" for name in NAMES))
            answers[version] = check(*options, "r.txt", cwd=folder)
        items = [f"{name}==1.1" for name in NAMES]
        ran = ftaudit(
            "wheel", "--format", "json", "--platform", PLATFORM, "--index-url", server.simple_url, *items, cwd=folder
        )
    assert ran.stdout, ran.stderr
    rows = json.loads(ran.stdout)["packages"]
    assert set(answers["1.0"].verdicts.values()) == {"reenables-gil"}
    return Said(
        advice={name: row["next_step"] for name, row in answers["1.0"].rows.items()},
        checked=answers["1.1"].rows,
        wheels={row["name"]: row for row in rows},
    )


@pytest.mark.parametrize("name", NAMES)
def test_advice_names_a_release_where_check_calls_it_good_and_nowhere_else(said: Said, name: str) -> None:
    verdict, advice = said.checked[name]["verdict"], said.advice[name]
    told = {
        "ready": "1.1 is the first later version",
        "pure": "1.1 is the first later version",
        "fallback": "1.1 is the first with a pure-Python wheel",
    }
    named = [good for good in set(told.values()) if good in advice] + ["to try it"] * ("to try it" in advice)
    yanked = name == "yanked"  # An exact pin takes it; advice does not.
    assert named == ([told[verdict]] if verdict in GOOD and not yanked else []), f"{verdict}: {advice}"


@pytest.mark.parametrize("name", NAMES)
def test_wheel_says_of_a_release_what_check_says(said: Said, name: str) -> None:
    checked, published = said.checked[name], said.wheels[name]
    assert published["verdict"] == checked["verdict"], (published["reasons"], checked["reasons"])
    assert published["reason_kinds"] == checked["reason_kinds"]
    assert (published["wheel"] or {}).get("filename") == (checked["wheel"] or {}).get("filename")


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("gil-build-in-t-wheel", "broken"),
        ("aarch64-in-x86", "broken"),
        ("suffix-of-gil-build", "broken"),
        ("suffix-of-313t", "broken"),
        ("priority", "reenables-gil"),
        ("builds", "ready"),
        ("python-399", "unavailable"),
        ("pure", "pure"),
        ("slower", "fallback"),
        ("elsewhere", "unavailable"),
    ],
)
def test_the_answer_that_all_agree_on_is_the_right_one(said: Said, name: str, verdict: str) -> None:
    assert (said.checked[name]["verdict"], said.wheels[name]["verdict"]) == (verdict, verdict)
