"""Stress: uses third-party packages from many threads at once, in the sandbox, to test their declarations."""
