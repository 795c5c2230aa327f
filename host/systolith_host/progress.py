"""Progress with the time left, on standard error: a bar on a terminal, lines elsewhere."""

import threading
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["ProgressLog"]

_LINE_SECONDS = 10.0
"""Time between two lines where standard error is no terminal."""

_QUIET_SECONDS = 3.0
"""A stage shorter than this leaves no line there."""


class ProgressLog:
    """Shows what is under way; to be used as a context.

    Threads may report side by side.

    Parameters
    ----------
    console : Console
        Of standard error.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._stage = ""
        self._started = self._printed = time.monotonic()
        self._bar: Progress | None = None
        self._task = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )

    def __enter__(self) -> "ProgressLog":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def stage(self, name: str) -> None:
        """Begin a stage; progress starts at nothing again."""
        with self._lock:
            now = time.monotonic()
            self._stage, self._started, self._printed = name, now, now - _LINE_SECONDS
            self._printed += _QUIET_SECONDS
            if self._bar is not None:
                for task in self._bar.task_ids:
                    self._bar.remove_task(task)
                self._task = self._bar.add_task(name, total=None)

    def update(self, what: str, done: float, total: float) -> None:
        """Say what the stage is at, and how much of it is done."""
        with self._lock:
            share = done / total if total else 0.0
            if self._bar is not None and self._task is not None:
                text = f"{self._stage}: {what}" if what else self._stage
                self._bar.update(self._task, description=text, completed=done, total=total or None)
                return
            now = time.monotonic()
            if now - self._printed < _LINE_SECONDS:
                return
            self._printed = now
            elapsed = now - self._started
            left = f", {_clock(elapsed * (1 - share) / share)} left" if share > 0.01 else ""
            self._print(f"{self._stage}: {share:.0%}, {what}{left}")

    def message(self, text: str) -> None:
        """Print a line that stays."""
        with self._lock:
            self._print(text)

    def _print(self, text: str) -> None:
        console = self._bar.console if self._bar is not None else self._console
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
