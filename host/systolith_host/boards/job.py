"""Describes a job for LiteX, and runs it in the Python that has LiteX."""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import systolith_hw
from systolith_host.boards.board import Board, check_bus
from systolith_host.errors import SystolithError
from systolith_host.fpga.tools import find_tool, run_tool
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.registers import ADDR_WIDTH

__all__ = ["BAUD", "DEFAULT_IP", "MAGIC", "UDP_PORT", "litex_python", "make_system", "system_job"]

MAGIC = int.from_bytes(b"SLTX", "little")
"""First register of every such system."""

REGISTER_BASE = 0x80000000
"""Address of the accelerator's registers on the host's bus."""

BAUD = 1_000_000

DEFAULT_IP = "192.168.1.50"
"""Of a board with Ethernet: LiteX's own."""

UDP_PORT = 1234
"""Used at both ends: litex_server sends from the port that it sends to."""

BUS_TIMEOUT = 10_000
"""Cycles after which an access of the host ends without an answer."""

LIMIT_SECONDS = 300
"""Limit of the LiteX program, which takes a few seconds."""

_SOURCES = [Path(__file__).with_name(name) for name in ("soc.py", "bridge.py", "links.py")]
"""Sources of the LiteX side; they decide the result of a build."""


def litex_python() -> str:
    """Return the Python that has LiteX: this one, or that of the FPGA tools.

    Raises
    ------
    SystolithError
        If there is none.
    """
    folder = Path(find_tool("litex_server")).parent
    python = folder / "python"
    return str(python) if os.access(python, os.X_OK) else sys.executable


def system_job(
    config: AcceleratorConfig,
    target: Board | None,
    folder: Path,
    *,
    verilog: str,
    accelerator_hz: float,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the job for a board, or for the simulation of a system if there is none.

    Parameters
    ----------
    config : AcceleratorConfig
    target : Board, optional
    folder : Path
        Where everything goes.
    verilog : str
        The accelerator's text, Verilog or RTLIL; it goes into the build's hash.
    accelerator_hz : float
    options : mapping, optional
        ``ip``, the board's own address with Ethernet. Of a simulation: memory_chip, native_bytes,
        system_hz, link.

    Raises
    ------
    SystolithError
        If the configuration's bus does not fit the memory controller.
    """
    extra = dict(options or {})
    if target is not None:
        extra |= {
            "native_bytes": target.native_bytes,
            "system_hz": target.system_mhz * 1e6,
            "link": target.link,
        }
    where = target.title if target is not None else "the simulated system"
    check_bus(config, extra["native_bytes"], where)
    job: dict[str, Any] = {
        "target": target.name if target is not None else "simulation",
        "folder": str(folder.absolute()),
        "magic": MAGIC,
        "fingerprint": f"{config.fingerprint:#018x}",
        "addr_width": config.addr_width,
        "bus_bytes": config.bus_bytes,
        "register_base": REGISTER_BASE,
        "register_bits": ADDR_WIDTH,
        "accelerator_hz": accelerator_hz,
        "baud": BAUD,
        "bus_timeout": BUS_TIMEOUT,
        "link": "serial",
        "ip": DEFAULT_IP,
        "udp_port": UDP_PORT,
        **extra,
    }
    hashed = {key: value for key, value in job.items() if key != "folder"}
    text = json.dumps([hashed, verilog, *(path.read_text() for path in _SOURCES)], sort_keys=True)
    job["build"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return job


def make_system(job: Mapping[str, Any]) -> None:
    """Let LiteX write the system: its Verilog, its constraints and ``system.json``.

    Raises
    ------
    SystolithError
        If LiteX is missing or fails.
    """
    folder = Path(job["folder"])
    path = folder / "job.json"
    path.write_text(json.dumps(job, indent=2) + "\n")
    roots = [Path(__file__).parents[2], Path(str(systolith_hw.__file__)).parents[1]]
    environment = {"PYTHONPATH": os.pathsep.join(map(str, roots))}
    log = folder / "litex.log"
    command = [litex_python(), "-m", "systolith_host.boards.soc", str(path)]
    run = run_tool(command, folder, log, LIMIT_SECONDS, environment=environment)
    if run.status != 0 or not (folder / "system.json").exists():
        lines = [line for line in log.read_text().splitlines() if line.strip()] or ["no output"]
        reason = "no end" if run.status is None else lines[-1].strip()
        raise SystolithError(f"LiteX failed: {reason} (all of it in {log})")
