"""The script of a unit. The sandbox runs the same script that a report contains, so that both fail in the same way."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ftaudit.stress.child.units import ThreadedUnit

BORROWED = ("already borrowed", "already mutably borrowed")
"""PyO3's message, in lower case, for a method call while another thread is in a method."""

HARNESS = '''

def make():
    """Make the objects that all threads share in one round."""
{setup}
    return {names}


def fail(kind, what):
    """End the process: the remaining threads use objects that are damaged."""
    print(kind, what, sep=": ", file=sys.stderr, flush=True)
    os._exit(1)


def judged(error):
    """Return the name of an exception. Exceptions that a race may raise in good code do not count."""
    name, text = type(error).__name__, str(error).lower()
    if name in ("SystemError", "PanicException") or any(word in text for word in {borrowed}):
        fail("error", f"{{name}}: {{error}}")
    return name


def outcome(operation, shared, i):
    """Return what a call came to, as text."""
    try:
        return repr(operation(*shared, i))
    except BaseException as error:
        return judged(error)


def numbers(count):
    """Return numbers that threads change without waiting for each other."""
    return memoryview(bytearray(8 * count)).cast("q")


def meet(number, turn):
    """Wait until every thread has come this far."""
    arrived[number] = turn
    spins = 0
    while min(arrived) < turn:
        spins += 1
        if spins > 100:
            time.sleep(0 if spins < 2000 else 0.005)

{checks}
def work(number):
    """{work}"""
{once}    for turn in range(1, ROUNDS + 1):
        if number == 0:
{watch}            current[0] = make() if time.monotonic() < end else None
        meet(number, 3 * turn)
        shared = current[0]
        if shared is None:
            return
{each}{body}        shared = None
        meet(number, 3 * turn + 2)


def main():
    """Run all threads to the end."""
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


end = time.monotonic() + SECONDS
arrived = {arrived}
current = [None]
{expected}sys.setswitchinterval(INTERVAL)
if __name__ == "__main__":
{start}    print("no failure")
'''

PLAIN = """\
        until = time.monotonic() + PERIOD
        for call in range(CALLS):
            try:
                operation(*shared, number * CALLS + call)
            except BaseException as error:
                judged(error)
            if time.monotonic() > until:
                break
"""
EVERY_CALL = """\
        for call in range(CALLS):
            outcome(operation, shared, number * CALLS + call)
"""
CHECKED = """\
        until = time.monotonic() + PERIOD
        for call in range(CALLS):
            result = outcome(operation, shared, number * CALLS + call)
            if number % len(OPERATIONS) in CHECKED and result not in expected:
                fail("wrong result", f"{result[:300]}, which no thread alone can get")
            if time.monotonic() > until:
                break
"""
COUNTED = """\
        meet(number, 3 * turn + 1)
        if number == 0 and state(*shared) != expected:
            fail("wrong result", f"{state(*shared)[:300]}, where one thread after the other gets {expected[:300]}")
"""
MEASURED = """\
        begun[number] = time.monotonic()
{body}        ended[number] = time.monotonic()
        made[number] += call + 1
        meet(number, 3 * turn + 1)
        if number == 0 and max(begun) < min(ended):
            overlaps[0] += 1
"""
RESULTS = '''

def results_of_one():
    """Return every result that the checked operations have in one thread, in many orders."""
    chance, found = random.Random(1), set()
    for length in range(200):
        shared = make()
        for call in range(length % 24):
            number = chance.randrange(len(OPERATIONS))
            result = outcome(OPERATIONS[number], shared, call)
            if number in CHECKED:
                found.add(result)
    return found

'''
STATE = '''

def state({parameters}):
    """Return what is left after a round."""
    return repr({state})


def state_of_one():
    """Return what is left where one thread does the work of all."""
    shared = make()
    for number in range(THREADS):
        for call in range(CALLS):
            outcome(OPERATIONS[number % len(OPERATIONS)], shared, number * CALLS + call)
    return state(*shared)

'''

WATCH = '''

def watch():
    """Note the memory in use at each quarter of the time. Fail if it grew in every quarter but the first."""
    if time.monotonic() < end - SECONDS * (3 - len(sizes)) / 4:
        return
    current[0] = None
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        sizes.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    grown = [after - before for before, after in itertools.pairwise(sizes)]
    # What grows in good code, such as a cache, also grows with the GIL or in one thread.
    least = GROWTH if THREADS > 1 and not sys._is_gil_enabled() else GROWTH / {share}
    if len(sizes) == 4 and min(grown) > least:
        fail("memory growth", f"{{sum(grown) / 2**20:.1f}} MiB in {{0.75 * SECONDS:g}} s")


sizes = []
'''
CONTROL_SHARE = 16
"""The part of the growth that is enough with the GIL, or in one thread: those make fewer calls in the same time."""


PERIOD = 0.01
"""Maximum seconds of a round. Rounds that are much shorter end before another thread gets a processor."""
PERIOD_ROTATING = 0.002
"""Maximum seconds of a round in which operations take turns."""
FRESH_FILE = "fresh_file"
"""The function in scripts that makes an empty file and returns its path."""
FILES = '''

def new_folder():
    """Make the folder of the files that calls use. A second process removes it when this one ends in any way."""
    folder = tempfile.mkdtemp()
    code = "import shutil, sys; sys.stdin.read(); shutil.rmtree(sys.argv[1], ignore_errors=True)"
    watches.append(subprocess.Popen([sys.executable, "-I", "-c", code, folder], stdin=subprocess.PIPE))
    return folder


def fresh_file():
    """Return the path of an empty file. The calls use a thousand files in turn."""
    path = f"{folder}/{next(turns) % 1000}"
    open(path, "wb").close()
    return path


watches, turns = [], itertools.count()
folder = new_folder()
'''
FOLDER = "new_folder()\n"
"""The expression of a script that makes the folder of its files; a host replaces it by a folder of the sandbox."""
OWN_OPERATION = "    operation = OPERATIONS[number % len(OPERATIONS)]\n"
NEXT_OPERATION = "        operation = pick(number, turn)\n"
PICK = '''

def pick(number, turn):
    """Return the operation of a thread in a round: the rounds go through all pairs of operations."""
    count = len(OPERATIONS)
    return OPERATIONS[(turn // (count if number % 2 else 1) + number // 2 * 5) % count]

'''
PICK_SAME = '''

def pick(number, turn):
    """Return the operation of all threads in a round."""
    return OPERATIONS[turn % len(OPERATIONS)]

'''
ONCE = "    main()\n"
FORKED = """\
    for attempt in range(PROCESSES):
        for number in range(THREADS):
            arrived[number] = ~attempt
        process = os.fork()
        if process == 0:
            main()
            os._exit(0)
        ended = os.waitpid(process, 0)[1]
        if ended:
            sys.exit(f"process {attempt} ended with status {ended}")
"""


ARRIVED = "numbers(THREADS)"
"""The expression of a script that makes the progress of its threads; a host replaces it by memory that it watches."""


def _uses_files(unit: ThreadedUnit) -> bool:
    return any(f"{FRESH_FILE}(" in text for text in (*unit.operations, *unit.shared.values(), unit.state or ""))


def head_of(unit: ThreadedUnit) -> list[str]:
    """Return the lines of a unit's script before its operations, each of which has one line."""
    words = set(re.findall(r"\w+", " ".join((*unit.operations, *unit.shared.values(), unit.state or ""))))
    standard = {"os", "sys", "threading", "time"} | ({"random"} if unit.checked and unit.expected is None else set())
    standard |= {"itertools", "subprocess", "tempfile"} if _uses_files(unit) else set()
    standard |= words & {"collections", "copy", "gc", "io", "itertools", "operator", "pickle", "tempfile"}
    standard |= {"gc", "itertools"} if unit.growth else set()
    lines = [f"import {name}" for name in sorted(standard)]
    lines += ["", *[f"import {name}" for name in unit.imports if name.partition(".")[0] in words], ""]
    lines += [f"THREADS, CALLS, ROUNDS, SECONDS = {unit.threads}, {unit.calls}, {unit.rounds}, {unit.seconds:g}"]
    lines += [f"INTERVAL, PERIOD = {unit.interval:g}, {PERIOD_ROTATING if unit.rotating else PERIOD:g}"]
    lines += [f"GROWTH = {unit.growth}"] if unit.growth else []
    lines += ["OPERATIONS = ["]
    return lines


def render(unit: ThreadedUnit, *, measured: bool = False) -> str:
    """Return the script that runs a unit; `measured` also counts the rounds in which threads overlapped."""
    names = list(unit.shared)
    parameters = ", ".join([*names, "i"])
    lines = head_of(unit)
    lines += [f"    lambda {parameters}: {operation}," for operation in unit.operations] + ["]"]
    if unit.processes > 1:
        lines += [f"PROCESSES = {unit.processes}"]
    if unit.checked:
        lines += [f"CHECKED = {unit.checked!r}"]
    body, checks, expected = PLAIN, "", ""
    if unit.checked:
        body, checks, expected = CHECKED, RESULTS, "expected = results_of_one()\n"
        if unit.expected is not None:
            checks, expected = "", f"expected = {set(unit.expected)!r}\n"
    if unit.state is not None:
        checks += STATE.format(parameters=", ".join(names), state=unit.state)
        body, expected = EVERY_CALL + COUNTED, "expected = state_of_one()\n"
    if measured:
        body = MEASURED.format(body=body if unit.state is None else EVERY_CALL) + (COUNTED if unit.state else "")
        lines += ["begun, ended, made, overlaps = [0.0] * THREADS, [0.0] * THREADS, [0] * THREADS, [0]"]
    if unit.rotating:
        checks += PICK_SAME if unit.growth else PICK
    if unit.growth:
        checks += WATCH.format(share=CONTROL_SHARE)
    if _uses_files(unit):
        checks = FILES + checks
    setup = "\n".join(f"    {name} = {expression}" for name, expression in unit.shared.items())
    text = HARNESS.format(
        setup=setup or "    # Nothing is shared but the package itself.",
        names=f"({''.join(f'{name}, ' for name in names).strip()})",
        borrowed=repr(BORROWED),
        checks=checks,
        work="Do an operation on what all threads share, and another one in the next round."
        if unit.rotating
        else "Do one operation again and again on what all threads share.",
        once="" if unit.rotating else OWN_OPERATION,
        each=NEXT_OPERATION if unit.rotating else "",
        watch="            watch()\n" if unit.growth else "",
        body=body,
        arrived=ARRIVED,
        expected=expected,
        start=ONCE if unit.processes == 1 else FORKED,
    )
    return "\n".join(lines) + "\n" + text
