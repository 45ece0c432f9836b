"""The wording for parts of the sandbox that the system leaves open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ftaudit.sandbox import confine

_WORDS: Final = {
    confine.OTHER_SYSTEM: "network and file system are not cut off on this system",
    confine.PROCESSES: "processes that a module leaves behind are looked for and killed, not contained",
    confine.MAPPING: "the user namespace could not be mapped",
    confine.NETWORK: "the network could not be cut off",
    confine.UDP: "the network could be cut off for TCP (Landlock), not for UDP",
    confine.CALLS: "Unix sockets and changes of file attributes could not be denied",
    confine.SIGNALS: "signals to other processes of the same user could not be denied",
    confine.FILES: "writing outside the scratch folder could not be denied",
}


def describe_open_walls(left_open: Mapping[str, str]) -> Iterator[str]:
    """Yield one sentence for each wall that `confine.py` left open, with the system's reason if there is one."""
    for name, why in left_open.items():
        yield f"{_WORDS[name]}: {why}" if why else _WORDS[name]
