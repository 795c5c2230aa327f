"""Progress of the work under way: for a function, as a bar, or for nobody.

Wherever a parameter is called ``progress``, it may be

* None: nothing is shown;
* True: a bar with the time left, on standard error;
* a callable: it is called with ``(stage, done, total)``, the name of what is under way and how much
  of it is done, `total` being 0 where that is not known. Threads may call side by side; what it
  raises ends the work.

Lines for people that come up on the way (how a network compares with onnxruntime, say) go to the
logger "systolith", at level INFO; a bar prints them, too.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from systolith_host.errors import SystolithError
from systolith_host.flow.log import Log

__all__ = ["Progress", "log_of"]

Progress = Callable[[str, float, float], object] | bool | None
"""Whom the work tells how far it is."""

_LOGGER = logging.getLogger("systolith")


@contextmanager
def log_of(progress: Progress) -> Iterator[Log]:
    """Return a log that tells a user's `progress`.

    Raises
    ------
    SystolithError
        If it is of another kind.
    """
    if progress is True:
        from systolith_host.progress import ProgressLog  # rich, and only where it is wanted
        from systolith_host.terminal import error_console

        with ProgressLog(error_console()) as log:
            yield log
    elif callable(progress):
        yield _Told(progress)
    elif progress is None or progress is False:
        yield _Told(lambda stage, done, total: None)
    else:
        raise SystolithError(f"progress must be True, a callable or None, not {progress!r}")


class _Told:
    """Tells a function."""

    def __init__(self, tell: Callable[[str, float, float], object]) -> None:
        self._tell = tell
        self._stage = ""

    def stage(self, name: str) -> None:
        """Begin a stage."""
        self._stage = name
        self._tell(name, 0, 0)

    def update(self, what: str, done: float, total: float) -> None:
        """Say how much of the stage is done."""
        self._tell(self._stage, done, total)

    def message(self, text: str) -> None:
        """Log a line."""
        _LOGGER.info(text)
