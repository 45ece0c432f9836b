"""The standalone scripts that show a failure, for an upstream issue and for `--replay`."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ftaudit.model import Package, Report, StressFailure
from ftaudit.model.sentences import failure_sentence


def scripts(report: Report) -> Iterator[tuple[str, str]]:
    """Yield a file name and a script for each failure in the report."""
    for package in report.packages:
        for number, failure in enumerate(package.facts.stress.failures, start=1):
            if failure.script:
                yield f"{package.facts.pin.name}-{package.facts.pin.version}-{number}.py", script_of(package, failure)


def script_of(package: Package, failure: StressFailure) -> str:
    """Return one script, with metadata (PEP 723) that states the packages to install and the observed failure."""
    pin, stress = package.facts.pin, package.facts.stress
    facts = {
        "kind": failure.kind.value,
        "target": failure.unit.target,
        "operations": list(failure.unit.operations),
        "seed": stress.seed,
        "failed": failure.failed,
        "failed_with_gil": failure.control,
        "tries": failure.tries,
    }
    head = ["# /// script", f"# requires-python = {_quoted(_requires(package.facts.target))}"]
    head += [f"# dependencies = [{_quoted(f'{pin.name}=={pin.version}')}]", "#", "# [tool.ftaudit.stress]"]
    head += [f"# {name} = {_quoted(value)}" for name, value in facts.items()]
    head += ["# ///"]
    text = [f"{pin.name} {pin.version}: {_plain(failure_sentence(failure))}", ""]
    text += [f"Found by `ftaudit stress` with seed {stress.seed} on CPython {stress.interpreter}.", ""]
    text += ["Run it under a free-threaded CPython, and under one with PYTHON_GIL=1 to compare. It ends with a signal,"]
    text += ["never ends, or ends with exit code 1 where it fails."]
    body = "\n".join(text).replace("\\", "\\\\").replace('"""', "'''")
    return "\n".join(head) + f'\n"""{body}\n"""\n\n{failure.script}'


def _requires(target: str) -> str:
    return f"=={target.rstrip('t')}.*"


def _quoted(value: object) -> str:
    """Return a value in TOML syntax, which is the same as JSON for these kinds."""
    return json.dumps(value)


def _plain(text: str) -> str:
    return " ".join(text.split())
