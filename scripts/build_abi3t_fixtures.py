"""Build the modules of fixtures/abi3t, which are for CPython 3.15, with zig (`pip install ziglang`)."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from build_binary_fixtures import COMMON, FLAGS, TARGETS, import_libraries, keep, zig

ROOT = Path(__file__).resolve().parent.parent / "fixtures" / "abi3t"
SUFFIXES = {
    "linux-x86_64": ".abi3t-x86_64-linux-gnu.so",
    "linux-aarch64": ".abi3t.so",
    "macos-arm64": ".abi3t-darwin.so",
    "windows-amd64": ".pyd",
}
"""Each form that a file's name may have (PEP 803), on the platform that gets it here."""
CHOICE = {"good", "no_abi", "gil_only", "both_hooks", "uses_gil"}
"""The cases that are built for every platform; the others are the same to every format, and built for two."""
WHOLE = {"linux-x86_64", "windows-amd64"}
DLLS = {"": "python3t.dll", "_315t": "python315t.dll", "_abi3": "python3.dll"}
"""The library that `good` is linked with on Windows, by the suffix of its name."""


def build(platform: str, source: Path, ending: str) -> Path:
    """Build one module for one platform and return its file."""
    system = platform.partition("-")[0]
    result = ROOT / platform / f"{source.stem}{ending}{SUFFIXES[platform]}"
    result.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder, flags = Path(name), list(FLAGS[system])
        text = source.read_text()
        if ending:
            # The hook has the name of the file.
            text = text.replace(f"({source.stem})", f"({source.stem}{ending})")
        text = re.sub(r'"module\.h"', f'"{source.parent / "module.h"}"', text)
        copied = folder / source.name
        copied.write_text(text)
        if system == "windows":
            flags += import_libraries(folder, "i386:x86-64", DLLS[ending], copied)
        output = folder / result.name
        zig("cc", "-target", TARGETS[platform][0], *COMMON, "-o", str(output), str(copied), *flags)
        keep(output, result)
    return result


def main() -> None:
    """Build all, or the cases and platforms that are named, and print the results."""
    wanted = set(sys.argv[1:])
    for source in sorted((ROOT / "src").glob("*.c")):
        for platform in SUFFIXES:
            if platform not in WHOLE and source.stem not in CHOICE:
                continue
            for ending in DLLS if (platform, source.stem) == ("windows-amd64", "good") else ("",):
                if not wanted or wanted & {platform, source.stem}:
                    result = build(platform, source, ending)
                    print(f"{result.relative_to(ROOT)}: {result.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
