"""The simulator of one configuration: its Verilog, generated once, and the program made from it."""

import hashlib
import json
import os
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path

import systolith_hw
from systolith_hw.generate import Flavour, accelerator_verilog
from systolith_hw.spec.config import AcceleratorConfig
from systolith_sim.rtl.build import Build, build, cache_folder, writing_cache
from systolith_sim.rtl.testbench import accelerator_testbench
from systolith_sim.rtl.unknown import with_products_of_zero, with_watch, without_initial_values

__all__ = ["accelerator_build", "simulation_verilog"]


_END = "endmodule\n"
"""End of the Verilog; a text in the cache without it is damaged."""


def simulation_verilog(
    config: AcceleratorConfig,
    flavour: Flavour = Flavour.SIMULATION,
    progress: Callable[[str], None] | None = None,
) -> str:
    """Return the accelerator's Verilog, from the cache if the gateware is the same.

    Parameters
    ----------
    config : AcceleratorConfig
    flavour : Flavour
        For simulation it is a single module, which Verilator runs an eighth faster.
    progress : callable, optional
        Called with each line of progress.
    """
    parts = [f"{config.fingerprint:#x}", flavour.value, _gateware_hash()]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    path = cache_folder() / f"verilog-{key}.v"
    if path.exists() and (text := path.read_text(errors="replace")).endswith(_END):
        return text
    if progress is not None:
        progress(f"Amaranth and Yosys: Verilog of {config.name}")
    text = accelerator_verilog(config, flavour, flatten=flavour is Flavour.SIMULATION)
    # Two processes may write it at once: each its own file, and the last one stays.
    partial = path.with_suffix(f".{os.getpid()}")
    with writing_cache():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text)
        partial.replace(path)
    return text


def accelerator_build(
    config: AcceleratorConfig,
    simulator: str = "verilator",
    memory_size: int = 1 << 16,
    *,
    waves: bool = False,
    events: bool = False,
    writes: bool = False,
    unknown: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Build:
    """Return the compiled simulation of a configuration with its memory.

    Parameters
    ----------
    config : AcceleratorConfig
    simulator : str
        "verilator" or "icarus".
    memory_size : int
        Bytes of the memory image; only Icarus has to know.
    waves : bool
        Whether runs may write waveforms.
    events : bool
        Whether runs may record what the engines do (``+events=FILE``).
    writes : bool
        Whether runs may record what they write (``+writes=FILE``).
    unknown : bool
        Whether registers and memories begin without a value. Icarus then ends where an unknown
        value leaves the accelerator, with a line that begins with
        :data:`~systolith_sim.rtl.unknown.UNKNOWN` in its log.
    progress : callable, optional
        Called with each line of progress.

    Raises
    ------
    SimulatorError
        If a tool is missing or fails.
    """
    # Few sizes, so that the cache helps; Verilator maps the image itself.
    size = 1 << 16 if simulator == "verilator" else 1 << max(16, (memory_size - 1).bit_length())
    # Icarus gets the text that people and synthesis tools get; waveforms and recorders need
    # the hierarchy.
    fast = simulator == "verilator" and not (waves or events or writes)
    flavour = Flavour.SIMULATION if fast else Flavour.PLAIN
    verilog = simulation_verilog(config, flavour, progress)
    if unknown:
        verilog = without_initial_values(with_products_of_zero(verilog))
        verilog = with_watch(verilog, config)
    testbench = accelerator_testbench(config, verilog, size, events=events, writes=writes)
    return build(testbench, simulator, waves=waves, progress=progress)


@cache
def _gateware_hash() -> str:
    """Return a hash of everything that decides how a configuration becomes Verilog."""
    hashed = hashlib.sha256()
    for package in ("amaranth", "pyosys"):
        hashed.update(metadata.version(package).encode())
    folder = Path(str(systolith_hw.__file__)).parent
    for path in sorted(folder.rglob("*.py")):
        hashed.update(path.read_bytes())
    return hashed.hexdigest()
