"""Stress: third-party packages used by many threads at once, in the sandbox, to see what a declaration is worth."""
