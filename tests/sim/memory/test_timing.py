"""The simulated memory's settings, and the arguments that tell a simulation."""

import pytest

from systolith_sim.memory.timing import MemoryTiming


def settings(timing, bus_bytes=8):
    arguments = timing.plusargs(bus_bytes)
    assert all(argument.startswith("+memory_") for argument in arguments)
    return dict(one.removeprefix("+memory_").partition("=")[::2] for one in arguments)


def test_all_settings_are_told():
    told = settings(
        MemoryTiming(
            latency=9, bytes_per_cycle=2.5, turnaround=3, reads=5, writes=6, stalls=0.25, seed=7
        )
    )
    assert {name: told[name] for name in ("latency", "turnaround", "reads", "writes", "seed")} == {
        "latency": "9",
        "turnaround": "3",
        "reads": "5",
        "writes": "6",
        "seed": "7",
    }
    assert told["rate"] == str(640)
    assert {told[f"stall_{channel}"] for channel in ("ar", "r", "aw", "w", "b")} == {"64"}


def test_the_rate_is_the_bus_unless_given():
    assert settings(MemoryTiming(), 16)["rate"] == str(16 * 256)


def test_errors_and_death_are_told_only_if_there_are_any():
    assert not {"error_base", "error_end", "dead"} & settings(MemoryTiming()).keys()
    told = settings(MemoryTiming(errors=(64, 128), dead=True))
    assert (told["error_base"], told["error_end"], told["dead"]) == ("64", "128", "")


@pytest.mark.parametrize("changes", [{"stalls": 1.0}, {"stalls": -0.1}, {"seed": 0}])
def test_what_no_memory_does_is_refused(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        MemoryTiming(**changes)
