"""The wording for parts of the sandbox that the system leaves open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ftaudit.sandbox import confine

_WORDS: Final = {
    confine.OTHER_SYSTEM: "the network and the file system are not isolated on this system",
    confine.PROCESSES: "ftaudit finds and kills processes that a module leaves behind, but does not contain them",
    confine.MAPPING: "the user namespace could not be mapped",
    confine.NETWORK: "the network could not be isolated",
    confine.UDP: "the network could be isolated for TCP (Landlock), but not for UDP",
    confine.CALLS: "Unix sockets and changes of file attributes could not be denied",
    confine.SIGNALS: "signals to other processes of the same user could not be denied",
    confine.FILES: "writing outside the scratch folder could not be denied",
}


def describe_open_walls(left_open: Mapping[str, str]) -> Iterator[str]:
    """Yield one sentence for each wall that `confine.py` left open, with the system's reason if there is one."""
    for name, why in left_open.items():
        yield f"{_WORDS[name]}: {why}" if why else _WORDS[name]
