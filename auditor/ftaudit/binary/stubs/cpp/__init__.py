"""Stubs for the C++ standard libraries."""
