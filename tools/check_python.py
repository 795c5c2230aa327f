"""Whether this Python can carry the set-up; runs on any Python 3, without a package.

usage: check_python.py [version|venv|library ...]; without names all three are checked.
Exit status: 0 if it can, 1 if not.
"""

import sys

OLDEST = (3, 11)


def has_version():
    return sys.version_info[:2] >= OLDEST


def has_venv():
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


def has_library():
    """Whether cocotb finds the shared library of this Python, which it loads into the simulator."""
    import ctypes
    import os
    import sysconfig

    name = sysconfig.get_config_var("INSTSONAME") or ""
    if ".so" not in name and not name.endswith(".dylib"):
        return False
    for path in (os.path.join(sysconfig.get_config_var("LIBDIR") or "", name), name):
        try:
            ctypes.CDLL(path)
            return True
        except OSError:
            pass
    return False


CHECKS = {"version": has_version, "venv": has_venv, "library": has_library}

if __name__ == "__main__":
    sys.exit(0 if all(CHECKS[name]() for name in sys.argv[1:] or CHECKS) else 1)
