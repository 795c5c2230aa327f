"""Small configurations."""

import pytest

from systolith_hw.spec.config import ConfigError
from systolith_sim.testing.configs import small_config


@pytest.mark.parametrize("shape", [(2, 2), (3, 6), (4, 4), (6, 2), (8, 8)])
def test_every_shape_is_a_configuration(shape):
    config = small_config(*shape)
    assert (config.rows, config.cols) == shape
    assert config.block % config.post_lanes == 0
    assert config.act_bytes + config.weight_bytes < 8192


def test_fields_can_be_changed_and_are_checked():
    assert small_config(queue_depth=1, name="one").queue_depth == 1
    with pytest.raises(ConfigError, match="acc_depth"):
        small_config(acc_depth=0)
