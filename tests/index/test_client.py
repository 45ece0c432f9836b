"""Index queries: failures are rows, answers are cached, and indexes are queried in a fixed order."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version
from pypi_simple import ACCEPT_JSON_PREFERRED
from support.index_server import HTML_TYPE, JSON_TYPE, IndexServer, Reply, ServedFile

from ftaudit.index.client import Index
from ftaudit.index.index_settings import IndexSettings
from ftaudit.index.release import ProjectFiles, Query, ReleaseFiles
from ftaudit.model import Status
from ftaudit.model.sentences import gap_phrase

MakeSettings = Callable[..., IndexSettings]
DEMO = ServedFile(filename="demo-1.0-py3-none-any.whl", data=b"wheel")
PATH = "/simple/demo/"


def told(answer: ReleaseFiles | ProjectFiles) -> str:
    """Return the reason for a missing answer, as text."""
    assert answer.reason is not None
    return gap_phrase(answer.reason)


def query(name: str = "demo", version: str = "1.0", index_url: str | None = None) -> Query:
    return Query(name=canonicalize_name(name), version=Version(version), index_url=index_url)


def ask(settings: IndexSettings, *queries: Query) -> list[ReleaseFiles]:
    asked = queries or (query(),)
    with Index(settings) as index:
        answers = index.find_releases(asked)
    return [answers[one] for one in asked]


def names(release: ReleaseFiles) -> list[str]:
    assert release.status is Status.DONE, release.reason
    return [file.filename for file in release.files]


FAILURES = {
    "always 500": (Reply(status=500, body=b"oops"), "answered 500"),
    "always 429": (Reply(status=429), "answered 429"),
    "teapot": (Reply(status=418), "answered 418"),
    "401": (Reply(status=401), "access denied"),
    "403": (Reply(status=403), "access denied"),
    "404": (Reply(status=404), "has no project demo"),
    "truncated": (Reply(body=b"<html><body></body></html>", sends=10), "incomplete"),
    "connection dropped": (Reply(drops=True), "Remote end closed"),
    "redirect loop": (Reply(status=302, headers=(("Location", PATH),)), "in a loop"),
    "redirect to a file": (Reply(status=302, headers=(("Location", "file:///etc/passwd"),)), "not HTTP"),
    "an image": (Reply(body=b"GIF", headers=(("Content-Type", "image/gif"),)), "not a page of the Simple API"),
    "cut JSON": (Reply(body=b'{"files": [', headers=(("Content-Type", JSON_TYPE),)), "is truncated or is not JSON"),
    "cut HTML": (Reply(body=b"<html><body><a hre", headers=(("Content-Type", HTML_TYPE),)), "is truncated"),
    "bad gzip": (
        Reply(body=b"<html></html>", headers=(("Content-Type", HTML_TYPE), ("Content-Encoding", "gzip"))),
        "not compressed as its header says",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failing_page_is_a_row_and_loses_nothing_of_the_others(
    case: str, server: IndexServer, settings: MakeSettings
) -> None:
    reply, reason = FAILURES[case]
    server.add_project("good", [ServedFile(filename="good-1.0.tar.gz")])
    server.always(PATH, reply)
    bad, good = ask(settings(), query(), query("good"))
    assert bad.status is Status.FAILED
    assert reason in told(bad)
    assert names(good) == ["good-1.0.tar.gz"]


@pytest.mark.parametrize("case", [case for case in FAILURES if case != "404"])
def test_a_failure_is_not_kept(case: str, server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("demo", [DEMO])
    server.always(PATH, FAILURES[case][0])
    assert ask(settings(retries=0))[0].status is Status.FAILED
    server.heal(PATH)
    assert names(ask(settings())[0]) == [DEMO.filename]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500),
        Reply(status=503, headers=(("Retry-After", "0"),)),
        Reply(status=429, headers=(("Retry-After", "soon"),)),
        Reply(body=b"<html><body></body></html>", sends=10),
        Reply(drops=True),
    ],
)
def test_a_500_or_a_broken_connection_in_the_middle_is_asked_again(
    reply: Reply, server: IndexServer, settings: MakeSettings
) -> None:
    server.add_project("demo", [DEMO])
    server.first(PATH, reply)
    assert names(ask(settings())[0]) == [DEMO.filename]
    assert server.count(PATH) == 2


@pytest.mark.timing
def test_a_server_that_never_answers_costs_its_timeout(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("good", [ServedFile(filename="good-1.0.tar.gz")])
    server.always(PATH, Reply(hangs=True))
    hung, good = ask(settings(timeout=1.0, retries=0), query(), query("good"))
    assert "no answer in time" in told(hung)
    assert good.status is Status.DONE


@pytest.mark.timing
def test_a_server_that_is_not_done_in_time_is_given_up(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("good", [ServedFile(filename="good-1.0.tar.gz")])
    server.always(PATH, Reply(hangs=True))
    hung, good = ask(settings(timeout=20.0, patience=2.0), query(), query("good"))
    assert "did not answer within" in told(hung)
    assert good.status is Status.DONE


def test_a_page_that_drips_is_given_up_at_the_deadline(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("demo", [DEMO])
    [release] = ask(settings(page_deadline=-1.0))
    assert "not complete" in told(release)


def test_a_host_that_nobody_answers_at_is_asked_once_and_fails_every_package(
    server: IndexServer, settings: MakeSettings
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # Bound and not listening: connecting is refused.
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/simple/"
        rows = ask(settings(url, workers=1, retries=0), *(query(f"demo{n}") for n in range(5)))
    assert {row.status for row in rows} == {Status.FAILED}
    assert all("cannot connect to 127.0.0.1" in told(row) for row in rows)
    assert all("refused" in told(row) for row in rows)


def test_a_proxy_that_is_not_there_is_named_as_the_cause(settings: MakeSettings) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy = f"http://me:s3cret@127.0.0.1:{unused.getsockname()[1]}"
        [release] = ask(settings("http://index.example/simple/", proxy=proxy, retries=0))
    assert "the proxy" in told(release)
    assert "s3cret" not in told(release)


def test_a_project_that_nobody_has_is_asked_for_once(server: IndexServer, settings: MakeSettings) -> None:
    assert "has no project demo" in told(ask(settings())[0])
    assert server.count(PATH) == 1


def test_a_version_that_does_not_exist_fails_and_names_the_newest(server: IndexServer, settings: MakeSettings) -> None:
    files = [ServedFile(filename=f"demo-{v}.tar.gz") for v in ("0.9", "1.10", "1.2", "2.0rc1")]
    server.add_project("demo", files)
    [release] = ask(settings(), query(version="7"))
    assert release.status is Status.FAILED
    assert told(release) == "version 7 is not on the index (newest: 1.10)"


def test_a_version_missing_from_a_kept_page_is_looked_for_again(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("demo", [DEMO])
    ask(settings())
    newer = ServedFile(filename="demo-2.0-py3-none-any.whl")
    server.add_project("demo", [DEMO, newer])
    assert names(ask(settings(), query(version="2.0"))[0]) == [newer.filename]


@pytest.mark.parametrize("form", ["html", "json"])
def test_both_forms_give_the_same_files(form: str, server: IndexServer, settings: MakeSettings) -> None:
    files = [
        ServedFile(filename="demo-1.0.tar.gz", requires_python=">=3.9"),
        ServedFile(filename="demo-1.0-py3-none-any.whl", yanked="bad"),
    ]
    server.add_project("demo", files, forms=(form,))
    [release] = ask(settings())
    sdist, wheel = release.files
    assert sdist.requires_python == ">=3.9"
    assert wheel.yanked == "bad"
    assert wheel.sha256 == files[1].digest
    assert wheel.url == server.file_url(files[1].filename)


def test_json_is_preferred(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("demo", [DEMO])
    [release] = ask(settings())
    assert server.requests[0].headers["accept"] == ACCEPT_JSON_PREFERRED
    assert release.files[0].size == len(DEMO.data), "only JSON tells sizes"


def test_a_fresh_page_is_not_asked_for_again(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("demo", [DEMO])
    first, second = ask(settings())[0], ask(settings())[0]
    assert server.count(PATH) == 1
    assert (first.origin, second.origin) == ("index", "cache")
    assert names(first) == names(second)


def test_what_was_passed_over_is_said_by_the_cache_too(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("demo", [DEMO, ServedFile(filename="other-1.0-py3-none-any.whl")])
    first, second = ask(settings())[0], ask(settings())[0]
    assert first.warnings == second.warnings == (f"links skipped on {server.url}{PATH}: 1",)


def test_another_version_of_a_fresh_page_is_read_without_asking(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("demo", [DEMO, ServedFile(filename="demo-1.1.tar.gz")])
    ask(settings())
    assert names(ask(settings(), query(version="1.1"))[0]) == ["demo-1.1.tar.gz"]
    assert server.count(PATH) == 1


def test_a_stale_page_is_revalidated_and_its_bytes_are_saved(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("demo", [DEMO], etag='"one"', cache_control="max-age=0")
    ask(settings())
    with Index(settings()) as index:
        [release] = index.find_releases([query()]).values()
        counts = dict(index.traffic.counts)
    assert names(release) == [DEMO.filename]
    assert [seen.headers.get("if-none-match") for seen in server.requests] == [None, '"one"']
    assert counts["received"] == 0
    assert counts["saved"] > 0


def test_last_modified_revalidates_too(server: IndexServer, settings: MakeSettings) -> None:
    when = "Wed, 21 Oct 2015 07:28:00 GMT"
    server.add_project("demo", [DEMO], last_modified=when, cache_control="no-cache")
    ask(settings())
    assert names(ask(settings())[0]) == [DEMO.filename]
    assert server.requests[-1].headers["if-modified-since"] == when


def test_a_stale_page_without_validators_is_fetched_anew(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("demo", [DEMO], cache_control="max-age=0")
    ask(settings())
    later = ServedFile(filename="demo-1.0-1-py3-none-any.whl")
    server.add_project("demo", [later], cache_control="max-age=0")
    assert names(ask(settings())[0]) == [later.filename]


def test_what_must_not_be_stored_is_not(server: IndexServer, settings: MakeSettings, tmp_path: Path) -> None:
    server.add_project("demo", [DEMO], cache_control="no-store")
    ask(settings())
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_without_a_cache_every_run_asks(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("demo", [DEMO])
    ask(settings(cache=None))
    ask(settings(cache=None))
    assert server.count(PATH) == 2


def test_offline_answers_from_the_cache_at_any_age_and_says_so(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("demo", [DEMO, ServedFile(filename="demo-1.1.tar.gz")], cache_control="max-age=0")
    ask(settings())
    server.forget()
    kept, other, unseen = ask(settings(offline=True), query(), query(version="1.1"), query("unseen"))
    assert names(kept) == [DEMO.filename]
    assert names(other) == ["demo-1.1.tar.gz"]
    assert kept.origin == "cache"
    assert "offline" in " ".join(kept.warnings)
    assert unseen.status is Status.FAILED
    assert "offline" in told(unseen)
    assert server.requests == []


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b'{"format": 1}', b"\xff" * 100, b'{"format": 99}'])
def test_a_damaged_entry_is_dropped_and_fetched_again(
    damage: bytes, server: IndexServer, settings: MakeSettings, tmp_path: Path
) -> None:
    server.add_project("demo", [DEMO])
    ask(settings())
    [entry] = (tmp_path / "cache").rglob("*.json")
    entry.write_bytes(damage)
    assert names(ask(settings())[0]) == [DEMO.filename]
    assert server.count(PATH) == 2


@pytest.mark.parametrize("damage", [None, b"", b"<html><body></body></html>"])
def test_a_page_body_that_is_not_the_stored_one_is_fetched_again(
    damage: bytes | None, server: IndexServer, settings: MakeSettings, tmp_path: Path
) -> None:
    server.add_project("demo", [DEMO, ServedFile(filename="demo-1.1.tar.gz")])
    ask(settings())
    [body] = (tmp_path / "cache").rglob("*.page")
    if damage is None:
        body.unlink()
    else:
        body.write_bytes(damage)
    assert names(ask(settings(), query(version="1.1"))[0]) == ["demo-1.1.tar.gz"]
    [offline] = ask(settings(offline=True), query(version="1.1"))
    assert names(offline) == ["demo-1.1.tar.gz"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions bind ordinary users on POSIX")
def test_a_cache_that_cannot_be_written_is_no_error(
    server: IndexServer, settings: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    server.add_project("demo", [DEMO])
    assert names(ask(settings())[0]) == [DEMO.filename]


def test_a_cache_folder_that_is_a_file_is_no_error(server: IndexServer, settings: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    server.add_project("demo", [DEMO])
    assert names(ask(settings())[0]) == [DEMO.filename]


def test_many_runs_may_share_a_cache_at_the_same_time(server: IndexServer, settings: MakeSettings) -> None:
    files = [ServedFile(filename=f"demo-1.{n}.tar.gz") for n in range(20)]
    server.add_project("demo", files, cache_control="max-age=0")

    def run(number: int) -> list[ReleaseFiles]:
        return ask(settings(), *(query(version=f"1.{(number + n) % 20}") for n in range(20)))

    with ThreadPoolExecutor(8) as pool:
        rows = [row for rows in pool.map(run, range(24)) for row in rows]
    assert all(len(names(row)) == 1 for row in rows)
    assert names(ask(settings(offline=True), query(version="1.7"))[0]) == ["demo-1.7.tar.gz"]


def test_two_indexes_that_share_a_cache_do_not_see_each_others_pages_as_other_users(
    server: IndexServer, settings: MakeSettings
) -> None:
    server.require("one", "pw")
    server.add_project("demo", [DEMO])
    mine, theirs = (f"http://{who}:pw@{server.netloc}/simple/" for who in ("one", "two"))
    assert names(ask(settings(mine))[0]) == [DEMO.filename]
    assert ask(settings(theirs))[0].status is Status.FAILED


def test_credentials_of_the_url_are_sent_and_never_shown_or_stored(
    server: IndexServer, settings: MakeSettings, tmp_path: Path
) -> None:
    server.require("someone", "s3cret/")
    server.add_project("demo", [DEMO], forms=("html",))
    url = f"http://someone:s3cret%2F@{server.netloc}/simple/"
    found, missing = ask(settings(url), query(), query("missing"))
    assert names(found) == [DEMO.filename]
    shown = repr((found, missing, settings(url)))
    assert "s3cret" not in shown
    stored = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert DEMO.filename.encode() in stored
    assert b"s3cret" not in stored


def test_wrong_credentials_are_a_row_that_does_not_show_them(server: IndexServer, settings: MakeSettings) -> None:
    server.require("someone", "right")
    [release] = ask(settings(f"http://someone:wr0ng@{server.netloc}/simple/"))
    assert "access denied (401)" in told(release)
    assert "wr0ng" not in repr(release)


def test_netrc_gives_credentials(
    server: IndexServer, settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password right\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.require("someone", "right")
    server.add_project("demo", [DEMO])
    assert names(ask(settings())[0]) == [DEMO.filename]


@pytest.mark.skipif(os.name == "nt", reason="the made-up keyring command is a shell script")
def test_the_keyring_command_is_asked_after_a_401_and_once(
    server: IndexServer, settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "bin" / "keyring"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n[ "$3" = someone ] && echo from-keyring\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    server.require("someone", "from-keyring")
    server.add_project("demo", [DEMO])
    server.add_project("other", [ServedFile(filename="other-1.0.tar.gz")])
    url = f"http://someone@{server.netloc}/simple/"
    found, other = ask(settings(url, keyring="subprocess", workers=1), query(), query("other"))
    assert names(found) == [DEMO.filename]
    assert names(other) == ["other-1.0.tar.gz"]
    assert len((tmp_path / "asked").read_text().splitlines()) == 1


@pytest.mark.parametrize("user", [None, "someone"])
def test_the_keyring_module_is_asked_after_a_401(
    user: str | None,
    server: IndexServer,
    settings: MakeSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "keyring.py").write_text(
        "from types import SimpleNamespace\n"
        "def get_credential(service, user):\n"
        f"    if service == {server.netloc!r} and user in (None, 'someone'):\n"
        "        return SimpleNamespace(username='someone', password='right')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "keyring"]:
        monkeypatch.delitem(sys.modules, name)
    server.require("someone", "right")
    server.add_project("demo", [DEMO])
    url = server.simple_url if user is None else f"http://{user}@{server.netloc}/simple/"
    try:
        [release] = ask(settings(url, keyring="auto"))
    finally:
        sys.modules.pop("keyring", None)
    assert names(release) == [DEMO.filename]
    assert [seen.headers.get("authorization") is None for seen in server.requests] == [True, False]


def test_an_index_that_a_lock_file_names_takes_our_credentials_on_the_same_host_only(
    server: IndexServer, settings: MakeSettings
) -> None:
    server.require("someone", "right")
    server.add_project("demo", [DEMO], prefix="/bound")
    ours = settings(f"http://someone:right@{server.netloc}/simple/")
    assert names(ask(ours, query(index_url=f"{server.url}/bound/"))[0]) == [DEMO.filename]
    elsewhere = settings("http://someone:right@index.example/simple/")
    assert "access denied" in told(ask(elsewhere, query(index_url=f"{server.url}/bound/"))[0])


def test_a_proxy_of_the_settings_is_used(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("demo", [DEMO])
    [release] = ask(settings("http://index.example/simple/", proxy=server.url))
    assert names(release) == [DEMO.filename]
    assert server.requests[0].host == "index.example"


def test_a_proxy_of_the_environment_is_used_but_for_no_proxy(
    server: IndexServer, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server.add_project("demo", [DEMO])
    assert names(ask(settings("http://index.example/simple/"))[0]) == [DEMO.filename]
    assert names(ask(settings())[0]) == [DEMO.filename]
    assert [seen.host for seen in server.requests] == ["index.example", server.netloc]


def test_the_first_index_that_has_a_project_answers_alone(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("demo", [ServedFile(filename="demo-1.0-py3-none-any.whl")], prefix="/private")
    server.add_project("demo", [DEMO, ServedFile(filename="demo-9.0-py3-none-any.whl")])
    server.add_project("public", [ServedFile(filename="public-1.0.tar.gz")])
    both = settings(f"{server.url}/private/", server.simple_url)
    private, newer, public = ask(both, query(), query(version="9.0"), query("public"))
    assert private.page == f"{server.url}/private/demo/"
    assert newer.status is Status.FAILED
    assert names(public) == ["public-1.0.tar.gz"]
    assert server.count(PATH) == 0


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_private_index_that_refuses_or_fails_is_not_replaced_by_the_public_one(
    status: int, server: IndexServer, settings: MakeSettings
) -> None:
    server.always("/private/demo/", Reply(status=status))
    server.add_project("demo", [DEMO])
    [release] = ask(settings(f"{server.url}/private/", server.simple_url))
    assert release.status is Status.FAILED
    assert server.count(PATH) == 0


def test_a_lock_file_binds_a_package_to_its_index(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("demo", [DEMO])
    server.add_project("demo", [ServedFile(filename="demo-1.0.tar.gz")], prefix="/bound")
    free, bound = ask(settings(), query(), query(index_url=f"{server.url}/bound"))
    assert names(free) == [DEMO.filename]
    assert names(bound) == ["demo-1.0.tar.gz"]


def test_absence_is_remembered_for_a_while(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("demo", [DEMO])
    both = settings(f"{server.url}/private/", server.simple_url)
    ask(both)
    server.forget()
    assert names(ask(both)[0]) == [DEMO.filename]
    assert server.requests == []


def test_an_index_in_a_local_folder_is_read(tmp_path: Path, settings: MakeSettings) -> None:
    page = tmp_path / "an index" / "demo" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text('<html><body><a href="../files/demo-1.0.tar.gz">demo-1.0.tar.gz</a></body></html>')
    found, missing = ask(settings(str(tmp_path / "an index")), query(), query("missing"))
    assert found.origin == "file"
    assert found.files[0].url == (tmp_path / "an index" / "files" / "demo-1.0.tar.gz").as_uri()
    assert "has no project missing" in told(missing)


def test_files_of_find_links_folders_join_those_of_the_index(
    server: IndexServer, settings: MakeSettings, tmp_path: Path
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    for name in ("demo-1.0-cp314-cp314t-linux_x86_64.whl", "other-1.0.tar.gz", "READ ME <&>.txt"):
        (links / name).write_bytes(b"")
    server.add_project("demo", [DEMO])
    from ftaudit.index.index_settings import find_settings

    places = find_settings(env={"PIP_FIND_LINKS": f"{links} {tmp_path}/missing"}).find_links
    both, alone = ask(settings(find_links=places), query(), query("other"))
    assert names(both) == ["demo-1.0-cp314-cp314t-linux_x86_64.whl", DEMO.filename]
    assert both.files[0].url == (links / both.files[0].filename).as_uri()
    assert names(alone) == ["other-1.0.tar.gz"]


def test_find_links_pages_are_read_once(server: IndexServer, settings: MakeSettings) -> None:
    from ftaudit.index.index_settings import find_settings

    listing = '<html><body><a href="demo-1.0.tar.gz">x</a><a href="other-1.0.tar.gz">y</a></body></html>'
    server.add_page("/links.html", listing)
    places = find_settings(env={"UV_FIND_LINKS": f"{server.url}/links.html"}).find_links
    demo, other = ask(settings(sources=(), find_links=places, cache=None), query(), query("other"))
    assert names(demo) == ["demo-1.0.tar.gz"]
    assert names(other) == ["other-1.0.tar.gz"]
    assert server.count("/links.html") == 1


def test_a_find_links_page_that_fails_is_a_row(server: IndexServer, settings: MakeSettings) -> None:
    from ftaudit.index.index_settings import find_settings

    server.always("/links.html", Reply(status=500))
    server.add_project("demo", [DEMO])
    places = find_settings(env={"UV_FIND_LINKS": f"{server.url}/links.html"}).find_links
    assert "answered 500" in told(ask(settings(find_links=places))[0])


def test_a_redirect_to_another_project_gives_none_of_its_files(server: IndexServer, settings: MakeSettings) -> None:
    server.add_project("other", [ServedFile(filename="other-1.0.tar.gz")], forms=("html",))
    server.always(PATH, Reply(status=301, headers=(("Location", "/simple/other/"),)))
    [release] = ask(settings())
    assert "version 1.0 is not on the index (the index lists no files of the project)" in told(release)


def test_many_versions_and_names_are_answered_and_reported_one_by_one(
    server: IndexServer, settings: MakeSettings
) -> None:
    asked = []
    for number in range(30):
        files = [ServedFile(filename=f"p{number}-{v}.tar.gz") for v in ("1.0", "2.0")]
        server.add_project(f"p{number}", files, compress=True)
        asked += [query(f"p{number}", version) for version in ("1.0", "2.0")]
    heard: list[Query] = []
    with Index(settings()) as index:
        answers = index.find_releases(asked, on_done=lambda one, release: heard.append(one))
    assert {len(release.files) for release in answers.values()} == {1}
    assert sorted(heard, key=str) == sorted(asked, key=str)
    assert len(server.requests) == 30


def test_a_project_is_listed_by_version_newest_first(server: IndexServer, settings: MakeSettings) -> None:
    files = [ServedFile(filename=f"demo-{v}.tar.gz") for v in ("1.2", "1.10", "1.9")]
    server.add_project("demo", [*files, ServedFile(filename="demo-1.10-py3-none-any.whl")])
    with Index(settings()) as index:
        project = index.find_project(canonicalize_name("demo"))
        missing = index.find_project(canonicalize_name("missing"))
    assert [str(version) for version in project.versions] == ["1.10", "1.9", "1.2"]
    assert len(project.versions[Version("1.10")]) == 2
    assert missing.status is Status.FAILED


def test_the_session_counts_its_traffic_and_knows_the_credentials(server: IndexServer, settings: MakeSettings) -> None:
    server.require("someone", "right")
    url = server.add_file("demo.whl", b"0123456789")
    with Index(settings(f"http://someone:right@{server.netloc}/simple/")) as index:
        part = index.session().get(url, headers={"Range": "bytes=-4"})
        assert (part.status_code, part.content) == (206, b"6789")
        assert dict(index.traffic.counts) == {"requests": 1, "received": 4, "saved": 0}
