"""The check that a program's dependencies suffice for engines that run concurrently."""

import numpy as np

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import TABLE_ENTRIES, Instruction, Opcode
from systolith_sim.emulator.access import Access

__all__ = ["HazardChecker", "HazardError"]

Known = tuple[int, int, int, int]
"""LOADs loaded, CONVs computed, STOREs drained, STOREs stored."""


class HazardError(Exception):
    """Two instructions that touch the same words in an order that nothing enforces."""


class HazardChecker:
    """Follows a program in its order and finds every access that the counters do not order.

    The counts that an instruction waits for imply more than they say: everything that the awaited
    instructions, and the earlier ones of the same engine, waited for has happened, too. This
    closure is the knowledge of an instruction; everything that it touches must be in it.

    Parameters
    ----------
    config : AcceleratorConfig
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._known: dict[Opcode, list[Known]] = {opcode: [] for opcode in Opcode}
        depths = {
            "act": config.act_depth,
            "weight": config.weight_depth,
            "param": config.param_depth,
            "table": TABLE_ENTRIES,
            "active": 1,  # the number of active inputs, and which they are
        }
        # The last LOAD that wrote a word, and the last CONV or STORE that read it.
        self._writer = {name: np.full(depth, -1) for name, depth in depths.items()}
        self._reader = {name: np.full(depth, -1) for name, depth in depths.items()}
        # The last STORE of patches that read a parameter: it does so until it is stored.
        self._late = np.full(config.param_depth, -1)
        # The LOAD before gathers weights, so a CONV has to take them.
        self._awaited = False
        self._bank_writer = [-1, -1]
        self._bank_reader = [-1, -1]
        self._loaded = _Regions()
        self._stored = _Regions()

    def check(self, number: int, instruction: Instruction, access: Access) -> None:
        """Check one instruction, the `number`-th of the program, after it was executed.

        Raises
        ------
        HazardError
            If it races with an instruction before it.
        """
        opcode = instruction.opcode
        index = len(self._known[opcode])
        known = self._closure(instruction)
        self._known[opcode].append(known)
        loaded, computed, drained, stored = known
        where = f"instruction {number} ({opcode.name} {index})"
        gathers = opcode is Opcode.CONV and bool(instruction["gather"])
        if gathers != self._awaited:
            wrong = "no LOAD gathers weights for it" if gathers else "no CONV takes them"
            raise HazardError(f"{where} comes where {wrong} right before")
        self._awaited = opcode is Opcode.LOAD and bool(instruction["gather"])
        if opcode is Opcode.LOAD:
            for name, words in access.writes.items():
                reader = "STORE" if name in ("param", "table") else "CONV"
                last = int(self._reader[name][words].max(initial=-1))
                done = {"param": drained, "table": stored}.get(name, computed)
                if name == "param" and int(self._late[words].max(initial=-1)) >= stored:
                    done, last = stored, int(self._late[words].max())
                if last >= done:
                    raise HazardError(
                        f"{where} overwrites {name} words that {reader} {last} may still read"
                    )
                self._writer[name][words] = index
            race = self._stored.overlap(access.regions, stored)
            if race is not None:
                raise HazardError(f"{where} reads memory that STORE {race} may still write")
            self._loaded.add(access.regions, index)
            return
        for name, words in access.reads.items():
            if gathers and name == "weight":  # it takes units as they come
                self._reader[name][words] = index
                continue
            writers = self._writer[name][words]
            if writers.min() < 0:
                raise HazardError(f"{where} reads {name} words that this program never loaded")
            if writers.max() >= loaded:
                raise HazardError(
                    f"{where} reads {name} words that LOAD {int(writers.max())} may still write"
                )
            self._reader[name][words] = index
        if opcode is Opcode.STORE and instruction["winograd"]:
            self._late[access.reads["param"]] = index
        bank = instruction["bank"]
        if opcode is Opcode.CONV:
            scan = int(self._writer["active"][0])
            for name in ("after_loaded_act", "after_loaded_weight") if gathers else ():
                if instruction[name] <= scan:
                    raise HazardError(f"{where}: {name} does not wait for the scan, LOAD {scan}")
            if self._bank_reader[bank] >= drained:
                raise HazardError(
                    f"{where} uses bank {bank}, which STORE {self._bank_reader[bank]} may drain"
                )
            self._bank_writer[bank] = index
            return
        if self._bank_writer[bank] >= computed:
            raise HazardError(
                f"{where} drains bank {bank}, which CONV {self._bank_writer[bank]} may fill"
            )
        self._bank_reader[bank] = index
        race = self._loaded.overlap(access.regions, loaded)
        if race is not None:
            raise HazardError(f"{where} writes memory that LOAD {race} may still read")
        self._stored.add(access.regions, index)

    def _closure(self, instruction: Instruction) -> Known:
        fields = instruction.fields
        own = [
            max(fields.get(f"after_loaded{suffix}", 0) for suffix in ("", "_act", "_weight")),
            fields.get("after_computed", 0),
            fields.get("after_drained", 0),
            fields.get("after_stored", 0),
        ]
        before = [self._known[instruction.opcode][-1:]]
        for count, engine in zip(
            own, (Opcode.LOAD, Opcode.CONV, Opcode.STORE, Opcode.STORE), strict=True
        ):
            if count:
                before.append(self._known[engine][count - 1 : count])
        for vectors in before:
            for vector in vectors:
                own = [max(pair) for pair in zip(own, vector, strict=True)]
        # A STORE whose writes are acknowledged has drained.
        own[2] = max(own[2], own[3])
        return (own[0], own[1], own[2], own[3])


class _Regions:
    """Byte ranges of external memory and the instruction that touched each."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int, int, np.ndarray]] = []
        self._bounds = np.zeros((2, 64), np.int64)

    def add(self, regions: np.ndarray, index: int) -> None:
        low, high = int(regions[:, 0].min()), int(regions[:, 1].max())
        count = len(self._spans)
        if count == self._bounds.shape[1]:
            self._bounds = np.concatenate([self._bounds, np.zeros_like(self._bounds)], axis=1)
        self._bounds[:, count] = (low, high)
        self._spans.append((low, high, index, regions))

    def overlap(self, regions: np.ndarray, known: int) -> int | None:
        """Return an instruction from number `known` on that touched a byte of `regions`."""
        low, high = int(regions[:, 0].min()), int(regions[:, 1].max())
        bounds = self._bounds[:, : len(self._spans)]
        for position in np.flatnonzero((bounds[0] < high) & (bounds[1] > low)):
            _, _, index, others = self._spans[position]
            if index >= known and _any_overlap(regions, others):
                return index
        return None


def _any_overlap(first: np.ndarray, second: np.ndarray) -> bool:
    starts = np.maximum(first[:, None, 0], second[None, :, 0])
    ends = np.minimum(first[:, None, 1], second[None, :, 1])
    return bool((starts < ends).any())
