"""Finds the facts of a build script in Python: limited API, Cython, cffi, F2PY, SWIG, mypyc, Windows macros."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from ftaudit.source.build.build_facts import BuildFact, FactKind, limited_version
from ftaudit.source.build.build_script import BuildScript, called_name, names_in, strings_in

_REQUIREMENT = re.compile(r"(?i)(cython|pybind11|nanobind|cffi|mypy|setuptools)\s*(\[[^\]]*\])?\s*([=~<>!]=?|$|;)")
_DIRECTIVE = re.compile(r"\bfreethreading_compatible\s*[=:]\s*['\"]?(\w+)")
_MACRO = re.compile(r"CYTHON_FREETHREADING_COMPATIBLE(?:=(\w+))?")
_WINDOWS = re.compile(r"(?i)\b(win32|windows|nt|is_win\w*|on_windows|win|msvc)\b")
_STEM = re.compile(r"[\w./*+-]{1,120}\Z")
_F2PY = re.compile(r"(?:numpy\.)?f2py[0-9.]*\Z")
_RUNTIME_ONLY = ("sys", "os", "platform", "sysconfig", "version_info", "environ", "implementation")
_MACRO_FLAGS = ("-DPy_LIMITED_API", "/DPy_LIMITED_API")
_LOOKING = frozenset(
    {
        *("startswith", "endswith", "removeprefix", "removesuffix", "find", "rfind", "index", "rindex", "count"),
        *("replace", "split", "partition", "remove", "match", "search", "fullmatch", "compile"),
    }
)
"""Methods that search for a text, or remove it."""
_BUILD_FILE = re.compile(
    r"(?:^|/)(?:_?build\w*|setup\w*|hatch_build|noxfile|SConstruct|wscript|tasks|conanfile)(?:\.py)?$"
)
_BUILD_TOOL = re.compile(
    r"\w*Extension|setup|cythonize|set_source\w*|mypycify|build_ext|bdist_wheel|run_setup|add_extension|Distribution|Popen"
    r"|check_call|check_output|run|get_requires_for_build_\w+"
)
"""Calls that build, or start a build: a flag in such a file is a real flag."""
_MAX_RUNS = 40
_MAX_MENTIONS = 4000


def find_script_facts(script: BuildScript) -> Iterator[BuildFact]:
    """Yield the facts of a build script, in no order."""
    finder = _ScriptReader(script)
    yield from finder.limited_api()
    yield from finder.cython()
    yield from finder.requirements()
    yield from finder.generators()
    yield from finder.windows()
    yield from finder.mentions()


class _ScriptReader:
    def __init__(self, script: BuildScript) -> None:
        self.script = script

    def fact(
        self, kind: FactKind, node: ast.AST, value: str = "", names: tuple[str, ...] = (), *, settled: bool = False
    ) -> BuildFact:
        return BuildFact(
            kind=kind,
            path=self.script.path,
            line=getattr(node, "lineno", 1),
            column=getattr(node, "col_offset", 0) + 1,
            value=value,
            names=names,
            settled=settled,
        )

    # Limited API

    def limited_api(self) -> Iterator[BuildFact]:
        for node, kind, value in self._limited_api_sites():
            fact = self.fact(kind, node, value, settled=self.script.settled(node))
            yield replace(fact, asked=_asked_version(node))

    def _limited_api_sites(self) -> Iterator[tuple[ast.AST, FactKind, str]]:
        script = self.script
        for node in script.nodes:
            match node:
                case ast.Call(keywords=keywords):
                    kind = FactKind.CFFI if called_name(node) == "set_source" else FactKind.LIMITED_API
                    for keyword in keywords:
                        if keyword.arg == "py_limited_api":
                            for site in self._asked(keyword.value):
                                yield site, kind, "py_limited_api"
                case ast.Dict(keys=keys, values=values):
                    for key, value in zip(keys, values, strict=True):
                        if isinstance(key, ast.Constant) and key.value in ("py_limited_api", "py-limited-api"):
                            for site in self._asked(value):
                                yield site, FactKind.LIMITED_API, "py_limited_api"
                case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value="py_limited_api"))], value=value):
                    for site in self._asked(value):
                        yield site, FactKind.LIMITED_API, "py_limited_api"
                case ast.Assign(targets=[ast.Attribute(attr="py_limited_api")], value=value):
                    for site in self._asked(value):
                        yield site, FactKind.LIMITED_API, "py_limited_api"
                case ast.Tuple(elts=[ast.Constant(value="Py_LIMITED_API"), _]) if self._defines(node):
                    yield node, FactKind.LIMITED_API, "the macro Py_LIMITED_API"
                case ast.Constant(value=str(text)) if text.startswith(_MACRO_FLAGS) and self._asks(node):
                    yield node, FactKind.LIMITED_API, "the macro Py_LIMITED_API"
                case ast.Constant(value=str(text)) if text.startswith("--py-limited-api=") and self._asks(node):
                    yield node, FactKind.LIMITED_API, "--py-limited-api"
                case ast.Return(value=ast.Tuple(elts=elements)) if script.function_of(node) == "get_tag":
                    if any(isinstance(each, ast.Constant) and each.value == "abi3" for each in elements):
                        yield node, FactKind.LIMITED_API, "the wheel tag abi3"
                case _:
                    pass

    def _asked(self, value: ast.expr, depth: int = 0) -> Iterator[ast.AST]:
        """Yield the places that really ask for the limited API: the constant itself, or the value of a name."""
        match value:
            case ast.Constant(value=constant):
                if constant and constant != "none":
                    yield value
            case ast.JoinedStr() | ast.Call(func=ast.Attribute(value=ast.Constant(value=str()), attr="format")):
                # "cp3{}".format(sys.version_info[1])
                yield value
            case ast.BinOp(left=ast.Constant(value=str()), op=ast.Mod()):
                yield value
            case ast.Name(id=name) if depth < 3:
                for binding in self.script.bindings.get(name, ()):
                    if not binding.updates:
                        yield from self._asked(binding.value, depth + 1)
            case ast.IfExp(body=body, orelse=orelse):
                yield from self._asked(body, depth + 1)
                yield from self._asked(orelse, depth + 1)
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp() if self._only_runtime(value):
                if not self.script.is_aware(value):
                    yield value
            case _:
                pass

    def _only_runtime(self, value: ast.expr) -> bool:
        """Return whether the condition is made of the running Python's properties, the environment and constants."""
        plain = (name in _RUNTIME_ONLY or name in self.script.bindings for name in names_in(value))
        return all(plain)

    def _asks(self, flag: ast.Constant) -> bool:
        """Return whether a flag is passed to a tool, and not a text to compare or search with.

        In a module that builds nothing, a flag is data: a linter's table, a test's input.
        """
        below: ast.AST = flag
        for above in self.script.above(flag):
            match above:
                case ast.Compare() | ast.pattern() | ast.Expr():
                    return False
                case ast.Call(func=ast.Attribute(attr=method)) if below is not above.func and method in _LOOKING:
                    return False
                case ast.stmt():
                    return self._builds
                case _:
                    below = above
        return self._builds

    @cached_property
    def _builds(self) -> bool:
        """Whether the file is a build script by its name, or calls or extends a build tool."""
        if _BUILD_FILE.search(self.script.path):
            return True
        if any(_BUILD_TOOL.fullmatch(called_name(call)) for call in self.script.calls):
            return True
        return any(
            _BUILD_TOOL.fullmatch(name)
            for node in self.script.nodes
            if isinstance(node, ast.ClassDef)
            for base in node.bases
            for name in names_in(base)
        )

    def _defines(self, pair: ast.Tuple) -> bool:
        above = self.script.parents.get(pair)
        removed = isinstance(above, ast.Call) and called_name(above) in ("remove", "index", "count")
        return not removed and not isinstance(above, ast.Compare)

    # Cython

    def cython(self) -> Iterator[BuildFact]:
        declarations = list(self._declarations())
        yield from declarations
        yield from self._version_gates()
        said = {id(node) for node in self._saying_nodes()}
        runs = [call for call in self.script.calls if called_name(call) == "cythonize"]
        if not runs:
            yield from self._by_setuptools(said)
        for call in runs[:_MAX_RUNS]:
            flow = self.script.closure([call])
            sources = tuple(sorted(set(_sources(flow)) or set(self._all_sources())))
            if python := tuple(name for name in sources if name.endswith(".py")):
                yield self.fact(FactKind.COMPILED_PYTHON, call, names=python)
            if not any(id(each) in said for node in flow for each in ast.walk(node)) and not self._said_elsewhere():
                yield self.fact(FactKind.CYTHON_PLACE, self._place(call), "cythonize()", sources)

    def _by_setuptools(self, said: set[int]) -> Iterator[BuildFact]:
        """Yield the extensions that setuptools itself passes to Cython, with their own directives.

        If the script computes the names of their sources, the modules' own headers decide.
        """
        for call in self.script.calls:
            own = next((each.value for each in call.keywords if each.arg == "cython_directives"), None)
            if own is None or not called_name(call).endswith("Extension"):
                continue
            sources = tuple(sorted(set(_sources([call]))))
            flow = self.script.closure([own])
            if sources and not any(id(each) in said for node in flow for each in ast.walk(node)):
                yield self.fact(FactKind.CYTHON_PLACE, own, "an Extension's cython_directives", sources)

    def _all_sources(self) -> Iterator[str]:
        """Yield the sources of every extension in the script: for a call that receives the distribution's own list."""
        for call in self.script.calls:
            if called_name(call).endswith("Extension"):
                yield from _sources([call])

    def _saying_nodes(self) -> Iterator[ast.AST]:
        """Yield the nodes that name the directive or the macro."""
        for node in self.script.nodes:
            match node:
                case ast.Constant(value=str(text)) if "freethreading_compatible" in text.lower():
                    yield node
                case ast.keyword(arg="freethreading_compatible"):
                    yield node
                case _:
                    pass

    def _said_elsewhere(self) -> bool:
        """Return whether the directive is set on something that the call cannot be traced to: extensions, defaults."""
        for node in self._saying_nodes():
            above: ast.AST | None = node
            while above is not None and not isinstance(above, ast.stmt):
                above = self.script.parents.get(above)
            match above:
                case ast.Assign(targets=[ast.Attribute()]) | ast.Assign(targets=[ast.Subscript(value=ast.Attribute())]):
                    return True
                case ast.Assign(targets=[ast.Subscript(value=ast.Call())]):
                    return True
                case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))]) if self._is_default(name):
                    return True
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Attribute() | ast.Call()))):
                    return True
                case _:
                    pass
        return False

    def _is_default(self, name: str) -> bool:
        """Return whether a name means Cython's own table of defaults: `defaults = get_directive_defaults()`."""
        made = [binding.value for binding in self.script.bindings.get(name, ())]
        return any(isinstance(value, ast.Call) and "directive_defaults" in called_name(value) for value in made)

    def _declarations(self) -> Iterator[BuildFact]:
        for node in self.script.nodes:
            match node:
                case ast.Dict(keys=keys, values=values):
                    for key, value in zip(keys, values, strict=True):
                        if isinstance(key, ast.Constant) and key.value == "freethreading_compatible":
                            yield self.fact(FactKind.DECLARES, key, _truth(value), self._since(node))
                case ast.keyword(arg="freethreading_compatible", value=value):
                    yield self.fact(FactKind.DECLARES, value, _truth(value), self._since(node))
                case ast.Assign(
                    targets=[ast.Subscript(slice=ast.Constant(value="freethreading_compatible"))], value=value
                ):
                    yield self.fact(FactKind.DECLARES, node, _truth(value), self._since(node))
                case ast.Tuple(elts=[ast.Constant(value="CYTHON_FREETHREADING_COMPATIBLE"), ast.expr() as value]):
                    yield self.fact(FactKind.DECLARES, node, _truth(value), ("project", *self._since(node)))
                case ast.Constant(value=str(text)) if len(text) < 300 and "reethreading" in text.lower():
                    if isinstance(self.script.parents.get(node), ast.Expr):
                        continue
                    if found := _DIRECTIVE.search(text):
                        said = "false" if found[1].lower() == "false" else "true"
                        yield self.fact(FactKind.DECLARES, node, said, self._since(node))
                    elif text.lstrip().startswith(("-D", "/D")) and (found := _MACRO.search(text)):
                        said = "false" if found[1] == "0" else "true"
                        yield self.fact(FactKind.DECLARES, node, said, ("project", *self._since(node)))
                case _:
                    pass

    def _since(self, node: ast.AST) -> tuple[str, ...]:
        """Return `since:3.14` for code under `if sys.version_info >= (3, 14)`."""
        for test in self.script.tests_above(node):
            for each in ast.walk(test):
                match each:
                    case ast.Compare(
                        left=ast.Attribute(attr="version_info")
                        | ast.Subscript(value=ast.Attribute(attr="version_info")),
                        ops=[ast.GtE()],
                        comparators=[ast.Tuple(elts=[ast.Constant(value=3), ast.Constant(value=int(minor)), *_])],
                    ):
                        return (f"since:3.{minor}",)
                    case _:
                        pass
        return ()

    def _place(self, call: ast.Call) -> ast.AST:
        """Return the node where the directive belongs: the passed directives, else the flags, else the call."""
        directives = next((each.value for each in call.keywords if each.arg == "compiler_directives"), None)
        if directives is None:
            return self._place_in_options(call) or call
        if not isinstance(directives, ast.Name):
            return directives
        bindings = self.script.bindings.get(directives.id, [])
        filled = any(_has_constant_key(binding.node) for binding in bindings)
        if not bindings or not filled:
            return self._shared_flags() or directives
        return bindings[0].node

    def _place_in_options(self, call: ast.Call) -> ast.AST | None:
        """Return the place where `**options` gets its directives, or where the options themselves are created."""
        options = [each.value for each in call.keywords if each.arg is None]
        for node in self.script.closure(options) if options else ():
            for each in ast.walk(node):
                if isinstance(each, ast.Dict):
                    for key, value in zip(each.keys, each.values, strict=True):
                        if isinstance(key, ast.Constant) and key.value == "compiler_directives":
                            return value
        for option in options:
            for binding in self.script.bindings.get(option.id, ()) if isinstance(option, ast.Name) else ():
                if isinstance(binding.value, (ast.Dict, ast.Call)):
                    return binding.node
        return None

    def _shared_flags(self) -> ast.AST | None:
        """Return the list of compiler flags that extensions share, if directives come only from the command line."""
        for call in self.script.calls:
            for keyword in call.keywords:
                if keyword.arg == "extra_compile_args" and isinstance(keyword.value, ast.Name):
                    for binding in self.script.bindings.get(keyword.value.id, ()):
                        if isinstance(binding.value, (ast.List, ast.Tuple)):
                            return binding.node
        return None

    def _version_gates(self) -> Iterator[BuildFact]:
        for node in self.script.nodes:
            match node:
                case ast.If(test=test, body=body):
                    gated: list[ast.AST] = list(body)
                case ast.IfExp(test=test, body=expression):
                    gated = [expression]
                case _:
                    continue
            if not any("freethreading_compatible" in str(text.value) for text in strings_in(gated)) and not any(
                isinstance(each, ast.keyword) and each.arg == "freethreading_compatible"
                for top in gated
                for each in ast.walk(top)
            ):
                continue
            for compare in ast.walk(test):
                if isinstance(compare, ast.Compare) and self._compares_version_text(compare):
                    yield self.fact(FactKind.VERSION_GATE, compare)

    def _compares_version_text(self, compare: ast.Compare) -> bool:
        ordered = any(isinstance(op, (ast.Lt, ast.LtE, ast.Gt, ast.GtE)) for op in compare.ops)
        sides = [compare.left, *compare.comparators]
        text = any(isinstance(side, ast.Constant) and isinstance(side.value, str) for side in sides)
        version = any(
            (isinstance(side, ast.Attribute) and side.attr in ("__version__", "version"))
            or (isinstance(side, ast.Name) and "version" in side.id.lower())
            for side in sides
        )  # fmt: skip
        return ordered and text and version

    # Requirements and generators

    def requirements(self) -> Iterator[BuildFact]:
        for node in self.script.every(ast.Constant):
            match node:
                case ast.Constant(value=str(text)) if self.script.keyword_above(node) == "python_requires":
                    yield self.fact(FactKind.PYTHON, node, text.strip())
                case ast.Constant(value=str(text)) if len(text) < 200 and _REQUIREMENT.match(text.strip()):
                    where = self.script.keyword_above(node) or self.script.function_of(node) or ""
                    bare = _REQUIREMENT.fullmatch(text.strip())
                    if not bare and not isinstance(self.script.parents.get(node), (ast.Expr, ast.Compare)):
                        yield self.fact(
                            FactKind.REQUIRES, node, text.strip(), (where,), settled=self.script.settled(node)
                        )
                case _:
                    pass

    def generators(self) -> Iterator[BuildFact]:
        script = self.script
        yield from self._swig()
        for call in script.calls:
            name = called_name(call)
            if name == "mypycify":
                yield self.fact(FactKind.MYPYC, call)
        for node in script.nodes:
            if isinstance(node, (ast.List, ast.Tuple)):
                words = [each.value for each in node.elts if isinstance(each, ast.Constant)]
                if len(node.elts) > 1 and any(isinstance(word, str) and _F2PY.match(word) for word in words):
                    above = script.parents.get(node)
                    if isinstance(above, (ast.Call, ast.Assign, ast.BinOp, ast.keyword)) and _looks_run(words):
                        told = "freethreading-compatible" in script.text
                        yield self.fact(FactKind.F2PY, node, settled=told)

    def _swig(self) -> Iterator[BuildFact]:
        """Yield the runs of SWIG: extensions with its options or inputs, or else the input that the script names."""
        found = False
        extensions = [call for call in self.script.calls if called_name(call).endswith("Extension")]
        for call in extensions:
            options = next((each for each in call.keywords if each.arg == "swig_opts"), None)
            if options is None and not any(str(text.value).endswith(".i") for text in strings_in([call])):
                continue
            found = True
            told = any("-nogil" in str(text.value) for text in strings_in(self.script.closure([call])))
            yield self.fact(FactKind.SWIG, options.value if options else call, settled=told)
        if found or not extensions:
            return
        for text in strings_in([self.script.tree]):
            if re.fullmatch(r"[\w./-]+\.i", str(text.value)):
                yield self.fact(FactKind.SWIG, text, settled="-nogil" in self.script.text)
                return

    def windows(self) -> Iterator[BuildFact]:
        for text in strings_in([self.script.tree]):
            pair = self.script.parents.get(text)
            defines = isinstance(pair, ast.Tuple) and pair.elts[0] is text and text.value == "Py_GIL_DISABLED"
            if defines or str(text.value).startswith(("-DPy_GIL_DISABLED", "/DPy_GIL_DISABLED")):
                yield self.fact(FactKind.GIL_MACRO, text, "macro")
        if "Extension" not in self.script.text:
            return
        for node in self.script.every(ast.If):
            if not isinstance(node, ast.If) or not _WINDOWS.search(ast.unparse(node.test)[:500]):
                continue
            lists = [
                statement
                for statement in node.body
                for binding in self.script.bindings_at(statement)
                if "macros" in binding.name.lower() and _names_macro(binding.value)
            ]
            if lists:
                # The place is the end of the list of macros.
                end = ast.Pass(lineno=lists[-1].end_lineno or lists[-1].lineno, col_offset=lists[-1].col_offset)
                yield self.fact(FactKind.WINDOWS_MACROS, end)

    def mentions(self) -> Iterator[BuildFact]:
        words: set[str] = set()
        for node in strings_in([self.script.tree]):
            text = str(node.value)
            if _STEM.match(text):
                words.add(text)
        if words:
            yield BuildFact(
                kind=FactKind.MENTIONS, path=self.script.path, line=1, names=tuple(sorted(words)[:_MAX_MENTIONS])
            )


def _looks_run(words: Sequence[object]) -> bool:
    """Return whether the words are a command line: an option, `-m`, or a marker of an input file."""
    return any(isinstance(word, str) and (word.startswith("-") or "@" in word) for word in words)


def _names_macro(value: ast.expr) -> bool:
    texts = [text.value for text in strings_in([value])]
    return bool(texts) and "Py_LIMITED_API" not in texts


def _truth(value: ast.expr) -> str:
    """Return `false` for a plain no; any value computed at build time counts as a yes."""
    if isinstance(value, ast.Constant) and str(value.value).lower() in ("false", "0", "none", ""):
        return "false"
    return "true"


def _has_constant_key(node: ast.AST) -> bool:
    return any(
        (isinstance(each, ast.Dict) and any(isinstance(key, ast.Constant) for key in each.keys))
        or (isinstance(each, ast.Subscript) and isinstance(each.slice, ast.Constant))
        or isinstance(each, ast.keyword)
        for each in ast.walk(node)
    )  # fmt: skip


def _sources(nodes: list[ast.AST]) -> Iterator[str]:
    for text in strings_in(nodes):
        value = str(text.value)
        if value.endswith((".py", ".pyx", ".py.in", ".pyx.in")) and _STEM.match(value) and value != "setup.py":
            yield value


def _asked_version(node: ast.AST) -> int | None:
    """Return the limited API that a tag, a macro's pair or definition, or an option asks for; `None` if unspecified."""
    match node:
        case ast.Constant(value=str(text)):
            return limited_version(text.removeprefix("--py-limited-api="))
        case ast.Tuple(elts=[ast.Constant(value="Py_LIMITED_API"), ast.Constant(value=None | str() | int() as value)]):
            return limited_version(f"Py_LIMITED_API={'' if value is None else value}")
        case ast.Return(value=ast.Tuple(elts=[ast.Constant(value=str(text)), *_])):
            return limited_version(text)
        case _:
            return None
