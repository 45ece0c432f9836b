"""Build the small extension modules of fixtures/binaries for every platform, with zig (`pip install ziglang`)."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "fixtures" / "binaries"
SOURCES = ROOT / "src"

TARGETS = {
    "linux-x86_64": ("x86_64-linux-gnu.2.28", ".cpython-314t-x86_64-linux-gnu.so"),
    "linux-aarch64": ("aarch64-linux-gnu.2.28", ".cpython-314t-aarch64-linux-gnu.so"),
    "macos-x86_64": ("x86_64-macos.11.0", ".cpython-314t-darwin.so"),
    "macos-arm64": ("aarch64-macos.11.0", ".cpython-314t-darwin.so"),
    "windows-amd64": ("x86_64-windows-gnu", ".cp314t-win_amd64.pyd"),
    "windows-arm64": ("aarch64-windows-gnu", ".cp314t-win_arm64.pyd"),
}
"""Platform, as `ftaudit --platform` names it: zig's target and the file name's suffix."""

CHAINED = "macos-arm64-chained"
"""As Apple's linker writes them for macOS 12 and later, with chained fixups: LLVM's linker does too, zig's does not."""

LARGE = "macos-arm64"
"""Its 16 KiB pages make each file 50 KB, mostly zeros: a choice of the cases is kept."""
CHOICE = {
    "multi_not_used", "multi_used", "single_set", "single_unset", "constructor", "create_module", "needs_capsule",
    "cpp_strings",
}  # fmt: skip

COMMON = ("-shared", "-O1", "-g0", "-s", "-fno-sanitize=all", "-fno-stack-protector", "-Wall", "-Wextra", "-Werror")
FLAGS = {
    "linux": ("-fPIC", "-nostdlib", "-Wl,-z,max-page-size=4096", "-Wl,--build-id=none"),
    "macos": ("-undefined", "dynamic_lookup"),
    "windows": ("-nostdlib", "-Wl,--no-entry"),
}


SYSTEM_LIBRARIES = {
    "ucrtbase.dll": ("getenv", "strtod", "_initterm"),
    "kernel32.dll": ("TlsAlloc", "TlsGetValue", "TlsSetValue"),
}
"""The sources' imports on Windows from other libraries than CPython's, by library."""


def imported_names(source: Path) -> list[str]:
    """Return the names that mini.h and a source import from CPython; those of data carry what a definition wants."""
    header = (SOURCES / "mini.h").read_text() + source.read_text()
    names = re.findall(r"^IMPORTED .*?\*?(\w+)\(", header, re.MULTILINE)
    data = re.findall(r"^IMPORTED PyObject \*?(\w+);", header, re.MULTILINE)
    return [*(name for name in names if name.startswith(("Py", "_Py"))), *(f"{name} DATA" for name in data)]


def zig(*arguments: str) -> None:
    """Run zig, and fail as it fails."""
    subprocess.run([sys.executable, "-m", "ziglang", *arguments], check=True)


def import_libraries(folder: Path, machine: str, dll: str, source: Path) -> Sequence[str]:
    """Make the import libraries of CPython's DLL and of the system's; return the linker's arguments."""
    libraries = []
    for library, names in ((dll, imported_names(source)), *SYSTEM_LIBRARIES.items()):
        definition = folder / f"{library}.def"
        definition.write_text("\n".join([f"LIBRARY {library}", "EXPORTS", *names]) + "\n")
        archive = folder / f"{library}.lib"
        zig("dlltool", "-m", machine, "-d", str(definition), "-l", str(archive))
        libraries.append(str(archive))
    return libraries


def is_meant_for(source: Path, system: str) -> bool:
    """Return whether a source is for a system: one that calls a system's own libraries says for which it is."""
    match = re.search(r"/\* platforms: (.*) \*/", source.read_text())
    return match is None or system in match[1].split()


def flags_of(source: Path) -> list[str]:
    """Return the compiler flags that a source asks for, which are only for x86-64."""
    match = re.search(r"/\* flags: (.*); x86-64 \*/", source.read_text())
    return match[1].split() if match else []


def link_library(source: Path, platform: str, folder: Path) -> list[str]:
    """Build the shared library that a source asks for, below fixtures/binaries; return what links with it."""
    match = re.search(r"/\* links: (\w+) (\w+) \*/", source.read_text())
    if match is None:
        return []
    system, target = platform.partition("-")[0], TARGETS[platform][0]
    name = {"linux": f"lib{match[1]}.so", "macos": f"lib{match[1]}.dylib", "windows": f"{match[1]}.dll"}[system]
    result = ROOT / "libraries" / platform / name
    result.parent.mkdir(parents=True, exist_ok=True)
    flags = list(FLAGS[system])
    if system == "windows":
        flags += import_libraries(
            folder, "arm64" if platform.endswith("arm64") else "i386:x86-64", "python314t.dll", source
        )
    elif system == "linux":
        flags.append(f"-Wl,-soname,{name}")
    else:
        flags.append(f"-Wl,-install_name,@rpath/{name}")
    zig(
        "cc", "-target", target, *COMMON, "-o", str(folder / name), str(SOURCES / "libraries" / f"{match[1]}.c"), *flags
    )
    keep(folder / name, result)
    if system != "windows":
        return [str(folder / name)]
    definition, archive = folder / f"{name}.def", folder / f"{name}.lib"
    definition.write_text(f"LIBRARY {name}\nEXPORTS\n{match[2]}\n")
    machine = "arm64" if platform.endswith("arm64") else "i386:x86-64"
    zig("dlltool", "-m", machine, "-d", str(definition), "-l", str(archive))
    return [str(archive)]


def keep(output: Path, result: Path) -> None:
    """Copy an image without the name of the folder that it was linked in, which Mach-O files hold."""
    folder = str(output.parent).encode()
    result.write_bytes(output.read_bytes().replace(folder, b"/" + b"x" * (len(folder) - 1)))


def build(platform: str, source: Path) -> Path:
    """Build one module for one platform and return its file."""
    target, suffix = TARGETS[platform]
    system = platform.partition("-")[0]
    result = ROOT / platform / f"{source.stem}{suffix}"
    result.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flags = list(FLAGS[system]) + flags_of(source)
        if system == "windows":
            dll = "python314.dll" if "#define GIL_BUILD" in source.read_text() else "python314t.dll"
            flags += import_libraries(folder, "arm64" if platform.endswith("arm64") else "i386:x86-64", dll, source)
            if source.suffix == ".cpp":
                # A constructor needs the C runtime's start-up code, which the entry point of a DLL is.
                flags = [flag for flag in flags if flag not in FLAGS["windows"]]
        compiler = "c++" if source.suffix == ".cpp" else "cc"
        language = ["-fno-exceptions", "-fno-rtti", "-nostdlib++"] if source.suffix == ".cpp" else []
        flags += link_library(source, platform, folder)
        output = folder / result.name
        zig(compiler, "-target", target, *COMMON, *language, "-o", str(output), str(source), *flags)
        keep(output, result)
    return result


def build_chained(source: Path, linker: str) -> Path:
    """Build one module for macOS with chained fixups; `linker` is LLVM's lld, rust-lld for one."""
    result = ROOT / CHAINED / f"{source.stem}.cpython-314t-darwin.so"
    result.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        compiled, output = Path(name) / "fixture.o", Path(name) / result.name
        flags = [flag for flag in COMMON if flag not in ("-shared", "-s")]
        zig("cc", "-target", "aarch64-macos.12.0", *flags, "-c", "-o", str(compiled), str(source))
        options = ["-bundle", "-arch", "arm64", "-platform_version", "macos", "12.0", "12.0", "-fixup_chains", "-x"]
        options += ["-undefined", "dynamic_lookup", "-o", str(output), str(compiled)]
        subprocess.run([linker, "-flavor", "ld64.lld", *options], check=True)
        keep(output, result)
    return result


def main() -> None:
    """Build all, and print the results. Arguments: platforms or cases to build; `--lld PATH` for the chained one."""
    arguments = sys.argv[1:]
    if "--lld" in arguments:
        position = arguments.index("--lld")
        _, linker = arguments[position : position + 2]
        del arguments[position : position + 2]
        for case in ("runtime_slots", "single_set"):
            print(build_chained(SOURCES / f"{case}.c", linker).relative_to(ROOT))
    wanted = set(arguments)
    for source in sorted(path for path in SOURCES.iterdir() if path.suffix in (".c", ".cpp")):
        for platform in TARGETS:
            if platform == LARGE and source.stem not in CHOICE:
                continue
            if not is_meant_for(source, platform.partition("-")[0]):
                continue
            if flags_of(source) and not platform.endswith(("x86_64", "amd64")):
                continue
            if not wanted or wanted & {platform, source.stem}:
                result = build(platform, source)
                print(f"{result.relative_to(ROOT)}: {result.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
