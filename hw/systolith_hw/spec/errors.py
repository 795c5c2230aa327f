"""The one class of errors for people: all others that reach them are kinds of it."""

__all__ = ["SystolithError"]


class SystolithError(Exception):
    """A user's mistake or an accelerator's failure, in one line.

    The text names the layer, file or field, the limit, and the way out.
    """
