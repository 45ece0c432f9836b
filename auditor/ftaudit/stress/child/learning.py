"""What the director learns about a package: the callables, how each is called, and the objects that result."""

from __future__ import annotations

import re

from ftaudit.stress.child import arguments_to_try
from ftaudit.stress.child.learn import PROTOCOL
from ftaudit.stress.child.units import ThreadedUnit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ftaudit.stress.child.hosts import Host

MOST_CRASHES = 4
"""Limit on calls that end their process, after which a callable is skipped."""
MOST_SIZE = 5000


class KnownCallable:
    """A public function, type, or method, and what is known about how to call it."""

    __slots__ = ("calls", "compiled", "driven", "imports", "name", "reason", "recipe", "shared")

    def __init__(self, name: str, *, compiled: bool, imports: list[str]) -> None:
        self.name, self.compiled, self.imports = name, compiled, imports
        self.calls: list[dict[str, Any]] = []
        """Complete expressions that worked in one thread, with the known facts about their results."""
        self.shared: dict[str, str] = {}
        self.driven = False
        self.recipe = False
        """Whether a recipe makes it callable."""
        self.reason = "the budget was used up before it was tried"


class SharedType:
    """A type with an expression that creates an object, and the operations on it that worked in one thread."""

    __slots__ = ("compiled", "imports", "iterator", "makers", "operations", "recipe", "states", "type")

    def __init__(self, kind: str, *, imports: list[str], compiled: bool, iterator: bool) -> None:
        self.type, self.imports, self.compiled, self.iterator = kind, imports, compiled, iterator
        self.makers: list[tuple[str, int]] = []
        """Expressions with the size of their results, -1 if a result has no size."""
        self.operations: list[dict[str, Any]] = []
        """Each with `text`, `mutates`, `name`."""
        self.recipe = False
        self.states: list[dict[str, Any]] = []
        """Checks from a recipe: `operations` and `state`."""

    @property
    def maker(self) -> str:
        """Return the expression to use: its object is neither empty nor huge."""

        def worth(maker: tuple[str, int]) -> tuple[bool, int]:
            return (0 < maker[1] <= MOST_SIZE, min(maker[1], 60))

        return max(self.makers, key=worth)[0]

    def shared(self, text: str) -> dict[str, str]:
        """Return the objects that the expressions in a text need, in the order of creation."""
        every = {**arguments_to_try.SHARED, "o": self.maker, "p": self.maker}
        needed = set(re.findall(r"\w+", text))
        if {"o", "p"} & needed:
            needed |= set(re.findall(r"\w+", self.maker))
        return {name: expression for name, expression in every.items() if name in needed}


class Learner:
    """Learns one package, in disposable processes of a host."""

    def __init__(self, host: Host, job: dict[str, Any]) -> None:
        self.host, self.job = host, job
        self.callables: dict[str, KnownCallable] = {}
        self.subjects: dict[str, SharedType] = {}
        self.alone: list[dict[str, str]] = []
        """Calls that end the process with a single thread, which is not a threading problem."""
        self.left_out = 0
        self.given: dict[str, Any] = {"constructors": {}, "calls": {}, "oracle": {}}

    def describe(self) -> list[dict[str, Any]]:
        """Return the public callables of the package, compiled ones first."""
        request = {key: self.job[key] for key in ("toplevels", "modules", "readme")}
        answer = self.host.ask({"do": "describe", **request, "limit": 30, "wall": 60, "busy": 30, "stall": 40})
        result = answer["result"] or {}
        self.left_out = result.get("left_out", 0)
        entries: list[dict[str, Any]] = result.get("entries", [])
        for entry in entries:
            self.callables[entry["path"]] = KnownCallable(
                entry["path"], compiled=entry["compiled"], imports=[entry["module"]]
            )
        return entries

    def try_callable(self, entry: dict[str, Any]) -> None:
        """Find argument lists that a function or type accepts; the result of a call may be a subject."""
        known = self.callables[entry["path"]]
        name = entry["path"].rpartition(".")[2]
        dangerous = arguments_to_try.DANGEROUS.match(name) is not None
        extra = [subject.maker for subject in self.subjects.values() if entry["module"] in subject.imports][:3]
        texts = arguments_to_try.arguments(entry["signature"], entry["examples"], extra, dangerous=dangerous)
        calls = [f"{entry['path']}({text})" for text in texts if not re.search(r"\bp\b", text)]
        given = self.given["calls"].get(entry["path"], []) + self.given["constructors"].get(entry["path"], [])
        found = self.probe(given, known, arguments_to_try.SHARED, most=8) if given else []
        known.recipe = bool(found)
        if not found:
            found = self.probe(calls, known, arguments_to_try.SHARED)
        known.calls = found
        if not found:
            known.reason = "its name says that it destroys something" if dangerous else known.reason
            return
        known.reason = "the budget was used up before it was driven"
        for row in found:
            if row["own"] and not row["is_type"]:
                self._add_subject(row, known)

    def _add_subject(self, row: dict[str, Any], known: KnownCallable) -> None:
        subject = self.subjects.get(row["type"])
        if subject is None:
            subject = self.subjects[row["type"]] = SharedType(
                row["type"], imports=known.imports, compiled=row["compiled"], iterator=row["iterator"]
            )
            subject.recipe = known.recipe
        if len(subject.makers) < 6:
            subject.makers.append((row["call"], row["size"]))

    def probe(
        self,
        calls: list[str],
        known: KnownCallable | None,
        shared: dict[str, str],
        *,
        most: int = 3,
        mutation: bool = False,
    ) -> list[dict[str, Any]]:
        """Return the calls that work in one thread; those that end the process are recorded and excluded."""
        found: list[dict[str, Any]] = []
        skip, crashes, reason = 0, 0, ""
        imports = known.imports if known is not None else []
        while skip < len(calls) and crashes < MOST_CRASHES:
            answer = self.host.ask(
                {
                    "do": "probe",
                    "calls": calls,
                    "skip": skip,
                    "shared": shared,
                    "imports": imports,
                    "most": most - len(found),
                    "mutation": mutation,
                    "seconds": 1.0,
                    "limit": 3,
                    "wall": 8.0,
                    "stall": 0.7,
                    "busy": 1.2,
                }
            )
            result = answer["result"]
            if result is not None and "found" in result:
                found += result["found"]
                if not found and not reason:
                    errors = sorted(result["errors"], key=lambda name: -result["errors"][name])
                    reason = f"no arguments were found that it takes ({', '.join(errors[:3]) or 'none tried'})"
                break
            crashes += 1
            place = max(int(answer["progress"][0]), skip)
            call = calls[place] if place < len(calls) else ""
            if answer["signal"] in (4, 5, 6, 7, 8, 11):
                self.alone.append({"call": call, "signal": str(answer["signal"])})
                reason = "it ends the process in one thread"
            elif answer["hung"]:
                reason = "it blocks or takes too long in one thread"
            else:
                reason = "it ends the process or exceeds a limit in one thread"
            skip = place + 1
        if known is not None and not found and reason:
            known.reason = reason
        return found

    def try_subject(self, subject: SharedType) -> None:
        """Find out which operations an object supports, and which of them change it."""
        maker = subject.maker
        known = KnownCallable(subject.type, compiled=subject.compiled, imports=subject.imports)
        given = [*self.given["calls"].get(subject.type, [])]
        shared = {**arguments_to_try.SHARED, "o": maker, "p": maker}
        answer = self.host.ask(
            {
                "do": "members",
                "imports": subject.imports,
                "shared": shared,
                "toplevels": self.job["toplevels"],
                "limit": 5,
                "wall": 15,
            }
        )
        result = answer["result"] or {}
        rows: list[dict[str, Any]] = [
            {"name": _named(text), "calls": [text], "mutating": False, "recipe": True} for text in given
        ]
        rows += result.get("members", [])
        rows += [{"name": _named(text), "calls": [text], "mutating": False} for text in PROTOCOL]
        done: set[str] = set()
        # Operations on one expression are tried together, in one process.
        single = [row for row in rows if len(row["calls"]) == 1]
        works = {
            row["call"]: row
            for row in self.probe(
                [row["calls"][0] for row in single], known, shared, most=len(single) or 1, mutation=True
            )
        }
        for row in rows:
            label = f"{subject.type}.{row['name']}"
            entry = self.callables.setdefault(
                label, KnownCallable(label, compiled=subject.compiled, imports=subject.imports)
            )
            if row["name"] in done:
                continue
            if len(row["calls"]) == 1:
                found = [works[row["calls"][0]]] if row["calls"][0] in works else []
            else:
                found = self.probe(row["calls"], entry, shared, most=3, mutation=True)
            if not found:
                if row["calls"][0] in PROTOCOL or row.get("attribute"):
                    self.callables.pop(label, None)  # Not an operation of this type, and not declared as one.
                elif len(row["calls"]) == 1:
                    entry.reason = "it raises in one thread"
                continue
            done.add(row["name"])
            entry.reason = "the budget was used up before it was driven"
            entry.recipe = bool(row.get("recipe"))
            for each in found:
                text = each["call"]
                if each["iterator"]:
                    # Lazy attributes are loaded.
                    text = f"list(itertools.islice({text}, 200))"
                subject.operations.append(
                    {
                        "text": text,
                        "name": label,
                        "mutates": bool(each.get("mutates")) or row["mutating"],
                        "recipe": bool(row.get("recipe")),
                        "stable": each["text"] is not None,
                        "taken": each["taken"],
                    }
                )
        subject.states = self.given["oracle"].get(subject.type, [])

    def use_recipes(self, given: dict[str, Any]) -> None:
        """Apply the recipes, and add the types that they construct."""
        self.given = given
        tops = set(self.job["toplevels"])
        for name, texts in given["constructors"].items():
            module = name.rpartition(".")[0]
            if name in self.callables:
                continue  # It is tried together with the others.
            imports = sorted({module, *(word for text in texts for word in _modules_in(text, tops))})
            entry = self.callables[name] = KnownCallable(
                name, compiled=True, imports=[each for each in imports if each]
            )
            entry.recipe = True
            entry.calls = self.probe(texts, entry, arguments_to_try.SHARED, most=4)
            for row in entry.calls:
                if row["own"]:
                    self._add_subject({**row, "type": row["type"]}, entry)


def _modules_in(text: str, tops: set[str]) -> list[str]:
    """Return the modules that an expression needs: dotted names that begin with one of the package's."""
    return [m[0].rpartition(".")[0] for m in re.finditer(r"\w+(?:\.\w+)+", text) if m[0].partition(".")[0] in tops]


def _named(text: str) -> str:
    """Return a name for an operation: `add` for `o.add(3)`, otherwise the expression."""
    match = re.match(r"^o\.(\w+)\(", text)
    return match[1] if match else text


def swapped(text: str) -> str:
    """Return an operation with its two objects exchanged."""
    return re.sub(r"\b[op]\b", lambda match: "p" if match[0] == "o" else "o", text)


def varied(text: str) -> str | None:
    """Return a call with its numbers and strings changed, or `None` if it has none."""
    changed = re.sub(r"(?<![\w.\"'])(\d+)(?![\w.\"'])", lambda match: str(int(match[1]) + 17), text)
    return changed if changed != text else None


def by_call(text: str) -> str | None:
    """Return a call whose first number differs in every call, or `None`."""
    match = re.search(r"(?<=[(,\s])\d+(?=[,)])", text)
    return f"{text[: match.start()]}i{text[match.end() :]}" if match else None


def unit_of(subject: SharedType, kind: str, texts: list[str], names: list[str], **options: Any) -> ThreadedUnit:
    """Return a unit on one shared object."""
    text = " ".join((*texts, options.get("state") or ""))
    by_recipe = bool(options.pop("by_recipe", False))
    return ThreadedUnit(
        kind=kind,
        target=subject.type,
        imports=tuple(subject.imports),
        shared=subject.shared(text),
        operations=tuple(texts),
        subjects=tuple(dict.fromkeys(names)),
        recipe=by_recipe or subject.recipe,
        **options,
    )
