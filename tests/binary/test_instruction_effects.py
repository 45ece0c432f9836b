"""What instructions read and write, where the disassembler says nothing, or something else."""

from __future__ import annotations

import pytest

from ftaudit.binary.emulator.taint.instruction_effects import Decoder, InstructionKind
from ftaudit.binary.image.mapped import AARCH64, X86_64

ARM = {
    "cmp x11, x9": ("7f0109eb", {"x11", "x9"}, {"flags"}, 0, 0),
    "cmp x11, #0": ("7f0100f1", {"x11"}, {"flags"}, 0, 0),
    "cmp w11, w9": ("7f01096b", {"x11", "x9"}, {"flags"}, 0, 0),
    "cmn x11, #1": ("7f0500b1", {"x11"}, {"flags"}, 0, 0),
    "tst x11, x9": ("7f0109ea", {"x11", "x9"}, {"flags"}, 0, 0),
    "cbz x0, …": ("600000b4", {"x0"}, set(), 0, 0),
    "ldr x0, [x1], #8": ("208440f8", set(), {"x0"}, 1, 0),
    "ldadd x1, x2, [x0]": ("020021f8", {"x1", "x2"}, {"x1", "x2"}, 1, 1),
    "swp x1, x2, [x0]": ("028021f8", {"x1", "x2"}, {"x1", "x2"}, 1, 1),
    "cas x0, x1, [x2]": ("417ca0c8", {"x0", "x1"}, {"x0", "x1"}, 1, 1),
    "stlr x0, [x1]": ("20fc9fc8", {"x0"}, set(), 0, 1),
}
X86 = {
    "cmpxchg [rdx], rcx": ("480fb10a", {"ax", "cx"}, {"ax", "flags"}, 1, 1),
    "cmpxchg16b [rdx]": ("480fc70a", {"ax", "bx", "cx"}, {"ax", "dx", "flags"}, 1, 1),
    "pushfq": ("9c", {"flags"}, set(), 0, 1),
    "popfq": ("9d", set(), {"flags"}, 1, 0),
    "vmovups [rbx + 16], ymm0": ("c5fc114310", {"v0"}, set(), 0, 1),
    "vmovups ymm0, [rbx]": ("c5fc1003", set(), {"v0"}, 1, 0),
    "vmovq [rbx], xmm1": ("c5f9d60b", {"v1"}, set(), 0, 1),
    "vextracti128 [rbx], ymm1, 1": ("c4e37d390b01", {"v1"}, set(), 0, 1),
    "fstp [rax]": ("dd18", {"x87"}, {"x87"}, 1, 0),
}


@pytest.mark.parametrize(("machine", "cases"), [(AARCH64, ARM), (X86_64, X86)], ids=["aarch64", "x86_64"])
def test_an_instruction_reads_and_writes_what_the_manual_says(
    machine: str, cases: dict[str, tuple[str, set[str], set[str], int, int]]
) -> None:
    decoder = Decoder(machine)
    for name, (code, reads, writes, loads, stores) in cases.items():
        effect = decoder.effect(bytes.fromhex(code), 0x1000)
        assert effect is not None, name
        assert set(effect.reads) == set(map(decoder.family, reads)), name
        assert set(effect.writes) == set(map(decoder.family, writes)), name
        if "fstp" not in name:  # Capstone calls its place in memory both; a load more only adds unknowns.
            assert (len(effect.loads), len(effect.stores)) == (loads, stores), name


def test_a_loop_instruction_is_a_branch_and_an_unfollowed_one_is_unknown() -> None:
    decoder = Decoder(X86_64)
    loop = decoder.effect(bytes.fromhex("e2fe"), 0x1000)
    assert loop is not None
    assert loop.kind is InstructionKind.BRANCH
    assert decoder.effect(b"\xd7", 0x1000) is None  # xlatb


def test_moving_zero_clears_a_register() -> None:
    for machine, codes in ((AARCH64, ("000080d2", "e0031faa", "e0031f2a")), (X86_64, ("b800000000", "31c0"))):
        for code in codes:
            effect = Decoder(machine).effect(bytes.fromhex(code), 0x1000)
            assert effect is not None
            assert effect.kind is InstructionKind.CLEAR, (machine, code)
