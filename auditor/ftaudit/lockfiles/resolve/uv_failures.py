"""Why uv could not resolve, and which packages are missing: parsed from its stderr."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from packaging.utils import NormalizedName, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from ftaudit.lockfiles.input_files import file_name
from ftaudit.model import StrEnum

MAX_MESSAGE: Final = 600
"""Characters of uv's reasons that are passed on; a proof can have many thousands."""

_NAME: Final = r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*?)(?:\[[^\]]*\])?(?:\{[^}]*\})?"
_SPEC: Final = r"(?P<spec>(?:===?|!=|~=|[<>]=?)[^\s]+)?"


class FailureKind(StrEnum):
    """Why uv gave no answer."""

    NO_WHEEL = "no-wheel"
    """A version has no wheel that the GIL-enabled build of the target installs."""
    PYTHON = "python"
    """A version's requires-python excludes the target."""
    MISSING = "missing"
    """A package or version is not on the index, or not in the cache when offline."""
    FILE = "file"
    """The index did not return a page or file, or returned an unreadable one."""
    CONFLICT = "conflict"
    """The requirements exclude each other."""
    OUT_OF_REACH = "out-of-reach"
    """The index does not answer at all, or not in time."""
    OTHER = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedPackage:
    """A package that uv named as the reason."""

    name: NormalizedName
    version: Version | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why uv gave no answer, and which packages are missing."""

    kind: FailureKind
    message: str
    """uv's message, on one line, without credentials, shortened if it is very long."""
    culprits: tuple[FailedPackage, ...] = ()
    wanted_by: tuple[NormalizedName, ...] = ()
    """The dependents of the culprit according to uv; empty if a root needs it."""
    url: str | None = None
    """The unreachable URL, without credentials."""
    mentioned: tuple[NormalizedName, ...] = ()
    """Every package that uv names with a version, in its whole proof and not only in the part that is passed on."""


_UNREACHED: Final = ("client error (Connect)", "dns error", "tcp connect error")
_CAUSES: Final = (
    (FailureKind.NO_WHEEL, re.compile(rf"(?:all versions of )?{_NAME}{_SPEC} ha(?:s|ve) no (?:usable )?wheels?\b")),
    (FailureKind.NO_WHEEL, re.compile(rf"{_NAME}{_SPEC} ha(?:s|ve) no source distribution")),
    (FailureKind.PYTHON, re.compile(rf"{_NAME}{_SPEC} depends? on Python")),
    (FailureKind.MISSING, re.compile(rf"{_NAME}{_SPEC} (?:was|were) not found in ")),
    (FailureKind.MISSING, re.compile(rf"there (?:is|are) no versions? of {_NAME}{_SPEC}(?=[\s,])")),
    (
        FailureKind.MISSING,
        re.compile(rf"only (?:the following versions of )?{_NAME}{_SPEC}(?![\w.-])[^,]*? (?:is|are) available"),
    ),
    (FailureKind.MISSING, re.compile(rf"{_NAME}{_SPEC} (?:was|were) (?:yanked|published after)")),
    (
        FailureKind.FILE,
        re.compile(rf"{_NAME}{_SPEC} (?:has invalid metadata|has inconsistent metadata|could not be|has an? invalid)"),
    ),
)


def parse_failure(text: str) -> Failure:
    """Return why uv failed, from its stderr (tested with 0.9.0 and 0.13.8)."""
    lines = [line.strip(" \t│╰─▶×╎") for line in text.splitlines()]
    lines = [line for line in lines if line and not line.lower().startswith(("warning:", "hint: pre-releases"))]
    message = _plain(" ".join(line.removeprefix("error:").removeprefix("cause:").strip() for line in lines))
    if any(sign in message for sign in _UNREACHED):
        url = re.search(r"https?://[^\s`)]+", message)
        return Failure(kind=FailureKind.OUT_OF_REACH, message=_unreached(message), url=None if url is None else url[0])
    proof, _, hint = message.partition(" hint: ")
    if "No solution found" in proof:
        sentence = proof[max(0, proof.find("Because")) :]
        if "(401" in hint or "(403" in hint:
            sentence = f"{hint} {sentence}"
        for kind, pattern in _CAUSES:
            culprits = {
                canonicalize_name(m["name"]): FailedPackage(
                    name=canonicalize_name(m["name"]), version=_exact(m["spec"])
                )
                for m in pattern.finditer(sentence)
            }
            if culprits:
                return Failure(
                    kind=kind,
                    message=_cut(_simple(sentence)),
                    culprits=tuple(culprits.values()),
                    wanted_by=_wanting(sentence, culprits),
                    mentioned=_mentioned(sentence),
                )
        return Failure(kind=FailureKind.CONFLICT, message=_cut(sentence), mentioned=_mentioned(sentence))
    if culprit := _file_culprit(message):
        return Failure(kind=FailureKind.FILE, message=_cut(message), culprits=(culprit,))
    return Failure(kind=FailureKind.OTHER, message=_cut(message))


def _unreached(message: str) -> str:
    """Return which host uv could not connect to, in a few words: uv's own text is a paragraph of causes."""
    url = re.search(r"https?://[^\s`)]+", message)
    host = urlsplit(url[0]).hostname if url else None
    return f"cannot connect to {host or 'the index'}"


def _wanting(sentence: str, names: Iterable[str]) -> tuple[NormalizedName, ...]:
    found = []
    for name in names:
        pattern = re.compile(
            rf"(?:Because|and|that) (?:all versions of )?{_NAME}{_SPEC} depends? on {re.escape(name)}(?![\w-])",
            re.IGNORECASE,
        )
        found += [canonicalize_name(m["name"]) for m in pattern.finditer(sentence)]
    return tuple(dict.fromkeys(found))


def _mentioned(sentence: str) -> tuple[NormalizedName, ...]:
    """Return the packages that a proof names with a version, and those with "all versions"."""
    versioned = re.finditer(rf"{_NAME}(?:===?|!=|~=|[<>]=?)", sentence)
    every = re.finditer(rf"all versions of {_NAME}(?![A-Za-z0-9._-])", sentence)
    return tuple(dict.fromkeys(canonicalize_name(match["name"]) for found in (versioned, every) for match in found))


def _exact(spec: str | None) -> Version | None:
    if spec and spec.startswith("==") and not spec.endswith(".*"):
        try:
            return Version(spec.lstrip("=").rstrip(",."))
        except InvalidVersion:
            return None
    return None


def _file_culprit(message: str) -> FailedPackage | None:
    """Return the package whose page or file made uv fail, from the quoted `name==version` or URL."""
    for quoted in re.findall(r"`([^`\s]+)`", message):
        if match := re.fullmatch(rf"{_NAME}=={'(?P<version>.+)'}", quoted):
            return FailedPackage(name=canonicalize_name(match["name"]), version=_exact(f"=={match['version']}"))
    for url in re.findall(r"(?:https?|file)://[^\s`)]+", message):
        name = file_name(url).removesuffix(".metadata")
        if name.endswith(".whl"):
            try:
                project, version, _, _ = parse_wheel_filename(name)
            except ValueError:
                continue
            return FailedPackage(name=project, version=version)
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) and urlsplit(url).path.count("/") > 1:
            return FailedPackage(name=canonicalize_name(name))
    return None


def _simple(sentence: str) -> str:
    """Return a proof of one step as a plain sentence; a longer proof does not change."""
    end = ", we can conclude that your requirements are unsatisfiable."
    simple = sentence.startswith("Because ") and sentence.endswith(end) and sentence.count("conclude") == 1
    return sentence[len("Because ") : -len(end)] if simple else sentence


def _cut(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}…"


def _plain(text: str) -> str:
    """Return uv's message on one line, printable and without credentials."""
    text = re.sub(r"(?<=://)[^/\s@`]+@", "", " ".join(text.split()))
    return "".join(char for char in text if char.isprintable())
