"""The driver: checks that a device is the right one, runs layers on it, explains its failures."""

from collections.abc import Callable

from systolith_host.errors import SystolithError
from systolith_host.program.counters import LayerCounters
from systolith_host.program.program import LayerProgram
from systolith_host.runtime.device import Device
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.registers import (
    CONTROL_RESET,
    CONTROL_START,
    ENGINE_STATES,
    IDENTITY,
    REGISTERS,
    STATUS_BUSY,
    STATUS_DONE,
    STATUS_ERROR,
    VERSION,
    Engine,
    ErrorCode,
    counter_name,
)

__all__ = ["WATCHDOG", "Driver", "AcceleratorError"]

WATCHDOG = 100_000
"""Cycles without progress after which the accelerator gives up, unless others are asked for."""

RESET_POLLS = 2000
"""Reads of STATUS within which a reset must have ended all transfers on the bus."""

_WAITS = {
    "idle": "is idle",
    "busy": "is busy",
    "wait_memory": "waits for the memory",
    "wait_compute": "waits for COMPUTE",
    "wait_store": "waits for STORE",
    "wait_input": "waits for activations from LOAD",
    "wait_weights": "waits for weights from LOAD",
    "wait_output": "waits for STORE to free an accumulator bank",
    "wait_params": "waits for parameters from LOAD",
}


class AcceleratorError(SystolithError):
    """An error that the accelerator itself reports, in words and as its registers have it.

    Parameters
    ----------
    text : str
    code, engine, info : int
        ERROR_CODE, ERROR_ENGINE and ERROR_INFO.
    """

    def __init__(self, text: str, code: int, engine: int, info: int) -> None:
        super().__init__(text)
        self.code = code
        self.engine = engine
        self.info = info


class Driver:
    """Runs layers on one device.

    Parameters
    ----------
    device : Device
    config : AcceleratorConfig
        The configuration that the programs were compiled for.
    memory_size : int
        Bytes of external memory that the accelerator may touch.
    memory_base : int
        Where they begin; programs for another place than 0 must be moved there (relocate.py).
    watchdog : int
        Cycles without progress after which the accelerator ends the program; 0 for no limit.

    Raises
    ------
    SystolithError
        If the device is no accelerator, or one of another version or configuration.
    """

    def __init__(
        self,
        device: Device,
        config: AcceleratorConfig,
        memory_size: int,
        *,
        memory_base: int = 0,
        watchdog: int = WATCHDOG,
    ) -> None:
        self.device = device
        self.config = config
        self.memory_size = memory_size
        self.memory_base = memory_base
        self.watchdog = watchdog
        self._check_identity()
        self._set_up()

    def run_layer(
        self,
        layer: LayerProgram,
        limit_cycles: int,
        progress: Callable[[int], None] | None = None,
    ) -> LayerCounters:
        """Run a layer's program to its end and return its counters.

        Parameters
        ----------
        layer : LayerProgram
        limit_cycles : int
            Cycles after which the accelerator counts as hung.
        progress : callable, optional
            Is called now and then with the cycles so far.

        Raises
        ------
        AcceleratorError
            If the accelerator reports an error; it has been reset then.
        SystolithError
            If it does not end; it has been reset then, too.
        """
        self.write("PROGRAM_ADDR", self.memory_base + layer.instruction_address)
        self.write("PROGRAM_COUNT", layer.instruction_count)
        self.write("IRQ_PENDING", 1)
        self.write("CONTROL", CONTROL_START)
        interrupted = self.device.wait_interrupt(limit_cycles, progress)
        status = self.read("STATUS")
        if interrupted and status & STATUS_DONE and not status & (STATUS_ERROR | STATUS_BUSY):
            self.write("IRQ_PENDING", 1)
            return self._counters()
        fault: tuple[int, int, int] | None = None
        if status & STATUS_ERROR:
            fault = (self.read("ERROR_CODE"), self.read("ERROR_ENGINE"), self.read("ERROR_INFO"))
            text = self._error_text(*fault)
        elif interrupted:
            text = f"the interrupt came, but STATUS is {status:#x}: {self._engines_text(layer)}"
        else:
            text = f"no interrupt within {limit_cycles} cycles: {self._engines_text(layer)}"
        reset = self._reset()
        text = f"{layer.name}: {text}{'' if reset else '; it does not reset either'}"
        raise SystolithError(text) if fault is None else AcceleratorError(text, *fault)

    def read(self, name: str) -> int:
        """Return the value of a register, both halves of a long one."""
        register = REGISTERS[name]
        value = self.device.read_register(register.offset)
        if register.width == 64:
            value |= self.device.read_register(register.offset + 4) << 32
        return value

    def write(self, name: str, value: int) -> None:
        """Write a register, both halves of a long one.

        Raises
        ------
        SystolithError
            If it can be read and does not hold what was written.
        """
        register = REGISTERS[name]
        self.device.write_register(register.offset, value & 0xFFFFFFFF)
        if register.width == 64:
            self.device.write_register(register.offset + 4, value >> 32)
        if register.access != "rw":
            return
        # A link may lose a write, and a program must not start with what was set before.
        wanted, found = register.held(value, self.config.addr_width), self.read(name)
        if found != wanted:
            raise SystolithError(
                f"{name} holds {found:#x}, not the {wanted:#x} that was written; run again"
            )

    def _check_identity(self) -> None:
        identity = self.read("ID")
        if identity != IDENTITY:
            raise SystolithError(
                f"this is not a Systolith accelerator (ID {identity:#010x}, not {IDENTITY:#010x})"
            )
        version = self.read("VERSION")
        if version != VERSION:
            raise SystolithError(
                f"the accelerator has register version {version}, this program needs {VERSION}; "
                "generate the accelerator anew"
            )
        fingerprint = self.read("FINGERPRINT")
        if fingerprint != self.config.fingerprint:
            raise SystolithError(
                "the accelerator was built for another configuration (fingerprint "
                f"{fingerprint:#018x}, the program needs {self.config.fingerprint:#018x}, "
                f"{self.config.name})"
            )

    def _set_up(self) -> None:
        if not self._reset():
            raise SystolithError("the accelerator stays busy after a reset")

    def _reset(self) -> bool:
        """Reset the engines and set the registers that programs share; return whether it idles."""
        self.write("CONTROL", CONTROL_RESET)
        idle = any(not self.read("STATUS") & STATUS_BUSY for _ in range(RESET_POLLS))
        self.write("WINDOW_BASE", self.memory_base)
        self.write("WINDOW_END", self.memory_base + self.memory_size)
        self.write("WATCHDOG", self.watchdog)
        self.write("IRQ_PENDING", 1)
        self.write("IRQ_ENABLE", 1)
        return idle

    def _counters(self) -> LayerCounters:
        states = {
            engine.name: {state: self.read(counter_name(engine, state)) for state in names}
            for engine, names in ENGINE_STATES.items()
        }
        return LayerCounters(
            self.read("CYCLES"), self.read("BYTES_READ"), self.read("BYTES_WRITTEN"), states
        )

    def _error_text(self, code: int, number: int, info: int) -> str:
        engine = Engine(number).name if number in list(Engine) else f"engine {number}"
        if code == ErrorCode.ILLEGAL:
            return f"{engine}: instruction {info} is illegal; the program is damaged"
        if code == ErrorCode.ADDRESS:
            return (
                f"{engine}: address {info:#x} is outside of the program's memory "
                f"({self.memory_base:#x} to {self.memory_base + self.memory_size:#x})"
            )
        if code == ErrorCode.BUS:
            return f"{engine}: the memory answered with a bus error"
        if code == ErrorCode.WATCHDOG:
            return f"no progress for {self.watchdog} cycles: {self._engines_text(None)}"
        if code == ErrorCode.BUFFER:
            return f"{engine}: word {info} is beyond the end of its buffer"
        if code == ErrorCode.COUNT:
            return (
                f"{engine} number {info} of the program (from 0) has a region of another size than "
                "its tile; the program is damaged"
            )
        if code == ErrorCode.LEFTOVER:
            return (
                f"{engine}: something was left over when the program began or ended; "
                "the program or the accelerator is damaged"
            )
        if code == ErrorCode.PROTOCOL:
            return (
                f"{engine}: the memory broke the AXI protocol (an answer to no request, or a burst "
                "that ends at the wrong beat); reset the memory, or its bridge, with the "
                "accelerator"
            )
        return f"{engine}: unknown error {code}, information {info:#x}"

    def _engines_text(self, layer: LayerProgram | None) -> str:
        """Return each engine's state and progress in words."""
        packed = self.read("ENGINE_STATE")
        counts = {
            name: self.read(name.upper())
            for name in ("fetched", "loaded", "computed", "drained", "stored")
        }
        total = "" if layer is None else f" of {layer.instruction_count}"
        parts = [f"{counts['fetched']}{total} instructions fetched"]
        done = {
            Engine.LOAD: f"{counts['loaded']} loaded",
            Engine.COMPUTE: f"{counts['computed']} computed",
            Engine.STORE: f"{counts['drained']} drained, {counts['stored']} stored",
        }
        for engine, names in ENGINE_STATES.items():
            state = packed >> 4 * engine & 0xF
            wait = _WAITS[names[state]] if state < len(names) else f"is in unknown state {state}"
            parts.append(f"{engine.name} {wait} ({done[engine]})")
        return ", ".join(parts)
