"""The base class of all errors that are meant for people."""

__all__ = ["SystolithError"]


class SystolithError(Exception):
    """A user's mistake or an accelerator's failure, in one line.

    The text names the layer, file or field, the limit, and the way out.
    """
