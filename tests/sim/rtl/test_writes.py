"""The record of what the RTL wrote, taken instruction by instruction."""

import numpy as np

from systolith_sim.emulator.access import Written
from systolith_sim.rtl.writes import WriteLog, programs_in
from systolith_sim.testing.configs import small_config

CONFIG = small_config(4, 2, bus_bytes=4, post_lanes=2)


def written(store, *places, first=0, count=1, writes=None):
    return Written(store, np.array(places), first, count, writes or len(places))


def test_a_file_is_cut_into_programs():
    lines = ["D f 0", "S", "B 0 1", "S", "S", "D 1 2"]
    assert list(programs_in(lines)) == [["B 0 1"], [], ["D 1 2"]]
    assert list(programs_in([])) == []


def test_a_group_of_rows_is_written_alone():
    # Bytes 1 and -2 to the second group of rows, 3 and 4 to the first one, of word 5.
    log = WriteLog(CONFIG, ["A 00000005 2 fe01", "A 00000005 1 0403", "A 00000005 1 0605"])
    second = log.take(written("act", 5, first=2, count=2))
    assert second is not None
    assert second.tolist() == [[1, -2]]
    first = log.take(written("act", 5, count=2, writes=2))
    assert first is not None
    assert first.tolist() == [[5, 6]]
    assert log.left_over() == {}


def test_parameters_stand_in_lanes_and_are_bytes():
    log = WriteLog(CONFIG, ["P 3 2 ff00000000000080"])
    found = log.take(written("param", 7, count=8))
    assert found is not None
    assert found.tolist() == [[128, 0, 0, 0, 0, 0, 0, 255]]


def test_each_column_takes_its_own_sums():
    lines = ["C 0 1 4 00000001", "C 1 1 4 ffffffff", "C 0 1 4 00000007", "C 1 1 4 80000000"]
    log = WriteLog(CONFIG, [line for line in lines])
    assert CONFIG.sum_width == 32
    found = log.take(written("acc1", 4, count=2, writes=2))
    assert found is not None
    assert found.tolist() == [[7, -(1 << 31)]]


def test_bytes_of_memory_have_the_addresses_of_their_bursts():
    lines = ["D c 0a0b0000", "B 102 2", "D 1 0000000c", "B 200 1", "D f 04030201"]
    log = WriteLog(CONFIG, lines)
    found = log.take(written("memory", 0x102, 0x103, 0x104))
    assert found is not None
    assert found[:, 0].tolist() == [0xB, 0xA, 0xC]
    assert log.left_over() == {"memory": 4}


def test_too_few_writes_and_those_of_other_places_are_told():
    log = WriteLog(CONFIG, ["W 1 1 0201", "W 2 1 0403"])
    assert log.take(written("weight", 1, 2, 3, count=2)) is None
    assert log.take(written("weight", 1, count=2, writes=2)) is None
    assert log.take(written("table", 0)) is None
