"""Views that share memory: places by a search of our own, and the copies that are left."""

import random

import pytest

from systolith_host.network.joins import Piece, arrange, copied_parts


def apart(views, copied, name):
    """Return the channels that a tensor consists of: (tensor that is made, channel)."""
    pieces, channels = views
    if name not in pieces or name in copied:
        return [(name, channel) for channel in range(channels[name])]
    found = []
    for part, first, count in pieces[name]:
        found += apart(views, copied, part)[first : first + count]
    return found


def check(pieces, channels, fixed, block):
    """Paint the channels of every tensor that is made, and read every view."""
    found = arrange(pieces, channels, fixed, block)
    memory = {}
    for name in channels:
        if name in pieces and name not in found.copied:
            continue
        root, first = found.inside.get(name, (name, 0))
        assert first % block == 0
        assert root not in found.inside
        assert name not in fixed or root == name
        for channel in range(channels[name]):
            assert (root, first + channel) not in memory
            memory[root, first + channel] = (name, channel)
    for name in pieces.keys() - set(found.copied):
        root, first = found.inside.get(name, (name, 0))
        wanted = apart((pieces, channels), found.copied, name)
        assert [memory[root, first + at] for at in range(channels[name])] == wanted
        assert first % block == 0
        # Nobody else's channels stand in its last block.
        end = first + channels[name]
        assert end % block == 0 or (root, end) not in memory
    return found


def whole(channels, parts):
    return [Piece(part, 0, channels[part]) for part in parts]


def random_views(rng):
    channels = {f"t{number}": rng.choice([4, 4, 8, 12, 3]) for number in range(rng.randint(2, 8))}
    pieces = {}
    for number in range(rng.randint(1, 9)):
        names = list(channels)
        if rng.random() < 0.4:
            first = rng.randrange(len(names))
            made = whole(channels, names[first : first + rng.randint(1, 4)])
        elif rng.random() < 0.5:
            made = whole(channels, rng.choices(names, k=rng.randint(1, 4)))
        else:
            name = rng.choice(names)
            first, end = sorted(rng.sample(range(channels[name] + 1), 2))
            if rng.random() < 0.7:
                first, end = first - first % 4, -(-end // 4) * 4
            made = [Piece(name, first, min(end, channels[name]) - first)]
        pieces[f"v{number}"] = made
        channels[f"v{number}"] = sum(piece.size for piece in made)
    return pieces, channels


@pytest.mark.parametrize("seed", range(400))
def test_every_view_reads_its_pieces(seed):
    rng = random.Random(seed)
    pieces, channels = random_views(rng)
    fixed = {"t0"} if rng.random() < 0.5 else set()
    for block in (1, 4, 16):
        check(pieces, channels, fixed, block)
    copies = copied_parts(pieces, channels, fixed)
    for name, numbers in copies.items():
        assert len(pieces[name]) > 1  # a range is never copied for channels alone
        for number in numbers:
            channels[f"{name} {number}"] = pieces[name][number].size
            pieces[name][number] = Piece(f"{name} {number}", 0, pieces[name][number].size)
    assert not check(pieces, channels, fixed, 1).copied


def dense(count, growth, channels):
    sizes = {"x": channels} | {f"c{number}": growth for number in range(count)}
    names = list(sizes)
    joins = {f"j{number}": whole(sizes, names[: number + 2]) for number in range(count)}
    return joins, sizes | {
        name: sum(piece.size for piece in pieces) for name, pieces in joins.items()
    }


def test_a_dense_block_is_one_tensor():
    joins, channels = dense(24, 32, 256)
    found = check(joins, channels, {"input"}, 16)
    assert not found.copied
    assert {root for root, _ in found.inside.values()} == {"j23"}
    assert found.inside["j3"] == ("j23", 0)
    assert found.inside["c3"] == ("j23", 256 + 3 * 32)
    assert copied_parts(joins, channels, {"input"}) == {}


def test_concatenations_that_begin_with_the_newest_share_its_end():
    joins, channels = dense(5, 16, 48)
    joins = {name: pieces[::-1] for name, pieces in joins.items()}
    found = check(joins, channels, {}, 16)
    assert not found.copied
    assert found.inside["j0"] == ("j4", 4 * 16)


def test_parts_between_blocks_are_copied_at_every_concatenation():
    joins, channels = dense(5, 12, 24)
    assert check(joins, channels, {}, 16).copied == tuple(joins)
    # Whole blocks before every part would be enough.
    assert check(joins, channels, {}, 12).copied == ()


def test_only_what_stands_elsewhere_is_copied():
    channels = {"a": 16, "b": 16, "c": 16, "j": 32, "k": 48, "l": 32, "input": 16}
    joins = {"j": "ac", "k": "abc", "l": ["input", "b"]}
    joins = {name: whole(channels, parts) for name, parts in joins.items()}
    assert copied_parts(joins, channels, {"input"}) == {"j": [0, 1], "l": [0, 1]}
    twice = {"k": whole(channels, "aba")}
    assert copied_parts(twice, channels, {}) == {"k": [2]}


def test_halves_that_are_joined_again_need_no_copy():
    # The halves of y, and what layers make of the second, joined: y is written there as a whole.
    channels = {"y": 32, "a": 16, "b": 16, "m": 16, "n": 16, "j": 64, "i": 32}
    views = {
        "a": [Piece("y", 0, 16)],
        "b": [Piece("y", 16, 16)],
        "j": whole(channels, "abmn"),
    }
    found = check(views, channels, {}, 16)
    assert not found.copied
    assert found.inside["y"] == ("j", 0)
    assert found.inside["b"] == ("j", 16)
    # One half alone would bring the other half along.
    alone = {"a": views["a"], "i": whole(channels, "am")}
    assert copied_parts(alone, channels, {}) == {"i": [0]}
    # The input stays where it is; its channels can be read there.
    assert check({"a": views["a"]}, channels, {"y"}, 16).inside == {"a": ("y", 0)}


def test_a_range_ends_with_a_block_or_with_its_tensor():
    channels = {"y": 40, "a": 24, "b": 24}
    views = {"a": [Piece("y", 0, 24)], "b": [Piece("y", 16, 24)]}
    assert check(views, channels, {}, 16).copied == ("a",)
