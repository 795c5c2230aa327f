"""Systolith, a generator of systolic CNN accelerators, as programs and notebooks import it."""

from systolith_host.version import version

__all__ = ["__version__"]

__version__ = version()
