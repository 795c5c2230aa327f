# LiteX is not installed where the tests run.
# pyright: reportMissingImports=false
"""Sends random beats of write data through the bridge's crossing; runs in LiteX's Python."""

import json
import random
import sys

from litex.soc.interconnect import axi
from migen import ClockDomain, Module, run_simulation

from systolith_host.boards.bridge import AxiCrossing


class Bench(Module):
    """The crossing between two clocks."""

    def __init__(self):
        self.clock_domains.cd_accel = ClockDomain()
        self.clock_domains.cd_sys = ClockDomain()
        self.master, self.slave = (
            axi.AXIInterface(data_width=64, address_width=32, id_width=1) for _ in range(2)
        )
        self.submodules.crossing = AxiCrossing(self.master, self.slave, "accel", "sys")


def send(beats, random, stall, channel, waits):
    """Offer the beats; `waits` counts the cycles in which the channel does not take one."""
    for data, strb, last in beats:
        while random.random() < stall:
            yield
        yield channel.data.eq(data)
        yield channel.strb.eq(strb)
        yield channel.last.eq(last)
        yield channel.valid.eq(1)
        yield
        while not (yield channel.ready):
            waits.append(1)
            yield
        yield channel.valid.eq(0)


def take(count, random, stall, channel, got):
    """Take as many beats, or give up long after they should have come."""
    for _ in range(100 * count):
        yield channel.ready.eq(random.random() >= stall)
        yield
        if (yield channel.valid) and (yield channel.ready):
            got.append([(yield channel.data), (yield channel.strb), (yield channel.last)])
        if len(got) == count:
            break
    yield channel.ready.eq(0)


def main():
    """Print the beats that were sent, those that came, and how often the sender waited."""
    seed, stall_in, stall_out, fast, slow = json.loads(sys.argv[1])
    rng = random.Random(seed)
    beats = [[rng.getrandbits(64), rng.getrandbits(8), rng.getrandbits(1)] for _ in range(300)]
    bench, got, waits = Bench(), [], []
    run_simulation(
        bench,
        {
            "accel": [send(beats, rng, stall_in, bench.master.w, waits)],
            "sys": [take(len(beats), rng, stall_out, bench.slave.w, got)],
        },
        clocks={"accel": fast, "sys": slow},
    )
    json.dump({"sent": beats, "got": got, "waits": len(waits)}, sys.stdout)


main()
