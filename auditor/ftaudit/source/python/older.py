"""Rewrite Python syntax that is newer than 3.10 to older syntax on the same lines, so that an older parser reads it."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst


def rewrite(text: str) -> str:
    """Return older Python that binds and uses the same names on the same lines.

    Type parameters go, `type X = T` becomes an assignment, `except*` becomes `except`, and f-strings, whose grammar
    grew in 3.12, become calls with the expressions that they hold. Of 3.15, lazy imports (PEP 810) become ordinary
    ones, and comprehensions lose the star that unpacks their elements (PEP 798). Raise `libcst.ParserSyntaxError` for
    what libcst cannot parse.
    """
    return cst.parse_module(text).visit(_Older()).code


class _Older(cst.CSTTransformer):
    def leave_TypeAlias(self, original_node: cst.TypeAlias, updated_node: cst.TypeAlias) -> cst.Assign:
        return cst.Assign(targets=[cst.AssignTarget(target=updated_node.name)], value=updated_node.value)

    def leave_LazyImport(self, original_node: cst.LazyImport, updated_node: cst.LazyImport) -> cst.Import:
        return cst.Import(
            names=updated_node.names,
            semicolon=updated_node.semicolon,
            whitespace_after_import=updated_node.whitespace_after_import,
        )

    def leave_LazyImportFrom(
        self, original_node: cst.LazyImportFrom, updated_node: cst.LazyImportFrom
    ) -> cst.ImportFrom:
        return cst.ImportFrom(
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

    def leave_ListComp(self, original_node: cst.ListComp, updated_node: cst.ListComp) -> cst.ListComp:
        return updated_node.with_changes(elt=_unstarred(updated_node.elt))

    def leave_SetComp(self, original_node: cst.SetComp, updated_node: cst.SetComp) -> cst.SetComp:
        return updated_node.with_changes(elt=_unstarred(updated_node.elt))

    def leave_GeneratorExp(self, original_node: cst.GeneratorExp, updated_node: cst.GeneratorExp) -> cst.GeneratorExp:
        return updated_node.with_changes(elt=_unstarred(updated_node.elt))

    def leave_StarredDictComp(
        self, original_node: cst.StarredDictComp, updated_node: cst.StarredDictComp
    ) -> cst.DictComp:
        return cst.DictComp(
            key=cst.Name("None"),
            value=updated_node.value,
            for_in=updated_node.for_in,
            lbrace=updated_node.lbrace,
            rbrace=updated_node.rbrace,
            lpar=updated_node.lpar,
            rpar=updated_node.rpar,
        )

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        return updated_node.with_changes(type_parameters=None)

    def leave_ClassDef(self, original_node: cst.ClassDef, updated_node: cst.ClassDef) -> cst.ClassDef:
        return updated_node.with_changes(type_parameters=None)

    def leave_TryStar(self, original_node: cst.TryStar, updated_node: cst.TryStar) -> cst.Try:
        handlers = [
            cst.ExceptHandler(
                body=handler.body, type=handler.type, name=handler.name, leading_lines=handler.leading_lines
            )
            for handler in updated_node.handlers
        ]
        return cst.Try(
            body=updated_node.body,
            handlers=handlers,
            orelse=updated_node.orelse,
            finalbody=updated_node.finalbody,
            leading_lines=updated_node.leading_lines,
        )

    def leave_ExceptHandler(
        self, original_node: cst.ExceptHandler, updated_node: cst.ExceptHandler
    ) -> cst.ExceptHandler:
        # `except A, B:` needs no parentheses since 3.14 (PEP 758).
        kind = updated_node.type
        if isinstance(kind, cst.Tuple) and not kind.lpar:
            return updated_node.with_changes(
                type=kind.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()]),
                whitespace_after_except=cst.SimpleWhitespace(" "),
            )
        return updated_node

    def leave_FormattedString(
        self, original_node: cst.FormattedString, updated_node: cst.FormattedString
    ) -> cst.BaseExpression:
        return _call_of(original_node, updated_node.parts)

    def leave_TemplatedString(
        self, original_node: cst.TemplatedString, updated_node: cst.TemplatedString
    ) -> cst.BaseExpression:
        return _call_of(original_node, updated_node.parts)

    def leave_ConcatenatedString(
        self, original_node: cst.ConcatenatedString, updated_node: cst.ConcatenatedString
    ) -> cst.BaseExpression:
        if isinstance(updated_node.left, cst.SimpleString) and isinstance(
            updated_node.right, (cst.SimpleString, cst.ConcatenatedString)
        ):
            return updated_node
        plus = cst.Add(whitespace_before=updated_node.whitespace_between, whitespace_after=cst.SimpleWhitespace(" "))
        return cst.BinaryOperation(
            left=updated_node.left,
            operator=plus,
            right=updated_node.right,
            lpar=updated_node.lpar,
            rpar=updated_node.rpar,
        )


def _unstarred(element: cst.BaseExpression | cst.BaseElement) -> cst.BaseExpression | cst.BaseElement:
    return element.value if isinstance(element, cst.StarredElement) else element


def _call_of(original: cst.CSTNode, parts: Sequence[cst.CSTNode]) -> cst.Call:
    """Return `str(a, b, …)` of the expressions of a formatted string, over as many lines as the string had."""
    expressions = [
        part.expression
        for part in parts
        if isinstance(part, (cst.FormattedStringExpression, cst.TemplatedStringExpression))
    ]
    arguments = [cst.Arg(value if not isinstance(value, cst.Yield) else cst.Name("None")) for value in expressions]
    call = cst.Call(func=cst.Name("str"), args=arguments)
    empty = cst.Module(body=[])
    missing = empty.code_for_node(original).count("\n") - empty.code_for_node(call).count("\n")
    if missing <= 0:
        return call
    lines = cst.ParenthesizedWhitespace(
        first_line=cst.TrailingWhitespace(),
        empty_lines=[cst.EmptyLine(indent=False) for _ in range(missing - 1)],
        last_line=cst.SimpleWhitespace(""),
    )
    return call.with_changes(whitespace_before_args=lines)


__all__ = ["rewrite"]
