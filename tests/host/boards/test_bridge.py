"""The bridge's crossing of write data between the clocks, simulated by Migen."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import systolith_host
from systolith_host.boards.job import litex_python
from systolith_host.errors import SystolithError


def _has_litex():
    try:
        litex_python()
    except SystolithError:
        return False
    return True


@pytest.mark.fpga
@pytest.mark.skipif(not _has_litex(), reason="LiteX is not installed: run `make fpga-setup`")
@pytest.mark.parametrize(
    ("stall_in", "stall_out", "accel_ns", "sys_ns"),
    [(0, 0, 10, 20), (0.5, 0, 10, 20), (0, 0.6, 8, 13), (0.3, 0.5, 16, 13), (0.2, 0.2, 10, 13)],
)
def test_written_data_cross_in_order_whoever_stalls(stall_in, stall_out, accel_ns, sys_ns):
    bench = Path(__file__).with_name("crossing_bench.py")
    choice = json.dumps([accel_ns * sys_ns, stall_in, stall_out, accel_ns, sys_ns])
    root = Path(str(systolith_host.__file__)).parents[1]
    done = subprocess.run(
        [litex_python(), str(bench), choice],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["got"] == result["sent"]
    # The slower side fills the queue, so the sender had to wait.
    assert result["waits"] or stall_in
