"""Functional coverage of programs: values of fields, crosses that matter, faults, edges of tiles.

A bin of a field counts in programs that end DONE only, and only where the field decides something:
a step where its level advances, a size of activations in a LOAD of activations.
"""

from collections import Counter
from collections.abc import Iterator

from systolith_host.lab.coverage.exclusions import Target
from systolith_host.lab.coverage.unit_bins import CROSSES
from systolith_host.lab.faults.programs import WINDOW
from systolith_host.lab.faults.stand import Seen
from systolith_hw.control.controller import FAULTS
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import (
    COUNTERS,
    INSTRUCTION_BYTES,
    TABLE_ENTRIES,
    Buffer,
    Field,
    Instruction,
    Opcode,
    Role,
    buffers_of,
    decode,
    fields_of,
)
from systolith_hw.spec.legal import word_bytes
from systolith_hw.spec.registers import Engine, ErrorCode
from systolith_hw.spec.winograd import OUTPUTS, STRIP_PATCHES

__all__ = ["FieldBins"]

_TILE = ("rows", "pixels", "pad_top", "pad_bottom", "pad_left", "pad_right", "pad_value", "lane")
"""Fields of a LOAD that only activations look at; so is pixel_bytes."""

_AT_LEAST_ONE = ("units", "patches", "width", "height")
"""Fields whose 0 is refused where they decide something."""


def _labels(field: Field) -> tuple[str, ...]:
    """Return the bins of a field."""
    if field.role is Role.TOKEN:
        return ("none", "some", "all before")
    if field.width == 1:
        return ("0", "1")
    if field.name.endswith("_pitch"):
        return ("low", "middle")  # a high one leaves the memory
    return ("low", "middle", "high")


def _most(config: AcceleratorConfig, instruction: Instruction, name: str) -> int:
    """Return the value from which a field counts as high: the largest that ends DONE, or nearly."""
    opcode = instruction.opcode
    depths = {
        Buffer.ACT: config.act_depth,
        Buffer.WEIGHT: config.weight_depth,
        Buffer.PARAM: config.param_depth,
        Buffer.TABLE: TABLE_ENTRIES,
    }
    passes = config.weight_depth // config.rows
    most = {
        "addr": (1 << config.addr_width) - WINDOW,
        "act_base": config.act_depth - 1,
        "acc_base": config.acc_depth - 1,
        "weight_base": config.weight_depth - config.rows,
        "param_base": config.param_depth - config.block,
        "blocks": config.col_groups,
        "lane": config.row_groups - 1,
        "pixel_bytes": max((0, *config.pack_sizes)),
        "patches": config.winograd,
        "buffer": max(buffers_of(config)),
        "s_count": min(255, passes),
        "r_count": min(255, passes),
        "c_count": passes,
        **dict.fromkeys(("x_count", "y_count", "n_count"), config.acc_depth),
        "width": OUTPUTS * min(config.winograd, STRIP_PATCHES),
        "height": OUTPUTS * config.winograd,
    }
    if opcode is Opcode.LOAD:
        depth = depths[Buffer(instruction["buffer"])]
        most |= {"dest": depth - 1, **dict.fromkeys(("run_words", "runs", "planes"), depth)}
        most |= {"rows": depth, "pixels": depth}
    if opcode is Opcode.STORE:
        most |= dict.fromkeys(("run_words", "runs", "planes"), config.acc_depth)
    for field in fields_of(opcode, config):
        if field.name == name:
            return most.get(name, field.high)
    raise KeyError(name)


def _matters(instruction: Instruction, field: Field) -> bool:
    name = field.name
    if field.role is Role.STEP:
        return instruction[name.replace("_step", "_count")] > 1
    if name == "run_pitch":
        return instruction["runs"] > 1
    if name == "plane_pitch":
        return instruction["planes"] > 1
    if name in (*_TILE, "pixel_bytes"):
        return instruction["buffer"] == Buffer.ACT and not instruction["scan"]
    if name in ("patches", "pool", "width", "height"):
        return bool(instruction["winograd"])
    if name in ("units", "unsigned"):
        return bool(instruction["gather"])
    return True


class FieldBins:
    """Counts what programs reach.

    Parameters
    ----------
    config : AcceleratorConfig
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self._counts = Counter[str]()

    def watch(self, code: bytes, seen: Seen) -> None:
        """Count a program that was run, and its end."""
        if seen.outcome.failed:
            error = ErrorCode(seen.outcome.code).name
            self._counts[f"fault/{error}/{Engine(seen.outcome.engine).name}"] += 1
        if not seen.outcome.done:
            return
        program = [
            decode(code[first : first + INSTRUCTION_BYTES], self.config)
            for first in range(0, len(code), INSTRUCTION_BYTES)
        ]
        for cross in CROSSES:
            self._counts.update(cross.reached(self.config, program))
        before = {counter: 0 for counter in COUNTERS}
        for instruction in program:
            self._counts.update(self._bins(instruction, before))
            for counter in {
                Opcode.LOAD: ("loaded",),
                Opcode.CONV: ("computed",),
                Opcode.STORE: ("drained", "stored"),
            }[instruction.opcode]:
                before[counter] += 1

    def _bins(self, instruction: Instruction, before: dict[str, int]) -> Iterator[str]:
        for field in fields_of(instruction.opcode, self.config):
            if _matters(instruction, field):
                value = instruction[field.name]
                label = self._label(instruction, field, value, before)
                yield f"{instruction.opcode.name}/{field.name}/{label}"
        yield from self._crosses(instruction)

    def _label(
        self, instruction: Instruction, field: Field, value: int, before: dict[str, int]
    ) -> str:
        if field.role is Role.TOKEN:
            return (
                "none" if not value else "all before" if value == before[field.counter] else "some"
            )
        if field.width == 1:
            return str(value)
        if value == (1 if field.name in _AT_LEAST_ONE else field.low):
            return "low"
        if field.name.endswith("_pitch"):
            return "middle"
        return "high" if value >= _most(self.config, instruction, field.name) else "middle"

    def _crosses(self, instruction: Instruction) -> Iterator[str]:
        opcode, config = instruction.opcode, self.config
        if opcode is not Opcode.CONV:
            size = config.block
            name = opcode.name
            if opcode is Opcode.LOAD:
                buffer = Buffer(instruction["buffer"])
                size, name = word_bytes(buffer, config), buffer.name
            shape = "planes" if instruction["planes"] > 1 else "runs"
            one = instruction["planes"] == instruction["runs"] == 1
            yield f"region/{name}/{'one run' if one else shape}"
            begin = instruction["addr"] % config.bus_bytes
            end = (instruction["addr"] + instruction["run_words"] * size) % config.bus_bytes
            if size < config.bus_bytes:
                yield f"region/{name}/{'inside' if begin else 'at'} a beat's begin"
                yield f"region/{name}/{'inside' if end else 'at'} a beat's end"
        if opcode is Opcode.LOAD:
            yield from self._tile(instruction)
        if opcode is Opcode.CONV and not (
            instruction.fields.get("winograd") or instruction.fields.get("gather")
        ):
            first = "clear" if instruction["clear"] else "add"
            passes = instruction["s_count"] * instruction["r_count"] * instruction["c_count"]
            many = "one pass" if passes == 1 else "passes"
            yield f"sums/{first}/bank {instruction['bank']}/{many}"
            if instruction["shift"]:
                yield f"sums/{first}/shift"
        if opcode is Opcode.STORE and not (
            instruction.fields.get("winograd") or instruction.fields.get("stacked")
        ):
            window = "window" if instruction["dx_count"] * instruction["dy_count"] > 1 else "sums"
            yield f"drain/bank {instruction['bank']}/{window}"
            yield f"drain/blocks {instruction['blocks']}"

    def _tile(self, instruction: Instruction) -> Iterator[str]:
        if instruction["buffer"] != Buffer.ACT or instruction.fields.get("scan"):
            return
        sides = [side for side in ("top", "bottom", "left", "right") if instruction[f"pad_{side}"]]
        packed = "packed" if instruction["pixel_bytes"] else "whole"
        for side in sides or ("none",):
            yield f"tile/{packed}/padding {side}"
        if len(sides) == 4:
            yield f"tile/{packed}/padding all"
        if instruction["rows"] == 1:
            yield f"tile/{packed}/one row"
        if instruction["pixels"] == 1:
            yield f"tile/{packed}/one pixel"
        if instruction["planes"] > 1:
            yield f"tile/{packed}/planes"

    def _all(self) -> Iterator[str]:
        """Yield the names of all bins."""
        config = self.config
        for opcode in Opcode:
            for field in fields_of(opcode, config):
                labels = _labels(field)
                one = {
                    "lane": config.row_groups,
                    "blocks": config.col_groups,
                    "pixel_bytes": 1 + len(config.pack_sizes),
                }
                if one.get(field.name, 2) == 1:
                    labels = ("low",)
                elif one.get(field.name, 3) == 2:
                    labels = ("low", "high")
                yield from (f"{opcode.name}/{field.name}/{label}" for label in labels)
        names = [(buffer.name, word_bytes(buffer, config)) for buffer in buffers_of(config)]
        for name, size in (*names, ("STORE", config.block)):
            shapes = ("one run", "runs", "planes") if name in ("ACT", "STORE") else ("one run",)
            yield from (f"region/{name}/{shape}" for shape in shapes)
            if size < config.bus_bytes:
                for where in ("at", "inside"):
                    yield from (f"region/{name}/{where} a beat's {end}" for end in ("begin", "end"))
        for first in ("clear", "add"):
            for bank in range(2):
                yield from (f"sums/{first}/bank {bank}/{many}" for many in ("one pass", "passes"))
        yield "sums/add/shift"
        for bank in range(2):
            yield from (f"drain/bank {bank}/{window}" for window in ("window", "sums"))
        yield from (f"drain/blocks {blocks}" for blocks in range(1, config.col_groups + 1))
        for packed in ("whole", "packed"):
            edges = ["one row", "one pixel"]
            edges += [
                f"padding {side}" for side in ("none", "top", "bottom", "left", "right", "all")
            ]
            edges += ["planes"] if packed == "whole" else []
            yield from (f"tile/{packed}/{edge}" for edge in edges)
        for cross in CROSSES:
            yield from cross.bins(config)
        for _, error, engine in FAULTS:
            yield f"fault/{error.name}/{engine.name}"
        yield f"fault/{ErrorCode.LEFTOVER.name}/{Engine.LOAD.name}"
        yield f"fault/{ErrorCode.WATCHDOG.name}/{Engine.FETCH.name}"

    def targets(self) -> dict[Target, int]:
        """Return all bins, and how often each was reached."""
        return {
            Target("bin", f"ISA {name.partition('/')[0]}", name): self._counts[name]
            for name in self._all()
        }
