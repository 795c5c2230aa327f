"""Logs that receive the progress of the stages."""

from typing import Protocol

__all__ = ["Log", "SilentLog"]


class Log(Protocol):
    """Takes stages, progress and lines for people; ``progress.ProgressLog`` is one."""

    def stage(self, name: str) -> None:
        """Begin a stage."""
        ...

    def update(self, what: str, done: float, total: float) -> None:
        """Show the current work of the stage, and how much of it is done."""
        ...

    def message(self, text: str) -> None:
        """Print a line that stays."""
        ...


class SilentLog:
    """Ignores everything."""

    def stage(self, name: str) -> None:
        """Begin a stage."""

    def update(self, what: str, done: float, total: float) -> None:
        """Show the current work of the stage, and how much of it is done."""

    def message(self, text: str) -> None:
        """Print a line that stays."""
