"""The AVX instructions that ftaudit executes itself do what the processor's manual says."""

from __future__ import annotations

import pytest

from ftaudit.binary.emulator.avx import instructions as avx

HERE = 0x1000


class Bench:
    """Registers and memory to execute one instruction on."""

    def __init__(self) -> None:
        self.general = [0] * 16
        self.vectors = [0] * 16
        self.memory = bytearray(range(256)) * 2
        self.flags = 0

    def execute(self, code: str) -> int | None:
        processor = avx.Processor(
            read_register=self.general.__getitem__,
            write_register=self.general.__setitem__,
            read_vector=self.vectors.__getitem__,
            write_vector=self.vectors.__setitem__,
            load=lambda address, size: int.from_bytes(self.memory[address : address + size], "little"),
            store=self._store,
            read_flags=lambda: self.flags,
            write_flags=self._set_flags,
        )
        return avx.execute(processor, bytes.fromhex(code).ljust(15, b"\x90"), HERE)

    def _set_flags(self, value: int) -> None:
        self.flags = value

    def _store(self, address: int, value: int, size: int) -> None:
        self.memory[address : address + size] = value.to_bytes(size, "little")


def low(value: int, bits: int) -> int:
    return value & ((1 << bits) - 1)


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.vectors[1] = 0x1111_2222_3333_4444_5555_6666_7777_8888 | 0xA << 252
    made.vectors[2] = 0x9999_AAAA_BBBB_CCCC_DDDD_EEEE_FFFF_0000 | 0xB << 252
    made.general[0] = 0xFEDC_BA98_7654_3210
    made.general[3] = 64
    return made


def test_an_unknown_instruction_is_refused(bench: Bench) -> None:
    with pytest.raises(avx.Unsupported):
        bench.execute("c4e24992c2")  # vgatherdps


def test_what_unicorn_knows_is_left_to_it(bench: Bench) -> None:
    assert bench.execute("c4e278f2c1") is None  # andn eax, eax, ecx


def test_a_load_clears_what_lies_above_it(bench: Bench) -> None:
    bench.vectors[0] = (1 << 256) - 1
    assert bench.execute("c5fa6f4310") == HERE + 5  # vmovdqu xmm0, [rbx+0x10]
    assert bench.vectors[0] == int.from_bytes(bench.memory[80:96], "little")


def test_a_store_of_32_bytes_reaches_memory_with_a_scaled_index(bench: Bench) -> None:
    bench.general[1] = 2
    assert bench.execute("c5fc110ccb") == HERE + 5  # vmovups [rbx+rcx*8], ymm1
    assert int.from_bytes(bench.memory[80:112], "little") == bench.vectors[1]


def test_an_address_is_relative_to_the_next_instruction(bench: Bench) -> None:
    bench.memory = bytearray(HERE + 64)
    bench.memory[HERE + 24] = 7
    assert bench.execute("c5f86f0510000000".replace("f86f", "fa6f")) == HERE + 8  # vmovdqu xmm0, [rip+0x10]
    assert bench.vectors[0] == 7


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("c5f157c2", 0x1111_2222_3333_4444_5555_6666_7777_8888 ^ 0x9999_AAAA_BBBB_CCCC_DDDD_EEEE_FFFF_0000),
        ("c5f16cc2", 0xDDDD_EEEE_FFFF_0000_5555_6666_7777_8888),  # vpunpcklqdq
        ("c5f16dc2", 0x9999_AAAA_BBBB_CCCC_1111_2222_3333_4444),  # vpunpckhqdq
        ("c5f1d4c2", 0xAAAA_CCCC_EEEF_1110_3333_5555_7776_8888),  # vpaddq
        ("c5f016c2", 0xDDDD_EEEE_FFFF_0000_5555_6666_7777_8888),  # vmovlhps
        ("c5f9 70c1 4e".replace(" ", ""), 0x5555_6666_7777_8888_1111_2222_3333_4444),  # vpshufd 0x4e
        ("c4e3f122c001", 0xFEDC_BA98_7654_3210_5555_6666_7777_8888),  # vpinsrq xmm0, xmm1, rax, 1
        ("c4e1f96ec0", 0xFEDC_BA98_7654_3210),  # vmovq xmm0, rax
        ("c5f96ec0", 0x7654_3210),  # vmovd xmm0, eax
    ],
)
def test_three_operands_make_one_vector(bench: Bench, code: str, expected: int) -> None:
    assert bench.execute(code) == HERE + len(code) // 2
    assert low(bench.vectors[0], 128) == low(expected, 128)
    assert bench.vectors[0] >> 128 == 0


def test_upper_halves_are_inserted_extracted_and_cleared(bench: Bench) -> None:
    assert bench.execute("c4e37538c201") == HERE + 6  # vinserti128 ymm0, ymm1, xmm2, 1
    assert bench.vectors[0] == low(bench.vectors[1], 128) | low(bench.vectors[2], 128) << 128
    assert bench.execute("c4e37d39c301") == HERE + 6  # vextracti128 xmm3, ymm0, 1
    assert bench.vectors[3] == low(bench.vectors[2], 128)
    assert bench.execute("c5f877") == HERE + 3  # vzeroupper
    assert bench.vectors[0] == low(bench.vectors[1], 128)


FLOATS = (
    0x0000_0000_0000_0000_4008_0000_0000_0000_C002_0000_0000_0000_3FF8_0000_0000_0000,
    0x4030_0000_0000_0000_C010_0000_0000_0000_4020_0000_0000_0000_3FE0_0000_0000_0000,
)
"""1.5, -2.25, 3 and 0; and 0.5, 8, -4 and 16."""

CONVERSIONS = ("c4e1fb2cca", "c5fb2dca")

MEASURED = (
    ("c4e37121c29c", "vector", 0xBBBBCCCC77778888),  # vinsertps $0x9c,xmm2,xmm1,xmm0
    ("c4e37121c242", "vector", 0x111122223333444400000000DDDDEEEE),  # vinsertps $0x42,xmm2,xmm1,xmm0
    ("c5f210c2", "vector", 0x111122223333444455556666FFFF0000),  # vmovss xmm2,xmm1,xmm0
    ("c5f310c2", "vector", 0x1111222233334444DDDDEEEEFFFF0000),  # vmovsd xmm2,xmm1,xmm0
    ("c5fe12c2", "vector", 0xBBBBCCCCBBBBCCCCFFFF0000FFFF0000),  # vmovsldup ymm2,ymm0
    ("c5fe16c2", "vector", 0xB0000000B000000000000000000000009999AAAA9999AAAADDDDEEEEDDDDEEEE),  # vmovshdup ymm2,ymm0
    ("c5fb12c2", "vector", 0xDDDDEEEEFFFF0000DDDDEEEEFFFF0000),  # vmovddup xmm2,xmm0
    ("c5f414c2", "vector", 0xDDDDEEEE55556666FFFF000077778888),  # vunpcklps ymm2,ymm1,ymm0
    ("c5f015c2", "vector", 0x9999AAAA11112222BBBBCCCC33334444),  # vunpckhps xmm2,xmm1,xmm0
    ("c5f560c2", "vector", 0xDD55DD55EE66EE66FF77FF7700880088),  # vpunpcklbw ymm2,ymm1,ymm0
    ("c5f168c2", "vector", 0x99119911AA22AA22BB33BB33CC44CC44),  # vpunpckhbw xmm2,xmm1,xmm0
    ("c5f561c2", "vector", 0xDDDD5555EEEE6666FFFF777700008888),  # vpunpcklwd ymm2,ymm1,ymm0
    (
        "c5f569c2",
        "vector",
        0xB000A00000000000000000000000000099991111AAAA2222BBBB3333CCCC4444,
    ),  # vpunpckhwd ymm2,ymm1,ymm0
    ("c5f562c2", "vector", 0xDDDDEEEE55556666FFFF000077778888),  # vpunpckldq ymm2,ymm1,ymm0
    ("c5f16ac2", "vector", 0x9999AAAA11112222BBBBCCCC33334444),  # vpunpckhdq xmm2,xmm1,xmm0
    ("c5f564c2", "vector", 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFF0000),  # vpcmpgtb ymm2,ymm1,ymm0
    ("c5f565c2", "vector", 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFF0000),  # vpcmpgtw ymm2,ymm1,ymm0
    ("c5f566c2", "vector", 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF),  # vpcmpgtd ymm2,ymm1,ymm0
    ("c4e27537c2", "vector", 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF),  # vpcmpgtq ymm2,ymm1,ymm0
    ("c5fe70c21b", "vector", 0xB0000000000000000000CCCCBBBBAAAA9999DDDDEEEEFFFF0000),  # vpshufhw $0x1b,ymm2,ymm0
    ("c5fb70c24e", "vector", 0x9999AAAABBBBCCCCFFFF0000DDDDEEEE),  # vpshuflw $0x4e,xmm2,xmm0
    ("c5fd71d203", "vector", 0x1600000000000000000000000000000013331555177719991BBB1DDD1FFF0000),  # vpsrlw $3,ymm2,ymm0
    ("c5fd71e203", "vector", 0xF6000000000000000000000000000000F333F555F777F999FBBBFDDDFFFF0000),  # vpsraw $3,ymm2,ymm0
    ("c5fd71f203", "vector", 0x80000000000000000000000000000000CCC85550DDD86660EEE87770FFF80000),  # vpsllw $3,ymm2,ymm0
    ("c5f972d207", "vector", 0x13333550177779901BBBBDD01FFFE00),  # vpsrld $7,xmm2,xmm0
    ("c5fd72e207", "vector", 0xFF600000000000000000000000000000FF333355FF777799FFBBBBDDFFFFFE00),  # vpsrad $7,ymm2,ymm0
    ("c5fd72f221", "vector", 0x0),  # vpslld $33,ymm2,ymm0
    ("c5fd73d209", "vector", 0x580000000000000000000000000000004CCCD5555DDDE6006EEEF7777FFF80),  # vpsrlq $9,ymm2,ymm0
    ("c5f973f209", "vector", 0x3355557777999800BBDDDDFFFE000000),  # vpsllq $9,xmm2,xmm0
    ("c5fd73da05", "vector", 0xB00000000000000000000000000000009999AAAABBBBCCCCDDDDEE),  # vpsrldq $5,ymm2,ymm0
    ("c5fd73fa05", "vector", 0xBBCCCCDDDDEEEEFFFF00000000000000),  # vpslldq $5,ymm2,ymm0
    ("c5f1c4c103", "vector", 0x11112222333344444647666677778888),  # vpinsrw $3,ecx,xmm1,xmm0
    ("c4e37120c109", "vector", 0x11112222333347445555666677778888),  # vpinsrb $9,ecx,xmm1,xmm0
    ("c5f4c6c293", "vector", 0xA0000000BBBBCCCCDDDDEEEE7777888811112222),  # vshufps $0x93,ymm2,ymm1,ymm0
    ("c4e27500c2", "vector", 0x8888),  # vpshufb ymm2,ymm1,ymm0
    ("c4e27d20c2", "vector", 0xFF99FF99FFAAFFAAFFBBFFBBFFCCFFCCFFDDFFDDFFEEFFEEFFFFFFFF00000000),  # vpmovsxbw xmm2,ymm0
    ("c4e27d21c2", "vector", 0xFFFFFFDDFFFFFFDDFFFFFFEEFFFFFFEEFFFFFFFFFFFFFFFF0000000000000000),  # vpmovsxbd xmm2,ymm0
    ("c4e27d25c2", "vector", 0xFFFFFFFF9999AAAAFFFFFFFFBBBBCCCCFFFFFFFFDDDDEEEEFFFFFFFFFFFF0000),  # vpmovsxdq xmm2,ymm0
    ("c4e27d32c2", "vector", 0xFF00000000000000FF00000000000000000000000000000000),  # vpmovzxbq xmm2,ymm0
    ("c4e27933c2", "vector", 0xDDDD0000EEEE0000FFFF00000000),  # vpmovzxwd xmm2,xmm0
    (
        "c4e3fd00c21b",
        "vector",
        0xDDDDEEEEFFFF00009999AAAABBBBCCCC0000000000000000B000000000000000,
    ),  # vpermq $0x1b,ymm2,ymm0
    (
        "c4e3fd01c24e",
        "vector",
        0x9999AAAABBBBCCCCDDDDEEEEFFFF0000B0000000000000000000000000000000,
    ),  # vpermpd $0x4e,ymm2,ymm0
    (
        "c4e37502c2a5",
        "vector",
        0xB000000000000000000000000000000011112222BBBBCCCC55556666FFFF0000,
    ),  # vpblendd $0xa5,ymm2,ymm1,ymm0
    (
        "c4e3750cc25a",
        "vector",
        0xA00000000000000000000000000000009999AAAA33334444DDDDEEEE77778888,
    ),  # vblendps $0x5a,ymm2,ymm1,ymm0
    (
        "c4e3750dc209",
        "vector",
        0xB00000000000000000000000000000001111222233334444DDDDEEEEFFFF0000,
    ),  # vblendpd $0x9,ymm2,ymm1,ymm0
    (
        "c4e3750ec2a5",
        "vector",
        0xB000000000000000000000000000000099992222BBBB44445555EEEE77770000,
    ),  # vpblendw $0xa5,ymm2,ymm1,ymm0
    ("c4e37d04c21b", "vector", 0xB0000000FFFF0000DDDDEEEEBBBBCCCC9999AAAA),  # vpermilps $0x1b,ymm2,ymm0
    (
        "c4e37506c221",
        "vector",
        0x9999AAAABBBBCCCCDDDDEEEEFFFF0000A0000000000000000000000000000000,
    ),  # vperm2f128 $0x21,ymm2,ymm1,ymm0
    ("c4e37546c283", "vector", 0xB0000000000000000000000000000000),  # vperm2i128 $0x83,ymm2,ymm1,ymm0
    ("c4e3750fc205", "vector", 0xB00000000000000000000066777788889999AAAABBBBCCCCDDDDEE),  # vpalignr $5,ymm2,ymm1,ymm0
    ("c4e3710fc214", "vector", 0x111122223333444455556666),  # vpalignr $20,xmm2,xmm1,xmm0
    ("c4e37914d109", "rcx", 0xCC),  # vpextrb $9,xmm2,ecx
    ("c5f9c5ca03", "rcx", 0xDDDD),  # vpextrw $3,xmm2,ecx
    ("c4e37917d102", "rcx", 0xBBBBCCCC),  # vextractps $2,xmm2,ecx
    ("c5f358c2", "floats", 0xC0020000000000004000000000000000),  # vaddsd xmm2,xmm1,xmm0
    ("c5f559c2", "floats", 0xC028000000000000C0320000000000003FE8000000000000),  # vmulpd ymm2,ymm1,ymm0
    ("c5f35fc2", "floats", 0xC0020000000000003FF8000000000000),  # vmaxsd xmm2,xmm1,xmm0
    ("c5f55ec2", "floats", 0xBFE8000000000000BFD20000000000004008000000000000),  # vdivpd ymm2,ymm1,ymm0
    ("c4e1f32ac1", "floats", 0xC00200000000000043D0105090D11152),  # vcvtsi2sd rcx,xmm1,xmm0
    ("c4e1fb2cca", "rcx", 0x0),  # vcvttsd2si xmm2,rcx
    ("c5fb2dca", "rcx", 0x0),  # vcvtsd2si xmm2,ecx
    ("c5f35ac2", "floats", 0xC0020000000000003FF800003F000000),  # vcvtsd2ss xmm2,xmm1,xmm0
    ("c5f25ac2", "floats", 0xC0020000000000000000000000000000),  # vcvtss2sd xmm2,xmm1,xmm0
)
"""The results of a processor with AVX2 for the bench's vectors 1 and 2, the floats above, and a register."""


@pytest.mark.parametrize(("code", "kind", "expected"), MEASURED)
def test_a_result_is_what_a_processor_gave(bench: Bench, code: str, kind: str, expected: int) -> None:
    bench.general[1] = 0x4041_4243_4445_4647
    if kind == "floats" or code in CONVERSIONS:
        bench.vectors[1:3] = FLOATS
    bench.vectors[0] = bench.vectors[1]
    assert bench.execute(code) == HERE + len(code) // 2
    assert (bench.general[1] if kind == "rcx" else bench.vectors[0]) == expected


def test_comparing_floats_sets_the_flags_of_unsigned_numbers(bench: Bench) -> None:
    bench.vectors[1:3] = FLOATS
    bench.flags = 1 << 11 | 1 << 9
    bench.execute("c5f92eca")  # vucomisd xmm1, xmm2
    assert bench.flags == 1 << 9
    bench.execute("c5f92ed1")  # vucomisd xmm2, xmm1
    assert bench.flags == 1 << 9 | 1
    bench.execute("c5f92ec9")  # vucomisd xmm1, xmm1
    assert bench.flags == 1 << 9 | 1 << 6
    bench.vectors[1] = 0x7FF8 << 48
    bench.execute("c5f92eca")  # vucomisd xmm1, xmm2
    assert bench.flags == 1 << 9 | 1 << 6 | 1 << 2 | 1
