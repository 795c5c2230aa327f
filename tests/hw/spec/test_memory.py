"""The external memory's numbers: ranges, rates, words."""

import json
from typing import Any

import numpy as np
import pytest

from systolith_hw.spec.config import ConfigError
from systolith_hw.spec.memory import Memory


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"bytes_per_cycle": 0.001}, r"bytes_per_cycle must be 1/256 to 1024, not 0.001"),
        ({"latency": 1}, r"latency must be 2 to 100000 cycles, not 1"),
        ({"turnaround": 65}, r"turnaround must be 0 to 64 cycles, not 65"),
        ({"reads": 0}, r"reads must be 1 to 64, not 0"),
        ({"writes": 65}, r"writes must be 1 to 64, not 65"),
        ({"latency": 40.5}, r"latency must be a whole number, not 40.5"),
        ({"turnaround": True}, r"turnaround must be a whole number, not True"),
        ({"bytes_per_cycle": "8"}, r"bytes_per_cycle must be a number, not '8'"),
        ({"bytes_per_cycle": float("nan")}, r"bytes_per_cycle must be 1/256 to 1024, not nan"),
    ],
)
def test_what_is_out_of_range_is_refused(fields, rule):
    with pytest.raises(ConfigError, match=rf"^memory {rule}$"):
        Memory(**fields)


def test_numbers_of_numpy_become_those_of_json():
    numbers: dict[str, Any] = {"latency": np.int64(40), "bytes_per_cycle": np.float32(2.5)}
    memory = Memory(**numbers)
    assert type(memory.latency) is int
    assert json.loads(json.dumps(memory.to_dict(8)))["bytes_per_cycle"] == 2.5


def test_the_slower_one_of_memory_and_bus_sets_the_rate():
    assert Memory(bytes_per_cycle=4).rate(16) == 4
    assert Memory(bytes_per_cycle=64).rate(16) == 16
    assert Memory().rate(16) == 16


def test_words_and_json_name_the_rate_of_the_bus_where_no_other_is_given():
    assert Memory().described(8) == "8 bytes per cycle, latency 40 cycles"
    text = Memory(bytes_per_cycle=2.5, turnaround=3).described(8)
    assert text == "2.5 bytes per cycle, latency 40 cycles, turnaround 3 cycles"
    assert Memory().to_dict(8) == {
        "bytes_per_cycle": 8.0, "latency": 40, "turnaround": 0, "reads": 64, "writes": 64
    }  # fmt: skip
