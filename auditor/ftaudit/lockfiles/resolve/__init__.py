"""Finds versions for unpinned packages, and the dependency edges: uv, markers, and edges."""
