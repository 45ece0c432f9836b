"""What the name of a native function says about its effect on the object or handle that it receives."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_FREES: Final = re.compile(
    r"(?:^|_|(?<=[a-z])(?!end|fini))(?:(?:[Ff]ree|[Dd]estroy|[Dd]elete|[Cc]lose|[Ff]inalize|[Dd]ealloc|[Rr]ealloc|[Rr]elease|[Dd]ispose"
    r"|[Rr]esize|[Ff]ini|[Ee]nd|[Cc]leanup|[Tt]eardown)(?:$|_|(?=[A-Z0-9]))"
    r"|(?:FREE|DESTROY|DELETE|CLOSE|REALLOC|RELEASE|RESIZE)(?:$|_|(?=\d)))"
)


_LOOKS: Final = re.compile(
    r"(?i)(?:^|_)(?:get|is|has|size|length|len|count|print|printf|log|debug|cmp|compare|equal|eq|str|strlen|strcmp|strncmp"
    r"|memcmp|name|check|lookup|num|total|error|errmsg|strerror|version|type|info|dump|repr|peek|contains|fileno|offset"
    r"|tell|empty|valid|verify|likely|unlikely|min|max|abs|floor|ceil|status|bound|supports?|need\w*|incref|decref|ref|unref"
    r"|addref|visit|traverse|lock|unlock|mutex|wait|signal|notify|once|thread|init|new|create|alloc\w*|open|copy|clone|setup)"
    r"(?:$|_|\d)|(?:^|_)(?:[Gg]et|[Ii]s|[Hh]as)[A-Z]|(?:Get|Is|Has|Size|Length|Count|Name|Status|Error|Version|Type|Init|Lock|Unlock"
    r"|Create|New|Alloc|Open|Ref|Unref)(?:$|_|[A-Z])"
)
"""Functions of a library that only read a handle, or make one, or count its users."""


_CHANGES: Final = frozenset(
    {
        *("set", "add", "push", "insert", "remove", "erase", "clear", "reset", "release", "close", "update", "append"),
        *("assign", "write", "delete", "pop", "feed", "put", "store", "replace", "merge", "swap", "enqueue", "dequeue"),
        *("seek", "rewind", "advance", "resize", "reserve", "truncate", "grow", "shrink", "register", "unregister"),
        *("increment", "decrement", "rotate", "shuffle", "sort", "evict", "emplace", "attach", "detach", "consume"),
    }
)
_PART: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


@lru_cache(maxsize=20_000)
def changes(name: str) -> bool:
    """Return whether the name of a method says that it changes its object: it begins with such a word."""
    first = _PART.match(name)
    return first is not None and first[0].lower() in _CHANGES


@lru_cache(maxsize=20_000)
def changes_handle(name: str) -> bool:
    """Return whether the name of a function says that it changes what its argument refers to: `queue_push`."""
    return not looks(name) and any(part.lower() in _CHANGES for part in _PART.findall(name))


@lru_cache(maxsize=20_000)
def looks(name: str) -> bool:
    """Return whether the name of a function says that it only reads its argument, or makes it."""
    return bool(_LOOKS.search(name))


@lru_cache(maxsize=20_000)
def frees(name: str) -> bool:
    """Return whether the name of a function says that it frees memory or a handle."""
    return bool(_FREES.search(name))
