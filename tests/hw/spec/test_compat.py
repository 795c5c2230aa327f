"""The one place that knows what Python 3.10 lacks."""

import runpy
import sys
import tomllib
import types

from systolith_hw.spec import compat


def test_the_standard_library_comes_first():
    assert compat.tomllib is tomllib


def test_python_3_10_takes_tomli(monkeypatch):
    tomli = types.ModuleType("tomli")
    monkeypatch.setitem(sys.modules, "tomli", tomli)
    monkeypatch.setattr(sys, "version_info", (3, 10, 12, "final", 0))
    assert runpy.run_path(compat.__file__)["tomllib"] is tomli
