"""A layer's instructions as a table of numbers, and the data that each of them moves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import (
    INSTRUCTION_BYTES,
    PARAM_BYTES,
    Buffer,
    Instruction,
    Opcode,
)
from systolith_hw.spec.winograd import LANES, OUTPUTS

__all__ = ["COLUMNS", "DIFFERS", "InstructionTable", "make_table"]

COLUMNS = (
    "opcode",
    "after_first",  # LOAD computed, CONV loaded (activations), STORE computed
    "after_second",  # LOAD drained, CONV drained, STORE loaded
    "after_third",  # LOAD stored, CONV loaded (weights)
    "buffer",
    "addr",
    "word_bytes",
    "run_words",
    "runs",
    "run_pitch",
    "planes",
    "plane_pitch",
    "words",  # of the region; LOAD with nibbles: those that it makes
    "entries",  # LOAD: of a word, each of which takes a cycle
    "nibbles",  # LOAD: 1 if a word of memory makes two
    "tile_rows",  # of a plane in the buffer, padding included
    "tile_columns",  # steps of a row, padding and unfolding included
    "body_top",
    "body_bottom",
    "body_left",
    "body_right",
    "per_word",  # pixels of a packed word, 0 if not packed
    "first_written",
    "scan",  # LOAD: 1 if it scans
    "unit_blocks",  # LOAD, CONV: weight blocks of a unit, 0 if it does not gather
    "units",  # of the ring
    "first_bit",  # LOAD that scans or gathers: of its inputs in the mask
    "pixels",  # CONV: of a pass
    "passes",
    "patches",  # of a chunk of input channels, with winograd
    "chunks",
    "reads",  # STORE: of a window of sums, in all groups of lanes
    "windows",
    "across",  # STORE with winograd: windows, or patches, of a strip
    "down",  # strips of an image
    "strip_words",
    "last_strip_words",  # of an image
)
"""The facts of an instruction; 0 where one does not apply."""

DIFFERS, STANDS_IN = 1, 2
"""Values of active bytes in a mask: such as differ from the zero point, and the last one of a scan
in which none does."""


@dataclass(frozen=True)
class InstructionTable:
    """The instructions of a layer, and the bus beats that they cause.

    Parameters
    ----------
    rows : ndarray of int64, shape (instructions, len(COLUMNS))
    address : int
        Of the first instruction.
    read_beats : dict of str to int
        Bus beats read, by what they bring: activations, weights, parameters, instructions.
    write_beats : int
    buffer_words : dict of str to int
        Highest word of each buffer that is used, plus 1.
    mask : ndarray of uint8
        For each byte of each scan, in order: whether it is active; a 0 behind them.
    """

    rows: np.ndarray
    address: int
    read_beats: dict[str, int]
    write_beats: int
    buffer_words: dict[str, int]
    mask: np.ndarray


def make_table(
    instructions: Iterable[Instruction],
    config: AcceleratorConfig,
    address: int,
    masks: Sequence[np.ndarray] = (),
) -> InstructionTable:
    """Return instructions that stand at `address` as a table.

    Parameters
    ----------
    masks : sequence of ndarray of bool
        For each LOAD that scans, in order: which of its bytes differ from the zero point. For
        those beyond the sequence's end, all do.

    Raises
    ------
    ValueError
        If a mask is not of its LOAD's size, or a LOAD does not gather a run for each byte of the
        scan before it.
    """
    kinds = {
        Buffer.ACT: ("activations", config.block),
        Buffer.WEIGHT: ("weights", config.cols),
        Buffer.PARAM: ("parameters", PARAM_BYTES),
        Buffer.TABLE: ("parameters", PARAM_BYTES),
    }
    read = {name: 0 for name, _ in kinds.values()}
    used = {"activations": 0, "weights": 0, "parameters": 0, "accumulators": 0}
    written = 0
    rows = []
    scanned = _Scans(masks)
    for instruction in instructions:
        f = instruction.fields
        row: dict[str, int] = dict.fromkeys(COLUMNS, 0)
        row["opcode"] = int(instruction.opcode)
        if instruction.opcode == Opcode.CONV:
            pixels = f["x_count"] * f["y_count"] * f["n_count"]
            row |= {
                "after_first": f["after_loaded_act"],
                "after_second": f["after_drained"],
                "after_third": f["after_loaded_weight"],
                "pixels": pixels,
                "passes": f["s_count"] * f["r_count"] * f["c_count"],
                "chunks": f["c_count"],
            }
            sums = pixels
            if f.get("winograd"):
                row["patches"] = f["patches"]
                sums = LANES * f["patches"]
            if f.get("gather"):
                sums = f["s_count"]
                row |= {"unit_blocks": sums, "units": f["units"]}
                row["chunks"] = -(-scanned.active // config.rows)
                row["passes"] = sums * row["chunks"]
            used["accumulators"] = max(used["accumulators"], f["acc_base"] + sums)
            rows.append([row[name] for name in COLUMNS])
            continue
        region = ("addr", "run_words", "runs", "run_pitch", "planes", "plane_pitch")
        row |= {name: f[name] for name in region}
        row["words"] = f["run_words"] * f["runs"] * f["planes"]
        if instruction.opcode == Opcode.STORE:
            row |= {
                "after_first": f["after_computed"],
                "after_second": f["after_loaded"],
                "word_bytes": config.block,
                "reads": f["dx_count"] * f["dy_count"] * (config.block // config.post_lanes),
                "windows": row["words"],
            }
            if f.get("winograd"):
                row |= _strips(f)
            written += _beats(row, config.bus_bytes)
        else:
            name, size = kinds[Buffer(f["buffer"])]
            row |= {
                "after_first": f["after_computed"],
                "after_second": f["after_drained"],
                "after_third": f["after_stored"],
                # The words of a table go through the unpacker of parameters.
                "buffer": min(f["buffer"], int(Buffer.PARAM)),
                "word_bytes": size,
                "entries": PARAM_BYTES if f["buffer"] == Buffer.TABLE else 1,
                "nibbles": f.get("nibbles", 0),
            }
            run_words = f["run_words"] << row["nibbles"]
            row["words"] <<= row["nibbles"]
            words = row["words"]
            runs = None
            if f.get("scan"):
                row |= {"scan": 1, "first_bit": scanned.add(words * config.block)}
                words = -(-scanned.active // config.rows)
            elif f.get("gather"):
                runs = scanned.last
                if len(runs) != f["runs"]:
                    raise ValueError(f"a scan of {len(runs)} bytes has {f['runs']} runs of weights")
                row |= {"unit_blocks": run_words, "units": f["units"]}
                row |= {"first_bit": scanned.first, "words": run_words * scanned.active}
                words = run_words * config.rows
                words *= min(f["units"], -(-scanned.active // config.rows))
            elif f["buffer"] == Buffer.ACT:
                row |= _tile(f, config)
                kept = row["tile_columns"] - row["first_written"]
                words = f["planes"] * row["tile_rows"] * kept
            if f["buffer"] != Buffer.TABLE:
                used[name] = max(used[name], f["dest"] + words)
            read[name] += _beats(row, config.bus_bytes, runs)
        rows.append([row[name] for name in COLUMNS])
    read["instructions"] = len(rows) * (INSTRUCTION_BYTES // config.bus_bytes)
    table = np.array(rows, np.int64).reshape(len(rows), len(COLUMNS))
    return InstructionTable(table, address, read, written, used, scanned.mask())


class _Scans:
    """The masks of the scans so far.

    Attributes
    ----------
    first : int
        Place of the last one's first bit among all.
    last : ndarray of bool
        The active bytes of the last one, at least one.
    active : int
        Active bytes of the last one.
    """

    def __init__(self, given: Sequence[np.ndarray]) -> None:
        self._given = list(given)
        self._all: list[np.ndarray] = []
        self.first = 0
        self.last = np.zeros(0, bool)
        self.active = 1

    def add(self, size: int) -> int:
        """Take the mask of a scan of `size` bytes; return the place of its first bit."""
        number = len(self._all)
        differs = np.ones(size, bool) if number >= len(self._given) else self._given[number]
        if differs.shape != (size,):
            raise ValueError(f"the mask of a scan of {size} bytes has the shape {differs.shape}")
        mask = np.where(differs, DIFFERS, 0).astype(np.uint8)
        if not mask.any():
            mask[-1] = STANDS_IN
        self.first += len(self.last)
        self.last, self.active = mask != 0, int(np.count_nonzero(mask))
        self._all.append(mask)
        return self.first

    def mask(self) -> np.ndarray:
        """Return all masks in a row and a 0 behind them, uint8."""
        return np.concatenate([*self._all, np.zeros(1, np.uint8)])


def _tile(f, config: AcceleratorConfig) -> dict[str, int]:
    """Return the walk of the tile writer over the planes of a LOAD."""
    per_word = config.block // f["pixel_bytes"] if f["pixel_bytes"] else 0
    extra = max(per_word - 1, 0)
    return {
        "tile_rows": f["pad_top"] + f["rows"] + f["pad_bottom"],
        "tile_columns": f["pad_left"] + f["pixels"] + f["pad_right"] + extra,
        "body_top": f["pad_top"],
        "body_bottom": f["pad_top"] + f["rows"],
        "body_left": f["pad_left"],
        "body_right": f["pad_left"] + f["pixels"],
        "per_word": per_word,
        "first_written": extra,
    }


def _strips(f) -> dict[str, int]:
    """Return the patches of a STORE with ``winograd``, and the words of its strips."""
    pixels = f["width"] >> f["pool"]
    last_rows = (f["height"] - 1) % OUTPUTS + 1
    return {
        "windows": f["x_count"] * f["y_count"] * f["n_count"] * f["blocks"],
        "across": f["x_count"],
        "down": f["y_count"],
        "strip_words": pixels * (OUTPUTS >> f["pool"]),
        "last_strip_words": pixels * (last_rows >> f["pool"]),
    }


def _beats(row: dict[str, int], bus: int, active: np.ndarray | None = None) -> int:
    """Return the bus beats of a region, or of its `active` runs: those that each run touches."""
    offsets = row["addr"] + (
        np.arange(row["planes"])[:, None] * row["plane_pitch"]
        + np.arange(row["runs"])[None, :] * row["run_pitch"]
    )
    if active is not None:
        offsets = offsets[:, active]
    return int((-(-(offsets % bus + row["run_words"] * row["word_bytes"]) // bus)).sum())
