"""Arguments to try, as expressions, in the order of likelihood by a parameter's name and annotation."""

from __future__ import annotations

import itertools
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

SHARED = {
    "a_list": "[3, 1, 2] * 20",
    "a_dict": '{f"k{n}": [n, str(n)] for n in range(60)}',
    "a_bytearray": 'bytearray(b"abcdef" * 50)',
    "a_set": "set(range(60))",
}
"""Arguments that other threads change during use, by their names in a unit."""

MUTATORS = {
    "a_list": (
        "a_list.append(i)",
        "a_list.clear()",
        "a_list.__setitem__(slice(None), [3, 1, 2] * 20)",
        "a_list.pop()",
        "a_list.extend([i] * 50)",
        "a_list.__setitem__(0, object())",
    ),
    "a_dict": (
        'a_dict.update({f"k{n}": [i, str(n)] for n in range(60)})',
        "a_dict.clear()",
        "a_dict.__setitem__(i, str(i))",
        "a_dict.popitem()",
        'a_dict.update({f"x{i}_{n}": str(n) for n in range(40)})',
    ),
    "a_bytearray": (
        'a_bytearray.extend(b"x" * 2000)',
        "a_bytearray.clear()",
        'a_bytearray.__setitem__(slice(None), b"abcdef" * 50)',
        "a_bytearray.pop()",
    ),
    "a_set": ("a_set.add(i)", "a_set.clear()", "a_set.update(range(60))", "a_set.pop()"),
}
"""The changes by other threads."""

OTHER = "p"
"""A second object of the type under test."""
OWN = frozenset({*SHARED, OTHER})
_PATH = 'tempfile.mkstemp(prefix="ftaudit")[1]'
_INTS = ("3", "100", "1", "0")
_STRINGS = ('"abc"', '"k1"', '"a, b; c" * 10', '""', '"1"')
_BYTES = ('b"abcdef" * 20', "a_bytearray", 'b""')
_LISTS = ("a_list", "list(range(100))", '["b", "a", "c"] * 20', "[[1, 2, 3]] * 40", '[("a", 1), ("b", 2)] * 20')
_DICTS = ("a_dict", '{"a": 1, "b": [2, 3]}')
CALLBACKS = ("(lambda *args, **options: args[0] if args else 1)", "(lambda *args: True)")
"""Functions that a callable may call; a unit can replace them by functions that change what is shared."""
_CALLABLES = (CALLBACKS[0], "operator.add", CALLBACKS[1], "int", "str")
_FILES = ('io.BytesIO(b"abc" * 100)', 'io.StringIO("abc\\n" * 100)')
_FLOATS = ("1.5", "0.0")
_BOOLS = ("True", "False")

_BY_ANNOTATION = (
    (r"\bbool\b", _BOOLS),
    (r"\bint\b|Index|Integral", _INTS),
    (r"\bfloat\b", _FLOATS),
    (r"bytearray", ("a_bytearray",)),
    (r"\bbytes\b|Buffer|memoryview", _BYTES),
    (r"Callable", _CALLABLES),
    (r"[Dd]ict|Mapping", _DICTS),
    (r"\b[Ss]et\b", ("a_set",)),
    (r"\b[Ll]ist\b|Sequence|Iterable|Iterator|[Tt]uple|Collection|array", _LISTS),
    (r"\bstr\b|AnyStr|LiteralString", _STRINGS),
    (r"Path", (_PATH,)),
    (r"\bIO\b|TextIO|BinaryIO", _FILES),
    (r"Self", (OTHER,)),
)
_BY_NAME = (
    (
        r"^(n|k|i|j|size|count|index|idx|num\w*|start|stop|end|step|level|width|depth|seed|pos|offset|len\w*|max\w*|min\w*|\w*size|\w*count|limit|capacity|bits?|position|rank|nbits)$",
        _INTS,
    ),
    (r"^(s|s1|s2|str\w*|text|name|title|word|sep\w*|prefix|suffix|pattern|label|field|attr\w*)$", _STRINGS),
    (r"^(key|k\d)$", ("1", '"k1"')),
    (r"^(data|buf\w*|b|payload|chunk|raw|content\w*|message|msg)$", (*_BYTES, *_STRINGS)),
    (r"^(d|dict\w*|mapping|kwargs|options|config|m)$", _DICTS),
    (
        r"^(seq\w*|it|iter\w*|values?|items?|elements?|lst|l|list\w*|args|xs|coll|array|arr|a|objs?|sequence\w*)$",
        _LISTS,
    ),
    (r"^(f|fn|func\w*|function\w*|callback|cb|predicate|binop|op|default|factory|hook|callable|keyfunc)$", _CALLABLES),
    (r"^(path|file\w*|fname|filename|dir\w*|folder)$", (_PATH,)),
    (r"^(fp|stream|fileobj|fh|f_in|f_out)$", _FILES),
    (r"^(encoding|codec)$", ('"utf-8"',)),
    (r"^(mode)$", ('"r"', '"w"')),
    (r"^(flag|is_\w*|ensure_\w*|strict|copy|inplace|\w*ed)$", _BOOLS),
    (r"^(other|o|that|rhs)$", (OTHER,)),
)
_GENERAL = (
    "a_list",
    "3",
    "[i, str(i)]",
    '"abc"',
    "a_dict",
    'b"abcdef" * 20',
    OTHER,
    "a_bytearray",
    _CALLABLES[0],
    "[[1, 2, 3]] * 40",
    '[("a", 1), ("b", 2)] * 20',
    "1.5",
    "a_set",
    '["b", "a", "c"] * 20',
    '"1"',
    "operator.add",
    "0",
    "iter(range(1000))",
    _FILES[0],
    "None",
    "True",
    "int",
    "(1, 2)",
    "object()",
)
_SAFE = (_PATH, *SHARED, OTHER, *_FILES)
"""Arguments for a callable with a dangerous name."""

DANGEROUS = re.compile(
    r"^(remove\w*|unlink\w*|rm\w*|delete\w*|del_\w*|purge\w*|erase\w*|wipe\w*|kill\w*|terminate\w*|system|exec\w*|spawn\w*"
    r"|popen\w*|fork\w*|exit\w*|_exit|quit|abort\w*|shutdown\w*|reboot\w*|truncate\w*|rename\w*|replace_file|move\w*"
    r"|chmod\w*|chown\w*|mkfifo|mount\w*|umount\w*|sethostname|setuid\w*|setgid\w*|signal\w*|raise_signal|crash\w*"
    r"|breakpoint|set_trace|input|getpass|daemon\w*|drop_\w*|send_signal|write_file|format_disk)$",
    re.IGNORECASE,
)
"""Names of functions that may destroy something. Methods are called only on objects that the child created."""
MOST = 140
"""Limit on the argument lists that are tried for one callable."""


def ranked(parameter: dict[str, Any]) -> list[str]:
    """Return the arguments to try for a parameter by its name and annotation, the likely ones first."""
    annotation, name = parameter.get("annotation") or "", parameter.get("name") or ""
    found = [value for pattern, values in _BY_ANNOTATION if re.search(pattern, annotation) for value in values]
    if not found:
        found = [value for pattern, values in _BY_NAME if re.search(pattern, name.lower()) for value in values]
    return list(dict.fromkeys([*found, *_GENERAL]))


def arguments(
    signature: list[dict[str, Any]] | None, examples: list[str], extra: list[str], *, dangerous: bool
) -> list[str]:
    """Return argument lists as source text: those from examples first, then likely ones from the signature.

    `extra` are expressions of the package's own objects. Without a signature, try zero to three positional arguments.
    """
    found = dict.fromkeys(() if dangerous else examples)
    if dangerous:
        found |= dict.fromkeys(_SAFE)
        return list(found)
    if signature is None:
        pools = [ranked({})[:20] + extra[:3]]
        found[""] = None
        found |= dict.fromkeys(_diagonal(pools, 24))
        found |= dict.fromkeys(_diagonal([[*pools[0][:10], *extra[:2]]] * 2, 70))
        found |= dict.fromkeys(_diagonal([pools[0][:6]] * 3, 40))
        return list(found)[:MOST]
    needed = [parameter for parameter in signature if parameter["required"] and not parameter["keyword"]]
    keywords = [parameter for parameter in signature if parameter["required"] and parameter["keyword"]]
    optional = [parameter for parameter in signature if not parameter["required"] and not parameter["keyword"]]
    for number in range(min(len(optional), 2) + 1):
        taken = [*needed, *optional[:number]]
        pools = [[*ranked(parameter), *extra[:3]] for parameter in taken]
        tails = "".join(f", {parameter['name']}={ranked(parameter)[0]}" for parameter in keywords)
        for text in _diagonal(pools, 80 if number == 0 else 30):
            found[f"{text}{tails}".removeprefix(", ")] = None
    return list(found)[:MOST]


def _diagonal(pools: list[list[str]], most: int) -> Iterator[str]:
    """Yield combinations, those of the first choices first."""
    if not pools:
        yield ""
        return
    count = 0
    width = max(map(len, pools))
    for total in range(width * len(pools)):
        ranges = [range(min(total + 1, len(pool))) for pool in pools[:-1]]
        for places in itertools.product(*ranges):
            last = total - sum(places)
            if 0 <= last < len(pools[-1]):
                yield ", ".join([pool[place] for pool, place in zip(pools, (*places, last))])  # noqa: B905 - equal
                count += 1
                if count >= most:
                    return
