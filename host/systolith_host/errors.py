"""The class of errors for people, where the host's modules look for it."""

from systolith_hw.spec.errors import SystolithError

__all__ = ["SystolithError"]
