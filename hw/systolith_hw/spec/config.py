"""The configuration: every dimension and width of one accelerator, checked when it is made."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from systolith_hw.spec.check import ConfigError, check_fields, least_out_depth
from systolith_hw.spec.isa import PARAM_BYTES, TABLE_ENTRIES
from systolith_hw.spec.timing import least_pass
from systolith_hw.spec.winograd import (
    DATA_WIDTH,
    LANES,
    OUTPUTS,
    STRIP_PATCHES,
    WEIGHT_WIDTH,
    psum_bound,
    sum_width,
)

__all__ = [
    "DISTRIBUTED_BITS",
    "AcceleratorConfig",
    "ConfigError",
    "least_out_depth",
]

DISTRIBUTED_BITS = 4096
"""Largest queue, in bits, that is distributed memory: a block RAM is slow to read and far away."""

_OPTIONS = ("winograd", "functions", "gather", "nibbles")
"""Fields that add units. Where one is 0, the units are left out and the field is not hashed."""


@dataclass(frozen=True, kw_only=True)
class AcceleratorConfig:
    """The dimensions of an accelerator, for gateware, models, compiler and reports.

    Parameters
    ----------
    name : str
        Name in reports: up to 64 letters, digits and ``. _ + -``, the first a letter or digit.
        It changes nothing but reports: it is not part of the :attr:`fingerprint`.
    rows, cols : int
        Size of the systolic array, 2 to 128 each; the larger is a multiple of the smaller. Rows
        take input channels, columns give output channels.
    act_depth : int
        Words of the activation buffer, of ``rows`` bytes each, 16 to 1,048,576.
    weight_depth : int
        Words of the weight buffer, of ``cols`` bytes each, 2 * ``rows`` to 1,048,576. A word is one
        row of a weight block.
    param_depth : int
        Output channels in the parameter buffer, of 8 bytes each (bias, multiplier, shift):
        a multiple of ``cols``, 2 * ``cols`` to 65,536.
    acc_depth : int
        Pixels in each of the two accumulator banks, 4 to 32,768.
    acc_width : int
        Bits of a sum, 20 to 32.
    post_lanes : int
        Channels requantised per cycle, a power of two that divides the smaller of ``rows`` and
        ``cols``.
    multiplier_width : int
        Bits of the unsigned requantisation multiplier, 8 to 24.
    out_depth : int
        Words of the output buffer, of min(``rows``, ``cols``) bytes each: a burst and four words
        (:func:`least_out_depth`) to 65,536.
    bus_bytes : int
        Bytes of the AXI4 data bus, a power of two from 4 to 64.
    addr_width : int
        Bits of an external address, 16 to 48.
    burst_beats : int
        Beats of the longest AXI4 burst, a power of two from 1 to 256, and at most 4096 bytes.
    outstanding_reads, outstanding_writes : int
        Limit on outstanding AXI4 bursts, 1 to 64.
    queue_depth : int
        Instructions that wait in front of each engine, 1 to 64.
    winograd : int
        Patches of the largest Winograd tile, 4 to 128, or 0 to leave out the units for Winograd's
        convolution. A patch takes 36 pixels of an accumulator bank, so that 36 * ``winograd`` is at
        most ``acc_depth``; sums are then wider (:attr:`sum_width`).
    functions : int
        1 for the stage that looks results up in a table, between requantisation and pooling, or 0
        to leave it out. Each of the :attr:`post_lanes` then has a table of 256 bytes.
    gather : int
        Inputs of the largest layer that gathers its weights, a multiple of :attr:`block` up to
        65,535, or 0 to leave out the units that gather. Activations then have 9 bits at the array.
    nibbles : int
        1 for the unit that takes weights of 4 bits apart, two of which share a byte of memory, or 0
        to leave it out. Needs an even number of ``rows``: a weight block is whole memory words.

    Raises
    ------
    ConfigError
        If a field breaks one of these rules.
    """

    name: str = "custom"
    rows: int
    cols: int
    act_depth: int
    weight_depth: int
    param_depth: int
    acc_depth: int
    acc_width: int = 32
    post_lanes: int
    multiplier_width: int = 16
    out_depth: int = 256
    bus_bytes: int
    addr_width: int = 32
    burst_beats: int = 32
    outstanding_reads: int = 8
    outstanding_writes: int = 4
    queue_depth: int = 16
    winograd: int = 0
    functions: int = 0
    gather: int = 0
    nibbles: int = 0

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def block(self) -> int:
        """Channels of a block: in external memory, a pixel's vector of that many bytes."""
        return min(self.rows, self.cols)

    @property
    def row_groups(self) -> int:
        """Channel blocks that the rows of the array take."""
        return self.rows // self.block

    @property
    def col_groups(self) -> int:
        """Channel blocks that the columns of the array give."""
        return self.cols // self.block

    @property
    def pack_sizes(self) -> tuple[int, ...]:
        """Legal bytes of a pixel in a packed tensor: the divisors of :attr:`block` below it."""
        return tuple(size for size in range(1, self.block) if self.block % size == 0)

    @property
    def least_pass(self) -> int:
        """Cycles of the shortest pass."""
        return least_pass(self.rows)

    @property
    def multipliers(self) -> int:
        """Multiply-accumulates of the array per cycle."""
        return self.rows * self.cols

    def dsps(self, operand: int = 18) -> int:
        """Return the multipliers that an FPGA needs: those of the array, and of requantisation.

        A lane multiplies two parts of a sum. Each of them takes a second multiplier if
        `multiplier_width` has more bits than an operand; one bit more is logic for one of them.

        Parameters
        ----------
        operand : int
            Bits of the larger unsigned operand: 18 of an ECP5's, 24 of AMD's DSP48E1 and DSP48E2.
        """
        lane = 2 + min(max(self.multiplier_width - operand, 0), 2)
        return self.multipliers + lane * self.post_lanes

    @property
    def burst_bytes(self) -> int:
        """Bytes of the longest burst."""
        return self.bus_bytes * self.burst_beats

    @property
    def act_bytes(self) -> int:
        """Bytes of the activation buffer."""
        return self.act_depth * self.rows

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weight buffer."""
        return self.weight_depth * self.cols

    @property
    def param_bytes(self) -> int:
        """Bytes of the parameter buffer."""
        return self.param_depth * PARAM_BYTES

    @property
    def acc_bytes(self) -> int:
        """Bytes of both accumulator banks."""
        return self.sum_bytes(2 * self.acc_depth)

    @property
    def out_bytes(self) -> int:
        """Bytes of the output buffer."""
        return self.out_depth * self.block

    @property
    def patch_ring(self) -> int:
        """Words of the ring of transformed activations: two chunks of the largest tile."""
        return 2 * LANES * self.winograd

    @property
    def kernel_ring(self) -> int:
        """Words of the ring of transformed weights: two chunks."""
        return 2 * LANES * self.rows if self.winograd else 0

    @property
    def strip_words(self) -> int:
        """Words of the staging memory, of :attr:`block` bytes each: two strips of patches."""
        return 2 * STRIP_PATCHES * OUTPUTS * OUTPUTS if self.winograd else 0

    @property
    def transformed_bytes(self) -> int:
        """Bytes of the memories that only Winograd's convolution needs: rings and staging."""
        bits = self.rows * self.patch_ring * self.act_width
        bits += self.cols * self.kernel_ring * self.weight_width
        return -(-bits // 8) + self.strip_words * self.block

    @property
    def table_bytes(self) -> int:
        """Bytes of the tables of functions: one in each lane, all alike."""
        return TABLE_ENTRIES * self.post_lanes * self.functions

    @property
    def mask_words(self) -> int:
        """Words of the mask memory, of :attr:`block` bits each: a bit for each input."""
        return self.gather // self.block

    def sum_bytes(self, pixels: int) -> int:
        """Return the bytes of the sums of `pixels` pixels, of :attr:`sum_width` bits each."""
        return -(-pixels * self.cols * self.sum_width // 8)

    @property
    def act_width(self) -> int:
        """Bits of an activation at the array: 8, those of a difference, or of a transformed one."""
        if self.winograd:
            return DATA_WIDTH
        return 9 if self.gather else 8

    @property
    def weight_width(self) -> int:
        """Bits of a weight in the array: 8, or those of a transformed one."""
        return WEIGHT_WIDTH if self.winograd else 8

    @property
    def sum_width(self) -> int:
        """Bits of a sum in an accumulator: :attr:`acc_width`, with ``winograd`` six more."""
        return sum_width(self.acc_width) if self.winograd else self.acc_width

    @property
    def psum_width(self) -> int:
        """Bits of a partial sum inside the array, which adds up to ``rows`` products."""
        if self.winograd:
            return psum_bound(self.rows).bit_length() + 1
        # A product is at most 128 * 128, or 255 * 128 of a difference.
        return 15 + (self.rows - 1).bit_length() + 1

    @property
    def fingerprint(self) -> int:
        """64-bit hash of every field but the name; programs and bitstreams carry it.

        Options that are 0 are not hashed, so a new option does not change the fingerprint of
        configurations without it.
        """
        fields = dataclasses.asdict(self)
        del fields["name"]
        for option in _OPTIONS:
            if not fields[option]:
                del fields[option]
        text = json.dumps(fields, sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary, with the keys of a TOML file."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(
        cls, fields: dict[str, Any], source: str = "configuration"
    ) -> "AcceleratorConfig":
        """Build from a dictionary.

        Parameters
        ----------
        fields : dict
            As :meth:`to_dict` returns them; fields with a default may be missing.
        source : str
            Where they are from, for errors.

        Raises
        ------
        ConfigError
            If a field is unknown, missing or illegal: the text names it.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(fields) - set(known))
        if unknown:
            raise ConfigError(f"{source}: no such field: {', '.join(unknown)}")
        missing = [
            name
            for name, field in known.items()
            if field.default is dataclasses.MISSING and name not in fields
        ]
        if missing:
            raise ConfigError(f"{source}: missing field: {', '.join(missing)}")
        try:
            return cls(**fields)
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None
