"""FT430: a PyO3 module that uses the GIL, by the default of its version or by declaration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from packaging.version import Version

from ftaudit.model import Applicability, Confidence, Finding, Fix, GilDeclaration, NoFix, Obstacle, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import RustRule
from ftaudit.source.rust import RustAttribute, RustUnit

if TYPE_CHECKING:
    from tree_sitter import Node

_KNOWS: Final = Version("0.23")
_DEFAULT_FLIPPED: Final = Version("0.28")
_NEEDS_314: Final = Version("0.29")
_CALL: Final = re.compile(r"\.\s*gil_used\s*\(\s*(true|false)\s*\)")
_ATTRIBUTE: Final = re.compile(rb"\bpymodule\b\s*(?P<given>\(\s*(?=[^)\s]))?")
_ARGUMENT: Final = re.compile(r"\bgil_used=(true|false)\b")


class Pyo3GilUsed(RustRule):
    """From PyO3 0.23 to 0.27 a module uses the GIL unless it declares `gil_used = false`. From 0.28 on the default is
    the opposite. Importing a module that uses the GIL turns the GIL on for the whole process. The rule takes the PyO3
    version from `Cargo.lock`, or from the requirement in `Cargo.toml` if no version is locked.
    """

    info = RuleInfo(
        code="FT430",
        name="pyo3-gil-used",
        summary="A PyO3 module uses the GIL, so importing it turns the GIL back on.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        asks_to_declare=True,
        remedy=(
            "Once the crate is safe without the GIL, write `#[pymodule(gil_used = false)]`, or use PyO3 0.28 or later."
        ),
        links=("https://pyo3.rs/latest/free-threading.html",),
        declares=GilDeclaration.UNDECLARED,
    )

    VALID = (
        SourceExample(
            code="#[pymodule(gil_used = false)]\nfn m(m: &Bound<PyModule>) -> PyResult<()> { Ok(()) }\n",
            others=(("Cargo.toml", '[dependencies]\npyo3 = "0.25"\n'),),
            instead=True,
        ),
        SourceExample(
            code="#[pymodule]\nfn m(m: &Bound<PyModule>) -> PyResult<()> { m.gil_used(false)?; Ok(()) }\n",
            others=(("Cargo.toml", '[dependencies]\npyo3 = "0.25"\n'),),
        ),
        SourceExample(
            code="#[pymodule]\nfn m(m: &Bound<PyModule>) -> PyResult<()> { Ok(()) }\n",
            others=(
                ("Cargo.toml", '[dependencies]\npyo3 = ">=0.25"\n'),
                ("Cargo.lock", '[[package]]\nname = "pyo3"\nversion = "0.28.1"\n'),
            ),
        ),
        SourceExample(
            code="#[pymodule(gil_used = false)]\n"
            "mod m {\n"
            "    #[pymodule]\n"
            "    mod inner {}\n"
            "    #[pymodule_export]\n"
            "    use super::A;\n"
            "}\n",
            others=(("Cargo.toml", '[dependencies]\npyo3 = "0.25"\n'),),
        ),
        SourceExample(
            code="#[pymodule]\nfn m(m: &Bound<PyModule>) -> PyResult<()> { Ok(()) }\n",
            others=(("Cargo.toml", '[dependencies]\npyo3 = "0.22"\n'),),
        ),
    )
    INVALID = (
        SourceExample(
            code="#[pymodule]\nfn m(m: &Bound<PyModule>) -> PyResult<()> { Ok(()) }\n",
            others=(("Cargo.toml", '[dependencies]\npyo3 = { version = "0.25", features = ["extension-module"] }\n'),),
            lines=(1,),
        ),
        SourceExample(
            code="/// docs\n"
            "#[pyo3::pymodule]\n"
            '#[pyo3(name = "rpds")]\n'
            "fn m(m: &Bound<PyModule>) -> PyResult<()> { Ok(()) }\n",
            others=(("Cargo.toml", '[workspace.dependencies]\npyo3 = "0.27.2"\n'),),
            lines=(2,),
        ),
        SourceExample(
            code="#[pymodule(gil_used = true)]\nfn m(m: &Bound<PyModule>) -> PyResult<()> { Ok(()) }\n",
            others=(("Cargo.toml", '[dependencies]\npyo3 = "0.28"\n'),),
            lines=(1,),
        ),
        SourceExample(
            code="#[pymodule]\nfn m(m: &Bound<PyModule>) -> PyResult<()> { Ok(()) }\n",
            others=(("Cargo.toml", '[dependencies]\npyo3 = "0.29"\n'),),
            lines=(1,),
            target="3.13t",
        ),
    )

    def check(self, unit: RustUnit) -> Iterator[Finding]:
        """Yield each module that declares the GIL used, by declaration or by default."""
        version = unit.pyo3
        for item, attribute in _modules(unit):
            said = _ARGUMENT.search(attribute.arguments) or _CALL.search(unit.text_of(item))
            where = unit.at(attribute.node.start_byte)
            if said is not None and said[1] == "true":
                yield self.finding(
                    "the module declares `gil_used = true`: importing it turns the GIL back on",
                    location=where,
                    remedy="Make the crate safe without the GIL, then remove the argument.",
                    declares=GilDeclaration.USED,
                )
            elif said is None and version is not None and _KNOWS <= version < _DEFAULT_FLIPPED:
                yield self.finding(
                    f"the module does not declare `gil_used = false`, which PyO3 {version} needs to leave the GIL off",
                    location=where,
                )
            elif version is not None and version >= _NEEDS_314 and unit.target.version < (3, 14):
                yield self.finding(
                    f"PyO3 {version} does not support {unit.target.name}: its oldest free-threaded version is 3.14",
                    location=where,
                    remedy="Use PyO3 0.28 for this target, or stop supporting the target.",
                    declares=GilDeclaration.UNDETERMINED,
                )

    def fix(self, unit: RustUnit, finding: Finding) -> Fix | NoFix:
        """Declare that the module does not use the GIL."""
        if finding.declares is GilDeclaration.USED:
            return NoFix(obstacle=Obstacle.AUTHOR_SAYS_USED)
        if finding.location is None or finding.declares is not GilDeclaration.UNDECLARED:
            return NoFix(obstacle=Obstacle.NOT_MECHANICAL)
        at = unit.offset_of(finding.location)
        found = _ATTRIBUTE.search(unit.data, at, at + 200)
        if found is None:
            return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
        said = b"gil_used = false".decode()
        edit = (
            unit.edit(found.end(), found.end(), f"{said}, ")
            if found["given"]
            else unit.edit(found.end(), found.end(), f"({said})")
        )
        return Fix(applicability=Applicability.SUGGESTED, edits=(edit,))


def _modules(unit: RustUnit) -> Iterator[tuple[Node, RustAttribute]]:
    """Yield the outermost module items; a module declared within another is part of that one."""
    for item in unit.of("function_item", "mod_item"):
        for attribute in unit.attributes(item):
            if attribute.path.rpartition("::")[2] != "pymodule" or unit.off_when_free_threaded(item):
                continue
            if "submodule" not in attribute.arguments and not _inside_module(unit, item):
                yield item, attribute


def _inside_module(unit: RustUnit, item: Node) -> bool:
    above = item.parent
    while above is not None:
        if above.type == "mod_item" and any(each.path.endswith("pymodule") for each in unit.attributes(above)):
            return True
        above = above.parent
    return False
