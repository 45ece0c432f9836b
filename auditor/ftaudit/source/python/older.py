"""Rewrite Python syntax that is newer than 3.10 to older syntax on the same lines, so that an older parser reads it."""

from __future__ import annotations

from collections.abc import Sequence

import libcst


def rewrite(text: str) -> str:
    """Return older Python that binds and uses the same names on the same lines.

    Type parameters go, `type X = T` becomes an assignment, `except*` becomes `except`, and f-strings, whose grammar
    grew in 3.12, become calls with the expressions that they hold. Of 3.15, lazy imports (PEP 810) become plain
    ones, and comprehensions lose the star that unpacks their elements (PEP 798). Raise `libcst.ParserSyntaxError` for
    what libcst cannot parse.
    """
    return libcst.parse_module(text).visit(_Older()).code


class _Older(libcst.CSTTransformer):
    def leave_TypeAlias(self, original_node: libcst.TypeAlias, updated_node: libcst.TypeAlias) -> libcst.Assign:
        return libcst.Assign(targets=[libcst.AssignTarget(target=updated_node.name)], value=updated_node.value)

    def leave_LazyImport(self, original_node: libcst.LazyImport, updated_node: libcst.LazyImport) -> libcst.Import:
        return libcst.Import(
            names=updated_node.names,
            semicolon=updated_node.semicolon,
            whitespace_after_import=updated_node.whitespace_after_import,
        )

    def leave_LazyImportFrom(
        self, original_node: libcst.LazyImportFrom, updated_node: libcst.LazyImportFrom
    ) -> libcst.ImportFrom:
        return libcst.ImportFrom(
            module=updated_node.module,
            names=updated_node.names,
            relative=updated_node.relative,
            lpar=updated_node.lpar,
            rpar=updated_node.rpar,
            semicolon=updated_node.semicolon,
            whitespace_after_from=updated_node.whitespace_after_from,
            whitespace_before_import=updated_node.whitespace_before_import,
            whitespace_after_import=updated_node.whitespace_after_import,
        )

    def leave_ListComp(self, original_node: libcst.ListComp, updated_node: libcst.ListComp) -> libcst.ListComp:
        return updated_node.with_changes(elt=_unstarred(updated_node.elt))

    def leave_SetComp(self, original_node: libcst.SetComp, updated_node: libcst.SetComp) -> libcst.SetComp:
        return updated_node.with_changes(elt=_unstarred(updated_node.elt))

    def leave_GeneratorExp(
        self, original_node: libcst.GeneratorExp, updated_node: libcst.GeneratorExp
    ) -> libcst.GeneratorExp:
        return updated_node.with_changes(elt=_unstarred(updated_node.elt))

    def leave_StarredDictComp(
        self, original_node: libcst.StarredDictComp, updated_node: libcst.StarredDictComp
    ) -> libcst.DictComp:
        return libcst.DictComp(
            key=libcst.Name("None"),
            value=updated_node.value,
            for_in=updated_node.for_in,
            lbrace=updated_node.lbrace,
            rbrace=updated_node.rbrace,
            lpar=updated_node.lpar,
            rpar=updated_node.rpar,
        )

    def leave_FunctionDef(
        self, original_node: libcst.FunctionDef, updated_node: libcst.FunctionDef
    ) -> libcst.FunctionDef:
        return updated_node.with_changes(type_parameters=None)

    def leave_ClassDef(self, original_node: libcst.ClassDef, updated_node: libcst.ClassDef) -> libcst.ClassDef:
        return updated_node.with_changes(type_parameters=None)

    def leave_TryStar(self, original_node: libcst.TryStar, updated_node: libcst.TryStar) -> libcst.Try:
        handlers = [
            libcst.ExceptHandler(
                body=handler.body, type=handler.type, name=handler.name, leading_lines=handler.leading_lines
            )
            for handler in updated_node.handlers
        ]
        return libcst.Try(
            body=updated_node.body,
            handlers=handlers,
            orelse=updated_node.orelse,
            finalbody=updated_node.finalbody,
            leading_lines=updated_node.leading_lines,
        )

    def leave_ExceptHandler(
        self, original_node: libcst.ExceptHandler, updated_node: libcst.ExceptHandler
    ) -> libcst.ExceptHandler:
        # `except A, B:` needs no parentheses since 3.14 (PEP 758).
        kind = updated_node.type
        if isinstance(kind, libcst.Tuple) and not kind.lpar:
            return updated_node.with_changes(
                type=kind.with_changes(lpar=[libcst.LeftParen()], rpar=[libcst.RightParen()]),
                whitespace_after_except=libcst.SimpleWhitespace(" "),
            )
        return updated_node

    def leave_FormattedString(
        self, original_node: libcst.FormattedString, updated_node: libcst.FormattedString
    ) -> libcst.BaseExpression:
        return _call_of(original_node, updated_node.parts)

    def leave_TemplatedString(
        self, original_node: libcst.TemplatedString, updated_node: libcst.TemplatedString
    ) -> libcst.BaseExpression:
        return _call_of(original_node, updated_node.parts)

    def visit_ConcatenatedString(self, node: libcst.ConcatenatedString) -> bool:
        # Its parts are rewritten below: libcst refuses a concatenation with anything but strings.
        return False

    def leave_ConcatenatedString(
        self, original_node: libcst.ConcatenatedString, updated_node: libcst.ConcatenatedString
    ) -> libcst.BaseExpression:
        left, right = original_node.left.visit(self), original_node.right.visit(self)
        if isinstance(left, libcst.SimpleString) and isinstance(
            right, (libcst.SimpleString, libcst.ConcatenatedString)
        ):
            return updated_node
        if not isinstance(left, libcst.BaseExpression) or not isinstance(right, libcst.BaseExpression):
            return updated_node
        plus = libcst.Add(
            whitespace_before=updated_node.whitespace_between, whitespace_after=libcst.SimpleWhitespace(" ")
        )
        return libcst.BinaryOperation(
            left=left, operator=plus, right=right, lpar=updated_node.lpar, rpar=updated_node.rpar
        )


def _unstarred(element: libcst.BaseExpression | libcst.BaseElement) -> libcst.BaseExpression | libcst.BaseElement:
    return element.value if isinstance(element, libcst.StarredElement) else element


def _call_of(original: libcst.CSTNode, parts: Sequence[libcst.CSTNode]) -> libcst.Call:
    """Return `str(a, b, …)` of the expressions of a formatted string, over as many lines as the string had."""
    expressions = [
        part.expression
        for part in parts
        if isinstance(part, (libcst.FormattedStringExpression, libcst.TemplatedStringExpression))
    ]
    arguments = [
        libcst.Arg(value if not isinstance(value, libcst.Yield) else libcst.Name("None")) for value in expressions
    ]
    call = libcst.Call(func=libcst.Name("str"), args=arguments)
    empty = libcst.Module(body=[])
    missing = empty.code_for_node(original).count("\n") - empty.code_for_node(call).count("\n")
    if missing <= 0:
        return call
    lines = libcst.ParenthesizedWhitespace(
        first_line=libcst.TrailingWhitespace(),
        empty_lines=[libcst.EmptyLine(indent=False) for _ in range(missing - 1)],
        last_line=libcst.SimpleWhitespace(""),
    )
    return call.with_changes(whitespace_before_args=lines)


__all__ = ["rewrite"]
