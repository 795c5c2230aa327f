"""Programs written by hand, instruction by instruction, for directed tests of the accelerator."""

import random
from collections.abc import Callable

import numpy as np

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import FIELDS, Buffer, Instruction, Opcode, Role
from systolith_hw.spec.legal import word_bytes

__all__ = ["DATA", "OUT", "SIZE", "Draft"]

SIZE = 1 << 20
"""Bytes of the memory that programs are written for."""

DATA = 0xC0000
"""Where what they load is; programs are below it."""

OUT = 0xE0000
"""Where they store."""

_CHUNK = 1 << 15
"""Bytes of the largest LOAD and STORE."""

_UNUSED = {
    Buffer.WEIGHT: (
        "rows",
        "pixels",
        "pad_top",
        "pad_bottom",
        "pad_left",
        "pad_right",
        "pad_value",
    ),
}
_UNUSED[Buffer.PARAM] = _UNUSED[Buffer.WEIGHT]
"""Fields that a LOAD does not look at."""


class Draft:
    """A program under way: each instruction waits for all before it, if nothing else is said.

    Parameters
    ----------
    config : AcceleratorConfig
    rng : Random, optional
        If it is given, fields that change nothing get random values.
    """

    def __init__(self, config: AcceleratorConfig, rng: random.Random | None = None) -> None:
        self.config = config
        self.rng = rng
        self.code: list[bytes] = []
        self.counts = dict.fromkeys(Opcode, 0)

    def memory(self, fill: Callable[[int], np.ndarray] | None = None) -> np.ndarray:
        """Return memory with the program at 0 and data of `fill` (random bytes) at :data:`DATA`."""
        memory = np.zeros(SIZE, np.uint8)
        code = b"".join(self.code)
        if len(code) > DATA:
            raise ValueError(f"a program must have at most {DATA} bytes, not {len(code)}")
        memory[: len(code)] = np.frombuffer(code, np.uint8)
        size = OUT - DATA
        values = np.random.default_rng(len(code)).integers(0, 256, size, np.uint8)
        memory[DATA:OUT] = values if fill is None else fill(size)
        return memory

    @property
    def count(self) -> int:
        """Instructions so far."""
        return len(self.code)

    def _add(self, opcode: Opcode, fields: dict[str, int]) -> None:
        self.code.append(Instruction(opcode, fields).encode())
        self.counts[opcode] += 1

    def _loose(self, opcode: Opcode, fields: dict[str, int]) -> dict[str, int]:
        """Return random values of the fields that do not matter next to these."""
        rng = self.rng
        if rng is None:
            return {}
        found = {}
        for field in FIELDS[opcode]:
            name = field.name
            count = fields.get(name.replace("_step", "_count"), 1)
            if field.role is Role.STEP and count == 1:
                found[name] = rng.getrandbits(field.width)
            if name in _UNUSED.get(Buffer(fields.get("buffer", 0)), ()):
                found[name] = rng.randint(field.low, field.high)
        if opcode is not Opcode.CONV:
            bits = self.config.addr_width
            unit = 64
            if fields.get("runs", 1) == 1:
                found["run_pitch"] = rng.getrandbits(min(32, bits)) // unit * unit
            if fields.get("planes", 1) == 1:
                found["plane_pitch"] = rng.getrandbits(min(32, bits)) // unit * unit
        return found

    def load(
        self, buffer: Buffer, words: int, dest: int = 0, addr: int = DATA, **more: int
    ) -> None:
        """Add a LOAD of one run; of activations, for each group of rows, if no `lane` is given."""
        if buffer is Buffer.ACT and not {"lane", "scan"} & set(more):
            for lane in range(self.config.row_groups):
                self.load(buffer, words, dest, addr, lane=lane, **more)
            return
        counts = self.counts
        fields = {
            "after_computed": counts[Opcode.CONV],
            "after_drained": counts[Opcode.STORE],
            "after_stored": counts[Opcode.STORE],
            "buffer": int(buffer),
            "dest": dest,
            "addr": addr,
            "run_words": words,
            **({"pixels": words} if buffer is Buffer.ACT else {}),
            **more,
        }
        self._add(Opcode.LOAD, self._loose(Opcode.LOAD, fields) | fields)

    def fill(self, buffer: Buffer, **more: int) -> None:
        """Add LOADs of all of a buffer."""
        config = self.config
        depths = {
            Buffer.ACT: config.act_depth,
            Buffer.WEIGHT: config.weight_depth,
            Buffer.PARAM: config.param_depth,
            Buffer.TABLE: 256 // word_bytes(Buffer.TABLE, config) if config.functions else 0,
        }
        most = _CHUNK // word_bytes(buffer, config)
        for first in range(0, depths[buffer], most):
            words = min(most, depths[buffer] - first)
            self.load(buffer, words, first * 8 if buffer is Buffer.TABLE else first, **more)

    def conv(self, pixels: int = 1, **more: int) -> None:
        """Add a CONV of a single pass over successive words of the activation buffer."""
        fields = {
            "after_loaded_act": self.counts[Opcode.LOAD],
            "after_loaded_weight": self.counts[Opcode.LOAD],
            "after_drained": self.counts[Opcode.STORE],
            "x_count": pixels,
            "x_step": 1,
            "clear": 1,
            **more,
        }
        self._add(Opcode.CONV, self._loose(Opcode.CONV, fields) | fields)

    def store(self, pixels: int = 1, addr: int = OUT, **more: int) -> None:
        """Add a STORE of the first channel block of successive sums."""
        fields = {
            "after_computed": self.counts[Opcode.CONV],
            "after_loaded": self.counts[Opcode.LOAD],
            "addr": addr,
            "run_words": pixels,
            "x_count": pixels,
            "x_step": 1,
            "low": -128,
            "high": 127,
            **more,
        }
        self._add(Opcode.STORE, self._loose(Opcode.STORE, fields) | fields)
