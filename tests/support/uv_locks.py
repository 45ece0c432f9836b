"""Lock files of uv, of a project `app` and packages of version 1.0 with one wheel each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

HEAD = """\
version = 1
requires-python = ">=3.10"

[[package]]
name = "app"
version = "0"
source = {{ virtual = "." }}
{needs}"""
PACKAGE = """
[[package]]
name = "{name}"
version = "1.0"
source = {{ registry = "{host}/simple" }}
{needs}wheels = [{{ url = "{host}/{name}-1.0-{tag}.whl" }}]
"""


def uv_lock(
    tags: Mapping[str, str],
    *,
    needs: Mapping[str, Sequence[str]] | None = None,
    host: str = "https://index.example",
) -> str:
    """Return the text of a `uv.lock`; `tags` holds the wheel's by package, `needs` the dependencies of packages.

    The project needs what no package does.
    """
    needs = needs or {}
    direct = [name for name in tags if not any(name in names for names in needs.values())]
    packages = (
        PACKAGE.format(name=name, tag=tag, host=host, needs=_needs(needs.get(name, ()))) for name, tag in tags.items()
    )
    return "".join((HEAD.format(needs=_needs(direct)), *packages))


def _needs(names: Sequence[str]) -> str:
    every = ", ".join(f'{{ name = "{name}" }}' for name in names)
    return f"dependencies = [{every}]\n" if every else ""
