"""`ftaudit fleet report`: bad folders are errors, other folders stay as they are, and changes are those of projects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.fleets import LINUX, Project, Release, write_fleet

from ftaudit.cli import main
from ftaudit.model import Verdict
from ftaudit.report import changed_projects

MAC = "macos-arm64"
READY = Release(name="quick", verdict=Verdict.READY, platforms=(LINUX, MAC))
STUCK = Release(name="stuck", verdict=Verdict.SOURCE_ONLY, kind="none")
SLOW = Release(name="slow", verdict=Verdict.FALLBACK, kind="pure")
PROJECTS = (Project(id="acme/web", pins=(READY, STUCK)), Project(id="acme/fine", pins=(READY,)))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["fleet", "report", "--quiet", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    yield call


def test_a_site_is_replaced_as_a_whole_and_other_folders_are_never_touched(run: Any) -> None:
    write_fleet(Path("run"), (READY, STUCK), PROJECTS)
    code, out, _ = run("run", "-o", "deep/site")
    assert code == 0 and "deep/site/index.html" in out and Path("deep/site/projects.html").is_file()
    Path("run2").mkdir()
    write_fleet(Path("run2"), (READY,))
    assert run("run2", "-o", "deep/site")[0] == 0
    assert not Path("deep/site/projects.html").exists() and [path.name for path in Path("deep").iterdir()] == ["site"]

    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years")
    Path("file").write_text("x")
    for place in ("mine", "file"):
        code, _, err = run("run", "-o", place)
        assert code == 2 and place in err
    assert Path("mine/thesis.txt").read_text() == "years"
    before = sorted(path.name for path in Path("deep/site").iterdir())
    Path("run/run.json").write_text(Path("run/run.json").read_text().replace('"check"', '"dance"'))
    for broken in ("run", "nowhere", "mine"):
        code, _, err = run(broken, "-o", "deep/site")
        assert code == 2 and "Traceback" not in err
    assert sorted(path.name for path in Path("deep/site").iterdir()) == before


def test_a_site_never_replaces_the_folder_of_its_own_runs(run: Any) -> None:
    write_fleet(Path("run"), (READY,))
    assert run("run", "-o", "site")[0] == 0
    for inside in ("site/now", "site/deep/before"):
        write_fleet(Path(inside), (READY,))
    for arguments in (("site/now", "-o", "site"), ("run", "--since", "site/deep/before", "-o", "site/../site")):
        code, _, err = run(*arguments)
        assert (code, "contains the run" in err) == (2, True)
    assert Path("site/now/run.json").is_file() and Path("site/deep/before/run.json").is_file()


def test_a_damaged_data_set_is_an_error(run: Any) -> None:
    for number, bad in enumerate((replace(READY, kind="splendid"), READY)):
        folder = write_fleet(Path(f"run{number}"), (bad,))
        if number:
            (part,) = (folder / "packages" / "target=3.14t").iterdir()
            part.write_bytes(part.read_bytes()[:-20])
        code, _, err = run(str(folder), "-o", "site")
        assert code == 2 and "Traceback" not in err and not Path("site").exists()


def test_the_changes_between_two_runs_are_those_of_each_project(run: Any) -> None:
    worse = replace(READY, verdict=Verdict.REENABLES_GIL)
    fixed = replace(STUCK, fix="3.0", elsewhere=("win_amd64",))
    old = (Project(id="a", pins=(READY,)), Project(id="b", pins=(STUCK,)), Project(id="gone", pins=(READY,)))
    new = (Project(id="a", pins=(worse,)), Project(id="b", pins=(fixed,)), Project(id="new", pins=(SLOW,)))
    write_fleet(Path("old"), (READY, STUCK), old, platforms=(LINUX, MAC), ended="2026-11-23T06:00:00+00:00")
    write_fleet(Path("new"), (worse, fixed, SLOW), new, platforms=(LINUX, MAC))
    assert run("new", "--since", "old", "-o", "site")[0] == 0
    page = Path("site/changes.html").read_text()
    assert "From the run that ended" in page and "2026-11-23" in page
    told = re.sub(r"<[^>]+>", " ", page)
    told = re.sub(r"\s+", " ", told)
    assert "then: of 1 package" not in told and "now: the one package with a cp314t wheel turns the GIL back on" in told
    assert "quick 1.0 ready → 1.0 reenables-gil" in told and "stuck 1.0 source-only: 3.0 is the first good" in told
    assert "Added projects 1 new" in told and "Removed projects 1 gone" in told
    assert "changes.html" in Path("site/index.html").read_text()
    for form, name in (("table", "news.txt"), ("json", "news.json"), ("markdown", "news.md")):
        assert main(["fleet", "changes", "old", "new", "--format", form, "--output", name]) == 1
    assert "CHANGED: 2 of 3 projects changed." in Path("news.txt").read_text()
    assert "added: new" in Path("news.txt").read_text() and "**quick** 1.0 ready" in Path("news.md").read_text()
    document = json.loads(Path("news.json").read_text())
    jsonschema.Draft202012Validator(changed_projects.schema()).validate(document)
    assert (document["quiet"], document["added"], document["removed"]) == (1, ["new"], ["gone"])
    assert main(["fleet", "changes", "new", "new", "--quiet"]) == 0
    assert run("new", "--since", "new", "-o", "site")[0] == 0
    assert "Nothing has changed." in Path("site/changes.html").read_text()
    write_fleet(Path("survey"), (READY,))
    code, _, err = run("new", "--since", "survey", "-o", "site")
    assert code == 2 and "one run is a survey, the other is a check" in err


def test_a_project_that_cannot_be_read_any_more_is_neither_gone_nor_unchanged(run: Any) -> None:
    stuck = Project(id="b", pins=(STUCK,))
    write_fleet(Path("old"), (READY, STUCK), (Project(id="a", pins=(READY,)), stuck))
    write_fleet(Path("new"), (READY, STUCK), (Project(id="a", problem="uv.lock is empty"), stuck))
    assert main(["fleet", "changes", "old", "new", "--format", "json", "--output", "news.json"]) == 3
    document = json.loads(Path("news.json").read_text())
    assert document["failed"] == [{"project": "a", "problem": "uv.lock is empty"}] and document["removed"] == []
    assert main(["fleet", "changes", "new", "old", "--quiet"]) == 0, "it has no blocker when it is read again"
    dark = Project(id="b", pins=(Release(name="stuck", verdict=Verdict.UNKNOWN),))
    write_fleet(Path("dark"), (READY, *dark.pins), (Project(id="a", pins=(READY,)), dark))
    assert main(["fleet", "changes", "old", "dark", "--quiet"]) == 3


def changes_in_every_format(
    run: Any, old: str, new: str, *, with_site: bool = True
) -> tuple[int, dict[str, Any], list[str]]:
    """Return the exit code, the JSON document, and the text of the other formats and of the site in one line each."""
    codes = {
        main(["fleet", "changes", old, new, "--quiet", "--format", form, "--output", f"news.{form}"])
        for form in ("table", "json", "markdown")
    }
    document = json.loads(Path("news.json").read_text())
    jsonschema.Draft202012Validator(changed_projects.schema()).validate(document)
    (code,) = codes
    assert document["exit_code"] == code
    texts = [Path("news.table").read_text(), Path("news.markdown").read_text().replace("\\", "")]
    if with_site:
        assert run(new, "--since", old, "-o", "site")[0] == 0
        texts.append(re.sub(r"<[^>]+>", "", Path("site/changes.html").read_text()))
    return code, document, [re.sub(r"\s+", " ", text) for text in texts]


BROKEN = Release(name="broken", verdict=Verdict.BROKEN)
BOTH = replace(BROKEN, platforms=(LINUX, MAC))


@pytest.mark.parametrize("projects", [(Project(id="a", pins=(BROKEN,)), Project(id="b", pins=(READY,))), ()])
def test_a_target_or_platform_that_one_run_lacks_is_a_first_run_or_is_not_compared_in_every_format(
    run: Any, projects: tuple[Project, ...]
) -> None:
    several = tuple(
        replace(one, pins=tuple(replace(pin, platforms=(LINUX, MAC)) for pin in one.pins)) for one in projects
    )
    write_fleet(Path("one"), (BROKEN, READY), projects)
    write_fleet(Path("targets"), (BROKEN, READY), projects, targets=("3.14t", "3.15t"))
    write_fleet(Path("platforms"), (BOTH, READY), several, platforms=(LINUX, MAC))
    write_fleet(Path("another"), (BROKEN, READY), projects, targets=("3.15t",))
    for new, target, platform in (
        ("targets", "3.15t", LINUX),
        ("platforms", "3.14t", MAC),
        ("another", "3.15t", LINUX),
    ):
        code, document, texts = changes_in_every_format(run, "one", new, with_site=new == "targets")
        assert (code, document["first"]) == (1, [{"target": target, "platforms": [platform]}])
        assert all(f"first run for {target} {platform}: its blockers are listed as worse" in text for text in texts)
        assert all("CHANGED: 1 of 2" in text or "changed 1 of 2" in text for text in texts)
        assert all("broken new: 1.0 broken" in text.replace("**", "").replace("  ", " ") for text in texts), texts
    for old, target, platform in (("targets", "3.15t", LINUX), ("platforms", "3.14t", MAC)):
        code, document, texts = changes_in_every_format(run, old, "one", with_site=old == "targets")
        assert (code, document["not_compared"]) == (0, [{"target": target, "platforms": [platform]}])
        assert all(f"not compared: {target} {platform}: in the old run only" in text for text in texts)


def test_what_was_not_checked_is_in_every_format_and_nothing_is_called_unchanged(run: Any) -> None:
    dark = replace(BROKEN, verdict=Verdict.UNKNOWN)
    old = (Project(id="a", pins=(BROKEN,)), Project(id="b", pins=(READY,)), Project(id="c", problem="not TOML"))
    new = (
        Project(id="a", pins=(dark,)),
        Project(id="b", problem="uv.lock is empty"),
        Project(id="c", pins=(READY,), incomplete=("a link", "another link")),
    )
    write_fleet(Path("old"), (BROKEN, READY), old)
    write_fleet(Path("new"), (dark, READY), new)
    code, document, texts = changes_in_every_format(run, "old", "new")
    assert (code, document["failed"]) == (3, [{"project": "b", "problem": "uv.lock is empty"}])
    for said in (
        "no project is known to have changed; not everything could be checked; 1 project could not be read",
        "could not be read: b: uv.lock is empty",
        "could not be checked in a (3.14t): 1 package: broken",
        "not sure about c (3.14t): another link",
        "first run for c: the old run could not read it",
    ):
        assert all(said in text for text in texts), said


def test_own_edits_and_updates_that_are_as_good_as_before_are_not_news(run: Any) -> None:
    newer = replace(READY, version="2.0")
    write_fleet(Path("old"), (READY,), (Project(id="a", pins=(READY,)),))
    write_fleet(Path("new"), (newer,), (Project(id="a", pins=(newer,)),))
    write_fleet(Path("survey"), (READY, BROKEN))
    write_fleet(Path("later"), (newer, BROKEN))
    for old, new, noun in (("old", "new", "1 project"), ("survey", "later", "2 packages")):
        code, _, texts = changes_in_every_format(run, old, new, with_site=False)
        said = f"nothing needs your attention in {noun}; 1 {noun[2:9]} has only changes that are as good as before."
        assert code == 0 and all(said in text for text in texts), texts
