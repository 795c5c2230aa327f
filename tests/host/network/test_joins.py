"""Concatenations that share memory: places by a search of our own, and the copies that are left."""

import random

import pytest

from systolith_host.network.joins import arrange, copied_parts


def leaves(joins, gathered, name):
    """Return the tensors that a concatenation, or any other tensor, consists of."""
    if name not in joins or name in gathered:
        return [name]
    return [leaf for part in joins[name] for leaf in leaves(joins, gathered, part)]


def check(joins, channels, fixed, block):
    """Paint the channels of every tensor that is made, and read every concatenation."""
    found = arrange(joins, channels, fixed, block)
    memory = {}
    whole = {name for name in channels if name not in joins or name in found.gathered}
    for name in whole:
        root, first = found.inside.get(name, (name, 0))
        assert first % block == 0
        assert root not in found.inside
        assert name not in fixed or root == name
        for channel in range(channels[name]):
            assert (root, first + channel) not in memory
            memory[root, first + channel] = (name, channel)
    for name in joins.keys() - set(found.gathered):
        root, first = found.inside.get(name, (name, 0))
        wanted = [
            (leaf, channel)
            for part in joins[name]
            for leaf in leaves(joins, found.gathered, part)
            for channel in range(channels[leaf])
        ]
        assert [memory[root, first + at] for at in range(channels[name])] == wanted
        assert first % block == 0
    return found


def random_joins(rng):
    channels = {f"t{number}": rng.choice([4, 4, 8, 12, 3]) for number in range(rng.randint(2, 8))}
    joins = {}
    for number in range(rng.randint(1, 7)):
        names = list(channels)
        if rng.random() < 0.5:
            first = rng.randrange(len(names))
            parts = names[first : first + rng.randint(1, 4)]
        else:
            parts = rng.choices(names, k=rng.randint(1, 4))
        joins[f"j{number}"] = parts
        channels[f"j{number}"] = sum(channels[part] for part in parts)
    return joins, channels


@pytest.mark.parametrize("seed", range(300))
def test_every_concatenation_reads_its_parts(seed):
    rng = random.Random(seed)
    joins, channels = random_joins(rng)
    fixed = {"t0"} if rng.random() < 0.5 else set()
    for block in (1, 4, 16):
        check(joins, channels, fixed, block)
    copies = copied_parts(joins, channels, fixed)
    for name, numbers in copies.items():
        joins[name] = list(joins[name])
        for number in numbers:
            copy = f"{name} {number}"
            channels[copy] = channels[joins[name][number]]
            joins[name][number] = copy
    assert not check(joins, channels, fixed, 1).gathered


def dense(count, growth, channels):
    sizes = {"x": channels} | {f"c{number}": growth for number in range(count)}
    names = list(sizes)
    joins = {f"j{number}": names[: number + 2] for number in range(count)}
    return joins, sizes | {name: sum(map(sizes.get, parts)) for name, parts in joins.items()}


def test_a_dense_block_is_one_tensor():
    joins, channels = dense(24, 32, 256)
    found = check(joins, channels, {"input"}, 16)
    assert not found.gathered
    assert {root for root, _ in found.inside.values()} == {"j23"}
    assert found.inside["j3"] == ("j23", 0)
    assert found.inside["c3"] == ("j23", 256 + 3 * 32)
    assert copied_parts(joins, channels, {"input"}) == {}


def test_concatenations_that_begin_with_the_newest_share_its_end():
    joins, channels = dense(5, 16, 48)
    joins = {name: parts[::-1] for name, parts in joins.items()}
    found = check(joins, channels, {}, 16)
    assert not found.gathered
    assert found.inside["j0"] == ("j4", 4 * 16)


def test_parts_between_blocks_are_copied_at_every_concatenation():
    joins, channels = dense(5, 12, 24)
    assert check(joins, channels, {}, 16).gathered == tuple(joins)
    # Whole blocks before every part would be enough.
    assert check(joins, channels, {}, 12).gathered == ()


def test_only_what_stands_elsewhere_is_copied():
    channels = {"a": 16, "b": 16, "c": 16, "j": 32, "k": 48, "l": 32}
    joins = {"j": ["a", "c"], "k": ["a", "b", "c"], "l": ["input", "b"]}
    assert copied_parts(joins, channels | {"input": 16}, {"input"}) == {"j": [0, 1], "l": [0, 1]}
    assert copied_parts({"j": ["a", "b", "a"]}, channels, {}) == {"j": [2]}
