"""Lazy initialization in Python: a test of something shared, and its assignment because of the test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ftaudit.source.python.kinds import Kind, kind_of
from ftaudit.source.python.locking import Locking
from ftaudit.source.python.tree import FunctionNode, dotted, inside, last_name, targets_of


@dataclass(frozen=True, slots=True)
class LazyInit:
    """`if X is None: X = …`, in one of its forms, in a function."""

    test: ast.stmt
    """The `if`, or the `try` that reads first and assigns in its handler."""
    key: str
    """The expression that is tested and assigned, as in the source: `_conn`, `self._x`, `cls.registry`."""
    assignments: tuple[ast.stmt, ...]
    """In order of lines."""
    function: FunctionNode
    body: tuple[ast.stmt, ...]
    """The statements that run if it is missing."""
    takes: bool = False
    """The other way round: a value that exists is used and removed, so that it is used only once."""


def find_lazy_inits(module: Locking) -> list[LazyInit]:
    """Return every lazy initialization of a global or of an attribute, locked or not."""
    found: list[LazyInit] = []
    for test in module.tree.all(ast.If):
        function = module.in_function(test)
        if function is None or isinstance(function, ast.Lambda) or function.name in _BEGINNINGS:
            continue
        for key, absent in guarded(test.test):
            if not _is_candidate(module, key, function):
                continue
            body = test.body if absent else _rest(module, test)
            assignments = list(assignments_to(key, body)) or list(_calls_that_assign(module, key, body))
            if assignments:
                found.append(LazyInit(test, key, tuple(assignments), function, tuple(body)))
            elif "." not in key:
                body = _rest(module, test) if absent else test.body
                taken = [each for each in assignments_to(key, body) if _takes_away(each, key, body)]
                if taken and not _ENDS.search(function.name):
                    found.append(LazyInit(test, key, tuple(taken), function, tuple(body), takes=True))
    found += _by_exception(module)
    return found


def _takes_away(assignment: ast.stmt, key: str, body: list[ast.stmt]) -> bool:
    """Return whether a flag is cleared, or a global is read and then reset: work to do only once.

    A global that is closed and reset is finished; a second thread there is the mistake of the code that ends it twice.
    """
    match assignment:
        case ast.Assign(value=ast.Constant(value=False)):
            return True
        case ast.Assign(value=ast.Constant(value=None)):
            pass
        case _:
            return False
    reads = [
        node
        for node in inside(body)
        if isinstance(node, ast.Name)
        and node.id == key
        and isinstance(node.ctx, ast.Load)
        and node.lineno <= assignment.lineno
    ]
    ended = {
        id(node.func.value)
        for node in inside(body)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    return bool(reads) and not any(id(node) in ended for node in reads)


def _calls_that_assign(module: Locking, key: str, body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the calls of functions that declare the name global, or of methods of the object that assign it."""
    owner = key.rpartition(".")[0]
    if owner:
        if owner == "self" and body and (around := module.tree.enclosing_class(body[0])) is not None:
            setting = {
                method.name
                for method in around.body
                if isinstance(method, ast.FunctionDef) and any(assignments_to(key, method.body))
            }
            for statement in body:
                match statement:
                    case (
                        ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name)))
                        | ast.Return(value=ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name)))
                    ) if name in setting:
                        yield statement
                    case _:
                        pass
        return
    assigning = {
        function.name
        for function, names in module.globals_by_function.items()
        if key in names and not isinstance(function, ast.Lambda)
    }
    for statement in body:
        match statement:
            case ast.Expr(value=ast.Call(func=ast.Name(id=name))) if name in assigning:
                yield statement
            case _:
                pass


def _is_candidate(module: Locking, key: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    if "." in key:
        return key.rpartition(".")[2] in module.assigned_attributes
    if key in module.globals_by_function.get(function, ()):
        return True
    return key in module.rebound_globals and module.is_module_name(key, function.body[0])


def _rest(module: Locking, test: ast.If) -> list[ast.stmt]:
    """Return what follows an `if X is not None: return X`, or its `else`."""
    if test.orelse:
        return test.orelse
    if not test.body or not isinstance(test.body[-1], (ast.Return, ast.Raise, ast.Continue)):
        return []
    block = module.tree.block(test)
    return block[block.index(test) + 1 :] if test in block else []


def _by_exception(module: Locking) -> Iterator[LazyInit]:
    """Yield `try: return X` with `except NameError/AttributeError: X = …`."""
    for attempt in module.tree.all(ast.Try):
        function = module.in_function(attempt)
        if function is None or isinstance(function, ast.Lambda):
            continue
        for handler in attempt.handlers:
            if last_name(handler.type) not in ("AttributeError", "NameError", "UnboundLocalError"):
                continue
            read = {dotted(n) for s in attempt.body for n in inside(s) if isinstance(n, (ast.Name, ast.Attribute))}
            for statement in handler.body:
                for target in targets_of(statement):
                    bound = dotted(target)
                    if bound is not None and bound in read and _is_candidate(module, bound, function):
                        yield LazyInit(attempt, bound, (statement,), function, tuple(handler.body))


def guarded(test: ast.expr) -> Iterator[tuple[str, bool]]:
    """Yield the object that a condition checks, and whether the condition is true if it is missing."""
    match test:
        case ast.BoolOp(values=values):
            for value in values:
                yield from guarded(value)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            for key, absent in guarded(operand):
                yield key, not absent
        case ast.Name() | ast.Attribute():
            named = dotted(test)
            if named is not None:
                yield named, False
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            yield from _compared(left, operator, right)
        case (
            ast.Call(func=ast.Name(id="hasattr"), args=[owner, ast.Constant(value=str(name))])
            | ast.Call(func=ast.Name(id="getattr"), args=[owner, ast.Constant(value=str(name)), _])
        ):
            named = dotted(owner)
            if named is not None:
                yield f"{named}.{name}", False
        case ast.NamedExpr(value=value):
            yield from guarded(value)
        case _:
            pass


def _compared(left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Iterator[tuple[str, bool]]:
    match operator, left, right:
        case (ast.NotIn() | ast.In(), ast.Constant(value=str(name)), ast.Attribute(value=owner, attr="__dict__")):
            key = dotted(owner)
            if key is not None:
                yield f"{key}.{name}", isinstance(operator, ast.NotIn)
        case (ast.Is() | ast.Eq(), _, _) if _is_nothing(right):
            yield from ((key, True) for key, _ in guarded(left))
        case (ast.IsNot() | ast.NotEq(), _, _) if _is_nothing(right):
            yield from ((key, False) for key, _ in guarded(left))
        case _:
            pass


def _is_nothing(node: ast.expr) -> bool:
    """Return whether an expression means that something is missing: None, False, 0, -1, empty, a sentinel's name."""
    match node:
        case ast.Constant(value=value):
            return value is None or value is False or value in (0, "")
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=1)):
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.isupper() or name.lstrip("_").lower() in ("sentinel", "missing", "unset", "notset", "undefined")
        case _:
            return False


def assignments_to(key: str, body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that bind the name or attribute, imports included, in order of lines."""
    found: list[ast.stmt] = []
    for statement in body:
        for node in inside(statement):
            match node:
                case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                    if any(dotted(target) == key for target in targets_of(node)):
                        found.append(node)
                case ast.Import(names=names) | ast.ImportFrom(names=names):
                    if any((alias.asname or alias.name.split(".")[0]) == key for alias in names):
                        found.append(node)
                case ast.Expr(
                    value=ast.Call(func=ast.Name(id="setattr"), args=[owner, ast.Constant(value=str(name)), _])
                ):
                    if f"{dotted(owner)}.{name}" == key:
                        found.append(node)
                case _:
                    pass
    yield from sorted(found, key=lambda statement: statement.lineno)


def rechecked_under_lock(module: Locking, lazy: LazyInit) -> bool:
    """Return whether every assignment happens under a lock, after the test is repeated under that lock."""
    return all(
        module.locked(assignment) and _tested_inside(module, lazy, assignment) for assignment in lazy.assignments
    )


def _tested_inside(module: Locking, lazy: LazyInit, assignment: ast.stmt) -> bool:
    """Return whether the name is read again, with the lock held, between the test and the assignment."""
    last = lazy.key.rpartition(".")[2]
    for node in inside(list(lazy.body)):
        if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Load):
            continue
        if last_name(node) == last and node.lineno < assignment.lineno and module.locked(node):
            return True
    return any(
        isinstance(node, ast.Call) and node.lineno < assignment.lineno and module.locked(node)
        for statement in lazy.body
        for node in inside(statement)
        if isinstance(node, ast.Call) and any(last == getattr(argument, "value", None) for argument in node.args)
    )


def belongs_to_loop(statement: ast.stmt) -> bool:
    """Return whether a statement stores what belongs to an event loop: only the loop's thread gets there."""
    match statement:
        case ast.Assign(value=ast.Call(func=func)):
            return last_name(func) in _OF_LOOP
        case _:
            return False


def is_harmless(value: ast.stmt) -> bool:
    """Return whether it is harmless if two threads assign: the same constant, module, pattern or function."""
    match value:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.Assign(value=expression) | ast.AnnAssign(value=expression) if expression is not None:
            return _is_harmless(expression)
        case _:
            return False


_OF_LOOP = frozenset({"create_task", "ensure_future", "create_future", "get_running_loop", "get_event_loop"})
"""Calls whose results belong to an event loop."""


def _is_harmless(expression: ast.expr) -> bool:
    match expression:
        case ast.Constant() | ast.Lambda() | ast.Name() | ast.Attribute() | ast.JoinedStr():
            return True
        case ast.Call(func=func):
            name = dotted(func) or ""
            return name in _PURE or name.startswith(("importlib.", "operator.", "os.path."))
        case ast.Tuple(elts=elements):
            return all(_is_harmless(element) for element in elements)
        case ast.UnaryOp(operand=operand) | ast.Await(value=operand):
            return _is_harmless(operand)
        case ast.BinOp(left=left, right=right):
            return _is_harmless(left) and _is_harmless(right)
        case ast.Compare() | ast.BoolOp():
            return not any(isinstance(node, ast.Call) for node in ast.walk(expression))
        case ast.IfExp(body=body, orelse=orelse):
            return _is_harmless(body) and _is_harmless(orelse)
        case _:
            return kind_of(expression) is Kind.CONSTANT


_BEGINNINGS = frozenset(
    {"__init__", "__setstate__", "__post_init__", "__attrs_post_init__", "__copy__", "__deepcopy__"}
)
"""Methods in which no other code has the object yet."""
_ENDS = re.compile(
    r"(?i)close|stop|shut|end|exit|clean|clear|reset|tear|destroy|dispose|free|disable|remove|un|pop|restore|finali[sz]e"
)
"""Names of functions that finish or release."""
_PURE = frozenset(
    [
        "re.compile",
        "regex.compile",
        "frozenset",
        "tuple",
        "str",
        "int",
        "float",
        "bool",
        "bytes",
        "len",
        "getattr",
        "hasattr",
        "isinstance",
        "issubclass",
        "import_module",
        "__import__",
        "import_string",
        "os.getenv",
        "os.environ.get",
        "os.getpid",
        "os.cpu_count",
        "sys.getsizeof",
        "shutil.which",
        "platform.system",
        "platform.machine",
        "namedtuple",
        "collections.namedtuple",
        "compile",
        "struct.Struct",
        "attrgetter",
        "itemgetter",
        "methodcaller",
        "partial",
        "functools.partial",
        "find_spec",
        "importlib.util.find_spec",
        "min",
        "max",
        "sum",
        "logging.getLogger",
        "getLogger",
        "Path",
        "pathlib.Path",
    ]
)
