"""A source with the pinned hash is built once, whole or not at all; any other is never touched."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from support.freethreaded import interpreter

from ftaudit.errors import InterpreterError
from ftaudit.interpreters import build, debian
from ftaudit.target import parse_target

TARGET = parse_target("3.14t")
VERSION = "3.14.99"

pytestmark = [
    pytest.mark.interpreter,
    pytest.mark.skipif(bool(debian.missing_tools()), reason="needs apt"),
]

CONFIGURE = """#!/bin/sh
for argument; do
    case $argument in --prefix=*) echo "${argument#--prefix=}" > prefix ;; esac
done
echo "$@" > arguments
"""
MAKE = """#!/bin/sh
read -r prefix < prefix
case $1 in
    altinstall) /bin/mkdir -p "$prefix/bin"; /bin/ln -s INTERPRETER "$prefix/bin/python3.14t"; /bin/cat arguments ;;
    *) FAILING ;;
esac
"""


def offer(folder: Path, monkeypatch: pytest.MonkeyPatch, *, failing: str = "true", known: bool = True) -> Path:
    """Set up an archive with a source whose build takes no time, and return the cache folder."""
    tools = folder / "bin"
    tools.mkdir()
    pool = folder / "archive" / "pool" / "main" / "p" / "python3.14"
    pool.mkdir(parents=True)
    scripts = {
        "gcc": "#!/bin/sh\nexit 0\n",
        "apt-get": f"#!/bin/sh\necho {(folder / 'archive').as_uri()}/\n",
        "apt-cache": "#!/bin/sh\nexit 1\n",
        "dpkg": "#!/bin/sh\nexit 1\n",
        "make": MAKE.replace("INTERPRETER", interpreter().path).replace("FAILING", failing),
    }
    for name, text in scripts.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    tarball = pool / f"python3.14_{VERSION}.orig.tar.xz"
    with tarfile.open(tarball, "w:xz") as archive:
        for name, text in (("configure", CONFIGURE), ("../../escaped", "no"), ("folder/file", "yes")):
            member = tarfile.TarInfo(f"Python-{VERSION}/{name}")
            member.size, member.mode = len(text), 0o755
            archive.addfile(member, io.BytesIO(text.encode()))
        link = tarfile.TarInfo(f"Python-{VERSION}/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    digest = hashlib.sha256(tarball.read_bytes()).hexdigest() if known else "0" * 64
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(build, "SOURCES", {VERSION: digest})
    monkeypatch.setattr(debian, "_SOURCES", folder / "no-sources")
    return folder / "cache"


def test_a_source_with_another_hash_is_never_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = offer(tmp_path, monkeypatch, known=False)
    with pytest.raises(InterpreterError, match="no known source"):
        build.build_interpreter(TARGET, cache_dir=cache, progress=lambda text: None)
    assert not list(cache.rglob("configure"))


def test_a_build_that_fails_leaves_no_interpreter_and_names_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = offer(tmp_path, monkeypatch, failing="echo 'no such header'; exit 2")
    with pytest.raises(InterpreterError, match="make failed") as caught:
        build.build_interpreter(TARGET, cache_dir=cache, progress=lambda text: None)
    log = Path((caught.value.hint or "").removeprefix("see "))
    assert "no such header" in log.read_text()
    assert not list(cache.rglob(".complete"))
    assert not list(cache.rglob("build-*"))


def test_a_known_source_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = offer(tmp_path, monkeypatch)
    debris = cache / "python" / f"{VERSION}t" / "bin" / "python3.14t"
    debris.parent.mkdir(parents=True)
    debris.write_text("what an interrupted build left")
    heard: list[str] = []
    found = build.build_interpreter(TARGET, cache_dir=cache, progress=heard.append, attempts=("looked around",))
    assert found.path == str(debris)
    assert found.attempts == ("looked around",)
    assert found.source.startswith("built by ftaudit")
    assert any("compiling" in text for text in heard)
    assert "--disable-gil" in (cache / "python" / "build.log").read_text()
    assert not list(tmp_path.rglob("escaped"))
    heard.clear()
    again = build.build_interpreter(TARGET, cache_dir=cache, progress=heard.append)
    assert again.path == found.path
    assert not any("compiling" in text or "looking" in text for text in heard)


def index(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, *, signed: bool = True) -> None:
    """Set the archive's index of sources; apt refuses an unsigned one."""
    tools = folder / "bin"
    (tools / "apt-get").write_text(
        f"#!/bin/sh\ncase $* in *update*) exit {0 if signed else 100} ;; esac\n"
        f"echo {(folder / 'archive' / 'debian').as_uri()}/\n"
    )
    (tools / "apt-cache").write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{text}\nEND\n")
    (folder / "archive" / "debian").symlink_to(folder / "archive")
    keyring = folder / "keyring"
    keyring.touch()
    monkeypatch.setattr(debian, "_KEYRING", keyring)
    monkeypatch.setattr(build, "SOURCES", {f"{VERSION}~rc2": "0" * 64})


def test_a_final_release_that_the_signed_index_names_is_built_in_place_of_a_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = offer(tmp_path, monkeypatch)
    digest = build.SOURCES[VERSION]
    index(tmp_path, monkeypatch, f" {digest} 1234 python3.14_{VERSION}.orig.tar.xz")
    build.build_interpreter(TARGET, cache_dir=cache, progress=lambda text: None)
    assert (cache / "python" / f"{VERSION}t" / ".complete").exists()


@pytest.mark.parametrize("signed", [True, False])
def test_an_index_that_names_what_is_not_there_or_is_not_signed_leaves_the_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signed: bool
) -> None:
    cache = offer(tmp_path, monkeypatch)
    digest = build.SOURCES[VERSION] if not signed else "1" * 64
    index(tmp_path, monkeypatch, f" {digest} 1234 python3.14_{VERSION}.orig.tar.xz", signed=signed)
    with pytest.raises(InterpreterError, match="no known source"):
        build.build_interpreter(TARGET, cache_dir=cache, progress=lambda text: None)
    assert not list(cache.rglob("configure"))
