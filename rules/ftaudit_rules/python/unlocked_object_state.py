"""FT533: one method uses the state of a shared object without the lock that another method holds for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule, Signal
from ftaudit.source.python.object_states import find_states
from ftaudit.source.python.races import StateRace, find_races
from ftaudit.source.race_words import describe
from ftaudit.source.shared_state import AccessKind


class UnlockedObjectState(PythonRule):
    """One method uses the state of a shared object under a lock, and another method uses it without the lock.

    A lock excludes only code that takes the same lock. If one method changes an attribute under the object's lock, and
    another method changes it, iterates over it, or tests it and acts on the result without the lock, the lock guards
    nothing: an update is lost, a loop fails with `RuntimeError`, or a key that existed a moment ago is gone.

    An object counts as shared if its class owns a lock, starts threads, passes its methods to threads, or is a thread,
    or if the only object of the class is a module-level variable. The rule follows calls of the object's own methods: a
    helper is safe if every caller holds the lock. The rule does not report plain reads of a single value, which get the
    old or the new value.
    """

    info = RuleInfo(
        code="FT533",
        name="unlocked-object-state",
        summary="The state of a shared object is changed or iterated over without the lock that guards it elsewhere.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=("Hold the same lock at every place that the finding lists, and over all steps that belong together."),
        links=(
            "https://docs.python.org/3.14/library/threadsafety.html",
            "https://py-free-threading.github.io/porting/",
        ),
    )
    signals = Signal.THREADS | Signal.SINGLETON
    speaks_as = ("FT506", "FT507")
    summarized = True
    VALID = (
        SourceExample(
            code="""\
class Recorder:
    def begin(self):
        if self.active:
            raise RuntimeError("one at a time")
        self.active = True
    def end(self):
        self.active = False
def record():
    recorder = Recorder()
    recorder.begin()
""",
        ),
        SourceExample(
            code="""\
class Counts:
    def __init__(self):
        self.n = {}
    def add(self, key):
        self.n[key] = read(key)
counts = Counts()
""",
        ),
        SourceExample(
            code="""\
class Counts(dict):
    def add(self, key):
        self[key] = read(key)
counts = Counts()
""",
        ),
        SourceExample(
            code="""\
import threading
from dataclasses import dataclass, field
@dataclass
class Registry:
    items: dict = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    def add(self, key, value):
        with self.lock:
            self.items[key] = value
    def names(self):
        with self.lock:
            return [name for name in self.items]
""",
            instead=True,
        ),
        SourceExample(
            code="""\
import threading
class Client:
    def __init__(self):
        self._lock = threading.Lock()
        self.buffer = []
    def send(self, packet):
        with self._lock:
            self.buffer.append(packet)
    def flush(self):
        with self._lock:
            packets, self.buffer = self.buffer, []
        write(b"".join(packets))
""",
        ),
        SourceExample(
            code="""\
import threading
class Cache(dict):
    def __init__(self, size):
        self.size = size
        self.lock = threading.Lock()
    def get(self, key, make):
        with self.lock:
            while len(self) >= self.size:
                for old in sorted(self, key=self.age):
                    del self[old]
            self[key] = value = make(key)
            return value
    def age(self, key):
        return 0
""",
        ),
        SourceExample(
            code="""\
class Sieve:
    def __init__(self):
        self.known = table([2, 3])
    def extend(self, n):
        known = self.known
        self.known = known + primes(known, n)
sieve = Sieve()
""",
        ),
        SourceExample(
            code="""\
import threading
class Pool:
    def __init__(self):
        self._lock = threading.Lock()
        self._items = {}
    def put(self, k, v):
        with self._lock:
            self._store(k, v)
    def drop(self, k):
        with self._lock:
            self._items.pop(k, None)
    def names(self):
        with self._lock:
            return [k for k in self._items]
    def _store(self, k, v):
        if k not in self._items:
            self._items[k] = v
    def get(self, k):
        return self._items.get(k)
""",
        ),
        SourceExample(
            code="""\
import contextlib
import threading
class Channel:
    def __init__(self):
        self._lock = threading.Lock()
        self._sent = 0
    @contextlib.contextmanager
    def sending(self):
        with self._lock:
            yield
    def send(self, data):
        with self.sending():
            self._sent += len(data)
    def reset(self):
        with self._lock:
            self._sent = 0
""",
        ),
        SourceExample(
            code="""\
import threading
class Worker(threading.Thread):
    def __init__(self):
        super().__init__()
        self.done = False
    def run(self):
        while not self.done:
            step()
    def stop(self):
        self.done = True
""",
        ),
        SourceExample(
            code="""\
class Plain:
    def __init__(self):
        self.items = {}
    def add(self, k):
        if k not in self.items:
            self.items[k] = []
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
class Counts:
    def __init__(self):
        self.n = {}
    def add(self, key):
        self.n[key] = self.n[key] + 1
counts = Counts()
""",
            lines=(5,),
        ),
        SourceExample(
            code="""\
class Recorder:
    def __init__(self):
        self.active = False
    def begin(self):
        if self.active:
            raise RuntimeError("one at a time")
        self.active = True
    def end(self):
        self.active = False
recorder = Recorder()
""",
            lines=(5,),
        ),
        SourceExample(
            code="""\
class Counts(dict):
    def add(self, key):
        self[key] = self[key] + 1
counts = Counts()
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
import threading
from dataclasses import dataclass, field
@dataclass
class Registry:
    items: dict = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    def add(self, key, value):
        with self.lock:
            self.items[key] = value
    def names(self):
        return [name for name in self.items]
""",
            lines=(11,),
        ),
        SourceExample(
            code="""\
import threading
class Client:
    def __init__(self):
        self._socket_lock = threading.Lock()
        self.buffer = []
    def send(self, packet):
        self.buffer.append(packet)
    def flush(self):
        self._send(b"".join(self.buffer))
        self.buffer = []
    def _send(self, data):
        with self._socket_lock:
            write(data)
""",
            lines=(10,),
        ),
        SourceExample(
            code="""\
import threading
class Cache(dict):
    def __init__(self, size):
        self.size = size
        self.lock = threading.Lock()
    def get(self, key, make):
        if len(self) >= self.size:
            for old in sorted(self, key=self.age):
                del self[old]
        with self.lock:
            self[key] = value = make(key)
            return value
    def age(self, key):
        return 0
""",
            lines=(8,),
        ),
        SourceExample(
            code="""\
class Sieve:
    def __init__(self):
        self.known = table([2, 3])
    def extend(self, n):
        self.known += primes(self.known, n)
sieve = Sieve()
""",
            lines=(5,),
        ),
        SourceExample(
            code="""\
import threading
class Pool:
    def __init__(self):
        self.lock = threading.Lock()
        self.items = {}
    def get(self, k):
        if k not in self.items:
            self.items[k] = Connection(k)
        return self.items[k]
""",
            lines=(7,),
        ),
        SourceExample(
            code="""\
import threading
class Stats:
    def __init__(self):
        self._lock = threading.Lock()
        self._seen = 0
    def hit(self):
        with self._lock:
            self._seen += 1
    def forget(self, n):
        self._seen -= n
""",
            lines=(10,),
        ),
        SourceExample(
            code="""\
import threading
class Hub:
    def __init__(self):
        self._lock = threading.Lock()
        self._listeners = set()
    def add(self, listener):
        with self._lock:
            self._listeners.add(listener)
    def fire(self, event):
        self._tell(event)
    def _tell(self, event):
        for listener in self._listeners:
            listener(event)
""",
            lines=(12,),
        ),
        SourceExample(
            code="""\
import functools
import threading
def synchronized(method):
    @functools.wraps(method)
    def wrapper(self, *args):
        with self._lock:
            return method(self, *args)
    return wrapper
class Store:
    def __init__(self):
        self._lock = threading.RLock()
        self._index = {}
        self._rows = []
    @synchronized
    def put(self, row):
        self._index = index(row, self._index)
        self._rows.append(row)
    def replace(self, rows):
        self._index = index(rows, {})
""",
            lines=(19,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield one finding for each attribute, at the worst place that takes no lock, with every site."""
        if module.is_script:
            return
        for race in find_races(find_states(module)):
            text = describe(race.race)
            found = self.finding(
                text.message,
                location=race.at.location,
                severity=Severity.WARNING if race.reported else Severity.PEDANTIC,
                interleaving=text.interleaving,
                sites=text.sites,
            )
            yield replace(found, severity=Severity.INFO) if race.reported and race.only_counts else _named(found, race)


def _named(found: Finding, race: StateRace) -> Finding:
    """Return the finding under the code of the rule for its pattern, which covers only globals and classes."""
    if race.kind is AccessKind.DECIDE or race.lookup:
        return replace(found, code="FT506", rule="check-then-act-container")
    if race.kind is AccessKind.WALK:
        return replace(found, code="FT507", rule="iterate-shared-container")
    return found
