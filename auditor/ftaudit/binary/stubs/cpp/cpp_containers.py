"""The C++ libraries' answers about containers: libstdc++'s trees, lists and hash tables, libc++'s primes."""

from __future__ import annotations

import struct

from ftaudit.binary.emulator.emulated_process import Halt, Process, registry
from ftaudit.binary.emulator.machine import Machine
from ftaudit.binary.image.mapped import AARCH64
from ftaudit.binary.stubs.libc import counted

CONTAINER_ANSWERS, answers = registry()

_PARENT, _LEFT, _RIGHT = 8, 16, 24
"""Fields of `std::_Rb_tree_node_base`, after its color (bits/stl_tree.h)."""
_RED, _BLACK = 0, 1
_DEEPEST = 4096


class _RedBlackTree:
    """A red-black tree of libstdc++ in emulated memory. A hostile one ends in `Halt`."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.steps = machine, 0

    def get(self, node: int, field: int) -> int:
        self.steps += 1
        if self.steps > _DEEPEST:
            raise Halt("a C++ tree has no end")
        return self.machine.read_word(node + field)

    def set(self, node: int, field: int, value: int) -> None:
        self.machine.write_word(node + field, value)

    def color(self, node: int) -> int:
        return self.machine.read_int(node)

    def paint(self, node: int, color: int) -> None:
        self.machine.write_int(node, color)

    def rotate(self, node: int, side: int, header: int) -> None:
        """Let a node's child on the other side take its place."""
        other = _LEFT + _RIGHT - side
        child = self.get(node, other)
        inner = self.get(child, side)
        self.set(node, other, inner)
        if inner:
            self.set(inner, _PARENT, node)
        parent = self.get(node, _PARENT)
        self.set(child, _PARENT, parent)
        if node == self.get(header, _PARENT):
            self.set(header, _PARENT, child)
        else:
            self.set(parent, _LEFT if node == self.get(parent, _LEFT) else _RIGHT, child)
        self.set(child, side, node)
        self.set(node, _PARENT, child)

    def neighbor(self, node: int, side: int) -> int:
        """Return the next node on a side, in order; the header after the last and before the first."""
        other = _LEFT + _RIGHT - side
        if side == _LEFT and self.color(node) == _RED and self.get(self.get(node, _PARENT), _PARENT) == node:
            return self.get(node, _RIGHT)
        child = self.get(node, side)
        if child:
            while following := self.get(child, other):
                child = following
            return child
        parent = self.get(node, _PARENT)
        while node == self.get(parent, side):
            node, parent = parent, self.get(parent, _PARENT)
        return node if side == _RIGHT and self.get(node, _RIGHT) == parent else parent

    def insert(self, node: int, parent: int, header: int, *, left: bool) -> None:
        """Put a node below its parent and balance the tree, as `_Rb_tree_insert_and_rebalance` does."""
        self.machine.write(node, struct.pack("<iiQQQ", _RED, 0, parent, 0, 0))
        self.set(parent, _LEFT if left else _RIGHT, node)
        if parent == header:
            self.set(header, _PARENT, node)
            self.set(header, _RIGHT if left else _LEFT, node)
        elif parent == self.get(header, _LEFT if left else _RIGHT):
            self.set(header, _LEFT if left else _RIGHT, node)
        while node != self.get(header, _PARENT) and self.color(parent := self.get(node, _PARENT)) == _RED:
            grandparent = self.get(parent, _PARENT)
            side = _LEFT if parent == self.get(grandparent, _LEFT) else _RIGHT
            uncle = self.get(grandparent, _LEFT + _RIGHT - side)
            if uncle and self.color(uncle) == _RED:
                self.paint(parent, _BLACK)
                self.paint(uncle, _BLACK)
                self.paint(grandparent, _RED)
                node = grandparent
                continue
            if node == self.get(parent, _LEFT + _RIGHT - side):
                node = parent
                self.rotate(node, side, header)
            parent = self.get(node, _PARENT)
            self.paint(parent, _BLACK)
            self.paint(grandparent, _RED)
            self.rotate(grandparent, _LEFT + _RIGHT - side, header)
        self.paint(self.get(header, _PARENT), _BLACK)


@answers("_ZSt29_Rb_tree_insert_and_rebalancebPSt18_Rb_tree_node_baseS0_RS_")
def _tree_insert(process: Process) -> int:
    left, node, parent, header = (process.argument(index) for index in range(4))
    _RedBlackTree(process.machine).insert(node, parent, header, left=bool(left & 0xFF))
    return 0


@answers("_ZSt18_Rb_tree_incrementPSt18_Rb_tree_node_base", "_ZSt18_Rb_tree_incrementPKSt18_Rb_tree_node_base")
def _tree_increment(process: Process) -> int:
    return _RedBlackTree(process.machine).neighbor(process.argument(0), _RIGHT)


@answers("_ZSt18_Rb_tree_decrementPSt18_Rb_tree_node_base", "_ZSt18_Rb_tree_decrementPKSt18_Rb_tree_node_base")
def _tree_decrement(process: Process) -> int:
    return _RedBlackTree(process.machine).neighbor(process.argument(0), _LEFT)


# Lists: each node begins with the next one and the one before (bits/stl_list.h).


@answers("_ZNSt8__detail15_List_node_base7_M_hookEPS0_", "_ZNSt15_List_node_base7_M_hookEPS_")
def _list_hook(process: Process) -> int:
    node, position, machine = process.argument(0), process.argument(1), process.machine
    before = machine.read_word(position + 8)
    machine.write(node, struct.pack("<QQ", position, before))
    machine.write_word(before, node)
    machine.write_word(position + 8, node)
    return 0


@answers("_ZNSt8__detail15_List_node_base9_M_unhookEv", "_ZNSt15_List_node_base9_M_unhookEv")
def _list_unhook(process: Process) -> int:
    node, machine = process.argument(0), process.machine
    following, before = machine.read_word(node), machine.read_word(node + 8)
    machine.write_word(before, following)
    machine.write_word(following + 8, before)
    return 0


@answers("_ZNSt8__detail15_List_node_base11_M_transferEPS0_S1_", "_ZNSt15_List_node_base11_M_transferEPS_S0_")
def _list_transfer(process: Process) -> int:
    position, first, last = (process.argument(index) for index in range(3))
    if position == last:
        return 0
    machine = process.machine
    before, before_first, before_last = (machine.read_word(node + 8) for node in (position, first, last))
    for node, following in ((before_last, position), (before_first, last), (before, first)):
        machine.write_word(node, following)
    for node, previous in ((position, before_last), (last, before_first), (first, before)):
        machine.write_word(node + 8, previous)
    return 0


# Hash tables


_MULTIPLIER = 0xC6A4_A793_5BD1_E995
_FNV_PRIME = 0x100_0000_01B3
_WORD = 0xFFFF_FFFF_FFFF_FFFF


def murmur_hash(content: bytes, seed: int) -> int:
    """Return MurmurHash64A of some bytes, with which libstdc++ hashes (libsupc++/hash_bytes.cc)."""
    value = seed ^ len(content) * _MULTIPLIER & _WORD
    whole = len(content) & ~7
    for (word,) in struct.iter_unpack("<Q", content[:whole]):
        value = (value ^ _mixed(word * _MULTIPLIER & _WORD) * _MULTIPLIER) * _MULTIPLIER & _WORD
    if rest := content[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * _MULTIPLIER & _WORD
    return _mixed(_mixed(value) * _MULTIPLIER & _WORD)


def _mixed(value: int) -> int:
    return value ^ value >> 47


def fnv_hash(content: bytes, seed: int, *, signed: bool) -> int:
    """Return FNV-1a of some bytes, as libstdc++ does. `signed` says whether a `char` is, as on x86-64."""
    value = seed
    for byte in content:
        value = (value ^ (byte - 256 if signed and byte > 127 else byte) & _WORD) * _FNV_PRIME & _WORD
    return value


@answers("_ZSt11_Hash_bytesPKvmm")
def _hash_bytes(process: Process) -> int:
    return murmur_hash(_hashed(process), process.argument(2))


@answers("_ZSt15_Fnv_hash_bytesPKvmm")
def _fnv_hash_bytes(process: Process) -> int:
    return fnv_hash(_hashed(process), process.argument(2), signed=process.machine.name != AARCH64)


def _hashed(process: Process) -> bytes:
    return process.machine.read(process.argument(0), counted(process.argument(1)))


@answers("_ZNKSt8__detail20_Prime_rehash_policy11_M_next_bktEm", "_ZNSt8__detail20_Prime_rehash_policy11_M_next_bktEm")
def _next_bucket_count(process: Process) -> int:
    return _next_buckets(process, process.argument(0), process.argument(1))


@answers(
    "_ZNKSt8__detail20_Prime_rehash_policy14_M_need_rehashEmmm",
    "_ZNSt8__detail20_Prime_rehash_policy14_M_need_rehashEmmm",
)
def _need_rehash(process: Process) -> int:
    """Answer whether a table must grow, and to how many buckets: `std::pair<bool, std::size_t>`."""
    policy, buckets, elements, more = (process.argument(index) for index in range(4))
    limit = process.machine.read_word(policy + 8)
    if elements + more <= limit:
        return 0
    wanted = max(elements + more, 0 if limit else 11)
    process.machine.set_second_result(_next_buckets(process, policy, max(wanted + 1, 2 * buckets)))
    return 1


def _next_buckets(process: Process, policy: int, wanted: int) -> int:
    """Return a prime, and note when the table must grow again: the policy has its load factor, 1, before that."""
    prime = _prime(counted(wanted))
    process.machine.write_word(policy + 8, prime)
    return prime


@answers("_ZNSt3__112__next_primeEm")
def _next_prime(process: Process) -> int:
    return _prime(counted(process.argument(0)))


def _prime(number: int) -> int:
    number = max(2, number)
    while any(number % divisor == 0 for divisor in range(2, int(number**0.5) + 1)):
        number += 1
    return number
