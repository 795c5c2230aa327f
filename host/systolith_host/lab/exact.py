"""A run of a program on the emulator that the golden model has to agree with, for tests."""

import numpy as np

from systolith_host.lab.fuzz.networks import run_program
from systolith_host.network.golden import run_golden
from systolith_host.network.qgraph import QGraph
from systolith_host.program.program import Program
from systolith_sim.emulator.device import Emulator

__all__ = ["run_exactly"]

UNSET = 0x5A
"""What memory holds before the program: a byte that is read without having been written tells."""


def run_exactly(
    program: Program, qgraph: QGraph, images: np.ndarray, what: str = ""
) -> dict[str, np.ndarray]:
    """Return every tensor that has a place after a run of all layers; each is the golden model's.

    The emulator is strict: a word that is replaced while an instruction under way may still use it
    is an error.

    Parameters
    ----------
    program : Program
        Of the network.
    qgraph : QGraph
    images : ndarray of integers, shape (N, C, H, W)
    what : str
        Begins the text of the error.

    Raises
    ------
    AssertionError
        If a tensor differs, or the output has no place.
    """
    memory = np.full(program.memory_size, UNSET, np.uint8)
    tensors = run_program(program, Emulator(program.config, memory, strict=True), images)
    golden = run_golden(qgraph, images)
    assert qgraph.output in tensors, what
    for name, values in tensors.items():
        np.testing.assert_array_equal(values, golden[name], err_msg=f"{what} {name}".strip())
    return tensors
