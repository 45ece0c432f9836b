"""`import ftaudit.guard`: no import enables the GIL unnoticed in this program. Standard library only.

Import it before anything else. On a free-threaded interpreter, an import that enables the GIL then raises
`GilEnabledError`. The environment variable `FTAUDIT_GUARD=raise|warn|log|off` changes this, and
`FTAUDIT_GUARD_ALLOW=NAME,…` names modules that may enable the GIL (a package's name includes its modules). On an
interpreter that always has a GIL, the import has no effect.
"""

from __future__ import annotations

import os
import sys

from ftaudit import gilwatch

VARIABLE = "FTAUDIT_GUARD"
ALLOW = "FTAUDIT_GUARD_ALLOW"
MODES = ("raise", "warn", "log", "off")
TITLE = "the GIL was turned on by an import"
ON_ALREADY = "an import requires the GIL, which is already on"


class GilEnabledError(RuntimeError):
    """An import enabled the GIL. Not an `ImportError`, so that no fallback for a missing module swallows it."""


class GilEnabledWarning(RuntimeWarning):
    """An import enabled the GIL."""


class Guard:
    """What the program does about modules that enable the GIL."""

    def __init__(self, mode: str, allow: tuple[str, ...] = ()) -> None:
        """Set one of `MODES` and the names of allowed modules and packages; raise `ValueError` for an unknown mode."""
        if mode not in MODES:
            raise ValueError(f"{VARIABLE}={mode} is invalid; use {', '.join(MODES[:-1])} or {MODES[-1]}")
        self.mode = mode
        self.allow = allow
        self.culprits: list[gilwatch.Culprit] = []
        """Every module that enabled the GIL, allowed or not, in order."""
        self._watch = gilwatch.Watch(self._meet)
        self._raised: list[gilwatch.Culprit] = []

    def start(self) -> None:
        """Start watching; act according to the mode if the GIL is already on."""
        if self.mode == "off" or not gilwatch.is_free_threaded():
            return
        match gilwatch.forced():
            case True:
                self._say("PYTHON_GIL or -X gil turned the GIL on, so there is nothing to guard", GilEnabledWarning)
                return
            case False:
                text = "PYTHON_GIL=0 or -X gil=0 keeps the GIL off even for modules that need it, "
                self._say(text + "and CPython does not report which modules those are", RuntimeWarning)
                return
        if gilwatch.gil_is_on():
            loaded = ", ".join(gilwatch.find_loaded()) or "none from a file"
            self._act(
                f"the GIL was on before ftaudit.guard was imported\n  Loaded already:  {loaded}\n"
                "  Options:         import ftaudit.guard before anything else, and it names the module"
            )
        # CPython's warning about the first culprit comes from the line that loads it, which is in the watch.
        import warnings

        warnings.filterwarnings("ignore", "The global interpreter lock", RuntimeWarning, r"ftaudit\.gilwatch$")
        self._watch.start()
        if self.mode == "raise":
            import atexit

            atexit.register(self._remind)

    def stop(self) -> None:
        """Stop watching."""
        self._watch.stop()

    def _meet(self, culprit: gilwatch.Culprit) -> None:
        self.culprits.append(culprit)
        if any(culprit.name == name or culprit.name.startswith(f"{name}.") for name in self.allow):
            return
        if self.mode == "raise":
            self._raised.append(culprit)
        self._act(_describe(culprit, self.mode, on_already=len(self.culprits) > 1), culprit)

    def _act(self, text: str, culprit: gilwatch.Culprit | None = None) -> None:
        match self.mode:
            case "raise":
                raise GilEnabledError(text)
            case "log":
                import logging

                logging.getLogger("ftaudit.guard").warning("%s", text)
            case _:
                self._say(text, GilEnabledWarning, culprit)

    def _say(self, text: str, kind: type[Warning], culprit: gilwatch.Culprit | None = None) -> None:
        import warnings

        if culprit is not None and culprit.code is not None:
            warnings.warn_explicit(text, kind, culprit.code, culprit.line)
        else:
            warnings.warn(text, kind, stacklevel=4)

    def _remind(self) -> None:
        """Name the culprits again at the end of the program, in case something swallowed the errors."""
        names = ", ".join(culprit.name for culprit in self._raised)
        if names and sys.stderr is not None:
            sys.stderr.write(f"ftaudit.guard: this program ran with the GIL, turned on by {names}\n")


def _describe(culprit: gilwatch.Culprit, mode: str, on_already: bool) -> str:
    lines = [*gilwatch.explain(culprit)]
    distribution = culprit.find_distribution()
    if distribution is not None:
        lines.append(("Options", f"a later version of {distribution[0]}, if `ftaudit plan` finds a good one"))
    else:
        lines.append(("Options", "declare Py_mod_gil, once the module is safe: `ftaudit scan` finds what is not"))
    lines.append(("", "keep the GIL off at your own risk: PYTHON_GIL=0 or -X gil=0"))
    lines.append(("", f"allow every module of its package: {ALLOW}={culprit.name.partition('.')[0]}"))
    if mode == "raise":
        lines.append(("", f"only warn, about every such module: {VARIABLE}=warn"))
    width = max(len(label) for label, _ in lines) + 1
    shown = [f"  {label + ':' if label else '':<{width}}  {text}" for label, text in lines]
    title = ON_ALREADY if on_already else TITLE
    return "\n".join([f"{title}: {culprit.name}", *shown])


def _from_environment() -> Guard:
    allow = tuple(name.strip() for name in os.environ.get(ALLOW, "").split(",") if name.strip())
    try:
        return Guard(os.environ.get(VARIABLE, "").strip() or "raise", allow)
    except ValueError as error:
        # An error of the user, not of the program: one line without a traceback.
        raise SystemExit(f"ftaudit.guard: {error}") from None


guard = _from_environment()
"""The guard of this process."""
guard.start()
