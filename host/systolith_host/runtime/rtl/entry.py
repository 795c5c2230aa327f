"""The cocotb module of a simulation: runs a job's layers with the driver, and tells its parent."""

import json
import os
import traceback
from pathlib import Path
from typing import Any

import cocotb
from cocotb.task import bridge

from systolith_host.errors import SystolithError
from systolith_host.program.program import LayerProgram
from systolith_host.runtime.driver import Driver
from systolith_host.runtime.rtl.simulate import EVENTS_VARIABLE, JOB_VARIABLE
from systolith_hw.spec.config import AcceleratorConfig
from systolith_sim.rtl.cocotb_device import CocotbDevice

__all__ = ["run_job"]


# Its limits are those of the job: each layer has one in cycles, and the parent watches the time.
@cocotb.test()
async def run_job(dut: Any) -> None:
    """Run the job that the environment names."""
    descriptor = int(os.environ[EVENTS_VARIABLE])
    job = json.loads(Path(os.environ[JOB_VARIABLE]).read_text())
    image_out = job["image_out"]
    device = CocotbDevice(
        dut,
        Path(job["image"]),
        Path(image_out) if image_out else None,
        progress_cycles=job["progress_cycles"],
    )

    def tell(event: str, **values: Any) -> None:
        os.write(descriptor, (json.dumps({"event": event, **values}) + "\n").encode())

    try:
        await device.start()
        await bridge(_run_layers)(device, job, tell)
    except SystolithError as error:
        tell("error", text=str(error))
        raise
    except Exception as error:
        traceback.print_exc()
        tell("error", text=f"{type(error).__name__}: {error}")
        raise


def _run_layers(device: CocotbDevice, job: dict[str, Any], tell: Any) -> None:
    config = AcceleratorConfig.from_dict(job["config"])
    driver = Driver(device, config, job["memory_size"], watchdog=job["watchdog"])
    for fields, limit in zip(job["layers"], job["limits"], strict=True):
        layer = LayerProgram(**{**fields, "covers": tuple(fields["covers"])})
        tell("start", layer=layer.name)
        beats = device.beats
        counters = driver.run_layer(
            layer,
            limit,
            lambda cycles, name=layer.name: tell("progress", layer=name, cycles=cycles),
        )
        if device.violations:
            raise SystolithError(
                f"{layer.name}: the accelerator broke the AXI4 protocol "
                f"({device.violations} times; simulator.log names each)"
            )
        read, written = (
            (now - before) * config.bus_bytes
            for now, before in zip(device.beats, beats, strict=True)
        )
        tell(
            "layer",
            layer=layer.name,
            cycles=counters.cycles,
            bytes_read=counters.bytes_read,
            bytes_written=counters.bytes_written,
            states=counters.states,
            memory_bytes=[read, written],
        )
    device.finish()
    tell("done")
