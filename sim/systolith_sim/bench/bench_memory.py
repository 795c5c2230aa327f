"""Cocotb tests of the memory model alone: timing to the cycle, protocol checks, errors, data."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from systolith_hw.spec.memory import RATE_UNIT
from systolith_sim.rtl.cocotb_device import reset, start_clock

__all__ = ["BEATS", "BURSTS", "Edge", "Master"]

BEATS = 8
"""Beats of a burst in these tests."""

BURSTS = 12
"""Bursts of a test of bandwidth."""

INPUTS = (
    "memory_sync",
    "memory_breach",
    "memory_breach_at",
    "bench_waits",
    *(f"s_axi_{channel}{name}" for channel in ("ar", "aw") for name in ("id", "addr", "valid")),
    *(f"s_axi_{channel}{name}" for channel in ("ar", "aw") for name in ("len", "size", "burst")),
    *(f"s_axi_{name}" for name in ("wdata", "wstrb", "wlast", "wvalid", "bready", "rready")),
)


class Edge(dict[str, int]):
    """The values of the bus's control signals at a rising edge, as both sides see them there."""

    def taken(self, channel: str) -> bool:
        """Return whether there was a handshake on this channel."""
        return bool(self[f"{channel}valid"] and self[f"{channel}ready"])


class Master:
    """Drives the bus pin by pin and keeps what happened at every edge.

    Parameters
    ----------
    dut : cocotb handle
        The top module of :func:`systolith_sim.rtl.testbench.memory_testbench`.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.bus_bytes = len(dut.s_axi_wstrb)
        self.edges: list[Edge] = []
        self.words: list[int] = []
        """Data of the reads, in order."""
        self.answers: list[int] = []
        """Responses of the writes, in order."""
        self.read_answers: list[int] = []

    async def start(self) -> None:
        """Start clock and reset, and make all transfers as wide as the bus."""
        start_clock(self.dut)
        await reset(self.dut, INPUTS)
        for channel in ("ar", "aw"):
            self.pin(f"{channel}size").value = (self.bus_bytes - 1).bit_length()
            self.pin(f"{channel}burst").value = 1
            self.pin(f"{channel}len").value = BEATS - 1
        self.pin("rready").value = 1
        self.pin("bready").value = 1
        self.pin("wstrb").value = (1 << self.bus_bytes) - 1

    def pin(self, name: str) -> Any:
        """Return a signal of the bus."""
        return getattr(self.dut, f"s_axi_{name}")

    async def edge(self) -> Edge:
        """Wait for an edge, record it, and return it."""
        await RisingEdge(self.dut.clk)
        edge = Edge()
        for channel in ("ar", "r", "aw", "w", "b"):
            for name in (f"{channel}valid", f"{channel}ready"):
                edge[name] = int(self.pin(name).value)
        self.edges.append(edge)
        if edge.taken("r"):
            self.words.append(self.pin("rdata").value.to_unsigned())
            self.read_answers.append(self.pin("rresp").value.to_unsigned())
        if edge.taken("b"):
            self.answers.append(self.pin("bresp").value.to_unsigned())
        return edge

    async def run(self, cycles: int) -> None:
        """Let some cycles pass."""
        for _ in range(cycles):
            await self.edge()

    async def transfer(self, reads: list[int], writes: list[int], limit: int = 5000) -> None:
        """Read and write bursts at these addresses at once, as fast as the memory takes them.

        The data of the writes are words that count up from 1.
        """
        reads, writes = list(reads), list(writes)
        words = BEATS * len(writes)
        waiting = BEATS * len(reads), len(writes)
        done = (len(self.words), len(self.answers))
        word = 0
        moved = (0, 0)
        for _ in range(limit):
            self.pin("arvalid").value = bool(reads)
            self.pin("araddr").value = reads[0] if reads else 0
            self.pin("awvalid").value = bool(writes)
            self.pin("awaddr").value = writes[0] if writes else 0
            self.pin("wvalid").value = word < words
            self.pin("wdata").value = word + 1
            self.pin("wlast").value = word % BEATS == BEATS - 1
            edge = await self.edge()
            reads = reads[1:] if edge.taken("ar") else reads
            writes = writes[1:] if edge.taken("aw") else writes
            word += edge.taken("w")
            moved = (len(self.words) - done[0], len(self.answers) - done[1])
            if moved == waiting:
                return
        raise AssertionError(f"{moved} of {waiting} beats and answers within {limit} cycles")

    def times(self, channel: str) -> list[int]:
        """Return the numbers of the edges at which there was a handshake."""
        return [number for number, edge in enumerate(self.edges) if edge.taken(channel)]

    @property
    def violations(self) -> int:
        """Breaches that the memory has counted."""
        return self.dut.memory_violations.value.to_unsigned()


def _test(function: Callable[[Master], Awaitable[None]]) -> Any:
    """Make a cocotb test of a function that takes a started master."""

    async def run(dut: Any) -> None:
        master = Master(dut)
        await master.start()
        await function(master)

    run.__name__ = run.__qualname__ = function.__name__
    run.__doc__ = function.__doc__
    return cocotb.test(timeout_time=200, timeout_unit="us")(run)


def _argument(name: str) -> int:
    return int(cocotb.plusargs[f"memory_{name}"])


def _bursts(master: Master, first: int = 0, count: int = BURSTS) -> list[int]:
    size = BEATS * master.bus_bytes
    return [(first + number) * size for number in range(count)]


@_test
async def reads_come_at_the_rate_and_latency(master: Master) -> None:
    """Queued reads give their first beat after the latency and then one every so many cycles."""
    await master.transfer(_bursts(master), [])
    first = master.times("ar")[0] + _argument("latency")
    pace = RATE_UNIT * master.bus_bytes / _argument("rate")
    wanted = [first + int(-(-number * pace // 1)) for number in range(BEATS * BURSTS)]
    assert master.times("r") == wanted
    assert master.violations == 0


@_test
async def writes_are_answered_after_the_latency(master: Master) -> None:
    """Expect the response one latency and one cycle after the last beat."""
    await master.transfer([], _bursts(master, count=1))
    assert master.times("w") == list(range(master.times("w")[0], master.times("w")[0] + BEATS))
    assert master.times("b") == [master.times("w")[-1] + 1 + _argument("latency")]


@_test
async def reads_and_writes_share_the_rate(master: Master) -> None:
    """Together they move no more and no less than the rate allows, and take turns."""
    await master.transfer(_bursts(master), _bursts(master, BURSTS))
    pace = RATE_UNIT * master.bus_bytes / _argument("rate")
    # A beat moves the cycle after its handshake if it is written, that before it if it is read.
    first = master.times("w")[0] + 1
    last = max(master.times("r")[-1] - 1, master.times("b")[-1] - _argument("latency"))
    assert last - first == -(-(2 * BEATS * BURSTS - 1) * pace // 1)
    reads = master.times("r")
    middle = reads[BEATS : 2 * BEATS]
    if master.times("w")[-1] > middle[-1]:
        assert abs(middle[-1] - middle[0] - 2 * pace * (BEATS - 1)) < 1


@_test
async def a_turnaround_lies_between_bursts(master: Master) -> None:
    """Bursts of reads and writes take turns, and nothing moves in the cycles between them."""
    moves: list[tuple[int, str]] = []

    async def watch() -> None:
        before = (0, 0)
        for cycle in range(5000):
            await RisingEdge(master.dut.clk)
            counts = (master.dut.memory_read_beats, master.dut.memory_write_beats)
            now = tuple(count.value.to_unsigned() for count in counts)
            steps = (now[0] - before[0], now[1] - before[1])
            assert steps in ((0, 0), (1, 0), (0, 1))
            if any(steps):
                moves.append((cycle, "rw"[steps[1]]))
            before = (now[0], now[1])

    watcher = cocotb.start_soon(watch())
    await master.transfer(_bursts(master), _bursts(master, BURSTS))
    await master.run(2)
    watcher.cancel()
    turnaround = _argument("turnaround")
    pace = RATE_UNIT * master.bus_bytes // _argument("rate")
    kinds = "".join(kind for _, kind in moves)
    assert kinds.count("r") == kinds.count("w") == BEATS * BURSTS
    bursts = [kinds[first : first + BEATS] for first in range(0, len(kinds), BEATS)]
    assert all(len(set(burst)) == 1 for burst in bursts)
    # Reads begin after the latency; from there on both wait, until there are no writes any more.
    order = "".join(burst[0] for burst in bursts)
    first, last = order.index("r"), order.rindex("w")
    assert "rr" not in order[first:last]
    assert "ww" not in order[first:last]
    assert last - first > BURSTS
    begin, end = BEATS * first, BEATS * (last + 1)
    gaps = [moves[index + 1][0] - moves[index][0] for index in range(begin, end - 1)]
    changes = [index % BEATS == BEATS - 1 for index in range(len(gaps))]
    assert gaps == [pace + (turnaround if change else 0) for change in changes]
    assert master.violations == 0


@_test
async def a_turnaround_passes_while_nothing_waits(master: Master) -> None:
    """Expect a read long after a write, and a write long after a read, without delay."""
    for _ in range(2):
        start = len(master.edges)
        await master.transfer([], _bursts(master, count=1))
        wrote = [time for time in master.times("w") if time >= start]
        answered = [time for time in master.times("b") if time >= start]
        # It begins when all of the burst is there.
        assert answered == [wrote[-1] + BEATS + _argument("latency")]
        await master.run(_argument("turnaround"))
        start = len(master.edges)
        await master.transfer(_bursts(master, count=1), [])
        asked = [time for time in master.times("ar") if time >= start]
        read = [time for time in master.times("r") if time >= start]
        assert read[0] == asked[0] + _argument("latency")
        await master.run(_argument("turnaround"))


@_test
async def back_pressure_costs_nothing_but_its_cycles(master: Master) -> None:
    """If the master takes a beat every third cycle, beats come every third cycle, in order."""
    await master.transfer([], _bursts(master))
    master.pin("rready").value = 0
    reads = _bursts(master)
    while len(master.words) < BEATS * BURSTS:
        master.pin("arvalid").value = bool(reads)
        master.pin("araddr").value = reads[0] if reads else 0
        for ready in (0, 0, 1):
            master.pin("rready").value = ready
            edge = await master.edge()
            if edge.taken("ar"):
                reads = reads[1:]
                master.pin("arvalid").value = 0
        assert len(master.edges) < 5000
    assert master.words == [number + 1 for number in range(BEATS * BURSTS)]
    times = master.times("r")
    assert times[-1] - times[0] == 3 * (BEATS * BURSTS - 1)


@_test
async def transactions_under_way_are_limited(master: Master) -> None:
    """While no response is taken, the memory takes no more addresses than the plusargs say."""
    master.pin("rready").value = 0
    master.pin("bready").value = 0
    for channel in ("ar", "aw", "w"):
        master.pin(f"{channel}valid").value = 1
    beat = 0
    for _ in range(300):
        master.pin("wlast").value = beat % BEATS == BEATS - 1
        beat += (await master.edge()).taken("w")
    assert len(master.times("ar")) == _argument("reads")
    assert len(master.times("aw")) == _argument("writes")


@_test
async def breaches_are_counted(master: Master) -> None:
    """Each breach of the protocol counts once."""

    async def address(channel: str, **values: int) -> None:
        for name, value in values.items():
            master.pin(channel + name).value = value
        master.pin(f"{channel}valid").value = 1
        while not (await master.edge()).taken(channel):
            pass
        master.pin(f"{channel}valid").value = 0
        await master.run(60)

    expected = 0
    for values in (
        {"addr": 4096 - master.bus_bytes},
        {"addr": 0, "burst": 0},
        {"burst": 1, "size": 0},
    ):
        await address("ar", **values)
        expected += 1
        assert master.violations == expected, values
    master.pin("arsize").value = (master.bus_bytes - 1).bit_length()
    await address("ar", addr=4096 - BEATS * master.bus_bytes)
    assert master.violations == expected

    # WLAST a beat early, and none at the end: two breaches.
    master.pin("wvalid").value = 1
    await address("aw", addr=0, len=1)
    master.pin("wvalid").value = 0
    await master.run(60)
    master.pin("awlen").value = BEATS - 1
    assert master.violations > expected

    # A request that is withdrawn.
    expected = master.violations
    master.pin("rready").value = 0
    master.pin("arvalid").value = 1
    await master.run(100)
    assert master.violations == expected
    master.pin("arvalid").value = 0
    await master.run(2)
    assert master.violations == expected + 1


@_test
async def errors_are_answered_where_they_belong(master: Master) -> None:
    """Expect SLVERR in the range of the plusargs, DECERR beyond the end, and no write in either."""
    size = BEATS * master.bus_bytes
    base, end = _argument("error_base"), _argument("error_end")
    await master.transfer([base - size, base, end, 1 << 16], [base - size, base, end, 1 << 16])
    assert master.answers == [0, 2, 0, 3]
    assert master.read_answers == [0] * BEATS + [2] * BEATS + [0] * BEATS + [3] * BEATS
    assert master.violations == 0


@_test
async def the_dead_do_not_answer(master: Master) -> None:
    """Expect a dead memory to take nothing."""
    for channel in ("ar", "aw", "w"):
        master.pin(f"{channel}valid").value = 1
    await master.run(200)
    assert not any(master.times(channel) for channel in ("ar", "r", "aw", "w", "b"))


@_test
async def a_reset_forgets_what_was_under_way(master: Master) -> None:
    """After a reset there are no late responses, and new transfers work."""
    master.pin("arvalid").value = 1
    await master.run(20)
    master.pin("arvalid").value = 0
    master.dut.rst.value = 1
    await master.run(3)
    master.dut.rst.value = 0
    master.edges.clear()
    await master.run(100)
    assert not master.times("r")
    master.words.clear()
    await master.transfer([], _bursts(master))
    await master.transfer(_bursts(master), [])
    assert master.words == [number + 1 for number in range(BEATS * BURSTS)]


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def random_transfers_keep_their_data(dut: Any) -> None:
    """Random bytes at random addresses, by a full AXI4 master, are read back as written."""
    from cocotbext.axi import AxiBus, AxiMaster

    master = Master(dut)
    await master.start()
    generator = random.Random(cocotb.RANDOM_SEED)
    axi = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
    shadow = bytearray(1 << 14)
    await axi.write(0, bytes(shadow))
    for _ in range(30):
        address = generator.randrange(1 << 13)
        data = generator.randbytes(generator.randrange(1, 1000))
        await axi.write(address, data)
        shadow[address : address + len(data)] = data
        address, size = generator.randrange(1 << 13), generator.randrange(1, 1000)
        response: Any = await axi.read(address, size)
        assert response.data == bytes(shadow[address : address + size])
    dut.memory_sync.value = 1
    await master.run(3)
    assert master.violations == 0
