"""The memory model under both simulators."""

from pathlib import Path

import numpy as np
import pytest
from cocotb_tools.check_results import get_results

from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.build import build
from systolith_sim.rtl.process import start_simulator
from systolith_sim.rtl.testbench import memory_testbench

pytestmark = pytest.mark.rtl

SIZE = 1 << 16


@pytest.fixture(params=["icarus", "verilator"])
def simulator(request: pytest.FixtureRequest) -> str:
    return request.param


def run(
    simulator: str, folder: Path, names: list[str], timing: MemoryTiming, bus_bytes: int = 16
) -> np.ndarray:
    """Run cocotb tests by name; return the memory afterwards, if the simulator has told it."""
    image, image_out = folder / "image", folder / "image_out"
    np.zeros(SIZE, np.uint8).tofile(image)
    arguments = [f"+image={image}", f"+image_out={image_out}", f"+memory_size={SIZE}"]
    process = start_simulator(
        build(memory_testbench(bus_bytes, 32), simulator),
        "systolith_sim.bench.bench_memory",
        [*arguments, *timing.plusargs(bus_bytes)],
        folder,
        environment={"COCOTB_TEST_FILTER": rf"\.({'|'.join(names)})$"},
    )
    try:
        assert process.wait(100) == 0, (folder / "simulator.log").read_text()
    finally:
        process.kill()
    log = (folder / "simulator.log").read_text()
    assert get_results(folder / "results.xml") == (len(names), 0), log
    return np.fromfile(image_out if image_out.exists() else image, np.uint8)


@pytest.mark.parametrize(
    ("bus_bytes", "latency", "share"), [(4, 2, 1.0), (16, 40, 1.0), (16, 40, 0.25), (64, 7, 0.375)]
)
def test_timing_is_exact(
    simulator: str, tmp_path: Path, bus_bytes: int, latency: int, share: float
) -> None:
    names = [
        "reads_come_at_the_rate_and_latency",
        "writes_are_answered_after_the_latency",
        "reads_and_writes_share_the_rate",
    ]
    if share < 1:
        names.remove("writes_are_answered_after_the_latency")
    else:
        names.append("back_pressure_costs_nothing_but_its_cycles")
    timing = MemoryTiming(latency=latency, bytes_per_cycle=share * bus_bytes)
    run(simulator, tmp_path, names, timing, bus_bytes)


@pytest.mark.parametrize(("turnaround", "share"), [(1, 1.0), (7, 1.0), (12, 0.25)])
def test_a_turnaround_is_exact(
    simulator: str, tmp_path: Path, turnaround: int, share: float
) -> None:
    timing = MemoryTiming(latency=40, bytes_per_cycle=16 * share, turnaround=turnaround)
    run(simulator, tmp_path, ["a_turnaround_lies_between_bursts"], timing)


def test_a_turnaround_passes_while_nothing_waits(simulator: str, tmp_path: Path) -> None:
    names = ["a_turnaround_passes_while_nothing_waits"]
    run(simulator, tmp_path, names, MemoryTiming(latency=5, turnaround=20))


def test_transactions_under_way_are_limited(simulator: str, tmp_path: Path) -> None:
    timing = MemoryTiming(reads=3, writes=2)
    run(simulator, tmp_path, ["transactions_under_way_are_limited"], timing)


def test_breaches_of_the_protocol_are_counted(simulator: str, tmp_path: Path) -> None:
    run(simulator, tmp_path, ["breaches_are_counted"], MemoryTiming(latency=5, reads=2))


def test_errors_are_answered_where_they_belong(simulator: str, tmp_path: Path) -> None:
    timing = MemoryTiming(errors=(0x800, 0x880))
    memory = run(simulator, tmp_path, ["errors_are_answered_where_they_belong"], timing)
    if simulator == "verilator":
        words = memory.view("<u8")[::2]
        # Bursts of 8 words of 16 bytes before, inside and behind the range of errors.
        assert words[0x780 // 16 : 0x900 // 16].tolist() == [
            *range(1, 9),
            *[0] * 8,
            *range(17, 25),
        ]


def test_dead_memory_takes_nothing(simulator: str, tmp_path: Path) -> None:
    run(simulator, tmp_path, ["the_dead_do_not_answer"], MemoryTiming(dead=True))


def test_reset_forgets_what_was_under_way(simulator: str, tmp_path: Path) -> None:
    run(simulator, tmp_path, ["a_reset_forgets_what_was_under_way"], MemoryTiming())


@pytest.mark.parametrize("stalls", [0.0, 0.5])
@pytest.mark.parametrize("turnaround", [0, 5])
def test_random_transfers_keep_their_data(
    simulator: str, tmp_path: Path, stalls: float, turnaround: int
) -> None:
    timing = MemoryTiming(latency=3, stalls=stalls, seed=7, turnaround=turnaround)
    memory = run(simulator, tmp_path, ["random_transfers_keep_their_data"], timing, 8)
    assert memory.size == SIZE
    assert np.count_nonzero(memory[: 1 << 13]) > 100
    assert not memory[1 << 14 :].any()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("latency", 1),
        ("bytes_per_cycle", 0.0),
        ("turnaround", 65),
        ("reads", 65),
        ("writes", 0),
        ("stalls", 1.0),
    ],
)
def test_impossible_timing_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^memory {field} must be .*, not {value!r}$"):
        MemoryTiming(**{field: value})  # pyright: ignore[reportArgumentType]
