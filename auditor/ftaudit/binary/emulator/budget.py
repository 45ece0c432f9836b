"""The limits within which one module is loaded and emulated, all counted: no answer depends on a clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How much one `read_declaration` may spend. The worker process enforces time limits."""

    instructions: int = 20_000_000
    """Emulated instructions of one call into the image: an initializer, the hook, a slot."""
    constructor_instructions: int = 2_000_000
    """The same for each static constructor: one that exceeds it is abandoned, and noted."""
    constructors: int = 8192
    """Static constructors that are run."""
    calls: int = 100_000
    """Calls of imported functions in one try, those of static constructors apart."""
    constructor_calls: int = 200_000
    """Calls of imported functions of all the static constructors of an image: protobuf's make 50,000 of them."""
    tries: int = 24
    """Runs of the hook, including the first, with other answers if those of the first run fail."""
    proofs: int = 24
    """Further runs that check whether a machine-specific unknown leads to another declaration."""
    followed: int = 500_000
    """Instructions of these runs together from which on only the first few are made."""
    branches: int = 32
    """Runs in which a branch that led to a failure is made to go the other way."""
    memory: int = 768 << 20
    """Bytes of one image once mapped."""
    heap: int = 64 << 20
    """Bytes that the emulated code may allocate."""
