"""The AVX instructions that ftaudit executes itself do what the processor's manual says."""

from __future__ import annotations

import pytest

from ftaudit.binary import avx

HERE = 0x1000


class Bench:
    """Registers and memory to execute one instruction on."""

    def __init__(self) -> None:
        self.general = [0] * 16
        self.vectors = [0] * 16
        self.memory = bytearray(range(256)) * 2

    def execute(self, code: str) -> int | None:
        processor = avx.Processor(
            read_register=self.general.__getitem__,
            write_register=self.general.__setitem__,
            read_vector=self.vectors.__getitem__,
            write_vector=self.vectors.__setitem__,
            load=lambda address, size: int.from_bytes(self.memory[address : address + size], "little"),
            store=self._store,
        )
        return avx.execute(processor, bytes.fromhex(code).ljust(15, b"\x90"), HERE)

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
        bench.execute("c5f058c2")  # vaddps xmm0, xmm1, xmm2


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
