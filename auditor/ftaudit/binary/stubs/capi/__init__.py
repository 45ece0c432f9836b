"""Stubs for the C API of CPython."""
