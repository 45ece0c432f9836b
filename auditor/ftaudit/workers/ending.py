"""The reason why a task has no answer."""

from __future__ import annotations

from dataclasses import dataclass

from ftaudit.model import StrEnum


class TaskEnding(StrEnum):
    """The reason why a task has no answer."""

    SIGNAL = "signal"
    EXIT = "exit"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    RAISED = "raised"
    """The function raised an exception: our bug."""
    NOT_STARTED = "not-started"
    CLOSED = "closed"
    """The worker closed its pipes and went on."""
    CANCELLED = "cancelled"
    """The pool was closed before the task was done."""
    NONSENSE = "nonsense"
    """The worker did not answer in JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Died:
    """The result of a task that has no answer."""

    how: TaskEnding
    detail: str = ""
    """The signal's name, the exit code, the seconds, the MiB, or the exception and its place."""

    @property
    def is_lasting(self) -> bool:
        """Whether the same task ends the same way another time."""
        return self.how in (TaskEnding.MEMORY, TaskEnding.RAISED)

    def __str__(self) -> str:
        """Return what a sentence about the process ends with."""
        match self.how:
            case TaskEnding.SIGNAL:
                return f"was ended by {self.detail}"
            case TaskEnding.EXIT:
                return f"ended with exit code {self.detail}"
            case TaskEnding.TIMEOUT:
                return f"was ended after {self.detail} s of work"
            case TaskEnding.MEMORY:
                return f"needs more than {self.detail} MiB of memory"
            case TaskEnding.RAISED:
                return f"failed: {self.detail}"
            case TaskEnding.NOT_STARTED:
                return "could not be started"
            case TaskEnding.CANCELLED:
                return "was ended"
            case TaskEnding.CLOSED:
                return "closed its pipes"
            case TaskEnding.NONSENSE:
                return "returned an invalid result"
