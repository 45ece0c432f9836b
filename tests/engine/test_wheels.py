"""`ftaudit wheel`: files, folders, URLs and names, for every platform that they hold wheels for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.index_server import IndexServer, ServedFile
from support.wheels import archive, elf, wheel

from ftaudit.engine.wheels import audit_wheels
from ftaudit.errors import InputError, UsageError
from ftaudit.model import Package, Report, Severity, Verdict
from ftaudit.settings import Settings

T = "cp314-cp314t"
GIL = "cp314-cp314"
SUFFIXES = {
    T: ".cpython-314t-x86_64-linux-gnu.so",
    GIL: ".cpython-314-x86_64-linux-gnu.so",
}
Audit = Callable[..., Report]


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


@pytest.fixture
def audit(tmp_path: Path, server: IndexServer, monkeypatch: pytest.MonkeyPatch) -> Audit:
    monkeypatch.chdir(tmp_path)

    def run(*items: object, **more: object) -> Report:
        settings = Settings(**{"cache_dir": tmp_path / "cache", "index_url": server.simple_url, "jobs": 1, **more})  # type: ignore[arg-type]
        return audit_wheels([str(item) for item in items], settings)

    return run


def name_of(tags: str, *, version: str = "1.0") -> str:
    return f"demo-{version}-{tags}.whl"


def data_of(tags: str, suffix: str | None = None) -> bytes:
    suffix = SUFFIXES.get("-".join(tags.split("-")[:2]), ".so") if suffix is None else suffix
    members = {"demo/__init__.py": b""} if tags.endswith("any") else {f"demo/_core{suffix}": elf()}
    return wheel(members, tags=(tags,))


def dist(folder: Path, *tags: str) -> Path:
    folder.mkdir(exist_ok=True)
    for each in tags:
        (folder / name_of(each)).write_bytes(data_of(each))
    return folder


def only(report: Report) -> Package:
    (row,) = report.packages
    return row


@pytest.mark.parametrize("item", ["no such thing", "demo=1"])
def test_an_item_that_means_nothing_is_a_usage_error(audit: Audit, item: str) -> None:
    with pytest.raises(UsageError):
        audit(item)


@pytest.mark.parametrize("item", ["dist/", "./demo.whl", "demo-1.0-py3-none-any.whl"])
def test_a_file_or_folder_that_does_not_exist_is_not_looked_up_as_a_name(audit: Audit, item: str) -> None:
    with pytest.raises(InputError, match="does not exist"):
        audit(item)


@pytest.mark.parametrize("item", ["dist", "wheelhouse"])
def test_a_missing_folder_of_wheels_is_not_the_project_of_its_name(
    audit: Audit, server: IndexServer, item: str
) -> None:
    server.add_project(item, [ServedFile(filename=f"{item}-1.0-py3-none-any.whl")])
    with pytest.raises(InputError, match=f"no folder named {item}"):
        audit(item)
    assert server.requests == []


def test_a_file_with_a_name_that_says_nothing_keeps_no_other_of_its_folder_from_being_judged(
    audit: Audit, tmp_path: Path
) -> None:
    folder = dist(tmp_path / "dist", f"{T}-manylinux_2_17_x86_64")
    (folder / "nothing.whl").write_bytes(b"")
    report = audit(folder)
    assert only(report).facts.pin.name == "demo"
    assert "nothing.whl" in " ".join(report.incomplete)
    assert report.exit_code != 0


def test_a_requirements_file_is_told_the_command_that_reads_it(audit: Audit, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("demo==1.0\n")
    with pytest.raises(InputError) as caught:
        audit(tmp_path / "requirements.txt")
    assert caught.value.hint == f"ftaudit check {tmp_path / 'requirements.txt'}"


def test_a_folder_without_wheels_and_a_name_that_says_nothing_are_input_errors(audit: Audit, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "demo.whl").write_bytes(wheel())
    for item in ("empty", "demo.whl"):
        with pytest.raises(InputError):
            audit(tmp_path / item)


def test_a_project_that_the_index_does_not_have_is_an_input_error(audit: Audit) -> None:
    with pytest.raises(InputError, match="no project gone"):
        audit("gone==1.0")


def test_an_index_that_does_not_answer_is_said_and_exits_with_3(audit: Audit, server: IndexServer) -> None:
    report = audit("demo", index_url="http://127.0.0.1:9/simple/")
    assert report.packages == ()
    assert "demo" in report.incomplete[0]
    assert report.exit_code == 3


@pytest.mark.parametrize(
    ("asked", "near"),
    [("==2.5", "3.0, 2.9, 2.0, 1.0"), ("==99", "5.0, 4.0, 3.0, 2.9"), ("==0.1", "2.9, 2.0, 1.0"), (">7", "5.0, 4.0")],
)
def test_a_version_that_does_not_exist_is_an_input_error_that_names_the_nearest(
    audit: Audit, server: IndexServer, asked: str, near: str
) -> None:
    versions = ("1.0", "2.0", "2.9", "3.0", "4.0", "5.0")
    server.add_project("demo", [ServedFile(filename=name_of(f"{T}-win_amd64", version=each)) for each in versions])
    with pytest.raises(InputError, match=re.escape(asked)) as error:
        audit(f"demo{asked}")
    assert near in (error.value.hint or "")


@pytest.mark.parametrize("tags", [f"{T}-win_amd64", "py3-none-any"])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a zip archive"),
        (b"no wheel", "not a zip archive"),
        (data_of(f"{T}-win_amd64")[:-30], "truncated"),
        (archive([("../demo.py", b"")]), "leads out"),
        (archive([("demo/__init__.py", b"")]), "no .dist-info folder"),
        (wheel(info={"METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 9.9\n"}), "METADATA is for demo 9.9"),
        (wheel(info={"METADATA": b"Metadata-Version: 2.1\nName: egg\nVersion: 1.0\n"}), "METADATA is for egg 1.0"),
    ],
)
def test_a_file_that_no_installer_takes_is_a_row_that_blocks(
    audit: Audit, tmp_path: Path, tags: str, data: bytes, said: str
) -> None:
    path = tmp_path / name_of(tags)
    path.write_bytes(data)
    report = audit(path)
    assert only(report).verdict is Verdict.BROKEN
    assert only(report).reasons[0].startswith("installers reject the wheel: ")
    assert said in only(report).reasons[0]
    assert (only(report).next_step or "").startswith("build the wheel again")
    assert report.exit_code == 1


def test_what_is_noted_of_a_wheel_goes_by_the_name_that_it_has_now(audit: Audit, tmp_path: Path) -> None:
    true, false = (tmp_path / name_of(f"{T}-{platform}") for platform in ("manylinux_2_17_x86_64", "win_amd64"))
    for path in (true, false):
        path.write_bytes(data_of(f"{T}-manylinux_2_17_x86_64"))
    for _ in range(2):
        assert audit(true).notes == ()
        assert "win_amd64" in " ".join(audit(false).notes)


def test_every_platforms_wheel_of_a_folder_is_a_row(audit: Audit, tmp_path: Path) -> None:
    tags = [f"{T}-manylinux_2_28_x86_64", f"{T}-macosx_11_0_arm64", f"{T}-win_amd64", f"{GIL}-win_amd64"]
    report = audit(dist(tmp_path / "dist", *tags))
    assert [row.facts.platform for row in report.packages] == [
        "macosx_11_0_arm64",
        "manylinux_2_28_x86_64",
        "win_amd64",
    ]
    assert all(row.facts.modules for row in report.packages)
    assert [len(row.facts.elsewhere) for row in report.packages] == [2, 2, 2]


def test_a_platform_that_lacks_a_free_threaded_wheel_is_found_and_blocks_nothing(audit: Audit, tmp_path: Path) -> None:
    row = only(audit(dist(tmp_path / "dist", f"{T}-manylinux_2_28_x86_64", f"{GIL}-win_amd64")))
    assert [finding.code for finding in row.findings] == ["FT105"]
    assert "Windows amd64" in row.findings[0].message
    assert row.findings[0].severity is Severity.WARNING, "every format shows it to who publishes the release"


def test_a_platform_that_was_asked_for_and_lacks_one_blocks(audit: Audit, tmp_path: Path) -> None:
    folder = dist(tmp_path / "dist", f"{T}-manylinux_2_28_x86_64", f"{GIL}-win_amd64")
    report = audit(folder, platforms=("windows-amd64",))
    assert only(report).verdict is Verdict.UNAVAILABLE
    assert report.exit_code == 1


def test_a_release_of_the_ordinary_build_alone_blocks_and_says_what_a_rebuild_would_declare(
    audit: Audit, tmp_path: Path
) -> None:
    row = only(audit(dist(tmp_path / "dist", f"{GIL}-manylinux_2_28_x86_64")))
    assert row.verdict is Verdict.UNAVAILABLE
    assert [finding.code for finding in row.findings] == ["FT101"]
    (module,) = row.facts.modules
    assert module.binary is None
    assert module.would_declare is not None


def test_a_wheel_of_the_ordinary_build_that_was_named_alone_is_a_note_and_never_called_good(
    audit: Audit, tmp_path: Path
) -> None:
    folder = dist(tmp_path / "dist", f"{GIL}-manylinux_2_28_x86_64")
    report = audit(folder / name_of(f"{GIL}-manylinux_2_28_x86_64"))
    assert report.packages == ()
    assert "is not a wheel for 3.14t" in report.notes[0]
    assert "is for 3.14t" in report.incomplete[0]
    assert report.exit_code == 3


@pytest.mark.parametrize(("tags", "suffix"), [(T, SUFFIXES[GIL]), (GIL, SUFFIXES[T])])
def test_a_module_that_is_named_for_the_other_build_is_found(
    audit: Audit, tmp_path: Path, tags: str, suffix: str
) -> None:
    path = tmp_path / name_of(f"{tags}-manylinux_2_28_x86_64")
    path.write_bytes(data_of(f"{tags}-manylinux_2_28_x86_64", suffix))
    assert "FT204" in [finding.code for finding in only(audit(path)).findings]


def test_an_archive_that_is_not_in_order_is_noted(audit: Audit, tmp_path: Path) -> None:
    path = tmp_path / name_of(f"{T}-win_amd64")
    path.write_bytes(archive([("demo/_core.pyd", elf()), ("demo/twice.py", b""), ("demo/twice.py", b"1")]))
    notes = " ".join(audit(path).notes)
    assert "2 members have this name" in notes
    assert "no .dist-info folder" in notes


def test_a_pure_wheel_is_pure(audit: Audit, tmp_path: Path) -> None:
    report = audit(dist(tmp_path / "dist", "py3-none-any"))
    assert only(report).verdict is Verdict.PURE
    assert report.exit_code == 0


def test_a_name_means_the_newest_release_and_an_url_its_file(audit: Audit, server: IndexServer) -> None:
    tags = f"{T}-manylinux_2_28_x86_64"
    files = [
        ServedFile(filename=name_of(tags, version=version), data=data_of(tags)) for version in ("1.0", "2.0", "3.0rc1")
    ]
    server.add_project("demo", files)
    assert str(only(audit("demo")).facts.pin.version) == "2.0"
    assert str(only(audit("demo==1.0")).facts.pin.version) == "1.0"
    row = only(audit(server.file_url(name_of(tags))))
    assert (str(row.facts.pin.version), row.facts.platform) == ("1.0", "manylinux_2_28_x86_64")
    assert row.facts.modules


def test_an_url_with_a_hash_is_held_against_it_whatever_the_cache_holds(audit: Audit, server: IndexServer) -> None:
    name = name_of(f"{T}-manylinux_2_28_x86_64")
    data = data_of(f"{T}-manylinux_2_28_x86_64")
    server.add_project("demo", [ServedFile(filename=name, data=data)])
    right, wrong = hashlib.sha256(data).hexdigest(), hashlib.sha256(b"another").hexdigest()
    assert only(audit(f"{server.file_url(name)}#sha256={right}")).facts.modules
    for _ in range(2):
        row = only(audit(f"{server.file_url(name)}#sha256={wrong}"))
        assert row.verdict is Verdict.UNKNOWN
        assert "was expected" in row.reasons[0]
    with pytest.raises(UsageError, match="needs a SHA-256 digest"):
        audit(f"{server.file_url(name)}#sha256=12")
