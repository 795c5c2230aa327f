"""Broken variants of the gateware, to show that a test or a proof notices them."""

import inspect
from types import ModuleType

__all__ = ["mutant"]


def mutant(module: ModuleType, *changes: tuple[str, str]) -> ModuleType:
    """Return a copy of a module in which pieces of its text are replaced.

    Parameters
    ----------
    module : module
    changes : tuples of str
        Text that stands in the module once, and what comes in its place.

    Raises
    ------
    ValueError
        If a text does not stand there exactly once: the gateware has changed, and so must the test.
    """
    text = inspect.getsource(module)
    for old, new in changes:
        if text.count(old) != 1:
            raise ValueError(
                f"a mutant's text must stand once in {module.__name__}, "
                f"not {text.count(old)} times: {old!r}"
            )
        text = text.replace(old, new)
    copy = ModuleType(f"{module.__name__}_mutant")
    exec(compile(text, f"<mutant of {module.__name__}>", "exec"), copy.__dict__)
    return copy
