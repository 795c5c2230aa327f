"""The order of a layer's instructions: room in the buffers, and a simulation of the engines."""

from systolith_host.schedule.work import Item, Step, Store, Work
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import INSTRUCTION_BYTES, Buffer

__all__ = ["LATENCY", "RUN", "NoRoomError", "allocate", "simulate"]

LATENCY = 60
"""Cycles from the token that a LOAD waited for to its first word, with a memory of latency 40."""

PIPELINE = 16
"""Cycles through requantiser and buffers, beyond those of the array itself."""


START = 110
"""Cycles from the start to the first LOAD, and from the last write to the end."""

RUN = 2
"""Cycles that a run of words is assumed to cost beside them."""


class NoRoomError(Exception):
    """A schedule that needs more of a buffer than there is."""


def allocate(work: Work, config: AcceleratorConfig) -> None:
    """Give every item its address, and the last user that has to be done with what it replaces.

    Each buffer is a ring: items follow each other in the order of their first use.

    Raises
    ------
    NoRoomError
        If an item would replace another that is still used after its own first use.
    """
    depths = {
        Buffer.ACT: config.act_depth,
        Buffer.WEIGHT: config.weight_depth,
        Buffer.PARAM: config.param_depth,
    }
    for buffer, items in work.items.items():
        depth = depths[buffer]
        position = 0
        standing: list[Item] = []
        for item in items:
            if item.words > depth:
                raise NoRoomError
            if position + item.words > depth:
                position = 0
            end = position + item.words
            item.address = position
            item.after = -1
            kept = []
            for other in standing:
                if other.address < end and position < other.address + other.words:
                    if other.last >= item.first:
                        raise NoRoomError
                    item.after = max(item.after, other.last)
                    # What is left of it still has to be waited for by the next ones.
                    if other.address + other.words > end or other.address < position:
                        kept.append(other)
                else:
                    kept.append(other)
            kept.append(item)
            standing = kept
            position = end


class _Simulation:
    """The engines' clocks while instructions are put in order."""

    def __init__(self, work: Work, config: AcceleratorConfig, rate: float) -> None:
        self.work = work
        self.config = config
        self.rate = rate
        self.fill = config.rows + config.cols
        self.position = 0
        self.compute = 0.0
        self.drain = 0.0
        self.loader = 0.0
        self.bus = 0.0
        self.end = 0.0
        self.computed: list[float] = []
        self.drained: list[float] = []
        self.writes: list[tuple[float, int]] = []
        self.loads: list[Item] = []

    def run(self) -> float:
        queues = {buffer: iter(items) for buffer, items in self.work.items.items()}
        heads = {buffer: next(queue, None) for buffer, queue in queues.items()}
        # A parameter's deadline is the last CONV of its first tile.
        last_step = [entry.step for entry in self.work.sequence if isinstance(entry, Store)]
        while True:
            self._advance()
            best = None
            for buffer, item in heads.items():
                if item is None:
                    continue
                done = self.drained if buffer == Buffer.PARAM else self.computed
                if item.after >= len(done):
                    continue
                release = done[item.after] if item.after >= 0 else 0.0
                deadline = last_step[item.first] + 0.5 if buffer == Buffer.PARAM else item.first
                late = max(release - self.loader, 0.0)
                rank = (late, deadline, int(buffer))
                if best is None or rank < best[0]:
                    best = (rank, buffer, item, release)
            if best is None:
                break
            _, buffer, item, release = best
            self._load(item, release)
            heads[buffer] = next(queues[buffer], None)
        if self.position != len(self.work.sequence):
            raise NoRoomError
        return self.end

    def _load(self, item: Item, release: float) -> None:
        start = max(self.loader, release)
        later = []
        for when, size in self.writes:
            if when <= start:
                self.bus = max(self.bus, when) + size / self.rate
            else:
                later.append((when, size))
        self.writes = later
        # Nothing else moves while instructions do: a LOAD comes with a CONV, more or less.
        fetched = 2 * len(item.loads) * INSTRUCTION_BYTES / self.rate
        begin = max(start, self.bus, release + LATENCY)
        moved = item.size / self.rate + fetched
        words = item.words * (self.config.row_groups if item.buffer == Buffer.ACT else 1)
        runs = sum(load["runs"] * load["planes"] for load in item.loads)
        item.start = start
        item.ready = begin + max(words + fetched, moved) + RUN * runs
        self.bus = begin + moved
        self.loader = item.ready
        self.loads.append(item)

    def _advance(self) -> None:
        sequence = self.work.sequence
        while self.position < len(sequence):
            entry = sequence[self.position]
            if isinstance(entry, Step):
                if entry.act.ready < 0 or entry.weight.ready < 0:
                    return
                start = max(self.compute, entry.act.ready, entry.weight.ready)
                if entry.first and entry.tile >= 2:
                    start = max(start, self.drained[entry.tile - 2])
                entry.start = start
                self.compute = start + entry.cycles
                self.computed.append(self.compute + self.fill)
            else:
                if entry.param.ready < 0:
                    return
                start = max(self.drain, self.computed[entry.step], entry.param.ready)
                entry.start = start
                self.drain = start + entry.cycles + PIPELINE
                self.drained.append(self.drain)
                written = max(self.drain, start + entry.size / self.rate)
                self.drain = max(self.drain, written - self.config.out_depth)
                self.end = max(self.end, written + LATENCY)
                self.writes.append((start, entry.size))
            self.position += 1


def simulate(
    work: Work, config: AcceleratorConfig, rate: float
) -> tuple[list[Item | Step | Store], float]:
    """Return loads, CONVs and STOREs in the order of the program, and the cycles that they take.

    The LOADs run in the order in which a memory of `rate` bytes per cycle can best bring them:
    earliest deadline first among those that have room. In the program every instruction stands
    about where its engine's queue can take it, and after all that it waits for.
    """
    simulation = _Simulation(work, config, rate)
    cycles = simulation.run() + START
    return _merge(work, simulation.loads, config.queue_depth), cycles


def _merge(work: Work, loads: list[Item], queue_depth: int) -> list[Item | Step | Store]:
    steps = [entry for entry in work.sequence if isinstance(entry, Step)]
    stores = [entry for entry in work.sequence if isinstance(entry, Store)]
    ahead = max(1, queue_depth - 1)
    load_starts: list[float] = []
    for item in loads:
        load_starts += [item.start] * len(item.loads)
    load_keys = []
    count = 0
    for item in loads:
        load_keys.append(load_starts[count - ahead] if count >= ahead else -1.0)
        count += len(item.loads)
    step_keys = [steps[i - ahead].start if i >= ahead else -1.0 for i in range(len(steps))]
    store_keys = [stores[i - ahead].start if i >= ahead else -1.0 for i in range(len(stores))]
    emitted: set[int] = set()
    result: list[Item | Step | Store] = []
    i = j = k = 0
    while i < len(loads) or j < len(steps) or k < len(stores):
        choices: list[tuple[float, int]] = []
        if i < len(loads):
            item = loads[i]
            done = k if item.buffer == Buffer.PARAM else j
            if item.after < done:
                choices.append((load_keys[i], 0))
        if j < len(steps):
            step = steps[j]
            free = not step.first or k > step.tile - 2
            if free and id(step.act) in emitted and id(step.weight) in emitted:
                choices.append((step_keys[j], 1))
        if k < len(stores) and stores[k].step < j and id(stores[k].param) in emitted:
            choices.append((store_keys[k], 2))
        _, which = min(choices)
        if which == 0:
            emitted.add(id(loads[i]))
            result.append(loads[i])
            i += 1
        elif which == 1:
            result.append(steps[j])
            j += 1
        else:
            result.append(stores[k])
            k += 1
    return result
