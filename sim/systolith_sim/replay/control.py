"""The controller: the dependency tokens, and the end of a program."""

from systolith_sim.replay.parts import compiled, registers

__all__ = ["CONTROL", "offer", "start", "step"]

CONTROL = registers(
    numbers=(
        *("loaded", "computed", "drained", "stored"),  # the tokens
        *("loads", "convs", "stores"),  # handed to their queues
        "settle",
    ),
    flags=(
        *("complete", "stores_pending"),
        # Within a cycle: what it offers.
        *("completes", "pends", "load_ends", "drain_ends", "store_ends"),
    ),
)


@compiled
def start(s, f):
    """Bring the registers to the start of a program."""
    s.settle = f.settle


@compiled
def offer(s, f, fetch, load, store, read, write):
    """Find whether all work is done, and which instructions have ended."""
    s.completes = (
        fetch.fetched == f.count
        and s.loads == s.loaded
        and s.convs == s.computed
        and s.stores == s.stored
        and read.quiet
        and write.quiet
    )
    s.pends = s.stores != s.stored
    s.load_ends = load.done
    s.drain_ends = store.drained
    s.store_ends = write.acknowledged


@compiled
def step(s, fetch, compute, stores, times, now):
    """Move one cycle on; `stores` are the instructions that are STOREs."""
    s.complete = s.completes
    s.stores_pending = s.pends
    if s.settle != 0:
        s.settle -= 1
    s.loaded += s.load_ends
    s.computed += compute.computed
    s.drained += s.drain_ends
    if s.store_ends:
        times[stores[s.stored], 3] = now
        s.stored += 1
    s.loads += fetch.sent_load
    s.convs += fetch.sent_conv
    s.stores += fetch.sent_store
