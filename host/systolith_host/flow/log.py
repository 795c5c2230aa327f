"""Whom the stages tell how far they are."""

from typing import Protocol

__all__ = ["Log", "SilentLog"]


class Log(Protocol):
    """Takes stages, progress and lines for people; ``progress.ProgressLog`` is one."""

    def stage(self, name: str) -> None:
        """Begin a stage."""
        ...

    def update(self, what: str, done: float, total: float) -> None:
        """Say what the stage is at, and how much of it is done."""
        ...

    def message(self, text: str) -> None:
        """Say a line that stays."""
        ...


class SilentLog:
    """Takes everything and tells nobody."""

    def stage(self, name: str) -> None:
        """Begin a stage."""

    def update(self, what: str, done: float, total: float) -> None:
        """Say what the stage is at, and how much of it is done."""

    def message(self, text: str) -> None:
        """Say a line that stays."""
