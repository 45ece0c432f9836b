"""How versions are found for what is not pinned, and who needs whom: uv, markers and edges."""
