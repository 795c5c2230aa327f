"""SCALE-Sim on layers: runs in an environment of its own, prints JSON; see peers.py."""

import contextlib
import csv
import json
import sys
import tempfile
import time
from pathlib import Path

CONFIG = """
[general]
run_name = peers

[run_presets]
InterfaceBandwidth = USER
UseRamulatorTrace = False

[architecture_presets]
ArrayHeight = {rows}
ArrayWidth = {cols}
IfmapSramSzkB = {act_kib}
FilterSramSzkB = {weight_kib}
OfmapSramSzkB = {acc_kib}
IfmapOffset = 0
FilterOffset = 100000000
OfmapOffset = 300000000
Dataflow = ws
Bandwidth = {bus_bytes}
ReadRequestBuffer = 64
WriteRequestBuffer = 64

[layout]
IfmapCustomLayout = False
FilterCustomLayout = False
IfmapSRAMBankBandwidth = 32
IfmapSRAMBankNum = 32
IfmapSRAMBankPort = 2
FilterSRAMBankBandwidth = 32
FilterSRAMBankNum = 32
FilterSRAMBankPort = 2

[sparsity]
SparsitySupport = false
"""

LAYOUT_COLUMNS = 20
"""It wants a layout of every layer even where none is used."""


def run(job):
    from scalesim.scale_sim import scalesim

    found = {}
    for layer in job["layers"]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            sizes = {
                "act_kib": job["act_bytes"] // 1024,
                "weight_kib": job["weight_bytes"] // 1024,
                "acc_kib": 8 * job["acc_depth"] * job["cols"] // 1024,
            }
            (folder / "peers.cfg").write_text(CONFIG.format(**job, **sizes))
            # Padding is part of its input.
            height, width = (
                layer[f"out_{axis}"] + kernel - 1
                for axis, kernel in zip(("height", "width"), layer["kernel"], strict=True)
            )
            fields = [height, width, *layer["kernel"], layer["inputs"], layer["outputs"], 1, "1:1"]
            text = ",".join(map(str, [layer["name"], *fields]))
            (folder / "layers.csv").write_text(f"name, sizes,\n{text},\n")
            text = ",".join([layer["name"], *["1"] * 6, *"01201201230123"])
            (folder / "layout.csv").write_text(f"name, orders,\n{text},\n")
            started, cpu = time.monotonic(), time.process_time()
            with contextlib.redirect_stdout(sys.stderr):
                simulation = scalesim(
                    save_disk_space=True,
                    verbose=False,
                    config=str(folder / "peers.cfg"),
                    topology=str(folder / "layers.csv"),
                    layout=str(folder / "layout.csv"),
                    input_type_gemm=False,
                )
                simulation.run_scale(top_path=str(folder / "out"))
            found[layer["name"]] = {
                "seconds": time.monotonic() - started,
                "cpu_seconds": time.process_time() - cpu,
                **report(folder / "out"),
            }
    return {"layers": found}


def report(folder):
    """Return cycles with and without the first fill of the buffers, and the memory's traffic."""
    (compute,) = rows(folder, "COMPUTE_REPORT.csv")
    (access,) = rows(folder, "DETAILED_ACCESS_REPORT.csv")
    moved = ("DRAM IFMAP Reads", "DRAM Filter Reads", "DRAM OFMAP Writes")
    return {
        "cycles": int(float(compute["Total Cycles"])),
        "filled": int(float(compute["Total Cycles (incl. prefetch)"])),
        "bytes": sum(int(float(access[name])) for name in moved),
    }


def rows(folder, name):
    (path,) = folder.rglob(name)
    with path.open() as file:
        return list(csv.DictReader(file, skipinitialspace=True))


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
