"""Learns a package: which calls work in one thread, and the objects that result."""

from __future__ import annotations

import re
from collections import Counter

from ftaudit.stress.child import arguments_to_try
from ftaudit.stress.child.error_messages import improved
from ftaudit.stress.child.probes import PROTOCOL
from ftaudit.stress.child.subjects import KnownCallable, SharedType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ftaudit.stress.child.hosts import Host

MOST_CRASHES = 4
"""Limit on calls that end their process, after which a callable is skipped."""
MOST_TYPES = 60
SLOW = 0.2
"""Seconds of processor time: a call that takes longer could not be distinguished from a hang."""
SLOW_REASON = f"a call takes more than {SLOW:g} s of processor time"
MANY = 15
"""Types that are made before the operations of the most likely one are tried."""
TURN = 5
"""Callables that are tried between two types that are unlikely to fail."""
ENOUGH = 0.6
"""The part of the operations on an object that must work; with fewer, other objects are tried."""
MOST_MAKER = 300
"""Limit on the length of an expression that makes an object."""


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
        self.messages: list[str] = []
        """What the last refused calls raised."""

    def steps(self, entries: list[dict[str, Any]]) -> Iterator[bool]:
        """Learn callables and types, and yield after each; what is most likely to fail comes first.

        Objects of compiled types that can change are tried before everything else that is known at that moment.
        """
        self.use_recipes(self.job["recipes"])
        yield True
        again: list[dict[str, Any]] = []
        tried: set[str] = set()
        kinds = ("type", "object", "function")
        for number, entry in enumerate(
            sorted(entries, key=lambda each: (not each["compiled"], kinds.index(each["kind"]), each["order"]))
        ):
            self.try_callable(entry)
            yield True
            known = self.callables.get(entry["path"])
            if known is not None and not known.calls:
                again.append(entry)
            if entry["kind"] != "type" or number % MANY == MANY - 1:
                yield from self._try_subjects(tried, 1 if number % TURN == 0 else 0)
        for entry in again if self.subjects else ():
            self.try_callable(entry)
            yield True
            yield from self._try_subjects(tried, 1)
        yield from self._try_subjects(tried, len(self.subjects) + MOST_TYPES)

    def _try_subjects(self, tried: set[str], most: int) -> Iterator[bool]:
        """Try the operations of all types that are likely to fail, and of a number of other types."""
        while True:
            # Operations of one type may result in objects of another.
            waiting = [each for each in self.subjects.values() if each.type not in tried]
            if not waiting:
                return
            subject = max(waiting, key=lambda each: (each.compiled, each.changes, each.iterator))
            if not subject.is_likely:
                if most == 0:
                    return
                most -= 1
            tried.add(subject.type)
            self.try_subject(subject)
            yield True

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

    def own_objects(self, imports: list[str]) -> dict[str, str]:
        """Return expressions of the package's own objects, by the names of their types."""
        tops = {name.partition(".")[0] for name in imports}
        return {
            subject.type: subject.maker
            for subject in self.subjects.values()
            if tops & {name.partition(".")[0] for name in subject.imports}
        }

    def try_callable(self, entry: dict[str, Any]) -> None:
        """Find argument lists that a function or type accepts; the result of a call may be a subject."""
        known = self.callables[entry["path"]]
        if entry["kind"] == "object":
            known.calls = self.probe([entry["path"]], known, {}, most=1)
            for row in known.calls:
                self._add_subject(row, known)
            self.callables.pop(entry["path"])
            return
        name = entry["path"].rpartition(".")[2]
        dangerous = arguments_to_try.DANGEROUS.match(name) is not None
        own = self.own_objects(known.imports)
        given = self.given["calls"].get(entry["path"], []) + self.given["constructors"].get(entry["path"], [])
        found = self.probe(given, known, arguments_to_try.SHARED, most=8) if given else []
        known.recipe = bool(found)
        signature = entry["signature"]
        for _ in range(0 if found else 3):
            texts = arguments_to_try.arguments(signature, entry["examples"], own, dangerous=dangerous)
            calls = [f"{entry['path']}({text})" for text in texts if not re.search(r"\bp\b", text)]
            found = self.probe(calls, known, arguments_to_try.SHARED)
            better = None if found or dangerous else improved(signature, self.messages)
            if better is None:
                break
            signature = better
        if found and not dangerous and not known.recipe:
            base = found[0]["call"].removesuffix(")")
            more = [f"{base}, {text})".replace("(, ", "(") for text in arguments_to_try.options(signature)]
            found += self.probe(more, known, arguments_to_try.SHARED, most=2) if more else []
        quick = [row for row in found if row["cpu"] <= SLOW]
        if found and not quick:
            known.reason = SLOW_REASON
        known.calls = found = quick
        if not found:
            known.reason = "its name suggests that it destroys something" if dangerous else known.reason
            return
        known.reason = "the time budget ended before it was called"
        for row in found:
            for kind, maker in own.items():
                if maker in row["call"]:
                    row["own_type"], row["own_maker"] = kind, maker
            if row["own"] and not row["is_type"]:
                self._add_subject(row, known)

    def _add_subject(self, row: dict[str, Any], known: KnownCallable) -> None:
        subject = self.subjects.get(row["type"])
        if subject is None:
            if len(self.subjects) >= MOST_TYPES:
                return
            subject = self.subjects[row["type"]] = SharedType(
                row["type"], imports=known.imports, compiled=row["compiled"], iterator=row["iterator"]
            )
            subject.recipe, subject.seconds, subject.changes = known.recipe, row["taken"], row["changes"]
        # `i` is the number of a call, and an object is made before the calls.
        call = re.sub(r"\bi\b", "7", row["call"])
        if len(subject.makers) < 12 and call not in dict(subject.makers):
            subject.makers.append((call, row["size"]))

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
                self.messages = [text for text in result.get("messages", ()) if isinstance(text, str)]
                if not found and not reason:
                    errors = sorted(result["errors"], key=lambda name: -result["errors"][name])
                    reason = f"ftaudit found no valid arguments ({', '.join(errors[:3]) or 'none tried'})"
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
                "own": {kind: made for kind, made in self.own_objects(known.imports).items() if kind != subject.type},
                "limit": 5,
                "wall": 15,
            }
        )
        result = answer["result"] or {}
        subject.collected = bool(result.get("collected"))
        rows: list[dict[str, Any]] = [
            {"name": _named(text), "calls": [text], "mutating": False, "recipe": True} for text in given
        ]
        rows += result.get("members", [])
        rows += [{"name": _named(text), "calls": [text], "mutating": False} for text in PROTOCOL]
        done: Counter[str] = Counter()
        # Operations on one expression are tried together, in one process.
        single = [row for row in rows if len(row["calls"]) == 1]
        texts = [row["calls"][0] for row in single]
        best: list[dict[str, Any]] = []
        for maker in subject.best_makers():
            made = {**shared, "o": maker, "p": maker}
            found = self.probe(texts, known, made, most=len(single) or 1, mutation=True)
            if not best or _full(found) > _full(best):
                best, subject.chosen, shared = found, maker, made
            if _full(best) > ENOUGH * len(single):
                break
        works = {row["call"]: row for row in best}
        for row in rows:
            label = f"{subject.type}.{row['name']}"
            entry = self.callables.setdefault(
                label, KnownCallable(label, compiled=subject.compiled, imports=subject.imports)
            )
            if done[row["name"]] >= (2 if row.get("attribute") else 1):
                continue
            if len(row["calls"]) == 1:
                found = [works[row["calls"][0]]] if row["calls"][0] in works else []
            else:
                found = self.probe_method(row, entry, shared)
            if not found:
                if done[row["name"]]:
                    continue  # Another value or expression of the same name works.
                if row["calls"][0] in PROTOCOL or row.get("attribute"):
                    self.callables.pop(label, None)  # Not an operation of this type, and not declared as one.
                elif len(row["calls"]) == 1:
                    entry.reason = "it raises in one thread"
                continue
            done[row["name"]] += 1
            entry.reason = "the time budget ended before it was called"
            entry.recipe = bool(row.get("recipe"))
            quick = [each for each in found if each["cpu"] <= SLOW]
            if not quick:
                entry.reason = SLOW_REASON
            for each in quick:
                text = each["call"]
                if each["own"] and not each["is_type"] and each["type"] != subject.type:
                    self._add_result(subject, each, entry)
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

    def probe_method(self, row: dict[str, Any], entry: KnownCallable, shared: dict[str, str]) -> list[dict[str, Any]]:
        """Return the calls of a method that work; learn from the messages of those that do not."""
        found = self.probe(row["calls"], entry, shared, most=4, mutation=True)
        signature = row.get("signature")
        for _ in range(2):
            better = None if found or "method" not in row else improved(signature, self.messages)
            if better is None:
                break
            signature = better
            own = self.own_objects(entry.imports)
            texts = arguments_to_try.arguments(signature, [], own, dangerous=False)
            found = self.probe([f"o.{row['method']}({text})" for text in texts], entry, shared, most=4, mutation=True)
        return found

    def _add_result(self, subject: SharedType, row: dict[str, Any], entry: KnownCallable) -> None:
        """Add the type of an operation's result: an iterator, a view, a cursor."""
        call = re.sub(r"\b[op]\b", lambda match: f"({subject.maker})", row["call"])
        if len(call) > MOST_MAKER or re.search(r"\bi\b", row["call"]):
            return
        made = KnownCallable(entry.name, compiled=row["compiled"], imports=subject.imports)
        made.recipe = subject.recipe or entry.recipe
        self._add_subject({**row, "call": call}, made)

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


def _full(found: list[dict[str, Any]]) -> int:
    """Return the number of calls that found something in the object."""
    return sum(not row.get("lacking") for row in found)


def _modules_in(text: str, tops: set[str]) -> list[str]:
    """Return the modules that an expression needs: dotted names that begin with one of the package's."""
    return [m[0].rpartition(".")[0] for m in re.finditer(r"\w+(?:\.\w+)+", text) if m[0].partition(".")[0] in tops]


def _named(text: str) -> str:
    """Return a name for an operation: `add` for `o.add(3)`, otherwise the expression."""
    match = re.match(r"^o\.(\w+)\(", text)
    return match[1] if match else text
