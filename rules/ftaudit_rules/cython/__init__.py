"""Rules for Cython sources."""
