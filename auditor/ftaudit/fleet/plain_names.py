"""Names of files as text: on Linux they are bytes, which need not be UTF-8."""

from __future__ import annotations


def escape(name: str) -> str:
    """Return a name with what is not valid text escaped, as the data set and the journal can hold it."""
    return name.encode("utf-8", "backslashreplace").decode()
