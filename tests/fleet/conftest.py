"""Commands of fleets, and one run over a few repositories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fixture_wheels import GOOD, GUILTY, project_name, uv_lock, wheel_of
from support.fleet_runs import Fleet, Run
from support.index_server import IndexServer

from ftaudit.cli import main


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> tuple[int, str]:
        code = main(list(map(str, arguments)))
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    base = tmp_path_factory.mktemp("fleet")
    repositories = base / "repositories"
    with IndexServer() as server:
        places = {}
        for module in (GOOD, GUILTY):
            file = wheel_of(module)
            server.add_project(project_name(module), [file])
            places[module] = (server.file_url(file.filename), file.digest)
        content = {
            "team/first/uv.lock": uv_lock(places),
            "team/second/uv.lock": uv_lock({GOOD: places[GOOD]}),
            "third/requirements.txt": f"{project_name(GUILTY)}==1.0\n",
            "empty/.git/HEAD": "",
            "broken/uv.lock": "version = [",
        }
        for name, text in content.items():
            path = repositories / name
            path.parent.mkdir(parents=True)
            path.write_text(text)
        made = Fleet(server=server, repositories=repositories, cache=base / "cache", data=base / "data", code=0)
        made.code = main(list(map(str, made.check(made.data))))
        yield made
