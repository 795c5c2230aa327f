"""Directed tests of all kinds of convolution in one program, one right behind the other."""

import random
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from systolith_host.lab.coverage.draft import DATA, OUT, Draft
from systolith_host.lab.coverage.stand import Director, with_params
from systolith_host.lab.faults.stand import random_timing
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer, Opcode, walk_steps
from systolith_hw.spec.winograd import KERNEL, OUTPUTS, PATCH, STRIP_PATCHES
from systolith_sim.faults.bench import BusTiming, Channel, Injection, Kind

__all__ = ["kinds"]

_PROGRAMS = 50

_FULL = 6
"""Programs of patches alone, whose results the memory does not take."""

_CONVS = 24
"""Of a program."""

_CHUNKS = 3
"""Chunks of channels of a tile."""

_INPUTS = DATA + 0x10000
"""What is scanned: many of its bytes are zero."""

_SLOT = 1024
"""Bytes for what a STORE writes."""


def _walk(levels: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """Return the fields of a walk whose levels, innermost first, are (count, stride)."""
    steps = walk_steps(*zip(*levels.values(), strict=True))
    counts = {f"{name}_count": count for name, (count, _) in levels.items()}
    return counts | {f"{name}_step": step for name, step in zip(levels, steps, strict=True)}


def _shapes(config: AcceleratorConfig) -> list[tuple[int, int]]:
    """Return the patches across and down of tiles that fit the half of the activation buffer."""
    most, room = config.winograd or 6, config.act_depth // 2 // _CHUNKS
    return [
        (across, down)
        for across in range(1, min(most, STRIP_PATCHES) + 1)
        for down in range(1, most // across + 1)
        if (OUTPUTS * across + 2) * (OUTPUTS * down + 2) <= room
    ]


class _Mixture:
    """A program of CONVs of random kinds, each with a STORE.

    Tiles are in the lower half of the activation buffer, scans in the upper one; the weights of
    ``_CHUNKS`` chunks of 3x3 taps are in front of the ring of gathered ones.
    """

    def __init__(self, config: AcceleratorConfig, rng: random.Random) -> None:
        self.config, self.rng = config, rng
        self.draft = draft = Draft(config)
        draft.fill(Buffer.WEIGHT)
        draft.load(Buffer.PARAM, config.param_depth)
        if config.functions:
            draft.fill(Buffer.TABLE)
        self.params = draft.counts[Opcode.LOAD]
        self.ring = _CHUNKS * KERNEL**2 * config.rows
        self.gathered = 0  # CONVs up to the last one that gathers
        self.drained = [0, 0]
        self.load_tile()

    def load_tile(self) -> None:
        """Add LOADs of a tile for up to so many patches, with random padding."""
        config, rng = self.config, self.rng
        self.across, self.down = rng.choice(_shapes(config))
        width, height = OUTPUTS * self.across + 2, OUTPUTS * self.down + 2
        pads = {f"pad_{side}": rng.choice((0, 0, 1, 2)) for side in ("top", "bottom")}
        pads |= {f"pad_{side}": rng.choice((0, 0, 1, 2)) for side in ("left", "right")}
        rows = height - pads["pad_top"] - pads["pad_bottom"]
        pixels = width - pads["pad_left"] - pads["pad_right"]
        value = rng.randint(-128, 127)
        for lane in range(config.row_groups):
            size = {"runs": rows, "run_pitch": 256, "planes": _CHUNKS, "plane_pitch": 4096}
            shape = {"rows": rows, "pixels": pixels, "pad_value": value, **pads}
            self.draft.load(Buffer.ACT, pixels, lane=lane, **size, **shape)
        self.tile = self.draft.counts[Opcode.LOAD]

    def add(self, kind: str, bank: int) -> None:
        """Add CONVs of a kind to a bank, and a STORE of their sums."""
        if kind != "gather" and self.rng.random() < 0.3:
            self.load_tile()
        fields = {"direct": self._direct, "winograd": self._winograd, "gather": self._gather}[
            kind
        ]()
        for conv, store in fields:
            waits = {"after_loaded_act": self.tile, "after_loaded_weight": self.tile}
            self.draft.conv(**{**waits, "bank": bank, "after_drained": self.drained[bank], **conv})
            if store:
                self._store(bank, store)

    def _store(self, bank: int, fields: dict[str, int]) -> None:
        config, rng, draft = self.config, self.rng, self.draft
        table = {"table": rng.randrange(2)} if config.functions else {}
        low, high = sorted(rng.randint(-128, 127) for _ in range(2))
        addr = OUT + _SLOT * draft.counts[Opcode.STORE]
        draft.store(
            addr=addr, bank=bank, after_loaded=self.params, low=low, high=high, **table, **fields
        )
        self.drained[bank] = draft.counts[Opcode.STORE]

    def _direct(self) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
        """Yield the fields of a CONV of 3x3 taps over the tile, and of a STORE of its sums."""
        width = OUTPUTS * self.across + 2
        across, down = OUTPUTS * self.across, OUTPUTS * self.down
        while across * down > self.config.acc_depth:
            down -= 1
        walk = {"x": (across, 1), "y": (down, width), "n": (1, 0)}
        walk |= {"s": (KERNEL, 1), "r": (KERNEL, width), "c": (1, 0)}
        pooled = self.rng.randrange(2)
        windows = (across // (1 + pooled), down // (1 + pooled))
        inside = {"dx": (1 + pooled, 1), "dy": (1 + pooled, across)}
        outside = {
            "x": (windows[0], 1 + pooled),
            "y": (windows[1], across * (1 + pooled)),
        }
        store = {"run_words": windows[0] * windows[1], **_walk(inside), **_walk(outside)}
        clear = 1
        for last in (False, True)[self.rng.randrange(2) :]:
            yield {**_walk(walk), "clear": clear}, store if last else {}
            clear = 0

    def _winograd(self) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
        """Yield the same for patches: one or two CONVs, the second of which adds to the first."""
        rng, across, down = self.rng, self.across, self.down
        width, plane = OUTPUTS * across + 2, (OUTPUTS * across + 2) * (OUTPUTS * down + 2)
        plane_patches, pool = across * down, rng.randrange(2)
        images = rng.choice((1, 2)) if 2 * plane_patches <= self.config.winograd else 1
        patches = images * plane_patches
        sums = [OUTPUTS * count - rng.randrange(0, OUTPUTS, 1 + pool) for count in (across, down)]
        inside = {"dx": (PATCH, PATCH * patches), "dy": (PATCH, patches)}
        outside = {"x": (across, 1), "y": (down, across), "n": (images, plane_patches)}
        store = {
            **_walk(inside),
            **_walk(outside),
            "winograd": 1,
            "pool": pool,
            "width": sums[0],
            "height": sums[1],
            "run_words": images * (sums[0] >> pool) * (sums[1] >> pool),
        }
        clear = 1
        for last in (False, True)[rng.randrange(2) :]:
            walk = {"x": (PATCH, width), "y": (PATCH, 1)}
            # The images are the same one, read again.
            walk |= {"n": (across, OUTPUTS), "s": (down, OUTPUTS * width), "r": (images, 0)}
            walk |= {"c": (rng.randint(1, _CHUNKS), plane)}
            yield (
                {**_walk(walk), "winograd": 1, "patches": patches, "clear": clear},
                store if last else {},
            )
            clear = 0

    def _gather(self) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
        """Add a scan and a LOAD that gathers; yield the fields of their CONV and STORE."""
        config, rng, draft = self.config, self.rng, self.draft
        half, cols, single = config.act_depth // 2, config.cols, {"after_drained": 0}
        single |= {"after_stored": 0, "after_computed": self.gathered}
        inputs = config.block * rng.randint(1, min(40, config.gather // config.block))
        place = _INPUTS + 64 * rng.randrange(64) + config.block * rng.randrange(8)
        # Zeros, or a value that is seldom there.
        value = rng.choice((0, 0, 77))
        draft.load(
            Buffer.ACT, inputs // config.block, half, place, scan=1, pad_value=value, **single
        )
        scan = draft.counts[Opcode.LOAD]
        nibbles = rng.randrange(2) if config.nibbles else 0
        most = min(config.param_depth // cols, 8)
        words = rng.randint(1, most >> nibbles)
        blocks = words << nibbles
        room = (config.weight_depth - self.ring) // (blocks * config.rows)
        units = rng.randint(1, min(15, room))
        draft.load(
            Buffer.WEIGHT,
            words,
            self.ring,
            DATA + 8 * config.param_depth + cols * rng.randrange(32),
            runs=inputs,
            run_pitch=cols * (words + rng.randrange(4)),
            gather=1,
            units=units,
            **({"nibbles": nibbles} if config.nibbles else {}),
            **single,
        )
        self.gathered = draft.counts[Opcode.CONV] + 1
        conv = {"gather": 1, "units": units, "unsigned": rng.randrange(2), "x_count": 1}
        conv |= {"s_count": blocks, "c_step": 1, "act_base": half, "weight_base": self.ring}
        conv |= {"after_loaded_act": scan, "after_loaded_weight": scan}
        stacked = blocks * config.col_groups
        yield conv, {"stacked": 1, "blocks": stacked, "run_words": stacked, "x_count": 1}


def kinds(director: Director) -> None:
    """Let CONVs of every kind follow each other, with tiles and weights of random shapes."""
    config, rng = director.stand.config, director.rng
    some = ["direct", *(kind for kind in ("winograd", "gather") if getattr(config, kind))]
    for _ in range(_PROGRAMS if len(some) > 1 else 0):
        _mixed(director, some, "kinds of convolution")
    if config.winograd:
        for _ in range(_FULL):
            # The memory takes no data for a while: results of patches wait on the chip.
            dead = Injection(Kind.DEAD, rng.randrange(3000), 20_000, 1 << Channel.W)
            _mixed(director, ["winograd"], "patches before a dead memory", [dead])
        _full_strips(director)
        _late(director)
        _beyond(director)


def _mixed(
    director: Director, some: Sequence[str], what: str, faults: Sequence[Injection] = ()
) -> None:
    """Run a program of CONVs of these kinds."""
    config, rng = director.stand.config, director.rng
    mixture = _Mixture(config, rng)
    for number in range(_CONVS):
        mixture.add(rng.choice(some), number % 2)
    memory = with_params(mixture.draft, DATA, config.param_depth)
    values = np.random.default_rng(rng.getrandbits(30))
    scanned = memory[_INPUTS : _INPUTS + 0x2000]
    scanned[values.random(scanned.size) < rng.choice((0, 0.5, 0.9, 1))] = 0
    director.run(mixture.draft, memory, what, random_timing(rng), faults)


def _full_strips(director: Director) -> None:
    """Let the drain put together as many patches as a strip can have: one that is read again."""
    config = director.stand.config
    draft = Draft(config)
    draft.fill(Buffer.WEIGHT)
    draft.load(Buffer.PARAM, config.param_depth)
    reads = _walk({"x": (PATCH, PATCH), "y": (PATCH, 1)})
    inside = {"dx": (PATCH, PATCH), "dy": (PATCH, 1)}
    outside = {"x": (STRIP_PATCHES, 0), "y": (1, 0)}
    width = OUTPUTS * STRIP_PATCHES
    shape = {"winograd": 1, "width": width, "height": OUTPUTS, "run_words": width * OUTPUTS}
    for number in range(8):
        draft.load(Buffer.ACT, PATCH**2, addr=DATA + 2048 * number)
        draft.conv(**reads, winograd=1, patches=1)
        draft.store(**_walk(inside), **_walk(outside), **shape)
    memory = with_params(draft, DATA, config.param_depth)
    director.run(draft, memory, "patches of a whole strip")


def _late(director: Director) -> None:
    """Let the LOAD and the STORE for which patches wait end before, with and after each other."""
    config = director.stand.config
    latency = 60
    for words in range(1, 2 * latency):
        draft = Draft(config)
        draft.fill(Buffer.WEIGHT)
        draft.load(Buffer.PARAM, config.param_depth)
        draft.load(Buffer.ACT, config.act_depth)
        draft.conv(words, x_step=0)
        draft.store(words)
        draft.load(Buffer.ACT, 1, after_drained=0, after_stored=0)
        walk = _walk({"x": (PATCH, PATCH), "y": (PATCH, 1)})
        draft.conv(**walk, winograd=1, patches=1)
        memory = with_params(draft, DATA, config.param_depth)
        director.run(draft, memory, "patches wait", BusTiming((latency, latency)))


def _beyond(director: Director) -> None:
    """Let the taps of a CONV of patches begin in the weight buffer, and end behind it."""
    config = director.stand.config
    taps = KERNEL**2 * config.rows
    for base in (config.weight_depth - taps + 1, config.weight_depth):
        draft = Draft(config)
        draft.fill(Buffer.WEIGHT)
        draft.fill(Buffer.ACT)
        walk = _walk({"x": (PATCH, PATCH), "y": (PATCH, 1)})
        draft.conv(**walk, winograd=1, patches=1, weight_base=base)
        director.run(draft, draft.memory(), "taps behind the weights")
