"""The cache folder: its parts, its size, and how it is emptied."""
