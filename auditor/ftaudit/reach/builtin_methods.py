"""What the methods of text, tables and sequences return."""

from __future__ import annotations

from typing import Any, Final

from ftaudit.reach.abstract_values import (
    MOST_ITEMS,
    MOST_TEXT,
    UNKNOWN,
    DictValue,
    Items,
    Pattern,
    Value,
    is_constant,
)
from ftaudit.reach.iterating import from_key, iterate
from ftaudit.reach.library_builtins import update
from ftaudit.reach.library_calls import METHODS, Method, MethodCall, method

_TEXT: Final = (
    *("capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha"),
    *("isdecimal", "isdigit", "isidentifier", "islower", "isupper", "lower", "lstrip", "partition"),
    *("removeprefix", "removesuffix", "replace", "rfind", "rpartition", "rsplit", "rstrip", "split"),
    *("splitlines", "startswith", "strip", "swapcase", "title", "upper", "zfill"),
)


def _text_method(name: str) -> Method:
    def run(call: MethodCall) -> Value:
        if isinstance(call.owner, Pattern):
            if name == "startswith" and call.given and isinstance(call.given[0], str) and call.owner.prefix:
                size = min(len(call.given[0]), len(call.owner.prefix))
                if call.owner.prefix[:size] != call.given[0][:size]:
                    return False
                return True if size == len(call.given[0]) else UNKNOWN
            if name in ("strip", "lower", "rstrip"):
                return Pattern(call.owner.prefix.lower() if name == "lower" else call.owner.prefix.lstrip())
            return UNKNOWN
        plain: list[Any] = []
        for each in call.given:
            if is_constant(each):
                plain.append(each)
            elif isinstance(each, Items) and each.complete and all(isinstance(e, str) for e in each.items):
                plain.append(tuple(each.items))
            else:
                return UNKNOWN
        try:
            result = getattr(call.owner, name)(*plain)
        except (TypeError, ValueError, OverflowError, MemoryError):
            return UNKNOWN
        return _value_of(result)

    return run


def _value_of(result: Any) -> Value:
    if isinstance(result, (list, tuple)):
        return Items("list" if isinstance(result, list) else "tuple", list(result)[:MOST_ITEMS])
    return UNKNOWN if isinstance(result, str) and len(result) > MOST_TEXT else result


for _each in _TEXT:
    METHODS[f"str.{_each}"] = _text_method(_each)


@method("str.join")
def _join(call: MethodCall) -> Value:
    values, complete = iterate(call.machine, call.given[0]) if call.given else ([], False)
    if complete and isinstance(call.owner, str) and all(isinstance(each, str) for each in values):
        text = call.owner.join(values)
        return text if len(text) <= MOST_TEXT else UNKNOWN
    prefix = ""
    for each in values:
        if not isinstance(each, str):
            break
        prefix += each + (call.owner if isinstance(call.owner, str) else "")
    return Pattern(prefix)


@method("str.format")
def _format(call: MethodCall) -> Value:
    values = [*call.given, *call.keywords.values()]
    if isinstance(call.owner, str) and all(isinstance(each, (str, int)) for each in values) and len(call.owner) < 1000:
        if "{" in call.owner and any(mark in call.owner for mark in (":", "!", "[", ".")) and _has_spec(call.owner):
            return UNKNOWN
        try:
            text = call.owner.format(*call.given, **call.keywords)
        except (KeyError, IndexError, ValueError, AttributeError, TypeError):
            return UNKNOWN
        return text if len(text) <= MOST_TEXT else UNKNOWN
    return Pattern(call.owner.partition("{")[0]) if isinstance(call.owner, str) else UNKNOWN


def _has_spec(text: str) -> bool:
    """Return whether a replacement field has more than a name: a width could request gigabytes."""
    inside = [part.partition("}")[0] for part in text.split("{")[1:]]
    return any(mark in field for field in inside for mark in (":", "!", "[", "."))


@method("dict.get")
def _dict_get(call: MethodCall) -> Value:
    key = call.given[0] if call.given else UNKNOWN
    default = call.given[1] if len(call.given) > 1 else call.keywords.get("default")
    if is_constant(key) and key in call.owner.entries:
        return call.owner.entries[key]
    return default if is_constant(key) and call.owner.complete else UNKNOWN


def _view(which: str) -> Method:
    def run(call: MethodCall) -> Value:
        pairs = [(k, v) for k, v in call.owner.entries.items() if not (isinstance(k, str) and k.startswith("\0"))]
        match which:
            case "items":
                found = [Items("tuple", [from_key(key), value]) for key, value in pairs]
            case "keys":
                found = [from_key(key) for key, _ in pairs]
            case _:
                found = [value for _, value in pairs]
        return Items("list", found[:MOST_ITEMS], call.owner.complete)

    return run


for _each in ("items", "keys", "values"):
    METHODS[f"dict.{_each}"] = _view(_each)


@method("dict.update")
def _dict_update(call: MethodCall) -> Value:
    for each in call.given:
        update(call.machine, call.owner, each)
    update(call.machine, call.owner, DictValue(dict(call.keywords)))
    return None


@method("dict.copy")
def _dict_copy(call: MethodCall) -> Value:
    return DictValue(dict(call.owner.entries), call.owner.complete)


@method("dict.setdefault")
def _dict_setdefault(call: MethodCall) -> Value:
    if not call.given or not is_constant(call.given[0]):
        call.owner.complete = False
        return UNKNOWN
    return call.owner.entries.setdefault(call.given[0], call.given[1] if len(call.given) > 1 else None)


@method("dict.pop")
def _dict_pop(call: MethodCall) -> Value:
    if call.given and is_constant(call.given[0]):
        default = call.given[1] if len(call.given) > 1 and call.owner.complete else UNKNOWN
        return call.owner.entries.pop(call.given[0], default)
    call.owner.complete = False
    return UNKNOWN


@method("list.append", "set.add", "list.appendleft")
def _append(call: MethodCall) -> Value:
    if call.machine.conditions or len(call.owner.items) >= MOST_ITEMS:
        call.owner.complete = False
        if len(call.owner.items) >= MOST_ITEMS:
            return None
    call.owner.items.extend(call.given[:1])
    return None


@method("list.extend", "set.update", "list.__iadd__")
def _extend(call: MethodCall) -> Value:
    for each in call.given:
        values, complete = iterate(call.machine, each)
        call.owner.items.extend(values[: max(0, MOST_ITEMS - len(call.owner.items))])
        call.owner.complete = call.owner.complete and complete and len(call.owner.items) < MOST_ITEMS
    return None


@method("list.insert")
def _insert(call: MethodCall) -> Value:
    if len(call.given) > 1 and isinstance(call.given[0], int):
        call.owner.items.insert(call.given[0], call.given[1])
    else:
        call.owner.complete = False
    return None


@method("list.pop", "list.popleft", "set.pop")
def _pop(call: MethodCall) -> Value:
    index = call.given[0] if call.given else -1
    if call.owner.complete and isinstance(index, int) and -len(call.owner.items) <= index < len(call.owner.items):
        return call.owner.items.pop(index)
    call.owner.complete = False
    return UNKNOWN


@method("list.copy", "set.copy", "set.union", "set.__or__")
def _copy(call: MethodCall) -> Value:
    parts = [iterate(call.machine, each) for each in call.given]
    more = [value for items, _ in parts for value in items]
    return Items(call.owner.kind, [*call.owner.items, *more], call.owner.complete and all(known for _, known in parts))


@method("list.clear", "set.clear", "list.reverse", "list.sort")
def _rearrange(call: MethodCall) -> Value:
    owner, name = call.owner, call.name
    if call.machine.conditions or not owner.complete:
        owner.complete = False
    elif name.endswith("clear"):
        owner.items.clear()
    elif name.endswith("reverse"):
        owner.items.reverse()
    elif not call.given and not call.keywords and all(isinstance(each, str) for each in owner.items):
        owner.items.sort()
    else:
        owner.complete = False
    return None


@method("list.remove", "set.discard", "set.remove",
        "set.difference_update", "set.intersection", "set.difference", "dict.clear", "dict.popitem")  # fmt: skip
def _changes(call: MethodCall) -> Value:
    call.owner.complete = False
    return UNKNOWN
