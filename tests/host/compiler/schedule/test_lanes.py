"""Lanes: the counts of a LOAD of activations."""

import itertools

import pytest

from systolith_host.compiler.lower.operation import LARGEST_SIDE
from systolith_host.compiler.schedule.lanes import lane_load, read_row


def counts(**change):
    case = {
        "lane": 0,
        "lanes": 1,
        "group": (0, 3),
        "blocks": 8,
        "rows": 5,
        "row_words": 7,
        "whole": True,
        "complete": True,
    }
    return lane_load(*(case | change).values())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (1, 1, 3 * 5 * 7, 15)),
        ({"complete": False}, (3, 1, 5 * 7, 5)),
        ({"whole": False}, (3, 5, 7, 5)),
        ({"lanes": 2}, (3, 1, 5 * 7, 5)),
        ({"rows": LARGEST_SIDE // 3}, (1, 1, LARGEST_SIDE * 7, LARGEST_SIDE)),
        ({"rows": LARGEST_SIDE // 3 + 1}, (3, 1, (LARGEST_SIDE // 3 + 1) * 7, 21846)),
    ],
)
def test_planes_are_joined_where_nothing_stands_between_them(change, expected):
    assert counts(**change) == expected


def test_every_block_of_memory_is_read_by_one_lane():
    for lanes, blocks, count in itertools.product((1, 2, 3), range(1, 14), (1, 2, 5)):
        read = []
        groups = -(-blocks // lanes)
        for first in range(0, groups, count):
            group = (first, min(count, groups - first))
            for lane in range(lanes):
                planes, *_ = counts(lane=lane, lanes=lanes, group=group, blocks=blocks, whole=False)
                read += [(first + plane) * lanes + lane for plane in range(planes)]
        assert sorted(read) == list(range(blocks))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ((6, 8, 8, 48), (6, True)),
        ((5, 8, 8, 48), (5, False)),
        ((6, 3, 8, 24), (3, True)),  # 18 bytes of packed pixels, in words of 8
        ((6, 3, 8, 32), (3, False)),
    ],
)
def test_a_row_is_read_in_words(case, expected):
    assert read_row(*case) == expected
