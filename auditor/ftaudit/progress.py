"""The progress of a long job, and its display on a terminal's standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class ProgressListener(Protocol):
    """A listener: the engine names each stage and reports each finished item."""

    def stage(self, title: str, total: int | None) -> None:
        """Begin a stage of `total` items, or of unknown length."""

    def done(self, item: str) -> None:
        """One item of the current stage is finished."""


class Silent:
    """Discards all progress."""

    def stage(self, title: str, total: int | None) -> None:
        """Ignore the stage."""

    def done(self, item: str) -> None:
        """Ignore the item."""


class _Bars:
    """One bar for each stage, drawn by rich."""

    def __init__(self, display: Progress) -> None:
        self._display = display
        self._task: TaskID | None = None

    def stage(self, title: str, total: int | None) -> None:
        self._finish()
        self._task = self._display.add_task(title, total=total, item="")

    def done(self, item: str) -> None:
        if self._task is not None:
            self._display.update(self._task, advance=1, item=item)

    def _finish(self) -> None:
        if self._task is not None:
            self._display.remove_task(self._task)
            self._task = None


@contextlib.contextmanager
def on_stderr(*, wanted: bool = True, estimate: bool = False) -> Iterator[ProgressListener]:
    """Show progress on standard error while the block runs, if it is a terminal; otherwise show nothing.

    With `estimate`, also show the rate and the remaining time.
    """
    if not (wanted and sys.stderr.isatty()):
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    more: list[ProgressColumn] = []
    if estimate:
        more = [TaskProgressColumn(show_speed=True), TimeRemainingColumn()]
    display = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24, table_column=Column(min_width=4, ratio=1)),
        MofNCompleteColumn(),
        *more,
        # The name of the item uses the remaining width of the line.
        TextColumn("{task.fields[item]}", style="dim", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=2)),
        expand=True,
        console=Console(stderr=True),
        transient=True,
    )
    with display:
        yield _Bars(display)
