"""Arguments to try, as expressions, in the order of likelihood by a parameter's name and annotation."""

from __future__ import annotations

import itertools
import re

from ftaudit.stress.child.script_text import FRESH_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

SHARED = {
    "a_list": "[n + 1000 for n in range(60)]",
    "a_dict": '{f"k{n}": [n, str(n)] for n in range(60)}',
    "a_strings": '[f"s{n}" for n in range(60)]',
    "a_bytearray": 'bytearray(b"abcdef" * 50)',
    "a_set": "set(range(1000, 1060))",
    "a_pairs": '[(f"k{n}", n + 1000) for n in range(60)]',
    "a_small_list": "list(range(256))",
}
"""Arguments that other threads change during use, by their names in a unit.

Their items are objects of their own: nothing shows that the interpreter shares an immortal number.
"""

_FRESH_ITEMS = {
    "a_list": ("i + 1000", "[n + 1000 + i for n in range(60)]"),
    "a_strings": ('f"t{i}"', '[f"t{n}{i}" for n in range(60)]'),
    "a_pairs": ('(f"k{i}", i + 1000)', '[(f"k{n}", n + i) for n in range(60)]'),
    "a_small_list": ("i % 256", "list(range(256))"),
}
MUTATORS = {
    name: (
        f"{name}.__setitem__(slice(None), {every})",
        f"{name}.clear()",
        f"{name}.append({item})",
        f"{name}.pop()",
        f"{name}.__setitem__(0, {item})",
        f"{name}.__setitem__(slice(60, None), [{item}] * 50)",
    )
    for name, (item, every) in _FRESH_ITEMS.items()
} | {
    "a_dict": (
        'a_dict.update({f"k{n}": [i, str(i)] for n in range(60)})',
        "a_dict.clear()",
        "a_dict.__setitem__(i, str(i))",
        "a_dict.popitem()",
        'a_dict.update({f"x{n}": str(i) for n in range(40)})',
    ),
    "a_bytearray": (
        'a_bytearray.__setitem__(slice(300, None), b"x" * 2000)',
        "a_bytearray.clear()",
        'a_bytearray.__setitem__(slice(None), b"abcdef" * 50)',
        "a_bytearray.pop()",
    ),
    "a_set": ("a_set.add(i)", "a_set.clear()", "a_set.update(range(1000, 1060))", "a_set.pop()"),
}
"""The changes by other threads. No change makes an object larger and larger: a slow call would look like a hang."""
MUTATIONS = frozenset(text for texts in MUTATORS.values() for text in texts)

OTHER = "p"
"""A second object of the type under test."""
_PATH = f"{FRESH_FILE}()"
_INTS = ("3", "100", "1", "0")
_STRINGS = ('"abc"', '"k1"', '\'{"a": [1, "b"]}\'', '"a, b; c" * 10', '""', '"1"')
_BYTES = ('b"abcdef" * 20', "a_bytearray", 'b""')
_LISTS = ("a_list", "a_strings", "a_pairs", "[[1, 2, 3]] * 40", '[("a", 1), ("b", 2)] * 20', "a_small_list")
_DICTS = ("a_dict", '{"a": 1, "b": [2, 3]}', '{"a": "b"}')
CALLBACKS = ("(lambda *args, **options: args[0] if args else 1)", "(lambda *args: True)")
"""Functions that a callable may call; a unit can replace them with functions that change shared objects."""
_CALLABLES = (CALLBACKS[0], "operator.add", CALLBACKS[1], "int", "str")
_FILES = ('io.BytesIO(b"abc" * 100)', 'io.StringIO(\'{"a": [1, "b"]}\')', 'io.StringIO("abc\\n" * 100)')
_FLOATS = ("1.5", "0.0")
_BOOLS = ("True", "False")

_BY_ANNOTATION = (
    (r"Callable", _CALLABLES),
    (r"[Dd]ict|Mapping", _DICTS),
    (r"(?:[Ll]ist|Sequence|Iterable|Iterator|Collection)\[(?:str|AnyStr|\w*[Ss]tr)\b", ("a_strings",)),
    (
        r"(?:[Ll]ist|Sequence|Iterable|Iterator|Collection)\[(?:[Tt]uple|[Ll]ist|Sequence)",
        ("a_pairs", "[[1, 2, 3]] * 40"),
    ),
    (r"(?:[Ll]ist|Sequence|Iterable|Iterator|Collection)\[bytes", ('[b"ab", b"cd"] * 20',)),
    (r"\b(?:Frozen|frozen)?[Ss]et\b", ("a_set",)),
    (r"[Tt]uple\[(?:int|float)", ("(8, 8)", "(1, 2, 3)", "(0, 0, 8, 8)")),
    (r"\b[Ll]ist\b|Sequence|Iterable|Iterator|[Tt]uple|Collection|array", _LISTS),
    (r"\bbool\b", _BOOLS),
    (r"\bint\b|Index|Integral", _INTS),
    (r"\bfloat\b|Real|Number", _FLOATS),
    (r"bytearray", ("a_bytearray",)),
    (r"\bbytes\b|Buffer|memoryview|bytes-like", _BYTES),
    (r"\bstr\b|AnyStr|LiteralString", _STRINGS),
    (r"Path", (_PATH,)),
    (r"\bIO\b|TextIO|BinaryIO", _FILES),
    (r"Self", (OTHER,)),
)
_CALLED = (
    r"^(f|fn|func\w*|function\w*|callback|cb|predicate|binop|op|default|\w*factory|\w*hook|callable|key|keyfunc|cmp)$"
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
    (_CALLED, _CALLABLES),
    (r"^(path|file\w*|fname|filename|dir\w*|folder)$", (_PATH,)),
    (r"^(fp|stream|fileobj|fh|f_in|f_out)$", _FILES),
    (r"^(encoding|codec)$", ('"utf-8"',)),
    (r"^(mode)$", ('"r"', '"w"')),
    (r"^(flag|is_\w*|ensure_\w*|strict|copy|inplace|\w*ed)$", _BOOLS),
    (r"^(other|o|that|rhs)$", (OTHER,)),
)
_GENERAL = (
    "[i, str(i)]",
    "a_list",
    "a_dict",
    "a_strings",
    '"abc"',
    'b"abcdef" * 20',
    "3",
    OTHER,
    "a_bytearray",
    _CALLABLES[0],
    "a_pairs",
    "1.5",
    "a_set",
    "[[1, 2, 3]] * 40",
    "a_small_list",
    "[a_list, a_dict]",
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
    signature: list[dict[str, Any]] | None, examples: list[str], own: dict[str, str], *, dangerous: bool
) -> list[str]:
    """Return argument lists as source text: those from examples first, then likely ones from the signature.

    `own` are expressions of the package's own objects, by the names of their types. Without a signature, try zero to
    three positional arguments.
    """
    found = dict.fromkeys(() if dangerous else examples)
    if dangerous:
        found |= dict.fromkeys(_SAFE)
        return list(found)
    some = list(own.values())[:3]
    held = [text for made in (OTHER, *some[:2]) for text in (f'{{"a": {made}}}', f"[{made}]")]
    if signature is None:
        pools = [ranked({})[:22] + some + held]
        found[""] = None
        found |= dict.fromkeys(_diagonal(pools, 32))
        found |= dict.fromkeys(_diagonal([[*pools[0][:11], *some[:2]]] * 2, 80))
        found |= dict.fromkeys(_diagonal([pools[0][:7]] * 3, 40))
        return list(found)[:MOST]
    needed = [parameter for parameter in signature if parameter["required"] and not parameter["keyword"]]
    keywords = [parameter for parameter in signature if parameter["required"] and parameter["keyword"]]
    optional = [parameter for parameter in signature if not parameter["required"] and not parameter["keyword"]]
    for number in range(min(len(optional), 2) + 1):
        taken = [*needed, *optional[:number]]
        pools = [
            [*_of_types(parameter, own), *ranked(parameter), *some, *(held if len(taken) == 1 else ())]
            for parameter in (*taken, *keywords)
        ]
        pools = [list(dict.fromkeys(pool)) for pool in pools]
        names = [""] * len(taken) + [f"{parameter['name']}=" for parameter in keywords]
        for values in _combined(pools, 80 if number == 0 else 30):
            found[", ".join(map("".join, zip(names, values)))] = None  # noqa: B905 - equal
    return list(found)[:MOST]


def _of_types(parameter: dict[str, Any], own: dict[str, str]) -> list[str]:
    """Return the package's own objects of the types that the annotation names."""
    words = set(re.findall(r"\w+", parameter.get("annotation") or ""))
    return [made for name, made in own.items() if name.rpartition(".")[2] in words]


def options(signature: list[dict[str, Any]] | None) -> list[str]:
    """Return keyword arguments to try in addition to what a callable takes: functions that it calls, and containers."""
    found = []
    for parameter in signature or []:
        name, annotation = parameter["name"], parameter.get("annotation") or ""
        if parameter["required"] or not name.isidentifier():
            continue
        if "Callable" in annotation or re.search(_CALLED, name.lower()):
            found.append(f"{name}={CALLBACKS[0]}")
        elif any(re.search(pattern, annotation) for pattern, _ in _BY_ANNOTATION[1:7]):
            found.append(f"{name}={ranked(parameter)[0]}")
    return found[:4]


def _diagonal(pools: list[list[str]], most: int) -> Iterator[str]:
    """Yield argument lists, those of the first choices first."""
    yield from (", ".join(values) for values in _combined(pools, most))


def _combined(pools: list[list[str]], most: int) -> Iterator[tuple[str, ...]]:
    """Yield combinations, those of the first choices first."""
    if not pools:
        yield ()
        return
    count = 0
    width = max(map(len, pools))
    for total in range(width * len(pools)):
        ranges = [range(min(total + 1, len(pool))) for pool in pools[:-1]]
        for places in itertools.product(*ranges):
            last = total - sum(places)
            if 0 <= last < len(pools[-1]):
                yield tuple(pool[place] for pool, place in zip(pools, (*places, last)))  # noqa: B905 - equal
                count += 1
                if count >= most:
                    return
