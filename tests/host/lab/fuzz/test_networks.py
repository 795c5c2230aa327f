"""Random networks fit every random configuration: their sums have 28 bits at most."""

import math
import random

from systolith_host.compiler.lower.pack import conv_params
from systolith_host.lab.fuzz.layers import LARGEST_FAN_IN
from systolith_host.lab.fuzz.networks import random_qgraph
from systolith_host.network.qgraph import QConv
from systolith_sim.testing.configs import small_config


def test_sums_fit_28_bits_whatever_the_size_of_tensors():
    config = small_config(acc_width=28, multiplier_width=12)
    large = 0
    for seed in range(500):
        qgraph = random_qgraph(random.Random(seed), mosaics=True)
        for layer in qgraph.layers:
            if isinstance(layer, QConv):
                conv_params(layer, config, qgraph.tensors[layer.input].zero_point)
        sizes = [math.prod(tensor.shape) for tensor in qgraph.tensors.values()]
        large += max(sizes) > LARGEST_FAN_IN
    assert large, "no tensor is so large that a fully connected layer of it was left out"
