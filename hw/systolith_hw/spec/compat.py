"""Substitutes for features that Python 3.10 lacks, which the boards of PYNQ 3 have."""

import sys

__all__ = ["tomllib"]

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # the same code, before it went into the standard library
