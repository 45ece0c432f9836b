#!/usr/bin/env python3
"""Builds source-only releases here, and prints the answer of each next to what the source forecasts.

scripts/judge_builds.py                  the twelve releases below (needs the index; takes minutes)
scripts/judge_builds.py NAME==VERSION…   others
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from packaging.version import Version

from ftaudit.engine.build_runs import build_releases
from ftaudit.engine.sdist_declarations import find_declaration
from ftaudit.engine.session import open_session
from ftaudit.engine.tiers.sdists import parse_release
from ftaudit.model import DistributionFile
from ftaudit.model.reasons import InSource
from ftaudit.report.package.local_build_rows import answer_phrase
from ftaudit.sandbox.confined_build import BuildLimits
from ftaudit.settings import Settings

RELEASES = (
    "lru-dict==1.3.0",
    "lz4==4.4.4",
    "zstandard==0.23.0",
    "netifaces==0.11.0",
    "rcssmin==1.2.1",
    "crc32c==2.4",
    "pyahocorasick==2.1.0",
    "psycopg2==2.9.10",
    "mysqlclient==2.2.7",
    "python-ldap==3.4.4",
    "orjson==3.11.4",
    "safetensors==0.5.3",
)
SECONDS = 600


def forecast(name: str, version: Version) -> str:
    """Return the declaration of a build that a scan of the source distribution forecasts."""
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "requirements.txt"
        asked.write_text(f"{name}=={version}\n")
        sdist = DistributionFile(filename=f"{name}-{version}.tar.gz")
        with open_session([str(asked)], Settings(no_deps=True)) as session:
            said = find_declaration(session, name, version, sdist)
    return said.declares.value if isinstance(said, InSource) else "not read"


def main() -> None:
    """Print a row for each release."""
    releases = [found for text in sys.argv[1:] or RELEASES if (found := parse_release(text)) is not None]
    print(f"{'release':28} {'forecast':13} {'seconds':>7}  answer")
    for built in build_releases(releases, Settings(), limits=BuildLimits(seconds=SECONDS)):
        try:
            expected = forecast(built.name, Version(built.version))
        except Exception as error:  # A forecast that fails is a row, too.
            expected = type(error).__name__
        release = f"{built.name}=={built.version}"
        first = (built.error or "")[:100]
        print(f"{release:28} {expected:13} {built.seconds:7.1f}  {answer_phrase(built)}  {first}", flush=True)


if __name__ == "__main__":
    main()
