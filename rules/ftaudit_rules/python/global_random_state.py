"""FT523: the code uses the global random generator."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import dotted


class GlobalRandomState(PythonRule):
    """The functions of the module `random`, and the legacy functions of `numpy.random`, share one generator. The calls
    are safe, but results are not reproducible if several threads draw numbers, and the threads wait for each other."""

    info = RuleInfo(
        code="FT523",
        name="global-random-state",
        summary="The code uses the global random generator, which all threads share.",
        severity=Severity.PEDANTIC,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Give each thread or task its own `random.Random()` or `numpy.random.default_rng()`.",
        links=("https://docs.python.org/3.14/library/random.html",),
        default=False,
    )
    VALID = (
        SourceExample(
            code="""\
import random
def draw(rng: random.Random):
    return rng.random()
""",
            instead=True,
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import random
def draw():
    return random.randint(1, 6)
""",
            lines=(3,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield calls of the global generator in functions."""
        for call in module.tree.all(ast.Call):
            name = dotted(call.func) or ""
            owner, _, function = name.rpartition(".")
            if owner in ("random", "np.random", "numpy.random") and function in _DRAWS and module.in_function(call):
                yield self.finding(
                    f"`{name}()` uses the random generator that all threads share", location=module.place(call)
                )


_DRAWS = frozenset(
    [
        "random",
        "randint",
        "randrange",
        "choice",
        "choices",
        "sample",
        "shuffle",
        "uniform",
        "gauss",
        "normalvariate",
        "getrandbits",
        "rand",
        "randn",
        "normal",
        "permutation",
        "triangular",
        "betavariate",
        "expovariate",
    ]
)
