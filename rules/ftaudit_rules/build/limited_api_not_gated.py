"""FT110: the build always asks for the limited API, which free-threaded builds before 3.15 do not have."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.version import Version

from ftaudit.cpython.versions import ABI3T_SINCE
from ftaudit.model import Confidence, Finding, Fix, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Room, Unit
from ftaudit.source.build import BuildContext, FactKind
from ftaudit.source.build.build_edits import gate_limited_api
from ftaudit.source.rust import least_version

_FIRST = ABI3T_SINCE[0] << 24 | ABI3T_SINCE[1] << 16
"""The lowest `Py_LIMITED_API` with which headers of free-threaded builds compile (`Include/pyabi.h`)."""
_PYO3_IGNORES_ABI3 = Version("0.23")
"""From this version on PyO3 builds for the exact Python version if it has no stable ABI (PyO3 #4719)."""


class LimitedApiNotGated(BuildRule):
    """Up to 3.14 the headers of a free-threaded build reject `Py_LIMITED_API`, and setuptools rejects the wheel's
    tag.

    A build that uses either of them without checking the interpreter fails there. Both must depend on the interpreter:
    the option that tags the wheel `abi3`, and the macro for the compiler. From 3.15 on the limited API exists on
    free-threaded builds too (PEP 803); their headers reject any version below 3.15.
    """

    info = RuleInfo(
        code="FT110",
        name="limited-api-not-gated",
        summary="The build uses the limited API without checking whether the interpreter is free-threaded.",
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            'Set `py_limited_api = not sysconfig.get_config_var("Py_GIL_DISABLED")`, and define `Py_LIMITED_API` only '
            "if it is true."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html#limited-c-api-and-stable-abi",
            "https://peps.python.org/pep-0803/",
        ),
    )

    VALID = (
        SourceExample(
            code="class Wheel(bdist_wheel):\n    def get_tag(self):\n        python, abi, plat = super().get_tag()\n"
            "        if abi.endswith('t'):\n            return python, abi, plat\n"
            "        return 'cp310', 'abi3', plat\n"
        ),
        SourceExample(
            code='FT = sysconfig.get_config_var("Py_GIL_DISABLED")\n'
            'setup(ext_modules=[Extension("m", ["m.c"], py_limited_api=not FT,\n'
            '    define_macros=[] if FT else [("Py_LIMITED_API", "0x030A0000")])])\n',
            instead=True,
        ),
        SourceExample(
            code='GIL_OFF = sysconfig.get_config_var("Py_GIL_DISABLED")\n'
            "if setuptools and not GIL_OFF:\n"
            '    options = {"bdist_wheel": {"py_limited_api": "cp39"}}\n'
            '    macros.append(("Py_LIMITED_API", "0x03090000"))\n'
            "else:\n"
            "    options = {}\n"
        ),
        SourceExample(
            code='options = {"bdist_wheel": {"py_limited_api": "cp39"}}\n'
            'setup(options=options if "t" not in sys.abiflags else {})\n'
        ),
        SourceExample(
            code='if not bool(sysconfig.get_config_var("Py_GIL_DISABLED")):\n'
            "    class Wheel(bdist_wheel):\n        def finalize_options(self):\n"
            '            self.py_limited_api = f"cp3{sys.version_info[1]}"\n'
        ),
        SourceExample(code='Extension("m", ["m.c"], py_limited_api=True)\n', target="3.15t"),
        SourceExample(
            code='macros = [("Py_LIMITED_API", "0x030F0000")]\n'
            'options = {"bdist_wheel": {"py_limited_api": "cp315"}}\n',
            target="3.15t",
        ),
        SourceExample(code='Extension("m", ["m.c"], py_limited_api=False)\n'),
        SourceExample(
            path="linter.py",
            code='def is_limited(text):\n    """Look for Py_LIMITED_API."""\n'
            '    return text.startswith(("-DPy_LIMITED_API", "--py-limited-api=")) or text == "-DPy_LIMITED_API=1"\n',
        ),
        SourceExample(path="linter.py", code='KNOWN = ["-DPy_LIMITED_API", "-DNDEBUG"]\n'),
        SourceExample(
            path="CMakeLists.txt",
            code='if(NOT SKBUILD_SABI_VERSION STREQUAL "")\n'
            "  add_compile_definitions(Py_LIMITED_API=0x030A0000)\n"
            "endif()\n",
        ),
    )
    INVALID = (
        SourceExample(
            code='setup(ext_modules=[Extension("m", ["m.c"], py_limited_api=True,\n'
            '    define_macros=[("Py_LIMITED_API", "0x030A0000")])])\n',
            lines=(2,),
            target="3.15t",
        ),
        SourceExample(path="setup.cfg", code="[bdist_wheel]\npy_limited_api = cp314\n", lines=(2,), target="3.15t"),
        SourceExample(
            path="CMakeLists.txt",
            code="target_compile_definitions(m PRIVATE Py_LIMITED_API=0x030B0000)\n",
            lines=(1,),
            target="3.15t",
        ),
        SourceExample(
            path="meson.build",
            code="py.extension_module('m', 'm.c', limited_api: '3.12')\n",
            lines=(1,),
            target="3.15t",
        ),
        SourceExample(
            code='setup(ext_modules=[Extension("m", ["m.c"], py_limited_api=True,\n'
            '    define_macros=[("Py_LIMITED_API", "0x030A0000")])])\n',
            lines=(1, 2),
        ),
        SourceExample(
            code='usable = not sysconfig.get_config_var("Py_GIL_DISABLED")\n'
            'Extension("m", ["m.c"], py_limited_api=usable, define_macros=[("Py_LIMITED_API", "0x03090000")])\n',
            lines=(2,),
        ),
        SourceExample(
            code='if os.name == "posix":\n    py_limited_api = {"py_limited_api": True}\n'
            '    macros.append(("Py_LIMITED_API", "0x03060000"))\n',
            lines=(2, 3),
        ),
        SourceExample(
            code="class Wheel(bdist_wheel):\n    def finalize_options(self):\n"
            '        self.py_limited_api = "cp3{}".format(sys.version_info[1])\n',
            lines=(3,),
        ),
        SourceExample(path="setup.cfg", code="[bdist_wheel]\npy_limited_api = cp35\n", lines=(2,)),
        SourceExample(path="pyproject.toml", code="[tool.meson-python]\nlimited-api = true\n", lines=(2,)),
        SourceExample(
            path="CMakeLists.txt", code="target_compile_definitions(m PRIVATE Py_LIMITED_API=0x03080000)\n", lines=(1,)
        ),
        SourceExample(
            path="setup.py",
            code='flags = ["-DPy_LIMITED_API=0x03090000"]\nsetup(ext_modules=[Extension("m", ["m.c"],\n'
            "    extra_compile_args=flags)])\n",
            lines=(1,),
        ),
        SourceExample(
            path="Cargo.toml",
            code='[dependencies]\npyo3 = { version = "0.22", features = ["abi3-py38"] }\n',
            lines=(2,),
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield each unconditional request."""
        build = project.context.of(Room.BUILD, BuildContext)
        switched = bool(build.of(FactKind.NO_LIMITED_API_OPTION))
        for fact in build.of(FactKind.LIMITED_API):
            if fact.settled or (switched and fact.path.endswith((".build", ".toml"))):
                continue
            if project.target.version < ABI3T_SINCE:
                why = "free-threaded builds before 3.15 have no limited API"
            elif fact.asked is not None and fact.asked < _FIRST:
                why = (
                    f"the limited API of free-threaded builds starts at 3.15, and this asks for {_version(fact.asked)}"
                )
            else:
                continue
            yield self.finding(
                f"`{fact.value}` is set for every interpreter, but {why}",
                location=project.location(fact.path, fact.line, fact.column),
            )
        for fact in build.of(FactKind.PYO3):
            version = least_version(fact.value)
            abi3 = [name for name in fact.names if name.startswith("feature:abi3")]
            if abi3 and version is not None and version < _PYO3_IGNORES_ABI3:
                yield self.finding(
                    (
                        f"PyO3 {version} builds for the limited API (`{abi3[0].removeprefix('feature:')}`) even on "
                        "interpreters without it"
                    ),
                    location=project.location(fact.path, fact.line, fact.column),
                    remedy="Use PyO3 0.23 or later, which builds for the exact Python version on free-threaded builds.",
                )

    def fix(self, unit: Unit, finding: Finding) -> Fix | NoFix:
        """Ask for the limited API only if the interpreter has one."""
        return gate_limited_api(unit, finding)


def _version(hexadecimal: int) -> str:
    return f"{hexadecimal >> 24}.{hexadecimal >> 16 & 0xFF}"
