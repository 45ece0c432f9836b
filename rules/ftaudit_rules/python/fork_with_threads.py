"""FT520: a module forks a process and also starts threads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import dotted, last_name


class ForkWithThreads(PythonRule):
    """A module forks a process and also starts threads.

    The child gets a copy of the memory but not the other threads: a lock that one of them holds stays locked forever.
    The more threads run at the same time, the more likely this is. Since 3.14, `fork` is no longer the default start
    method.
    """

    info = RuleInfo(
        code="FT520",
        name="fork-with-threads",
        summary="A module forks a process and also starts threads.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            'Use `multiprocessing.get_context("spawn")` or `"forkserver"`, or fork before the first thread starts.'
        ),
        links=("https://docs.python.org/3.14/library/os.html#os.fork",),
    )
    words = ("fork", "ProcessPoolExecutor", "multiprocessing.")
    needles = re.compile(r"thread|Thread")
    VALID = (
        SourceExample(
            code="""\
import multiprocessing, threading
def go():
    threading.Thread(target=f).start()
    multiprocessing.get_context("spawn").Process(target=g).start()
""",
            instead=True,
        ),
        SourceExample(
            code="""\
import os
def daemonize():
    if os.fork():
        os._exit(0)
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import os, threading
def go():
    threading.Thread(target=f).start()
    os.fork()
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor()
context = multiprocessing.get_context("fork")
""",
            lines=(4,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield forks in modules that start threads."""
        starts = [call for call in module.tree.all(ast.Call) if (last_name(call.func) or "") in _STARTS]
        if not starts:
            return
        for call in module.tree.all(ast.Call):
            if _forks(call) or (module.target.version < (3, 14) and _forks_by_default(call)):
                yield self.finding(
                    (
                        f"this forks a process that also starts threads (line {starts[0].lineno}): a lock that a "
                        "thread holds stays locked in the child"
                    ),
                    location=module.place(call),
                )


_STARTS = frozenset({"Thread", "ThreadPoolExecutor", "Timer", "start_new_thread", "ThreadPool"})


def _forks(call: ast.Call) -> bool:
    match call.args:
        case [ast.Constant(value="fork"), *_]:
            return last_name(call.func) in ("get_context", "set_start_method")
        case _:
            return dotted(call.func) in ("os.fork", "os.forkpty", "pty.fork")


def _forks_by_default(call: ast.Call) -> bool:
    """Return whether the call starts processes by the default method, which was `fork` before 3.14."""
    named = any(keyword.arg in ("mp_context", "context") for keyword in call.keywords)
    return not named and (dotted(call.func) or "") in _DEFAULT


_DEFAULT = frozenset(
    {"ProcessPoolExecutor", "concurrent.futures.ProcessPoolExecutor", "multiprocessing.Process", "multiprocessing.Pool"}
)
