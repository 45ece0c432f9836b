"""FT378: what a look-up found under a lock is used after the lock was released."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity, Site
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.functions import Function
from ftaudit.source.c.guards import LockedSection
from ftaudit.source.c.text import normalized
from ftaudit.source.shared_state import AccessKind

_CONTAINER = r"(?<![\w.>)\]])((?:[A-Za-z_]\w*\s*(?:\.|->)\s*)*[A-Za-z_]\w*)"
_LOOKUP = re.compile(_CONTAINER + r"\s*(?:\.|->)\s*(?:find|contains|count)\s*\(")
_OVERWRITES = re.compile(_CONTAINER + r"(?:\s*(?:\.|->)\s*insert_or_assign\s*\(|\s*\[[^\[\];]{1,80}\]\s*=(?!=))")
_RETURNS_ELEMENT = re.compile(
    r"\breturn\s+(?:&\s*" + _CONTAINER + r"\s*(?:\[[^;]{0,120}\]|\.\s*at\s*\([^;]{0,120}\))"
    r"|" + _CONTAINER + r"\s*(?:\[[^;]{0,120}\]|\.\s*at\s*\([^;]{0,120}\))\s*\.\s*get\s*\(\s*\))\s*;"
)
_RETURNS_FOUND = re.compile(r"\breturn\s+(?:&\s*(\w+)->second|(\w+)->second\s*\.\s*get\s*\(\s*\))\s*;")
_REFERS_TO_ELEMENT = re.compile(r"\breturn\s+" + _CONTAINER + r"\s*(?:\[[^;]{0,120}\]|\.\s*at\s*\([^;]{0,120}\))\s*;")
_REFERS_TO_FOUND = re.compile(r"\breturn\s+(\w+)->second\s*;")
"""The same for functions that return a reference: no `&` shows it."""
_RETURNS_BUFFER = re.compile(r"\breturn\s+" + _CONTAINER + r"\s*(?:\.|->)\s*(?:c_str|data)\s*\(\s*\)\s*;")
_FILLS = r"(?<![\w.>)\]]){name}\s*(?:=(?!=)|\+=|(?:\.|->)\s*(?:assign|append|clear|resize|push_back|swap)\s*\()"
"""How a buffer gets other contents, by its name."""
_BORROWS = re.compile(r"[*&]\s*(?:const\s*)?(?:\w+\s*::\s*)*\Z")
"""The end of a return type that is a pointer or a reference."""
_REMOVES = r"(?<![\w.>)\]]){name}\s*(?:\.|->)\s*(?:erase|clear|reset|extract|pop\w*)\s*\("


class LockReleasedTooSoon(CRule):
    """A lock protects a decision only while it is held. If a function looks a key up in one locked block and stores a
    new value for the key in a later block, another thread can store a value in between. The second store then
    overwrites that value, and any code that holds a pointer to it uses freed memory. A pointer or a reference to an
    element that a function returns has the same problem: the lock is released on return, and another method can erase
    the element while the caller still uses it.

    The rule reports stores that overwrite (`insert_or_assign`, `map[key] = value`) without a new look-up under the
    second lock, and returned pointers and references to elements that another function of the file removes, or into
    a buffer that a later call fills again (`return report_.c_str();`).
    """

    info = RuleInfo(
        code="FT378",
        name="lock-released-too-soon",
        summary="The result of a look-up under a lock is used after the lock is released.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Hold the lock from the look-up to the store, or look the key up again under the second lock "
            "(`try_emplace` keeps the first value). Return a copy or a `std::shared_ptr` instead of a pointer into the "
            "container."
        ),
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html",),
    )
    words = ("lock", "Lock", "LOCK", "critical_section", "guard")
    VALID = (
        SourceExample(
            code="""\
const char *Tracker::name() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return name_.c_str();
}
std::string Tracker::report() {
    std::lock_guard<std::mutex> lock(mutex_);
    report_ = render(records_);
    return report_;
}
""",
            path="tracker.cpp",
            instead=True,
        ),
        SourceExample(
            code="""\
Kernel *get(Cache &cache, const Key &key) {
    {
        std::lock_guard<std::mutex> lock(cache.mutex);
        auto it = cache.kernels.find(key);
        if (it != cache.kernels.end()) return it->second.get();
    }
    auto kernel = compile(key);
    std::lock_guard<std::mutex> lock(cache.mutex);
    auto [it, inserted] = cache.kernels.try_emplace(key, std::move(kernel));
    return it->second.get();
}
""",
            path="kernels.cpp",
        ),
        SourceExample(
            code="""\
Kernel *get(Cache &cache, const Key &key) {
    std::lock_guard<std::mutex> lock(cache.mutex);
    auto it = cache.kernels.find(key);
    if (it != cache.kernels.end()) return it->second.get();
    cache.kernels.insert_or_assign(key, compile(key));
    return cache.kernels.find(key)->second.get();
}
""",
            path="kernels.cpp",
        ),
        SourceExample(
            code="""\
void put(Cache &cache, const Key &key) {
    {
        std::lock_guard<std::mutex> lock(cache.mutex);
        if (cache.kernels.count(key)) return;
    }
    auto kernel = compile(key);
    std::lock_guard<std::mutex> lock(cache.mutex);
    if (cache.kernels.count(key)) return;
    cache.kernels[key] = std::move(kernel);
}
""",
            path="kernels.cpp",
        ),
        SourceExample(
            code="""\
std::optional<Span> Spans::active(uint64_t id) {
    std::lock_guard<std::mutex> lock(mutex);
    auto it = spans.find(id);
    if (it == spans.end()) return std::nullopt;
    return *it->second;
}
void Spans::reset() {
    std::lock_guard<std::mutex> lock(mutex);
    spans.clear();
}
""",
            path="spans.cpp",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
const char *Tracker::report() {
    std::lock_guard<std::mutex> lock(mutex_);
    report_ = render(records_);
    return report_.c_str();
}
""",
            lines=(4,),
            path="tracker.cpp",
        ),
        SourceExample(
            code="""\
Entry *Table::fresh(int key) {
    std::lock_guard<std::mutex> lock(mutex);
    entries.erase(key);
    return &entries[key];
}
void Table::drop(int key) {
    std::lock_guard<std::mutex> lock(mutex);
    entries.erase(key);
}
""",
            lines=(4,),
            path="table.cpp",
        ),
        SourceExample(
            code="""\
void *get(Cache *cache, const Key &key) {
    {
        absl::MutexLock lock(&cache->mutex);
        auto it = cache->contexts.find(key);
        if (it != cache->contexts.end()) return it->second;
    }
    void *context = make(key);
    absl::MutexLock lock(&cache->mutex);
    cache->contexts.insert_or_assign(key, context);
    return context;
}
""",
            lines=(9,),
            path="contexts.cpp",
        ),
        SourceExample(
            code="""\
const Span *Spans::active(uint64_t id) {
    std::lock_guard<std::mutex> lock(mutex);
    if (spans.find(id) == spans.end()) return nullptr;
    return spans[id].get();
}
void Spans::reset() {
    std::lock_guard<std::mutex> lock(mutex);
    spans.clear();
}
""",
            lines=(4,),
            path="spans.cpp",
        ),
        SourceExample(
            code="""\
Entry &Table::at(int key) {
    std::lock_guard<std::mutex> lock(mutex);
    auto it = entries.find(key);
    return it->second;
}
void Table::drop(int key) {
    std::lock_guard<std::mutex> lock(mutex);
    entries.erase(key);
}
""",
            lines=(4,),
            path="table.cpp",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file of C++."""
        if not unit.cpp:
            return
        for function in unit.functions:
            sections = unit.sections(function).sections
            if not sections or unit.at_import(function):
                continue
            if len(sections) > 1:
                yield from self._split(unit, function, sections)
            if _BORROWS.search(function.header):
                yield from self._returned(unit, function)
                yield from self._buffers(unit, function)

    def _split(self, unit: CUnit, function: Function, sections: list[LockedSection]) -> Iterator[Finding]:
        """Yield the stores whose look-up was in an earlier locked block."""
        lookups = [
            (found.start(), normalized(found[1])) for found in _LOOKUP.finditer(unit.code, function.body, function.end)
        ]
        if not lookups:
            return
        for store in _OVERWRITES.finditer(unit.code, function.body, function.end):
            around = unit.sections(function).at(store.start())
            name = normalized(store[1])
            asked = [at for at, container in lookups if container == name and at < store.start()]
            if not around or not asked or any(section.start <= asked[-1] for section in around):
                continue
            if not unit.sections(function).at(asked[-1]) or unit.is_local(function, name):
                continue
            yield self.finding(
                f"the lock that `{name}` was searched under (line {unit.line_at(asked[-1])}) has been released: this "
                "store overwrites a value that another thread stores in between",
                location=unit.place(store.start()),
                sites=(
                    Site(
                        location=unit.place(asked[-1]),
                        access=AccessKind.READ.value,
                        entry_point=function.short_name,
                    ),
                    Site(
                        location=unit.place(store.start()),
                        access=AccessKind.DECIDE.value,
                        entry_point=function.short_name,
                    ),
                ),
            )

    def _buffers(self, unit: CUnit, function: Function) -> Iterator[Finding]:
        """Yield the returns of the inside of a buffer that is filled again under the same lock."""
        for found in _RETURNS_BUFFER.finditer(unit.code, function.body, function.end):
            name = re.split(r"\.|->", found[1])[-1].strip()
            if unit.is_local(function, found[1]) or not unit.sections(function).at(found.start()):
                continue
            fills = re.compile(_FILLS.replace("{name}", rf"(?:\w+\s*(?:\.|->)\s*)*{re.escape(name)}"))
            places = [at.start() for at in fills.finditer(unit.code)]
            writers = [(at, writer) for at in places if (writer := unit.function_at(at)) is not None]
            if not writers:
                continue
            at, writer = writers[0]
            yield self.finding(
                f"the caller gets a pointer into `{name}` without its lock: line {unit.line_at(at)} changes the buffer",
                location=unit.place(found.start()),
                sites=(
                    Site(location=unit.place(at), access=AccessKind.FREE.value, entry_point=writer.short_name),
                    Site(
                        location=unit.place(found.start()),
                        access=AccessKind.READ.value,
                        entry_point=function.short_name,
                    ),
                ),
            )

    def _returned(self, unit: CUnit, function: Function) -> Iterator[Finding]:
        """Yield the returns of a pointer into a container that another function shrinks."""
        code = unit.code
        refers = function.header.rstrip().endswith("&")
        elements, through = (_REFERS_TO_ELEMENT, _REFERS_TO_FOUND) if refers else (_RETURNS_ELEMENT, _RETURNS_FOUND)
        places = [
            (found.start(), found[1] or found[found.lastindex or 1])
            for found in elements.finditer(code, function.body, function.end)
        ]
        for found in through.finditer(code, function.body, function.end):
            iterator = re.compile(rf"\b{found[found.lastindex or 1]}\s*=\s*{_CONTAINER}\s*(?:\.|->)\s*find\s*\(")
            source = iterator.search(code, function.body, found.start())
            if source is not None:
                places.append((found.start(), source[1]))
        for at, container in sorted(places):
            if not unit.sections(function).at(at) or unit.is_local(function, container):
                continue
            name = re.split(r"\.|->", container)[-1].strip()
            removes = re.compile(_REMOVES.replace("{name}", rf"(?:\w+\s*(?:\.|->)\s*)*{re.escape(name)}"))
            others = (each for each in removes.finditer(code) if not function.start <= each.start() < function.end)
            removal = next(others, None)
            if removal is None:
                continue
            yield self.finding(
                f"the caller gets a pointer into `{name}` without the lock, and line {unit.line_at(removal.start())} "
                "can remove the element",
                location=unit.place(at),
                sites=(
                    Site(location=unit.place(at), access=AccessKind.READ.value, entry_point=function.short_name),
                    Site(location=unit.place(removal.start()), access=AccessKind.FREE.value, entry_point=name),
                ),
            )
