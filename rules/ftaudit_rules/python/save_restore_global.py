"""FT527: shared state is saved, changed and restored."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.restore import save_and_restore


class SaveRestoreGlobal(PythonRule):
    """Shared state (a global, an attribute of a module or class) is saved, changed temporarily and restored.

    Every thread sees the temporary value. If two threads interleave, the second thread saves the temporary value of the
    first one. When the second thread restores that value last, the temporary value remains.
    """

    info = RuleInfo(
        code="FT527",
        name="save-restore-global",
        summary="Shared state is changed temporarily and restored, which fails if two threads interleave.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Keep the value in a `ContextVar` and reset it with its token, or pass it as an argument.",
        links=("https://py-free-threading.github.io/porting/",),
    )
    words = (
        "finally:",
        "__exit__",
        "contextmanager",
        "fixture",
        "def stop",
        "def restore",
        "def uninstall",
        "def undo",
        "def disable",
        "def deactivate",
        "def close",
        "def unpatch",
        "def revert",
        "def detach",
    )
    needles = re.compile(
        r"\n[ \t]+(?:global\s|(?!self\.)(?:\w+\.)+\w+(?:, [\w.]+)? = |self\.\w+\.\w+ = "
        r"|[\w.]+\[[^\]\n]+\] = |setattr\(|[\w.()]+\.setLevel\(|[\w.]+\.update\()"
    )
    VALID = (
        SourceExample(
            code="""\
from contextvars import ContextVar
_path = ContextVar("path")
class temp_path:
    def __enter__(self):
        self.tok = _path.set(self.new)
    def __exit__(self, *a):
        _path.reset(self.tok)
""",
            instead=True,
        ),
        SourceExample(
            code="""\
def twice(self):
    old = self.depth
    self.depth = old + 1
    try:
        work()
    finally:
        self.depth = old
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
class Temporary:
    _path = None
    def __init__(self, path):
        self._new = path
        self._old = self.__class__._path
    def __enter__(self):
        self.__class__._path = self._new
    def __exit__(self, *details):
        self.__class__._path = self._old
""",
            lines=(7,),
        ),
        SourceExample(
            code="""\
class Holder:
    context = None
_holder = Holder()
def current():
    return _holder.context
def switch(context):
    _holder.context = context
class Tracing:
    def __enter__(self):
        self._previous = current()
        switch(self)
    def __exit__(self, *details):
        switch(self._previous)
""",
            lines=(11,),
        ),
        SourceExample(
            code="""\
_mode = "fast"
def get_mode():
    return _mode
def set_mode(mode):
    global _mode
    _mode = mode
def slowly(work):
    before = get_mode()
    set_mode("slow")
    try:
        return work()
    finally:
        set_mode(before)
""",
            lines=(9,),
        ),
        SourceExample(
            code="""\
import contextlib
import logging
@contextlib.contextmanager
def quiet(name):
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
""",
            lines=(7,),
        ),
        SourceExample(
            code="""\
import socket
class Recorder:
    def start(self):
        self._real = socket.getaddrinfo
        socket.getaddrinfo = self._record
    def stop(self):
        socket.getaddrinfo = self._real
""",
            lines=(5,),
        ),
        SourceExample(
            code="""class Patch:
    def __init__(self, module, new):
        self.module = module
        self.new = new
    def install(self):
        self.old = self.module.open
        self.module.open = self.new
    def uninstall(self):
        self.module.open = self.old
""",
            lines=(7,),
        ),
        SourceExample(
            code="""\
CONFIG = {"width": 80}
@contextlib.contextmanager
def using(**options):
    old = CONFIG.copy()
    CONFIG.update(options)
    try:
        yield
    finally:
        CONFIG.clear()
        CONFIG.update(old)
""",
            lines=(5,),
        ),
        SourceExample(
            code="""\
_state = {"level": 0}
def with_level(n, f):
    old = _state["level"]
    _state["level"] = n
    try:
        return f()
    finally:
        _state["level"] = old
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
class temp_path:
    def __enter__(self):
        self.old, Cfg.path = Cfg.path, self.new
    def __exit__(self, *a):
        Cfg.path = self.old
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
_level = 0
def quiet(f):
    global _level
    old = _level
    _level = 9
    try:
        return f()
    finally:
        _level = old
""",
            lines=(5,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield the change between saving and restoring, in functions, generators and context managers."""
        if module.is_script:
            return
        for change, name in save_and_restore(module):
            if not module.locked(change):
                yield self.finding(
                    f"`{name}` is changed temporarily and restored: if two threads interleave, the wrong value remains",
                    location=module.place(change),
                )
