"""No message shows a user name or a password, however the URL is spelled."""

from __future__ import annotations

import pytest

from ftaudit.urls import public, public_revision, redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot reach https://me:pw@a.example/x", "cannot reach https://***@a.example/x"),
        ("https://me:it's@a.example/x", "https://***@a.example/x"),
        ("https://me:p/w@a.example/x", "https://***@a.example/x"),
        ("https://me:p@w@a.example/x", "https://***@a.example/x"),
        ('https://me:"?#/@a.example', "https://***@a.example"),
        ("https://token/x@a.example/simple", "https://***@a.example/simple"),
        ("git+https://me:p/w@a.example/x and http://b.example", "git+https://***@a.example/x and http://b.example"),
        ("https://a.example/simple/pkg@1.0", "https://a.example/simple/pkg@1.0"),
        ("https://localhost:8080/simple/pkg@1.0", "https://localhost:8080/simple/pkg@1.0"),
        ("https://[::1]:8080/pkg@1.0", "https://[::1]:8080/pkg@1.0"),
        ("https://a.example/x,https://me:pw@b.example/y", "https://a.example/x,https://***@b.example/y"),
        ("mail me@a.example", "mail me@a.example"),
    ],
)
def test_credentials_are_hidden_and_the_rest_stays(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:pw@a.example/x?token=1#y", "https://a.example/x"),
        ("https://me:p/w@a.example/x", "https://a.example/x"),
        ("https://[broken/x?token=1", "https://[broken/x"),
        ("https://me:p w@a.example/x", "https://a.example/x"),
        ("./folder", "./folder"),
    ],
)
def test_a_public_url_has_no_secrets(url: str, shown: str) -> None:
    assert public(url) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("git+ssh://git@a.example/c.git@v1", "git+ssh://a.example/c.git@v1"),
        ("git+https://a.example/c.git@v1#egg=c", "git+https://a.example/c.git@v1"),
        ("git+https://me:pw@a.example/c.git@v1", "git+https://a.example/c.git@v1"),
        ("git+https://me:p/w@a.example", "git+https://a.example"),
        ("git+https://me:p/w@a.example/x@v1", "git+https://v1"),
        ("git+https://token@a.example", "git+https://a.example"),
    ],
)
def test_the_revision_of_a_repository_is_shown_and_no_secret(url: str, shown: str) -> None:
    assert public_revision(url) == shown


def test_redacting_takes_time_in_proportion_to_the_text() -> None:
    assert redact("https://" * 20_000 + "me:pw@a.example").endswith("***@a.example")
