"""The whole system reached by Ethernet: Etherbone, litex_server and a network of its own."""

import contextlib
import json
import subprocess
import sys

import numpy as np
import pytest

from systolith_host.boards import simulation
from systolith_host.errors import SystolithError
from systolith_host.runtime.litex.link import PACKET_WORDS, Link
from systolith_host.runtime.litex.litex import LitexDevice
from systolith_host.runtime.litex.system import System
from systolith_sim.testing.configs import small_config

MISSING = simulation.missing_for_simulation("ethernet")

pytestmark = [pytest.mark.fpga, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

CONFIG = small_config()


@pytest.fixture(scope="module")
def folder():
    return simulation.build_system_simulator(CONFIG, link="ethernet")


@pytest.fixture
def running(folder, tmp_path):
    """Return the simulator's process, and the address of litex_server."""
    with contextlib.ExitStack() as stack:
        simulator, _ = stack.enter_context(simulation.simulator(folder, tmp_path / "simulator.log"))
        options = simulation.ethernet_options(simulation.BOARD_IP)
        _, port = stack.enter_context(simulation.serve(options, tmp_path / "server.log"))
        yield simulator, f"litex://localhost:{port}"


def test_a_networks_tensors_equal_the_golden_models(running, folder, tmp_path):
    _, address = running
    config = tmp_path / "small.toml"
    config.write_text(
        "".join(f"{key} = {json.dumps(value)}\n" for key, value in CONFIG.to_dict().items())
    )
    command = [sys.executable, "-c", "from systolith_host.cli.app import main; main()"]
    command += ["run", "mini", "--config", str(config), "--device", address, "--board", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert "10 layers, 0 mismatches in 6,202 values" in run.stdout


def test_the_longest_packets_arrive_and_a_silent_board_is_one_line(running, folder):
    simulator, address = running
    link = Link(address, 15.0)
    with contextlib.closing(link):
        device = LitexDevice(link, System.load(folder))
        data = np.random.default_rng(5).integers(0, 256, 12 * PACKET_WORDS + 16, dtype=np.uint8)
        device.write_memory(0, data)
        assert np.array_equal(device.read_memory(0, data.size), data)
        simulator.kill()
        with pytest.raises(SystolithError, match=r"^litex://localhost:\d+: (no answer|the conn)"):
            device.read_register(0)
