"""Finds versions for unpinned packages with uv, and the dependency edges of pinned ones."""
