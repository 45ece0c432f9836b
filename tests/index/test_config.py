"""Which indexes are queried: command line, environment, requirements files, default."""

from __future__ import annotations

from pathlib import Path

import pytest
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from ftaudit.errors import UsageError
from ftaudit.index.index_settings import IndexOptions, find_settings
from ftaudit.urls import default_index, redact


def urls(env: dict[str, str], *requirements: IndexOptions, options: IndexOptions | None = None) -> list[str]:
    settings = find_settings(options=options or IndexOptions(), env=env, requirements=requirements)
    return [source.url for source in settings.sources]


@pytest.mark.parametrize("url", ["ftp://index.example/", "https://", "https://[::1/simple", "https://host:port/"])
def test_what_is_no_index_url_is_refused_without_showing_credentials(url: str) -> None:
    with pytest.raises(UsageError):
        urls({"PIP_INDEX_URL": url})
    with pytest.raises(UsageError) as caught:
        urls({"PIP_INDEX_URL": url.replace("://", "://me:s3cret@")})
    assert "s3cret" not in caught.value.problem


@pytest.mark.parametrize(
    "env", [{"PIP_TIMEOUT": "soon"}, {"PIP_RETRIES": "many"}, {"PIP_KEYRING_PROVIDER": "x"}, {"PIP_CERT": "/no/such"}]
)
def test_a_setting_that_cannot_be_is_refused(env: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        find_settings(env=env)


def test_the_default_is_pypi_simples_own() -> None:
    assert default_index() == PYPI_SIMPLE_ENDPOINT
    assert urls({}) == [PYPI_SIMPLE_ENDPOINT]


def test_the_command_line_wins_over_the_environment_and_that_over_requirements_files() -> None:
    line = IndexOptions(index_url="https://line.example/simple")
    file = IndexOptions(index_url="https://file.example/simple")
    env = {"PIP_INDEX_URL": "https://pip.example/simple"}
    assert urls(env, file, options=line) == ["https://line.example/simple/"]
    assert urls(env, file) == ["https://pip.example/simple/"]
    assert urls({}, file) == ["https://file.example/simple/"]


def test_uvs_variables_win_over_pips() -> None:
    env = {
        "UV_DEFAULT_INDEX": "https://a.example/",
        "UV_INDEX_URL": "https://b.example/",
        "PIP_INDEX_URL": "https://c.example/",
    }
    assert urls(env) == ["https://a.example/"]
    del env["UV_DEFAULT_INDEX"]
    assert urls(env) == ["https://b.example/"]


def test_extra_indexes_come_before_the_default_in_the_order_given() -> None:
    env = {
        "UV_INDEX": "named=https://one.example/x?a=b https://two.example/",
        "UV_EXTRA_INDEX_URL": "https://three.example/",
        "PIP_EXTRA_INDEX_URL": "https://four.example/\nhttps://two.example/",
        "UV_DEFAULT_INDEX": "main=https://last.example/",
    }
    file = IndexOptions(extra_index_urls=("https://file.example/",))
    hosts = [url.split("/")[2] for url in urls(env, file)]
    assert hosts == [f"{n}.example" for n in ("one", "two", "three", "four", "file", "last")]


def test_a_named_index_takes_uvs_credentials_for_that_name() -> None:
    env = {
        "UV_INDEX": "my-corp=https://corp.example/simple",
        "UV_INDEX_MY_CORP_USERNAME": "me",
        "UV_INDEX_MY_CORP_PASSWORD": "s3cret",
    }
    source = find_settings(env=env).sources[0]
    assert (source.url, source.user, source.password) == ("https://corp.example/simple/", "me", "s3cret")
    assert "s3cret" not in repr(find_settings(env=env))


def test_credentials_are_taken_out_of_the_url_and_unquoted() -> None:
    source = find_settings(env={"PIP_INDEX_URL": "https://me%40corp:p%2Fw@corp.example:8443/simple"}).sources[0]
    assert (source.url, source.user, source.password) == ("https://corp.example:8443/simple/", "me@corp", "p/w")


@pytest.mark.parametrize("value", ["1", "true", "YES"])
def test_no_index_leaves_find_links_alone(value: str, tmp_path: Path) -> None:
    settings = find_settings(env={"PIP_NO_INDEX": value, "UV_FIND_LINKS": f"{tmp_path},https://links.example/a.html"})
    assert settings.sources == ()
    assert [place.url for place in settings.find_links] == [tmp_path.as_uri(), "https://links.example/a.html"]


@pytest.mark.parametrize("value", ["0", "false", "No", ""])
def test_no_index_set_to_false_is_none(value: str) -> None:
    assert urls({"PIP_NO_INDEX": value}) == [PYPI_SIMPLE_ENDPOINT]


def test_certificates_follow_the_command_line_then_pip_then_the_common_variable(tmp_path: Path) -> None:
    files = {}
    for name in ("line", "pip", "ssl"):
        files[name] = str(tmp_path / name)
        Path(files[name]).write_text("")
    env = {"PIP_CERT": files["pip"], "SSL_CERT_FILE": files["ssl"]}
    assert find_settings(env=env, options=IndexOptions(cert=files["line"])).cert == files["line"]
    assert find_settings(env=env).cert == files["pip"]
    del env["PIP_CERT"]
    assert find_settings(env=env).cert == files["ssl"]
    assert find_settings(env={}).cert is None


def test_no_retries_is_a_number_of_retries() -> None:
    assert find_settings(env={"PIP_RETRIES": "0"}).retries == 0
    assert find_settings(env={"PIP_RETRIES": "5"}, options=IndexOptions(retries=0)).retries == 0


def test_credentials_are_redacted_wherever_they_stand_in_a_text() -> None:
    text = "cannot reach https://me:pw@a.example/x through http://pw2@proxy.example: no"
    assert redact(text) == "cannot reach https://***@a.example/x through http://***@proxy.example: no"
