"""The migration to the stable ABI for free-threaded builds, `abi3t` (PEP 803), in the order of CPython's guide.

These rules run if you name them (`--select FT7`), and in projects that ask for the limited API, for targets that
have `abi3t`. They list work, not faults: their findings are notes.
"""
