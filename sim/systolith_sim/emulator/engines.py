"""The three engines in NumPy: the effect of one LOAD, CONV or STORE on buffers and memory."""

import math
from collections.abc import Sequence

import numpy as np

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import PARAM_BYTES, SHIFT_BITS, TABLE_ENTRIES, Buffer, Instruction
from systolith_hw.spec.legal import word_bytes
from systolith_hw.spec.registers import Engine, ErrorCode
from systolith_hw.spec.winograd import KERNEL, OUTPUTS, PATCH
from systolith_sim.emulator import gather
from systolith_sim.emulator.access import Access, Fault, Written, check_end, check_steps, walk
from systolith_sim.emulator.nibbles import weight_words
from systolith_sim.emulator.tiles import tile_words
from systolith_sim.emulator.winograd import lane_sums, patch_sums, wrap

__all__ = ["Engines"]

EXACT_TERMS = 1023
"""Products of two int8 whose sum a float32 holds exactly: 1023 * 2**14 < 2**24."""

GATHER_BYTES = 32 << 20
"""Memory for the activations gathered for one matrix product."""


def _levels(instruction: Instruction, names: str | Sequence[str]) -> list[tuple[int, int]]:
    return [(instruction[f"{name}_count"], instruction[f"{name}_step"]) for name in names]


class Engines:
    """Buffers and accumulators, and the instructions' effect on them.

    Parameters
    ----------
    config : AcceleratorConfig
    memory : ndarray of uint8
        The external memory, from address 0; it is written in place.
    """

    def __init__(self, config: AcceleratorConfig, memory: np.ndarray) -> None:
        self.config = config
        self.memory = memory
        self.window: tuple[int, int] = (0, 0)
        # float32 because the products below are; it holds every int8.
        self.act = np.zeros((config.act_depth, config.rows), np.float32)
        self.weight = np.zeros((config.weight_depth, config.cols), np.float32)
        self.param = np.zeros((config.param_depth, PARAM_BYTES), np.uint8)
        self.table = np.zeros(TABLE_ENTRIES, np.int8)
        self.acc = np.zeros((2, config.acc_depth, config.cols), np.int64)
        self.start()

    def start(self) -> None:
        """Begin a program: count from zero."""
        self.bytes_read = self.bytes_written = 0
        self.loads = self.stores = 0
        self.scanned: gather.Scanned | None = None
        self.masks: list[np.ndarray] = []
        self.units: gather.Units | None = None

    def check_region(self, start: int, end: int, engine: Engine) -> None:
        """Raise a Fault if a range of bytes is outside the window or the memory."""
        low, high = self.window
        if start < low or end > high:
            raise Fault(ErrorCode.ADDRESS, engine, start if not low <= start < high else high)
        if end > self.memory.size:
            raise Fault(ErrorCode.BUS, engine, 0)

    def bus_bytes(self, start: int, end: int) -> int:
        """Return the bytes of the bus beats that a range of bytes needs."""
        bus = self.config.bus_bytes
        return (-(-end // bus) - start // bus) * bus

    def _runs(
        self, instruction: Instruction, size: int, engine: Engine, mask: np.ndarray | None = None
    ) -> np.ndarray:
        """Return first and last+1 byte of every run, shape (planes * runs, 2), or of a mask's."""
        check_steps([instruction[name] for name in ("planes", "runs", "run_words")])
        starts = (
            instruction["addr"]
            + np.arange(instruction["planes"])[:, None] * instruction["plane_pitch"]
            + np.arange(instruction["runs"]) * instruction["run_pitch"]
        ).reshape(-1)
        if mask is not None:
            starts = starts[mask]
        regions = np.stack([starts, starts + instruction["run_words"] * size], axis=1)
        for start, end in regions.tolist():
            self.check_region(start, end, engine)
        return regions

    def load(self, instruction: Instruction) -> Access:
        """Execute a LOAD."""
        buffer = instruction["buffer"]
        config = self.config
        size = word_bytes(Buffer(buffer), config)
        if instruction["gather"]:
            return self._gather(instruction)
        regions = self._runs(instruction, size, Engine.LOAD)
        data = np.concatenate([self.memory[start:end] for start, end in regions])
        self.bytes_read += sum(self.bus_bytes(start, end) for start, end in regions.tolist())
        dest, first = instruction["dest"], 0
        if instruction["scan"]:
            return self._scan(instruction, data.view(np.int8), regions)
        if buffer == Buffer.ACT:
            words = tile_words(instruction, data, config.block, self.loads)
            first = instruction["lane"] * config.block
            name, depth = "act", config.act_depth
            target = self.act[dest : dest + len(words), first : first + config.block]
        elif buffer == Buffer.WEIGHT:
            name, depth = "weight", config.weight_depth
            words = weight_words(data.reshape(-1, size), instruction["nibbles"])
            target = self.weight[dest : dest + len(words)]
        elif buffer == Buffer.TABLE:
            name, depth = "table", TABLE_ENTRIES
            words = data.view(np.int8)
            target = self.table[dest : dest + len(words)]
        else:
            name, depth = "param", config.param_depth
            words = data.reshape(-1, size)
            target = self.param[dest : dest + len(words)]
        if dest + len(words) > depth:
            raise Fault(ErrorCode.BUFFER, Engine.LOAD, max(dest, depth))
        target[:] = words
        self.loads += 1
        places = np.arange(dest, dest + len(words))
        written = Written(name, places, first, words[0].size, len(words))
        return Access(writes={name: places}, regions=regions, written=written)

    def _scan(self, instruction: Instruction, data: np.ndarray, regions: np.ndarray) -> Access:
        """Execute a LOAD with ``scan`` of these bytes, int8."""
        config, dest = self.config, instruction["dest"]
        if data.size > config.gather:
            raise Fault(ErrorCode.BUFFER, Engine.LOAD, config.mask_words)
        self.scanned = gather.scan(data, instruction["pad_value"], config.rows)
        self.masks.append(data != instruction["pad_value"])
        words = self.scanned.words
        if dest + len(words) > config.act_depth:
            raise Fault(ErrorCode.BUFFER, Engine.LOAD, max(dest, config.act_depth))
        self.act[dest : dest + len(words)] = words
        self.loads += 1
        # Other inputs may write more words.
        most = min(dest + -(-data.size // config.rows), config.act_depth)
        places = np.arange(dest, dest + len(words))
        return Access(
            writes={"act": np.arange(dest, most), "active": np.zeros(1, np.int64)},
            regions=regions,
            written=Written("act", places, 0, config.rows, len(words) * config.row_groups),
        )

    def _gather(self, instruction: Instruction) -> Access:
        """Execute a LOAD with ``gather``."""
        config = self.config
        runs, units, nibbles = (instruction[name] for name in ("runs", "units", "nibbles"))
        blocks = instruction["run_words"] << nibbles
        mask = np.zeros(0, bool) if self.scanned is None else self.scanned.mask
        if runs != mask.size:
            wrong = f"LOAD gathers from {runs} runs, but the last scan had {mask.size} bytes"
            raise Fault(ErrorCode.WATCHDOG, Engine.LOAD, 0, wrong)
        if self.units is not None:
            wrong = "LOAD gathers weights before a CONV has taken those of the one before"
            raise Fault(ErrorCode.WATCHDOG, Engine.LOAD, 0, wrong)
        regions = self._runs(instruction, config.cols, Engine.LOAD, mask)
        check_steps([len(regions), blocks])
        data = np.concatenate([self.memory[start:end] for start, end in regions])
        self.bytes_read += sum(self.bus_bytes(start, end) for start, end in regions.tolist())
        ring = (instruction["dest"], units, blocks)
        places = gather.ring_places(len(regions), ring, config.rows)
        check_end(places, config.weight_depth, Engine.LOAD)
        weights = weight_words(data.reshape(len(regions), -1, config.cols), nibbles)
        self.units = gather.gather_units(weights, ring, config.rows)
        last = max(0, len(places) - units * config.rows)
        self.weight[places[last:]] = weights[last:]
        self.loads += 1
        # Other inputs may write more words.
        most = min(-(-runs // config.rows), units) * config.rows * blocks
        may = np.arange(ring[0], min(ring[0] + most, config.weight_depth))
        written = Written("weight", np.unique(places), 0, config.cols, places.size)
        return Access(writes={"weight": may}, regions=regions, written=written)

    def _gathered(self, instruction: Instruction) -> Access:
        """Execute a CONV with ``gather``."""
        config = self.config
        ring = tuple(instruction[name] for name in ("weight_base", "units", "s_count"))
        if self.scanned is None or self.units is None or self.units.ring != ring:
            wrong = "no LOAD before it gathers weights for its ring of units"
            raise Fault(ErrorCode.WATCHDOG, Engine.COMPUTE, 0, wrong)
        levels = _levels(instruction, "sr")
        base, count = instruction["acc_base"], instruction["s_count"]
        if base + count > config.acc_depth:
            raise Fault(ErrorCode.BUFFER, Engine.COMPUTE, max(base, config.acc_depth))
        most = -(-self.scanned.mask.size // config.rows)
        steps = [*levels, (most, instruction["c_step"])]
        addresses = walk(instruction["act_base"], steps, 24).reshape(most, count)
        used = addresses[: len(self.scanned.words)]
        check_end(used, config.act_depth, Engine.COMPUTE)
        act = self.act[used].astype(np.int64)
        if instruction["unsigned"]:
            act &= 0xFF
        sums = gather.gather_sums(act, self.units.weights)
        self.units = None
        bank = self.acc[instruction["bank"], base : base + count]
        if not instruction["clear"]:
            sums += bank
        bank[:] = wrap(sums, config.sum_width)
        words = ring[1] * ring[2] * config.rows
        return Access(
            reads={
                "act": np.unique(addresses[addresses < config.act_depth]),
                "active": np.zeros(1, np.int64),
                "weight": np.arange(ring[0], min(ring[0] + words, config.weight_depth)),
            },
            written=self._summed(instruction, count, len(used)),
        )

    def _summed(self, instruction: Instruction, pixels: int, passes: int) -> Written:
        """Return what a CONV has written: each pass adds to the sums of all its pixels."""
        places = instruction["acc_base"] + np.arange(pixels)
        name = f"acc{instruction['bank']}"
        return Written(name, places, 0, self.config.cols, pixels * passes)

    def contents(self, written: Written) -> np.ndarray:
        """Return what stands where an instruction wrote, int64 of shape (places, count)."""
        name = written.store
        store = self.acc[int(name[-1])] if name.startswith("acc") else getattr(self, name)
        words = store[written.places].reshape(len(written.places), -1)
        return words[:, written.first : written.first + written.count].astype(np.int64)

    def conv(self, instruction: Instruction) -> Access:
        """Execute a CONV."""
        if instruction["gather"]:
            return self._gathered(instruction)
        config = self.config
        levels = _levels(instruction, "xynsrc")
        winograd = instruction["winograd"]
        # Each pixel of a patch has a lane's sum in its place.
        inner, taps = (5, KERNEL * KERNEL) if winograd else (3, 1)
        passes = math.prod(count for count, _ in levels[inner:])
        pixels = math.prod(count for count, _ in levels[:inner])
        # The walk comes last: what it may take is bounded by then.
        weight_base, weight_words = instruction["weight_base"], passes * taps * config.rows
        if weight_base + weight_words > config.weight_depth:
            raise Fault(ErrorCode.BUFFER, Engine.COMPUTE, max(weight_base, config.weight_depth))
        acc_base = instruction["acc_base"]
        if acc_base + pixels > config.acc_depth:
            raise Fault(ErrorCode.BUFFER, Engine.COMPUTE, max(acc_base, config.acc_depth))
        addresses = walk(instruction["act_base"], levels, 24).reshape(passes, pixels)
        check_end(addresses, config.act_depth, Engine.COMPUTE)
        weights = self.weight[weight_base : weight_base + weight_words]
        if winograd:
            sums = lane_sums(self.act, addresses.reshape(passes, -1, PATCH, PATCH), weights)
        else:
            sums = self._sums(addresses, weights)
        bank = self.acc[instruction["bank"], acc_base : acc_base + pixels]
        if not instruction["clear"]:
            sums += bank << SHIFT_BITS if instruction["shift"] else bank
        bank[:] = wrap(sums, config.sum_width)
        return Access(
            reads={
                "act": addresses.reshape(-1),
                "weight": np.arange(weight_base, weight_base + weight_words),
            },
            written=self._summed(instruction, pixels, passes),
        )

    def _sums(self, addresses: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the exact sums of pixels; addresses have shape (passes, pixels)."""
        pixels = addresses.shape[1]
        sums = np.empty((pixels, weights.shape[1]), np.int64)
        step = max(1, GATHER_BYTES // (len(weights) * 4))
        for start in range(0, pixels, step):
            part = addresses[:, start : start + step]
            sums[start : start + step] = self._products(part, weights)
        return sums

    def _products(self, addresses: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the exact sums of one group of pixels; addresses have shape (passes, pixels)."""
        passes, pixels = addresses.shape
        rows = self.config.rows
        sums = np.zeros((pixels, weights.shape[1]), np.int64)
        step = EXACT_TERMS // rows
        for first in range(0, passes, step):
            part = addresses[first : first + step].T
            words = self.act.take(part, axis=0).reshape(pixels, -1)
            sums += (words @ weights[first * rows : (first + step) * rows]).astype(np.int64)
        return sums

    def store(self, instruction: Instruction) -> Access:
        """Execute a STORE."""
        config = self.config
        blocks, base = instruction["blocks"], instruction["param_base"]
        channels = blocks * config.block
        if base + channels > config.param_depth:
            raise Fault(ErrorCode.BUFFER, Engine.STORE, max(base, config.param_depth))
        regions = self._runs(instruction, config.block, Engine.STORE)
        made = blocks * math.prod(_drained(instruction))
        wanted = int((regions[:, 1] - regions[:, 0]).sum()) // config.block
        if made != wanted:
            raise Fault(
                ErrorCode.COUNT,
                Engine.STORE,
                self.stores,
                f"STORE makes {made} words, but its region has {wanted}",
            )
        entries = np.arange(base, base + channels)
        windows = walk(instruction["acc_base"], _levels(instruction, "xyn"), 16)
        inside = walk(0, _levels(instruction, ("dx", "dy")), 16)
        check_steps([windows.size, inside.size])
        addresses = (windows.reshape(-1, 1) + inside.reshape(-1)) & 0xFFFF
        check_end(addresses, config.acc_depth, Engine.STORE)
        bank = self.acc[instruction["bank"]]
        if instruction["stacked"]:
            count = -(-channels // config.cols)
            places = instruction["acc_base"] + np.arange(count)
            check_end(places, config.acc_depth, Engine.STORE)
            # Those of one address after the other are like the channels of one.
            bank, addresses = bank[places].reshape(1, -1), np.zeros((1, 1), np.int64)
        bank = bank[:, :channels]
        make = self._patch_words if instruction["winograd"] else self._window_words
        result = make(instruction, bank, addresses, self.param[entries])
        words = result.reshape(-1, blocks, config.block).transpose(1, 0, 2)
        data = np.ascontiguousarray(words.astype(np.int8)).reshape(-1).view(np.uint8)
        position = 0
        for start, end in regions.tolist():
            self.memory[start:end] = data[position : position + end - start]
            position += end - start
        self.bytes_written += sum(self.bus_bytes(start, end) for start, end in regions.tolist())
        self.stores += 1
        reads = {"param": entries}
        if instruction["table"]:
            reads["table"] = np.arange(TABLE_ENTRIES)
        return Access(reads=reads, regions=regions)

    def _results(
        self, sums: np.ndarray, params: np.ndarray, instruction: Instruction
    ) -> np.ndarray:
        """Return what stands before pooling: requantised sums, or their entries of the table."""
        values = _requantise(sums, params, instruction, self.config)
        return self.table[values + TABLE_ENTRIES // 2] if instruction["table"] else values

    def _window_words(
        self, instruction: Instruction, bank: np.ndarray, addresses: np.ndarray, params: np.ndarray
    ) -> np.ndarray:
        """Return the words of windows, shape (words, channels); their addresses (words, sums)."""
        used, inverse = np.unique(addresses, return_inverse=True)
        values = self._results(bank[used], params, instruction)
        return values[inverse.reshape(addresses.shape)].max(axis=1)

    def _patch_words(
        self, instruction: Instruction, bank: np.ndarray, addresses: np.ndarray, params: np.ndarray
    ) -> np.ndarray:
        """Return the words of patches, shape (words, channels); their addresses (patches, 36)."""
        lanes = bank[addresses.reshape(-1, PATCH, PATCH).transpose(0, 2, 1)]
        values = self._results(patch_sums(lanes, self.config.acc_width), params, instruction)
        across, down, images = (instruction[f"{level}_count"] for level in "xyn")
        # (images, down, across, rows, pixels) of patches become rows and pixels of images.
        values = values.reshape(images, down, across, OUTPUTS, OUTPUTS, -1)
        values = values.transpose(0, 1, 3, 2, 4, 5)
        values = values.reshape(images, down * OUTPUTS, across * OUTPUTS, -1)
        values = values[:, : instruction["height"], : instruction["width"]]
        if instruction["pool"]:
            rows = np.maximum(values[:, ::2], values[:, 1::2])
            values = np.maximum(rows[:, :, ::2], rows[:, :, 1::2])
        return values.reshape(-1, values.shape[-1])


def _drained(instruction: Instruction) -> tuple[int, int, int]:
    """Return the words of a row, the rows of an image, and the images that a STORE makes."""
    across, down, images = (instruction[f"{level}_count"] for level in "xyn")
    if instruction["winograd"]:
        side = 2 if instruction["pool"] else 1
        across, down = instruction["width"] // side, instruction["height"] // side
    return across, down, images


def _requantise(
    sums: np.ndarray, params: np.ndarray, instruction: Instruction, config: AcceleratorConfig
) -> np.ndarray:
    """Return the int64 outputs of sums, shape (..., channels), from their raw entries.

    Of illegal entries (a multiplier or shift without a legal value) the hardware sees the low
    bits, and so does this function.
    """
    bias = params[:, :4].copy().view("<i4").reshape(-1).astype(np.int64)
    scale = params[:, 4:].copy().view("<u4").reshape(-1).astype(np.int64)
    multiplier = scale & (1 << config.multiplier_width) - 1
    # One less: the last bit of the shift rounds.
    shift = ((scale >> 24) - 1) & 63
    scaled = (((wrap(sums + bias, config.acc_width) * multiplier) >> shift) + 1) >> 1
    return np.clip(scaled + instruction["zero_point"], instruction["low"], instruction["high"])
