"""The golden model of a whole network: what it tells while it runs."""

import numpy as np

from systolith_host.lab.drawn_networks import Net
from systolith_host.network.golden import run_golden


def test_progress_is_told_in_multiply_accumulates():
    net = Net(channels=5, height=5, width=4)
    first = net.conv("x", outputs=3, size=3)
    joined = net.join(first, first)
    second = net.conv(joined, outputs=2)
    told = []
    run_golden(net.build(second), np.zeros((1, 5, 5, 4), np.int8), lambda *news: told.append(news))
    work = (3 * 5 * 9 * 20, 0, 2 * 6 * 20)
    starts = [sum(work[:number]) for number in range(3)]
    names = (first, joined, second)
    assert told == [(name, done, sum(work)) for name, done in zip(names, starts, strict=True)]
