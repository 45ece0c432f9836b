"""CPython's file names for extension modules: the meaning of each suffix, and each version's search order.

`Python/dynload_shlib.c` and `configure.ac` (`SOABI`, `SOABI_PLATFORM`) for `.so`, `Python/dynload_win.c` and
`PC/pyconfig.h.in` for `.pyd`. `tests/cpython/test_facts.py` compares them with `EXTENSION_SUFFIXES` of
`importlib.machinery`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ftaudit.cpython.versions import ABI3T_SINCE, Version

_SUFFIX: Final = re.compile(
    r"\.(?:"
    r"(?:cpython-(?P<so>\d+[a-z]*)|(?P<stable_so>abi3t?))(?:-(?P<platform>[\w-]+))?\.so"
    r"|(?:cp(?P<pyd>\d+[a-z]*)-(?P<windows>\w+)|(?P<stable_pyd>abi3t?))\.pyd"
    r"|(?P<plain>so|pyd)"
    r")$"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Suffix:
    """The facts in the end of a file's name about the extension module in it."""

    text: str
    """`.cpython-314t-x86_64-linux-gnu.so`, with the leading dot."""
    abi: str | None
    """`cp314t`, `cp314`, `abi3` or `abi3t`; `None` for a suffix without an ABI."""
    platform: str | None
    """`x86_64-linux-gnu`, `darwin` or `win_amd64` (PEP 3149, `Misc/platform_triplet.c`), if the suffix names one."""

    @property
    def is_windows(self) -> bool:
        """Whether it ends in `.pyd`."""
        return self.text.endswith(".pyd")

    @property
    def is_stable(self) -> bool:
        """Whether it names a stable ABI."""
        return self.abi in ("abi3", "abi3t")


def find_suffix(filename: str) -> Suffix | None:
    """Return the suffix of an extension module's file, or `None` for any other file."""
    match = _SUFFIX.search(filename)
    if match is None:
        return None
    tag = match["so"] or match["pyd"]
    return Suffix(
        text=match[0],
        abi=f"cp{tag}" if tag else match["stable_so"] or match["stable_pyd"],
        platform=match["platform"] or match["windows"],
    )


def suffix_order(suffix: Suffix, version: Version) -> int | None:
    """Return the suffix's position in the search order of a version's free-threaded build; `None` if it is not there.

    The platform that the suffix names is taken to be the one that the build runs on. Up to 3.14 a free-threaded build
    loads `abi3`, whose object layout is not its own; from 3.15 on it loads `abi3t` in its place (PEP 803). On Windows
    there is no suffix for a stable ABI.
    """
    stable = "abi3t" if version >= ABI3T_SINCE else "abi3"
    if suffix.abi == f"cp{version[0]}{version[1]}t":
        return 0 if suffix.platform is not None or not suffix.is_windows else None
    if suffix.abi is None:
        return 3
    if suffix.is_windows or suffix.abi != stable:
        return None
    if suffix.platform is None:
        return 2
    return 1 if version >= ABI3T_SINCE else None


def extension_suffixes(version: Version, platform: str) -> tuple[str, ...]:
    """Return what `importlib.machinery.EXTENSION_SUFFIXES` is in the free-threaded build of a version.

    `platform` is the name that its suffixes carry: `x86_64-linux-gnu`, `darwin`, `win_amd64`.
    """
    tag = f"{version[0]}{version[1]}t"
    if platform.startswith("win"):
        return (f".cp{tag}-{platform}.pyd", ".pyd")
    own = f".cpython-{tag}-{platform}.so"
    if version >= ABI3T_SINCE:
        return (own, f".abi3t-{platform}.so", ".abi3t.so", ".so")
    return (own, ".abi3.so", ".so")
