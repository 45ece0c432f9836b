"""The same project, locked by every tool: the same packages, versions and verdicts."""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version
from pypi_simple import PYPI_SIMPLE_ENDPOINT
from support.index_server import IndexServer, ServedFile
from support.selection import write

from ftaudit import engine, lockfiles
from ftaudit.engine.setup import open_index
from ftaudit.index.release import Query
from ftaudit.model import DistributionFile, Pin, Report
from ftaudit.settings import Settings
from ftaudit.target import gil_tags, parse_platform, parse_target, supported_tags

FIXTURES = Path(__file__).parents[2] / "fixtures"
SHOP = FIXTURES / "lockfiles" / "shop"
IMAGES = FIXTURES / "binaries" / "linux-x86_64"
LINUX = parse_platform("linux-x86_64")
TARGET = parse_target("3.14t")
TAGS = frozenset((*supported_tags(TARGET, LINUX), *gil_tags(TARGET, LINUX)))
FORMATS = {
    "uv": "uv.lock",
    "pylock": "pylock.toml",
    "poetry-1.1": "poetry.lock",
    "poetry-1.8": "poetry.lock",
    "poetry-2.2": "poetry.lock",
    "pdm": "pdm.lock",
    "pipenv": "Pipfile.lock",
    "pip-tools": "requirements.txt",
}
MODULES = {"markupsafe": "single_unset", "hiredis": "multi_not_used"}
"""Stand-ins for the extension module of a package: one that does not declare itself, and one that does."""
EXPECTED = {
    "blinker": "pure",
    "click": "pure",
    "flask": "pure",
    "hiredis": "ready",
    "itsdangerous": "pure",
    "jinja2": "pure",
    "markupsafe": "reenables-gil",
    "polars": "pure",
    "polars-runtime-32": "source-only",
    "redis": "pure",
    "werkzeug": "pure",
}
CHAINS = {
    "hiredis": ("redis", "hiredis"),
    "markupsafe": ("flask", "markupsafe"),
    "polars-runtime-32": ("polars", "polars-runtime-32"),
    "flask": ("flask",),
}


@pytest.fixture(autouse=True)
def only_this_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Leave this machine's own indexes out, except for the tests of the real one."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    if request.node.get_closest_marker("network") is not None:
        return
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_INDEX", "UV_FIND", "UV_DEFAULT"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


class Shop:
    """The fixtures, with an index that has small wheels in place of the real ones."""

    def __init__(self, server: IndexServer, folder: Path) -> None:
        self._server, self._folder = server, folder
        self._hashes: dict[str, str] = {}
        pins = selected(SHOP / "poetry-2.2" / "poetry.lock")
        needs: dict[str, list[Pin]] = {}
        for pin in pins:
            for chain in pin.required_by:
                if len(chain) > 1:
                    needs.setdefault(chain[-2], []).append(pin)
        for pin in pins:
            served = [self._served(pin, file, needs.get(pin.name, [])) for file in pin.files or ()]
            server.add_project(pin.name, served)

    def _served(self, pin: Pin, file: DistributionFile, needs: list[Pin]) -> ServedFile:
        assert file.sha256 is not None
        if not is_installed(file):
            return ServedFile(filename=file.filename, sha256=file.sha256)
        data = wheel(pin, file.filename, needs)
        self._hashes[file.sha256] = hashlib.sha256(data).hexdigest()
        return ServedFile(filename=file.filename, data=data)

    def lay_out(self, name: str) -> Path:
        """Copy a fixture, with the index of the test and the hashes of its wheels in it; return the lock file."""
        for source in (SHOP / name).iterdir():
            text = source.read_text().replace("https://index.example/simple", self._server.simple_url.rstrip("/"))
            text = re.sub(r"https://files\.example/[^\"]*/([^/\"]+)", lambda m: self._server.file_url(m[1]), text)
            text = re.sub(r"[0-9a-f]{64}", lambda m: self._hashes.get(m[0], m[0]), text)
            target = self._folder / name / source.name
            target.parent.mkdir(exist_ok=True)
            target.write_text(text)
        return self._folder / name / FORMATS[name]

    def audit(self, path: Path, **more: object) -> Report:
        settings = Settings(
            static=True,
            platforms=("linux-x86_64",),
            index_url=self._server.simple_url,
            cache_dir=self._folder / "cache",
            **more,  # type: ignore[arg-type]
        )
        return engine.audit([str(path)], settings)


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


@pytest.fixture
def shop(server: IndexServer, tmp_path: Path) -> Shop:
    return Shop(server, tmp_path)


def selected(path: Path) -> tuple[Pin, ...]:
    return lockfiles.pins(lockfiles.read(path), TARGET, LINUX, lockfiles.ResolveOptions()).pins


def is_installed(file: DistributionFile) -> bool:
    """Return whether the target installs it, or the GIL-enabled build, whose wheels uv reads metadata from."""
    if not file.filename.endswith(".whl"):
        return False
    return bool(parse_wheel_filename(file.filename)[3] & TAGS)


def wheel(pin: Pin, filename: str, needs: list[Pin]) -> bytes:
    """Return a wheel of that name, with a module of the fixtures if the real one has compiled code."""
    stem = "-".join(filename.split("-")[:2])
    extra = "hiredis"
    lines = [f"{need.name}=={need.version}" + (f"; extra == '{extra}'" if need.name == extra else "") for need in needs]
    head = ["Metadata-Version: 2.2", f"Name: {pin.name}", f"Version: {pin.version}", f"Provides-Extra: {extra}"]
    head += [f"Requires-Dist: {line}" for line in lines]
    members = {
        f"{stem}.dist-info/METADATA": "\n".join(
            [*head, *(f"Requires-Dist: {line}" for line in lines), "", ""]
        ).encode(),
        f"{stem}.dist-info/WHEEL": f"Wheel-Version: 1.0\nTag: {'-'.join(filename[:-4].split('-')[-3:])}\n".encode(),
        f"{stem}.dist-info/RECORD": b"",
    }
    if image := MODULES.get(pin.name):
        name = f"{image}.cpython-314t-x86_64-linux-gnu.so"
        members[name] = (IMAGES / name).read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def verdicts(report: Report) -> dict[str, str]:
    return {row.facts.pin.name: row.verdict.value for row in report.packages}


@pytest.mark.parametrize("name", FORMATS)
def test_every_lock_of_one_project_has_the_same_packages_versions_and_verdicts(name: str, shop: Shop) -> None:
    report = shop.audit(shop.lay_out(name))
    assert verdicts(report) == EXPECTED, [row.reasons for row in report.packages]
    versions = {pin.name: pin.version for pin in selected(SHOP / "uv" / "uv.lock")}
    assert {row.facts.pin.name: row.facts.pin.version for row in report.packages} == versions
    chains = {row.facts.pin.name: row.facts.pin.required_by for row in report.packages}
    # A pylock.toml does not record the requested extras.
    expected = {child: chain for child, chain in CHAINS.items() if (name, child) != ("pylock", "hiredis")}
    assert {child: chain for child, chain in expected.items() if chain in chains[child]} == expected


@pytest.mark.parametrize("name", ["poetry-1.1", "poetry-1.8", "poetry-2.2", "pdm"])
def test_a_wheel_that_the_index_has_with_another_hash_is_not_looked_into(name: str, shop: Shop) -> None:
    path = shop.lay_out(name)
    other = re.sub(r"(cp314t-manylinux\S+whl\", hash = \"sha256:)..", r"\g<1>00", path.read_text())
    path.write_text(other)
    rows = {row.facts.pin.name: row for row in shop.audit(path).packages}
    assert rows["hiredis"].verdict == "unknown"
    assert "a different hash than the one in the input" in rows["hiredis"].reasons[0]


@pytest.mark.parametrize("name", ["poetry-2.2", "pdm"])
def test_offline_the_lock_alone_says_what_it_can(name: str, shop: Shop, server: IndexServer) -> None:
    path = shop.lay_out(name)
    server.forget()
    found = verdicts(shop.audit(path, offline=True))
    assert found == {**EXPECTED, "hiredis": "unknown", "markupsafe": "unknown"}
    assert not server.requests


@pytest.mark.parametrize("name", ["poetry-2.2", "pdm"])
def test_a_lock_of_pure_packages_asks_no_index(name: str, shop: Shop, server: IndexServer) -> None:
    path = shop.lay_out(name)
    kept = re.sub(r'    \{file = "[^"]*cp3[^"]*whl", hash = "[^"]*"\},\n', "", path.read_text())
    path.write_text(kept)
    server.forget()
    found = verdicts(shop.audit(path))
    assert found == {**EXPECTED, "hiredis": "source-only", "markupsafe": "source-only"}
    asked = {seen.path for seen in server.requests}
    assert not asked & {f"/simple/{name}/" for name, verdict in found.items() if verdict == "pure"}


@pytest.mark.parametrize("name", ["pylock", "pipenv"])
def test_where_the_metadata_does_not_tell_either_nobody_is_said_to_need_a_package(name: str, shop: Shop) -> None:
    report = shop.audit(shop.lay_out(name), offline=True)
    chains = {row.facts.pin.name: row.facts.pin.required_by for row in report.packages}
    assert chains["markupsafe"] == ()
    assert chains["flask"] == ((("flask",),) if name == "pipenv" else ())
    assert any("so the chains are missing" in note for note in report.notes)


@pytest.mark.parametrize("name", ["pylock", "pipenv"])
def test_what_the_metadata_asks_for_and_the_lock_does_not_hold_is_said(name: str, shop: Shop) -> None:
    path = shop.lay_out(name)
    lock = path.read_text()
    if name == "pipenv":
        path.write_text(re.sub(r'        "click": \{.*?\n        \},\n', "", lock, flags=re.DOTALL))
    else:
        path.write_text(re.sub(r'\[\[packages\]\]\nname = "click".*?(?=\[\[packages)', "", lock, flags=re.DOTALL))
    report = shop.audit(path)
    assert "click" not in verdicts(report)
    assert any("needs click, which" in said for said in report.incomplete)


@pytest.mark.network
def test_on_the_real_index_every_lock_of_one_project_gets_the_same_verdicts(tmp_path: Path) -> None:
    index = PYPI_SIMPLE_ENDPOINT.rstrip("/")
    settings = Settings(static=True, platforms=("linux-x86_64",), cache_dir=tmp_path / "cache")
    with open_index(settings) as client:
        query = Query(name=canonicalize_name("flask"), version=Version("3.1.3"))
        place = urlsplit(client.find_releases([query])[query].files[0].url or "")
    found = {}
    for name in FORMATS:
        for source in (SHOP / name).iterdir():
            text = source.read_text().replace("https://index.example/simple", index)
            text = text.replace("https://files.example", f"{place.scheme}://{place.netloc}")
            write(tmp_path, f"{name}/{source.name}", text)
        found[name] = verdicts(engine.audit([str(tmp_path / name / FORMATS[name])], settings))
    assert {name: verdict for name, verdict in found.items() if verdict != found["uv"]} == {}
    assert set(found["uv"]) == set(EXPECTED)
    assert found["uv"]["polars-runtime-32"] == "source-only"
