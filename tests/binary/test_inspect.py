"""Inspecting wheels: every module gets a row, for any content and any failure of a worker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from support.index_server import IndexServer, Reply
from support.wheels import CORE, NAME, archive, elf, incompressible, wheel

from ftaudit.binary.inspection import InspectSettings, WheelRequest, inspect_wheels
from ftaudit.model import BinaryFacts, DistributionFile, ExtensionModule, GilDeclaration, Status
from ftaudit.model.sentences import gap_phrase
from ftaudit.target import parse_target
from ftaudit.wheel import Limits

TARGET = parse_target("3.14t")
STABLE = "Programming Language :: Python :: Free Threading :: 3 - Stable"
BINARIES = Path(__file__).parents[2] / "fixtures" / "binaries"
SHIM = "demo/library_shim.cpython-314t-x86_64-linux-gnu.so"
SLOW = "demo/endless.cpython-314t-x86_64-linux-gnu.so"
OTHER = "demo/other.cpython-314t-x86_64-linux-gnu.so"
Inspect = Callable[..., BinaryFacts]


@pytest.fixture
def inspect(tmp_path: Path) -> Inspect:
    def run(data: bytes | str, *, sha256: str | None = None, rebuild: bool = False, **more: object) -> BinaryFacts:
        location = data
        if isinstance(data, bytes):
            path = tmp_path / NAME
            path.write_bytes(data)
            location = str(path)
        file = DistributionFile(
            filename=NAME, url=str(location), hashes=(("sha256", sha256),) if sha256 is not None else ()
        )
        request = WheelRequest(file=file, target=TARGET, rebuild=rebuild)
        settings = InspectSettings(cache_dir=tmp_path / "cache", workers=1, **more)  # type: ignore[arg-type]
        return inspect_wheels([request], settings=settings)[request]

    return run


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


def only(facts: BinaryFacts) -> ExtensionModule:
    assert facts.status is Status.DONE, facts.reason
    (module,) = facts.modules
    return module


def how(facts: BinaryFacts) -> str:
    binary = only(facts).binary
    assert binary is not None
    assert binary.declaration is GilDeclaration.UNDETERMINED
    return binary.how


def test_a_wheel_that_is_not_there_is_a_failure_with_its_reason(inspect: Inspect, tmp_path: Path) -> None:
    facts = inspect(str(tmp_path / "gone.whl"))
    assert facts.status is Status.FAILED
    assert facts.reason is not None
    assert "gone.whl" in gap_phrase(facts.reason)


def test_a_wheel_without_a_place_is_a_failure(tmp_path: Path) -> None:
    request = WheelRequest(file=DistributionFile(filename=NAME), target=TARGET)
    facts = inspect_wheels([request], settings=InspectSettings(cache_dir=tmp_path))[request]
    assert facts.status is Status.FAILED


def test_a_local_wheel_with_another_hash_is_a_failure(inspect: Inspect) -> None:
    facts = inspect(wheel(), sha256="0" * 64)
    assert facts.status is Status.FAILED
    assert facts.reason is not None and "was expected" in facts.reason.detail


def test_a_remote_wheel_is_not_fetched_without_a_session(inspect: Inspect, server: IndexServer) -> None:
    facts = inspect(server.add_file(NAME, wheel()))
    assert facts.status is Status.FAILED
    assert server.requests == []


def test_a_module_whose_bytes_lie_is_undetermined_and_the_others_are_read(inspect: Inspect) -> None:
    data = wheel({CORE: elf(), OTHER: elf("other")})
    facts = inspect(data[:14] + b"abcd" + data[18:])
    assert facts.status is Status.DONE
    found = {module.name: module.binary.how for module in facts.modules if module.binary}
    assert "local header disagrees" in found["demo._core"]
    assert "local header" not in found["demo.other"]
    assert any("local header disagrees" in problem for problem in facts.problems)


def test_an_image_without_substance_is_undetermined(inspect: Inspect) -> None:
    assert how(inspect(wheel({CORE: elf(mapped=incompressible(5000))})))


def test_a_shared_library_without_an_init_hook_is_no_module(inspect: Inspect) -> None:
    assert inspect(wheel({"demo/libspam.so": elf("another"), CORE: elf()})).modules[0].name == "demo._core"
    assert inspect(wheel({"demo/libspam.so": elf("another")})).modules == ()


def test_a_variant_of_a_module_that_only_the_package_itself_can_load_is_read_under_its_name(inspect: Inspect) -> None:
    data = (BINARIES / "linux-x86_64" / "multi_used.cpython-314t-x86_64-linux-gnu.so").read_bytes()
    module = only(inspect(wheel({"demo/multi_used.cu13.cpython-314t-x86_64-linux-gnu.so": data})))
    assert module.name == "demo.multi_used.cu13"
    assert module.binary is not None
    assert module.binary.declaration is GilDeclaration.USED


def test_a_library_whose_hook_does_nothing_but_return_null_is_no_module(inspect: Inspect) -> None:
    name = "no_module.cpython-314t-x86_64-linux-gnu.so"
    other = "multi_used.cpython-314t-x86_64-linux-gnu.so"
    members = {f"demo/{file}": (BINARIES / "linux-x86_64" / file).read_bytes() for file in (name, other)}
    assert only(inspect(wheel(members))).name == "demo.multi_used"


def shim_wheel(library: bytes | None) -> bytes:
    shim = BINARIES / "linux-x86_64" / SHIM.partition("/")[2]
    members = {SHIM: shim.read_bytes()}
    return wheel(members if library is None else {**members, "demo.libs/libwrapped.so": library})


def test_a_shim_is_read_with_the_shared_library_of_its_wheel_that_it_calls_into(inspect: Inspect) -> None:
    library = (BINARIES / "libraries" / "linux-x86_64" / "libwrapped.so").read_bytes()
    binary = only(inspect(shim_wheel(library))).binary
    assert binary is not None
    assert binary.declaration is GilDeclaration.NOT_USED


def test_a_shim_without_its_library_or_with_one_that_is_none_is_undetermined(inspect: Inspect) -> None:
    assert "after Wrapped_PyInit_library_shim() of another library" in how(inspect(shim_wheel(None)))
    assert "after Wrapped_PyInit_library_shim() of another library" in how(inspect(shim_wheel(b"no library at all")))
    assert "after Wrapped_PyInit_library_shim() of another library" in how(inspect(shim_wheel(b"\x7fELF" * 40)))


def test_a_library_that_is_too_large_is_not_read_and_named(inspect: Inspect) -> None:
    limits = Limits(libraries_inflated=100)
    assert "libwrapped.so: 0 MiB, too large to be read" in how(inspect(shim_wheel(b"\x7fELF" * 40), limits=limits))


@pytest.mark.parametrize(
    ("name", "size", "limits"),
    [
        ("demo/libspam.so.1", 200_000, Limits(libraries=250_000)),
        ("demo/libspam.so.1", 200_000, Limits(libraries_inflated=250_000)),
        ("demo/spam.weights", 200_000, Limits(probes=1)),
        ("demo/spam.weights", 20_000, Limits(others=30_000)),
    ],
)
def test_files_beyond_a_limit_have_a_row(
    inspect: Inspect, server: IndexServer, name: str, size: int, limits: Limits
) -> None:
    """Two files, of which only the first is within the limit; without the limit, neither is a module."""
    stem, _, end = name.partition(".")
    members = {f"{stem}{number}.{end}": incompressible(size) for number in range(2)}
    url = server.add_file(NAME, wheel(members))
    module = only(inspect(url, session=requests.Session, limits=limits))
    assert module.path == f"{stem}1.{end}"
    assert module.binary is not None
    assert module.binary.how.startswith("not read: the wheel has more than")
    assert inspect(url, session=requests.Session).modules == ()


def test_a_text_file_named_like_a_module_is_a_problem(inspect: Inspect) -> None:
    facts = inspect(wheel({CORE: b"version https://git-lfs.example/spec/v1\n"}))
    assert facts.modules == ()
    assert any("not an ELF, Mach-O, or PE" in problem for problem in facts.problems)


def test_a_connection_that_breaks_leaves_the_modules_undetermined(
    inspect: Inspect, server: IndexServer, tmp_path: Path
) -> None:
    data = wheel({CORE: elf(mapped=incompressible(400_000)), "demo/data": incompressible(60_000)})
    url = server.add_file(NAME, data)
    tail = data[-(20 << 10) :]
    reply = Reply(
        status=206,
        body=tail,
        headers=(("Content-Range", f"bytes {len(data) - len(tail)}-{len(data) - 1}/{len(data)}"),),
    )
    server.first(f"/files/{NAME}", reply)
    server.always(f"/files/{NAME}", Reply(drops=True))
    digest = hashlib.sha256(data).hexdigest()
    facts = inspect(url, sha256=digest, session=requests.Session)
    assert [(module.path, module.binary and module.binary.how) for module in facts.modules] == [
        (CORE, f"{NAME}: cannot be fetched: ConnectionError"),
        ("demo/data", f"{NAME}: cannot be fetched: ConnectionError"),
    ]
    server.heal(f"/files/{NAME}")
    assert "cannot be fetched" not in how(inspect(url, sha256=digest, session=requests.Session))


def test_a_worker_that_takes_too_long_costs_its_module_alone(inspect: Inspect) -> None:
    data = wheel({SLOW: (BINARIES / "linux-x86_64" / Path(SLOW).name).read_bytes(), OTHER: elf("other")})
    facts = inspect(data, module_seconds=0.0001)
    reasons = {module.path: module.binary.how for module in facts.modules if module.binary}
    assert set(reasons) == {SLOW, OTHER}
    assert "was ended after 0.0001 s of work" in reasons[SLOW]
    again = inspect(data)
    assert all("was ended" not in module.binary.how for module in again.modules if module.binary)


def test_a_worker_that_cannot_start_costs_no_more_than_answers(inspect: Inspect) -> None:
    with ThreadPoolExecutor(1) as aside:  # Where other threads run, a worker is a fresh interpreter.
        facts = aside.submit(inspect, wheel(), worker_memory=1 << 20).result()
    assert "the inspection process" in how(facts)


def test_facts_hold_what_the_wheel_says_of_itself(inspect: Inspect) -> None:
    data = wheel(classifiers=(STABLE,), tags=("cp314-cp314-win_amd64",))
    facts = inspect(data)
    assert facts.classifiers == (STABLE,)
    assert facts.bytes_total == len(data)
    assert facts.bytes_read == 0
    assert any("WHEEL has the tags" in problem for problem in facts.problems)


def test_a_rebuild_is_kept_apart_from_the_declaration(inspect: Inspect) -> None:
    module = only(inspect(wheel(), rebuild=True))
    assert module.binary is None
    assert module.would_declare is not None


def test_remembered_facts_need_neither_network_nor_workers(inspect: Inspect, server: IndexServer) -> None:
    data = wheel({CORE: elf(mapped=incompressible(100_000)), "demo/data": incompressible(300_000)})
    url = server.add_file(NAME, data)
    digest = hashlib.sha256(data).hexdigest()
    first = inspect(url, sha256=digest, session=requests.Session)
    assert 0 < first.bytes_read < len(data) / 2
    server.forget()
    again = inspect(url, sha256=digest, session=None, worker_memory=1)
    assert server.requests == []
    assert again.bytes_read == 0
    assert (again.modules, again.bytes_total, again.problems) == (first.modules, first.bytes_total, first.problems)


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000], ids=["empty", "list", "deep"])
def test_a_spoilt_memory_is_no_memory(inspect: Inspect, tmp_path: Path, text: str) -> None:
    data = wheel()
    first = inspect(data)
    (kept,) = (tmp_path / "cache" / "binary").rglob("*.json")
    kept.write_text(text)
    assert inspect(data) == first
    assert json.loads(kept.read_text())["total"] == len(data)


def test_without_the_cache_nothing_is_remembered(inspect: Inspect, tmp_path: Path) -> None:
    inspect(wheel(), use_cache=False)
    assert list((tmp_path / "cache").rglob("*.json")) == []


def test_every_wheel_gets_facts_in_the_order_of_the_requests(tmp_path: Path) -> None:
    wanted = []
    for index, data in enumerate([wheel(), b"nothing", archive([("x", b"")]), wheel({})]):
        path = tmp_path / f"{index}.whl"
        path.write_bytes(data)
        wanted.append(WheelRequest(file=DistributionFile(filename=NAME, url=str(path)), target=TARGET))
    told: list[WheelRequest] = []
    results = inspect_wheels(
        wanted,
        settings=InspectSettings(cache_dir=tmp_path / "cache", workers=1),
        on_done=lambda request, _: told.append(request),
    )
    assert told == list(results) == wanted
    assert [facts.status for facts in results.values()] == [Status.DONE, Status.FAILED, Status.DONE, Status.DONE]


def test_a_slot_that_hangs_on_a_library_is_undetermined_without_it_and_read_with_it(inspect: Inspect) -> None:
    name = "library_decides.cpython-314t-x86_64-linux-gnu.so"
    members = {f"demo/{name}": (BINARIES / "linux-x86_64" / name).read_bytes()}
    assert how(inspect(wheel(members))) == "its declaration depends on decides_is_safe"
    library = (BINARIES / "libraries" / "linux-x86_64" / "libdecides.so").read_bytes()
    binary = only(inspect(wheel({**members, "demo.libs/libdecides.so": library}))).binary
    assert binary is not None
    assert binary.declaration is GilDeclaration.NOT_USED
