"""A pytest plugin: a session fails if an import enables the GIL, and reports the module, its owner, and the importer.

`pytest --ftaudit-gil` uses it. With `-p ftaudit.pytest_plugin` before other plugins, it also detects their imports. It
needs the standard library and pytest only, so that it runs in the audited interpreter without ftaudit's dependencies.
Under pytest-xdist each worker reports to the controller. `pytest --ftaudit-record FILE` also merges what the session
loads into a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ftaudit import gilwatch, load_events

if TYPE_CHECKING:
    from collections.abc import Generator

CULPRITS = "ftaudit_culprits"
"""The key under which a worker of pytest-xdist passes its culprits to the controller."""
EVENTS = "ftaudit_events"
"""The same for what it loaded."""
UNSEEN = "a module that was imported before this plugin"
Entry = dict[str, Any]


class GilPlugin:
    """What one pytest process observed, and the consequences."""

    def __init__(self) -> None:
        self.mode = "off"
        self.record: str | None = None
        """The file that the session's loads are merged into."""
        self.recorded: str | None = None
        """What happened to that file, for the reader."""
        self.processes: list[list[Entry]] = []
        """The events of pytest-xdist's workers."""
        self.allow: tuple[str, ...] = ()
        self.entries: list[Entry] = []
        self.failed = False
        """Whether the session failed only for this reason."""
        self.during = "before the first test was collected"
        self.on_before = gilwatch.is_free_threaded() and gilwatch.gil_is_on() and gilwatch.forced() is None
        self.loaded_before = gilwatch.find_loaded() if self.on_before else []
        self.events: list[Entry] = []
        self.recorder = load_events.Recorder(gilwatch, self.events.append)
        self.recorder.during = lambda: self.during
        self.recorder.start()
        self.watch = gilwatch.Watch(self.meet, self.recorder.see)
        # Every import from here on is watched: other plugins and conftests run before the options are known.
        self.watch.start()

    def configure(self, config: pytest.Config, namespace: Any) -> None:
        """Apply the options; raise `pytest.UsageError` if nothing can be detected."""
        self.mode = namespace.ftaudit_gil or str(config.getini("ftaudit_gil")) or "off"
        if self.mode not in ("off", "warn", "fail"):
            raise pytest.UsageError(f"ftaudit_gil is {self.mode!r}: choose from fail, warn, off")
        allowed = " ".join(config.getini("ftaudit_gil_allow")).replace(",", " ")
        self.allow = tuple(allowed.split())
        named = namespace.ftaudit_record or str(config.getini("ftaudit_record"))
        self.folder = config.invocation_params.dir
        self.record = str(self.folder / named) if named else None
        if self.record is not None:
            self.check_record()
        if self.mode == "off" and self.record is None:
            self.watch.stop()
        elif self.mode != "off" and gilwatch.is_free_threaded() and gilwatch.forced() is not None:
            raise pytest.UsageError(
                f"--ftaudit-gil: PYTHON_GIL or -X gil keeps the GIL {'on' if gilwatch.forced() else 'off'}, so CPython "
                "does not report modules that require it; unset it"
            )

    def meet(self, culprit: gilwatch.Culprit) -> None:
        """Store a culprit, with the current activity."""
        self.entries.append({"module": culprit.name, "told": gilwatch.explain(culprit), "during": self.during})

    def is_allowed(self, entry: Entry) -> bool:
        """Return whether the user allows this module to enable the GIL."""
        return any(covers(name, entry["module"]) for name in self.allow)

    @property
    def fails(self) -> bool:
        """Whether the session fails."""
        return self.mode == "fail" and (self.on_before or any(not self.is_allowed(entry) for entry in self.entries))

    @property
    def distinct(self) -> list[Entry]:
        """The culprits, each once for any number of workers."""
        first: dict[str, Entry] = {}
        for entry in self.entries:
            first.setdefault(entry["module"], entry)
        return list(first.values())

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        """Record what is being collected."""
        before, self.during = self.during, f"while {collector.nodeid or 'the session'} was collected"
        try:
            return (yield)
        finally:
            self.during = before

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Record which test runs."""
        self.during = f"in {item.nodeid}"
        try:
            return (yield)
        finally:
            self.during = "between two tests"

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Fail the session, or notify the controller."""
        output = getattr(session.config, "workeroutput", None)
        self.recorder.finish()
        if output is not None:
            output[EVENTS] = self.events
        elif self.record is not None and not self.write_record() and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        if output is not None:
            output[CULPRITS] = {"entries": self.entries, "on_before": self.on_before, "loaded": self.loaded_before}
        elif self.fails and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            self.failed = True

    def check_record(self) -> None:
        """Raise `pytest.UsageError` for a file that holds anything but a record: it would be lost."""
        from pathlib import Path

        from ftaudit.load_record import read_record

        path = Path(str(self.record))
        try:
            if path.exists():
                read_record(path)
        except (OSError, ValueError) as error:
            raise pytest.UsageError(f"--ftaudit-record: {path} is not a record of loads: {error}") from None

    def write_record(self) -> bool:
        """Merge what the session's processes loaded into the file; return whether that was possible."""
        from pathlib import Path

        from ftaudit.load_record import add_to_file, record_of_processes

        record = record_of_processes([self.events, *self.processes], self.folder)
        try:
            runs = sum(loads.runs for loads in add_to_file(Path(str(self.record)), record).every)
        except (OSError, ValueError) as error:
            self.recorded = f"could not be written: {error}"
            return False
        self.recorded = f"has {runs} recorded {'run' if runs == 1 else 'runs'}"
        return True

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Add the results of a pytest-xdist worker."""
        seen = getattr(node, "workeroutput", {}).get(CULPRITS, {})
        self.entries.extend(seen.get("entries", ()))
        self.processes.append(getattr(node, "workeroutput", {}).get(EVENTS, []))
        if seen.get("on_before"):
            self.on_before, self.loaded_before = True, seen["loaded"]

    def pytest_report_header(self) -> list[str]:
        """Return header lines: whether and how completely the GIL is watched, and where loads are recorded."""
        lines = [] if self.mode == "off" else [self.watching]
        return lines if self.record is None else [*lines, f"ftaudit: records loaded extension modules in {self.record}"]

    @property
    def watching(self) -> str:
        """What the plugin does about the GIL."""
        if not gilwatch.is_free_threaded():
            return "ftaudit: this interpreter always has a GIL, so there is nothing to watch"
        seen = "every module" if self.watch.complete else "only the first module (all modules from CPython 3.14 on)"
        return f"ftaudit: {self.mode}s when an import turns the GIL on; reports {seen}"

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Name every culprit, and the file with the loaded modules."""
        if self.recorded is not None:
            terminalreporter.line(f"ftaudit: {self.record} {self.recorded}")
        if self.mode == "off":
            return
        if not self.entries and not self.on_before:
            return
        terminalreporter.section("the GIL was turned on", red=self.fails, yellow=not self.fails, bold=True)
        if self.on_before:
            loaded = ", ".join(self.loaded_before) or "none from a file"
            terminalreporter.line("The GIL was on before this plugin was loaded; put `-p ftaudit.pytest_plugin` first.")
            terminalreporter.line(f"  Extension modules loaded by then: {loaded}")
        for entry in self.distinct:
            if self.is_allowed(entry):
                terminalreporter.line(f"{entry['module']} (allowed by ftaudit_gil_allow), {entry['during']}")
                continue
            terminalreporter.line(f"{entry['module']}, {entry['during']}")
            for label, text in entry["told"]:
                terminalreporter.line(f"  {label + ':':<14} {text}")
        idle = [name for name in self.allow if not any(covers(name, entry["module"]) for entry in self.entries)]
        if idle:
            terminalreporter.line(f"ftaudit_gil_allow lists modules that did not turn the GIL on: {', '.join(idle)}")
        if self.fails:
            terminalreporter.line(
                "This fails the session. --ftaudit-gil-warn only reports it; ftaudit_gil_allow allows modules."
            )


def covers(name: str, module: str) -> bool:
    """Return whether an allowed name is the module's own or that of a package that contains it."""
    return module == name or module.startswith(f"{name}.")


plugin = GilPlugin()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--ftaudit-gil` and its ini settings."""
    group = parser.getgroup("ftaudit", "free-threading")
    # A flag without a value: an optional value would consume the path that follows.
    for flag, mode in (("--ftaudit-gil", "fail"), ("--ftaudit-gil-warn", "warn"), ("--no-ftaudit-gil", "off")):
        what = {"fail": "fail", "warn": "report it, and pass,", "off": "do nothing"}[mode]
        group.addoption(
            flag,
            action="store_const",
            const=mode,
            dest="ftaudit_gil",
            help=f"{what} when an import turns the GIL on under a free-threaded interpreter",
        )
    text = "merge which extension modules the session loads into FILE, for `ftaudit check --reach --recorded FILE`"
    group.addoption("--ftaudit-record", metavar="FILE", dest="ftaudit_record", help=text)
    parser.addini("ftaudit_record", "the file of --ftaudit-record", default="")
    parser.addini("ftaudit_gil", "what to do without one of these options: fail, warn or off (the default)", default="")
    parser.addini("ftaudit_gil_allow", "modules and packages that may turn the GIL on", type="args", default=[])


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Apply the options before any conftest is imported."""
    plugin.configure(early_config, early_config.known_args_namespace)
    if plugin.mode != "off" or plugin.record is not None:
        early_config.pluginmanager.register(plugin, "ftaudit-gil")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop watching. If the plugin failed the session, the last line says so."""
    plugin.watch.stop()
    if plugin.failed:
        names = ", ".join(entry["module"] for entry in plugin.distinct if not plugin.is_allowed(entry))
        text = f"ftaudit: the session failed because the GIL was turned on by {names or UNSEEN}"
        config.get_terminal_writer().line(text)
