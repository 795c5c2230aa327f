"""What Python 3.10 lacks, in one place: the boards of PYNQ 3 have it."""

import sys

__all__ = ["tomllib"]

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # the same code, before it went into the standard library
