"""Rules for Python sources."""
