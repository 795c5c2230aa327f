"""The emulator as a device: registers, external memory and the execution of programs."""

from collections.abc import Callable

import numpy as np

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.errors import SystolithError
from systolith_hw.spec.isa import FIELDS, INSTRUCTION_BYTES, Instruction, Opcode, Role, decode
from systolith_hw.spec.legal import broken_rule
from systolith_hw.spec.registers import (
    CONTROL_RESET,
    CONTROL_START,
    IDENTITY,
    REGISTERS,
    STATUS_BUSY,
    STATUS_DONE,
    STATUS_ERROR,
    VERSION,
    Engine,
    ErrorCode,
    Register,
)
from systolith_sim.emulator.access import Access, Fault, TooManyStepsError, Written
from systolith_sim.emulator.engines import Engines
from systolith_sim.emulator.hazards import HazardChecker, HazardError

__all__ = ["Emulator", "EmulatorError"]


class EmulatorError(SystolithError):
    """A program that no accelerator may get; the message names the instruction."""


class Emulator:
    """An accelerator that executes its program one instruction after the other.

    A program runs when somebody waits for the interrupt or reads a read-only register. CYCLES and
    the engines' cycle counters stay 0; BYTES_READ and BYTES_WRITTEN count the bus beats of every
    run of words on its own.

    Parameters
    ----------
    config : AcceleratorConfig
    memory : int or ndarray of uint8
        External memory from address 0: its size in bytes, or the memory itself (a
        :class:`numpy.memmap`, say), which is then written in place.
    strict : bool
        Also check that the dependencies suffice for engines that run side by side, and say in
        words what is wrong with an instruction that no accelerator may be given.
    retired : callable, optional
        Is called after each instruction with its number, itself and what it touched.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        memory: int | np.ndarray,
        *,
        strict: bool = False,
        retired: Callable[[int, Instruction, Access], None] | None = None,
    ) -> None:
        if isinstance(memory, int):
            memory = np.zeros(memory, np.uint8)
        if memory.dtype != np.uint8 or memory.ndim != 1:
            raise ValueError(
                f"memory must be a row of bytes, not {memory.dtype} of {memory.ndim} dimensions"
            )
        self.config = config
        self.memory = memory
        self.strict = strict
        self._retired = retired
        self._engines = Engines(config, memory)
        self._values = dict.fromkeys(REGISTERS, 0)
        self._values["ID"] = IDENTITY
        self._values["VERSION"] = VERSION
        self._values["FINGERPRINT"] = config.fingerprint
        self._started = False

    def contents(self, written: Written) -> np.ndarray:
        """Return what stands where an instruction wrote, int64 of shape (places, count)."""
        return self._engines.contents(written)

    @property
    def masks(self) -> list[np.ndarray]:
        """Which bytes of each LOAD with ``scan`` of the last program differ from its zero point."""
        return self._engines.masks

    def write_memory(self, address: int, data: np.ndarray) -> None:
        """Write bytes (uint8, one dimension) to external memory from `address`."""
        self._check_range(address, data.size)
        self.memory[address : address + data.size] = data

    def read_memory(self, address: int, size: int) -> np.ndarray:
        """Read `size` bytes of external memory as uint8."""
        self._check_range(address, size)
        return np.array(self.memory[address : address + size])

    def _check_range(self, address: int, size: int) -> None:
        if address < 0 or address + size > self.memory.size:
            raise EmulatorError(
                f"memory has {self.memory.size} bytes, not {size} from address {address:#x}"
            )

    def write_register(self, offset: int, value: int) -> None:
        """Write a 32-bit register of the AXI4-Lite port; read-only ones ignore it."""
        register, shift = _find(offset)
        value &= 0xFFFFFFFF
        if register.name == "CONTROL":
            if value & CONTROL_RESET:
                self._started = False
                self._values["STATUS"] = self._values["FETCHED"] = 0
            elif value & CONTROL_START and not self._values["STATUS"] & STATUS_ERROR:
                self._clear()
                self._values["STATUS"] = STATUS_BUSY
                self._started = True
        elif register.access == "w1c":
            self._values[register.name] &= ~value
        elif register.access == "rw":
            kept = self._values[register.name] & ~(0xFFFFFFFF << shift)
            self._values[register.name] = kept | value << shift

    def read_register(self, offset: int) -> int:
        """Read a 32-bit register of the AXI4-Lite port."""
        register, shift = _find(offset)
        if register.access == "ro":
            self._run()
        return self._held(register.name) >> shift & 0xFFFFFFFF

    def _held(self, name: str) -> int:
        return REGISTERS[name].held(self._values[name], self.config.addr_width)

    def wait_interrupt(self, limit: int, progress: Callable[[int], None] | None = None) -> bool:
        """Run the program; return whether the interrupt is raised. It takes no cycles."""
        self._run()
        return bool(self._values["IRQ_PENDING"] & self._values["IRQ_ENABLE"] & 1)

    def _clear(self) -> None:
        kept = ("ID", "VERSION", "FINGERPRINT")
        for register in REGISTERS.values():
            if register.access == "ro" and register.name not in kept:
                self._values[register.name] = 0

    def _run(self) -> None:
        if not self._started:
            return
        self._started = False
        values, engines = self._values, self._engines
        memory_end = 1 << self.config.addr_width
        engines.window = (self._held("WINDOW_BASE"), min(self._held("WINDOW_END"), memory_end))
        engines.start()
        status = STATUS_DONE
        try:
            self._execute(self._held("PROGRAM_ADDR"), values["PROGRAM_COUNT"])
        except Fault as fault:
            status = STATUS_ERROR
            values["ERROR_CODE"] = fault.code
            values["ERROR_ENGINE"] = fault.engine
            values["ERROR_INFO"] = fault.info
        finally:
            values["STATUS"] = status
            values["IRQ_PENDING"] |= 1
            values["BYTES_READ"] = engines.bytes_read
            values["BYTES_WRITTEN"] = engines.bytes_written

    def _execute(self, address: int, count: int) -> None:
        engines = self._engines
        hazards = HazardChecker(self.config) if self.strict else None
        if address % INSTRUCTION_BYTES:
            raise Fault(ErrorCode.ILLEGAL, Engine.FETCH, 0)
        run = {Opcode.LOAD: engines.load, Opcode.CONV: engines.conv, Opcode.STORE: engines.store}
        for number in range(count):
            start = address + number * INSTRUCTION_BYTES
            end = start + INSTRUCTION_BYTES
            engines.check_region(start, end, Engine.FETCH)
            engines.bytes_read += engines.bus_bytes(start, end)
            try:
                instruction = decode(self.memory[start:end].tobytes(), self.config)
            except ValueError:
                raise Fault(ErrorCode.ILLEGAL, Engine.FETCH, number) from None
            try:
                self._check_legal(number, instruction)
                self._values["FETCHED"] += 1
                access = run[instruction.opcode](instruction)
                if hazards is not None:
                    hazards.check(number, instruction, access)
                if self._retired is not None:
                    self._retired(number, instruction, access)
            except Fault as fault:
                if self.strict and fault.wrong:
                    opcode = instruction.opcode.name
                    raise EmulatorError(f"instruction {number} ({opcode}): {fault.wrong}") from None
                raise
            except HazardError as error:
                raise EmulatorError(str(error)) from None
            except TooManyStepsError as error:
                opcode = instruction.opcode.name
                raise EmulatorError(f"instruction {number} ({opcode}): {error}") from None
            if instruction.opcode is Opcode.LOAD:
                self._values["LOADED"] += 1
            elif instruction.opcode is Opcode.CONV:
                self._values["COMPUTED"] += 1
            else:
                self._values["DRAINED"] += 1
                self._values["STORED"] += 1
        if engines.units is not None:
            raise Fault(ErrorCode.WATCHDOG, Engine.LOAD, 0, "no CONV takes the weights gathered")

    def _check_legal(self, number: int, instruction: Instruction) -> None:
        """Raise a Fault if this configuration refuses an instruction whose fields are legal."""
        rule = broken_rule(instruction, self.config)
        if rule is not None:
            raise Fault(ErrorCode.ILLEGAL, Engine.FETCH, number, rule.text)
        for field in FIELDS[instruction.opcode]:
            if field.role is Role.TOKEN:
                name, counter = field.name, field.counter
                value, count = instruction[name], self._values[counter.upper()]
                if value > count:
                    raise Fault(
                        ErrorCode.ILLEGAL,
                        Engine.FETCH,
                        number,
                        "it must come after those that it waits for, "
                        f"but {name} is {value} where {count} are {counter}",
                    )


def _find(offset: int) -> tuple[Register, int]:
    """Return the register at an offset, and the first of its bits there."""
    found = _BY_OFFSET.get(offset)
    if found is None:
        raise EmulatorError(f"there is no register at offset {offset:#x}")
    return found


_BY_OFFSET = {
    register.offset + shift // 8: (register, shift)
    for register in REGISTERS.values()
    for shift in range(0, register.width, 32)
}
