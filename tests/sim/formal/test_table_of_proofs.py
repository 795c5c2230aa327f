"""The page on verification lists every proof, with its depth and its broken variants."""

import importlib.util
import inspect
import pkgutil
from importlib import import_module
from pathlib import Path

from systolith_sim import formal
from systolith_sim.formal.prove import Specification

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "verification.md"


def rows():
    """Return depth and number of broken variants in the page's table, by module."""
    found = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")][-4:-1]
        if len(cells) == 3 and cells[0].startswith("`") and cells[2].isdecimal():
            found[cells[0].strip("`")] = (int(cells[1]), int(cells[2]))
    return found


def proofs():
    """Return the specifications of each module that has some."""
    found = {}
    for module in pkgutil.iter_modules(formal.__path__):
        loaded = import_module(f"{formal.__name__}.{module.name}")
        own = [getattr(loaded, name) for name in loaded.__all__]
        own = [item for item in own if inspect.isclass(item) and issubclass(item, Specification)]
        own = [item for item in own if hasattr(item, "DEPTH")]  # others are bases of proofs
        if own:
            found[module.name] = own
    return found


def variants(module):
    """Return how many broken variants a module's test has."""
    spec = importlib.util.spec_from_file_location(module, HERE / f"test_{module}.py")
    assert spec
    assert spec.loader
    test = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(test)
    groups = test.MUTANTS.values()
    return sum(len(group) if isinstance(group, dict) else 1 for group in groups)


def test_the_table_agrees_with_the_proofs():
    expected = {}
    for module, specifications in proofs().items():
        (depth,) = {specification.DEPTH for specification in specifications}
        expected[module] = (depth, variants(module))
    assert rows() == expected
