"""FT513: a function changes something that belongs to the whole process."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import dotted, targets_of


class ProcessGlobalState(PythonRule):
    """A function changes state that belongs to the whole process: the working directory, the environment, the locale,
    `sys.stdout`, the recursion limit, the random seed.

    Every thread sees the change. Restoring the old value afterwards can make it worse: if two threads interleave, the
    second thread saves the temporary value of the first one. When the second thread restores that value last, the
    temporary value remains.

    By default, the rule reports changes that the same function or class takes back. It reports changes for good with
    `--pedantic`: most programs make them when they start.
    """

    info = RuleInfo(
        code="FT513",
        name="process-global-state",
        summary="A function changes state that belongs to the whole process.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Pass the value as an argument (`cwd=`, `env=`, `file=`, a separate `random.Random`), use a `ContextVar`, "
            "or make the change once when the program starts."
        ),
        links=("https://py-free-threading.github.io/porting/",),
    )
    words = (
        "chdir(",
        "umask(",
        "putenv(",
        "unsetenv(",
        "environ[",
        "environ.update",
        "environ.pop",
        "environ.setdefault",
        "environ.clear",
        "os.environ",
        "setlocale",
        "setrecursionlimit",
        "settrace",
        "setprofile",
        "sys.path",
        "sys.std",
        "excepthook",
        "displayhook",
        "sys.argv",
        "dont_write_bytecode",
        "meta_path",
        "unraisablehook",
        "showwarning",
        "formatwarning",
        "setdefaulttimeout",
        "disable(",
        "enable(",
        "freeze(",
        "set_threshold(",
        "tzset",
        "basicConfig",
        "setLoggerClass",
        "set_start_method",
        ".seed(",
        "seterr",
        "set_printoptions",
        "signal.signal",
        "socket.socket",
    )
    VALID = (
        SourceExample(
            code="""\
def build(d):
    run(cwd=d)
""",
            instead=True,
        ),
        SourceExample(
            code="""\
import os
if __name__ == "__main__":
    os.chdir("/")
""",
        ),
        SourceExample(
            code="""\
import os
base = dict(os.environ)
def request(environ, random):
    environ["PATH_INFO"] = "/"
    random.seed(1)
def run(scope):
    environ = base | scope
    environ["PATH_INFO"] = scope["path"]
    return environ
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
from os import chdir, environ
def build(d):
    chdir(d)
def level():
    environ["LEVEL"] = "0"
""",
            lines=(3, 5),
        ),
        SourceExample(
            code="""\
import os
def build(d):
    old = os.getcwd()
    os.chdir(d)
    try:
        run()
    finally:
        os.chdir(old)
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
import os
def quiet():
    os.environ["LEVEL"] = "0"
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
import sys
def capture(f):
    old, sys.stdout = sys.stdout, f
""",
            lines=(3,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield changes of process-wide state in functions of a library, the first in each function or class.

        A method that restores the old value has the same fault as the method that changed it.
        """
        if module.is_script or _is_program(module):
            return
        seen: set[object] = set()
        changes = sorted(_changes(module), key=lambda one: (getattr(one[0], "lineno", 0), one[1]))
        for node, what in changes:
            function = module.in_function(node)
            if function is None or module.locked(node):
                continue
            owner = module.tree.enclosing_class(node)
            once: object = function if owner is None else (owner, what)
            if once in seen:
                continue
            if _PROGRAM.match(getattr(function, "name", "")):
                continue
            seen.add(once)
            yield self.finding(
                f"this changes `{what}`, which belongs to the whole process",
                location=module.place(node),
                severity=None if _is_temporary(module, node, what, changes) else Severity.PEDANTIC,
            )


def _is_temporary(module: PythonModule, node: ast.AST, what: str, changes: list[tuple[ast.AST, str]]) -> bool:
    """Return whether the change is undone in the same function or class: meanwhile other threads see it too.

    What a program sets once and for good, it sets when it starts, or on behalf of its user.
    """
    if what in _REDIRECTS:
        return True
    if _CONFIGURES.match(what):
        return False
    owner = module.tree.enclosing_class(node)
    function = module.in_function(node)
    for other, other_what in changes:
        if other is node or other_what != what or getattr(other, "lineno", 0) < getattr(node, "lineno", 0):
            continue
        same = module.in_function(other) is function or (
            owner is not None and module.tree.enclosing_class(other) is owner
        )
        if same and _puts_back(other):
            return True
    return False


def _puts_back(change: ast.AST) -> bool:
    """Return whether a change stores a value that a name holds, or calls a function with one: the old value."""
    match change:
        case ast.Assign(value=ast.Name() | ast.Attribute() | ast.Tuple() | ast.Subscript()):
            return True
        case ast.Call(args=arguments):
            return any(isinstance(argument, (ast.Name, ast.Attribute)) for argument in arguments)
        case ast.Delete():
            return True
        case _:
            return False


_CALLS = frozenset(
    [
        "os.chdir",
        "os.fchdir",
        "os.umask",
        "os.putenv",
        "os.unsetenv",
        "os.environ.update",
        "os.environ.pop",
        "os.environ.setdefault",
        "os.environ.clear",
        "os.environb.update",
        "locale.setlocale",
        "sys.setrecursionlimit",
        "sys.settrace",
        "sys.setprofile",
        "sys.path.insert",
        "sys.path.append",
        "sys.path.remove",
        "sys.path.extend",
        "signal.signal",
        "socket.setdefaulttimeout",
        "gc.disable",
        "gc.enable",
        "gc.freeze",
        "gc.set_threshold",
        "time.tzset",
        "logging.disable",
        "logging.basicConfig",
        "logging.setLoggerClass",
        "multiprocessing.set_start_method",
        "random.seed",
        "numpy.random.seed",
        "numpy.set_printoptions",
        "numpy.seterr",
        "threading.settrace",
        "threading.setprofile",
        "sys.stdout.reconfigure",
    ]
)
_CONFIGURES = re.compile(
    r"signal\.signal$|sys\.(?:path|argv|meta_path|dont_write_bytecode|set(?:trace|profile)|\w+hook)\b"
    r"|threading\.set(?:trace|profile)|threading\.excepthook|logging\.(?:basicConfig|setLoggerClass)|multiprocessing\."
)
"""What programs set once, when they start; only the main thread can set a handler, and a profiler is a thread's own."""
_REDIRECTS = frozenset(
    {
        "contextlib.chdir",
        "contextlib.redirect_stdout",
        "contextlib.redirect_stderr",
    }
)
_ATTRIBUTES = frozenset(
    [
        "sys.stdout",
        "sys.stderr",
        "sys.stdin",
        "sys.excepthook",
        "sys.displayhook",
        "sys.path",
        "sys.argv",
        "os.environ",
        "sys.dont_write_bytecode",
        "sys.meta_path",
        "sys.unraisablehook",
        "threading.excepthook",
        "warnings.showwarning",
        "warnings.formatwarning",
        "socket.socket",
    ]
)
_PROGRAM = re.compile(
    r"_?(?:main|cli|run_from|execute_from|entry_?point|setup_logging|configure_logging|setUp|tearDown)"
)


def _is_program(module: PythonModule) -> bool:
    """Return whether the module is a program: it has a `main` and reads the command line."""
    text = module.text
    reads = "argparse" in text or "optparse" in text or "import click" in text or "sys.argv" in text
    return reads and re.search(r"^def main\b|^if __name__ ==", text, re.MULTILINE) is not None


def _changes(module: PythonModule) -> Iterator[tuple[ast.AST, str]]:
    for call in module.tree.all(ast.Call):
        name = module.qualified(call.func)
        if name in _REDIRECTS:
            yield call, name or ""
        elif name in _CALLS and not _only_asks(name, call):
            yield call, name.removesuffix(".update").removesuffix(".pop").removesuffix(".setdefault")
    for statement in module.assignments():
        for target in targets_of(statement):
            match target:
                case ast.Subscript(value=value) if module.qualified(value) in ("os.environ", "os.environb"):
                    yield statement, "os.environ"
                case ast.Attribute() if module.qualified(target) in _ATTRIBUTES:
                    yield statement, dotted(target) or ""
                case _:
                    pass


def _only_asks(name: str, call: ast.Call) -> bool:
    """Return whether the call only reads: `locale.setlocale(category)` and the same with None."""
    if name != "locale.setlocale":
        return False
    return len(call.args) < 2 or (isinstance(call.args[1], ast.Constant) and call.args[1].value is None)
