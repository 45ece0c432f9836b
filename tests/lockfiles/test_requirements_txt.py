from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from ftaudit.errors import InputError
from ftaudit.lockfiles import Requirements, read
from ftaudit.lockfiles.requirements import ReferenceKind

FIXTURES = Path(__file__).parents[2] / "fixtures" / "requirements"


def parse(folder: Path, text: str | bytes) -> Requirements:
    path = folder / "requirements.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a==1\nb=2\n", 2),
        ("a==1\n\n--no-such-option\n", 3),
        ("a ; python_version >>> '3'\n", 1),
        ("a==1 \\\n  --hash=sha256\n", 1),
        ("a==1\n-e\n", 2),
        ("a @ \n", 1),
        ("a==1\n-r missing.txt\n", 2),
        ("a==1\n-c https://user:secret@files.example/constraints.txt\n", 2),
        ("a==1\n\0\n", 2),
        ("-i\n", 1),
    ],
)
def test_a_wrong_line_is_an_error_that_names_file_and_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(InputError) as caught:
        parse(tmp_path, text)
    assert f"requirements.txt:{line}" in caught.value.problem
    assert "secret" not in caught.value.problem


@pytest.mark.parametrize("text", ["# nothing\n", "--pre\n", "-i https://index.example/simple/\n"])
def test_a_file_without_a_requirement_asks_for_nothing(tmp_path: Path, text: str) -> None:
    assert parse(tmp_path, text).roots == ()


def test_files_that_include_each_other_are_an_error_that_names_the_loop(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("-r requirements.txt\n")
    with pytest.raises(InputError, match=r"requirements\.txt -> other\.txt -> requirements\.txt"):
        parse(tmp_path, "a==1\n-r other.txt\n")


def test_a_file_that_includes_itself_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="includes itself"):
        parse(tmp_path, "a==1\n-r requirements.txt\n")


def test_a_bomb_of_inclusions_ends(tmp_path: Path) -> None:
    for i in range(300):
        (tmp_path / f"r{i}.txt").write_text(f"a{i}==1\n-r r{i + 1}.txt\n")
    with pytest.raises(InputError, match="more than 200 files"):
        parse(tmp_path, "-r r0.txt\n")


@pytest.mark.parametrize(
    "text",
    ["a==1\n" + "[" * 9000, "a==1\n" + ("x" * 5000 + "\\\n") * 2, "a==1\n" * 20_001],
    ids=["long line", "long continuation", "many lines"],
)
def test_what_would_take_minutes_to_parse_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"requirements\.txt(:2: a requirement of more than| has 20,001 lines)"):
        parse(tmp_path, text)


def test_many_hashes_are_read(tmp_path: Path) -> None:
    hashes = "".join(f" \\\n    --hash=sha256:{i:064x}" for i in range(500))
    assert len(parse(tmp_path, f"a==1{hashes}\n").roots[0].hashes) == 500


def test_a_file_included_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("b==1\n")
    assert [root.name for root in parse(tmp_path, "-r other.txt\n-r other.txt\n").roots] == ["b"]


def test_the_whole_syntax_is_read() -> None:
    found = read(FIXTURES / "whole-syntax.txt")
    roots = {(root.location.path.rpartition("/")[2], root.location.line): root for root in found.roots}
    numpy = roots["whole-syntax.txt", 7]
    assert (numpy.name, str(numpy.exact)) == ("numpy", "2.3.1")
    assert numpy.hashes == {f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"}
    psycopg = roots["whole-syntax.txt", 10]
    assert (psycopg.name, psycopg.extras) == ("psycopg", ("binary", "pool"))
    assert psycopg.marker == 'sys_platform == "linux"'
    wheel = roots["whole-syntax.txt", 11]
    assert wheel.reference is not None
    assert wheel.reference.kind is ReferenceKind.FILE
    assert wheel.reference.url == "https://files.example/demo-1.0-py3-none-any.whl"
    assert wheel.hashes == {f"sha256:{'c' * 64}"}
    git = roots["whole-syntax.txt", 12]
    assert (git.name, git.reference and git.reference.kind) == ("from-git", ReferenceKind.VCS)
    local = roots["whole-syntax.txt", 13]
    assert local.reference is not None
    assert local.reference.url == (FIXTURES / "wheels" / "local-1.0-py3-none-any.whl").as_uri()
    tree = roots["whole-syntax.txt", 14]
    assert (tree.name, tree.extras) == (None, ("fast",))
    assert tree.reference is not None
    assert (tree.reference.kind, tree.reference.url) == (ReferenceKind.TREE, str(FIXTURES / "tree"))
    assert roots["whole-syntax.txt", 15].specifier == "~=2.0,!=2.0.5"
    assert roots["base.txt", 2].name == "requests"
    assert [(item.name, str(item.specifier)) for item in found.constraints] == [("urllib3", "<3")]
    assert found.index.index_url == "https://index.example/simple/"
    assert found.index.extra_index_urls == ("https://extra.example/simple/",)
    assert found.index.find_links == (str(FIXTURES / "wheels"),)
    assert found.index.only_binary == (":all:",)
    assert found.index.pre
    assert not found.index.no_index


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF8 + "a==1 # é\n".encode(),
        codecs.BOM_UTF16_LE + "a==1 # é\n".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "a==1 # é\n".encode("utf-16-be"),
        codecs.BOM_UTF32_LE + "a==1 # é\n".encode("utf-32-le"),
        "# -*- coding: latin-1 -*-\na==1 # é\n".encode("latin-1"),
        b"a==1\r\nb==2\r\n",
        b"a==1",
    ],
    ids=["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "latin-1", "crlf", "no newline"],
)
def test_every_encoding_that_pip_takes_is_read(tmp_path: Path, data: bytes) -> None:
    assert parse(tmp_path, data).roots[0].name == "a"


def test_an_encoding_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no-such-code"):
        parse(tmp_path, "# coding: no-such-code\na==1\n")


def test_variables_of_the_environment_are_put_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEX_TOKEN", "t0ken")
    monkeypatch.delenv("NOT_SET", raising=False)
    found = parse(tmp_path, "-i https://user:${INDEX_TOKEN}@index.example/${NOT_SET}\na==1\n")
    assert found.index.index_url == "https://user:t0ken@index.example/${NOT_SET}"


def test_an_error_shows_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEX_TOKEN", "t0ken")
    with pytest.raises(InputError) as caught:
        parse(tmp_path, "a @ https://user:${INDEX_TOKEN}@files.example/a b c\n")
    assert "t0ken" not in caught.value.problem


def test_options_that_concern_builds_alone_are_passed_over(tmp_path: Path) -> None:
    text = 'a==1 --config-settings "x=y z" --global-option="--opt"\n--prefer-binary\n--require-hashes\n'
    assert [str(root.exact) for root in parse(tmp_path, text).roots] == ["1"]


def test_the_same_syntax_has_other_names_too(tmp_path: Path) -> None:
    for name in ("requirements.in", "dev-requirements.txt", "constraints.txt", "anything.txt"):
        (tmp_path / name).write_text("a==1\n")
        assert read(tmp_path / name).roots[0].location.line == 1


def test_extras_of_a_requirements_file_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("a==1\n")
    with pytest.raises(InputError, match="no extras"):
        read(tmp_path / "requirements.txt", extras=["x"])
