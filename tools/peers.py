"""SCALE-Sim 3 and ZigZag beside our own cycles, on VGG-16: a table in docs/peers.md."""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from systolith_host.errors import SystolithError
from systolith_host.explore.network import load_network
from systolith_host.perf.model import replay_program
from systolith_host.quantize.qgraph import QConv
from systolith_host.schedule import compile_network
from systolith_hw.spec.presets import PRESETS

LIMIT_SECONDS = 3000
"""Of a peer on one array."""

SIMULATED = ("conv1_1",)
"""The layers that SCALE-Sim simulates; all of VGG-16's convolutions would take hours."""

TOOLS = Path(__file__).parent


def layers_of(network):
    """Return the shapes of a network's convolutions; a fully connected layer is one of 1x1."""
    qgraph = load_network(network)
    found = []
    for layer in qgraph.layers:
        if not isinstance(layer, QConv):
            continue
        outputs, inputs, *kernel = layer.weight.shape
        _, height, width = qgraph.tensors[layer.output].shape
        if layer.kind == "fc":
            inputs, kernel = inputs * kernel[0] * kernel[1], [1, 1]
        sizes = {"out_height": height, "out_width": width, "kernel": kernel}
        found.append({"name": layer.name, "inputs": inputs, "outputs": outputs, **sizes})
    return found


def closed_form(layer, config):
    """Return SCALE-Sim's cycles of a layer: folds x (pixels + 2 rows + columns - 2)."""
    products = layer["inputs"] * layer["kernel"][0] * layer["kernel"][1]
    folds = -(-products // config.rows) * -(-layer["outputs"] // config.cols)
    pixels = layer["out_height"] * layer["out_width"]
    return folds * (pixels + 2 * config.rows + config.cols - 2)


def run_peer(name, job, environment):
    """Return a peer's answer."""
    python = environment / "bin" / "python"
    if not python.exists():
        raise SystolithError(f"{environment} is not there: run `make peers`")
    command = [str(python), str(TOOLS / f"peers_{name}.py")]
    done = subprocess.run(
        command,
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no output"]
        raise SystolithError(f"{name} failed: {lines[-1]}")
    return json.loads(done.stdout)


def own(network, config):
    """Return the cycles and bytes of our layers by the replay, and what it took to find them."""
    started, cpu = time.monotonic(), time.process_time()
    program = compile_network(load_network(network), config)
    compiled = time.process_time() - cpu
    found = {}
    for layer in replay_program(program):
        moved = layer.counters.bytes_read + layer.counters.bytes_written
        found[layer.name] = {"cycles": layer.cycles, "bytes": moved}
    return found, compiled, time.process_time() - cpu, time.monotonic() - started


def compare(network, preset, root):
    """Return lines of the table of one array."""
    config = PRESETS[preset]
    job = {
        "rows": config.rows,
        "cols": config.cols,
        "bus_bytes": config.bus_bytes,
        "acc_depth": config.acc_depth,
        "act_bytes": config.act_bytes,
        "weight_bytes": config.weight_bytes,
        "layers": layers_of(network),
    }
    ours, compiled, cpu, _ = own(network, config)
    print(f"{preset}: ours done", file=sys.stderr, flush=True)
    zigzag = run_peer("zigzag", job, root / ".venv-zigzag")
    print(f"{preset}: ZigZag done", file=sys.stderr, flush=True)
    few = [layer for layer in job["layers"] if layer["name"] in SIMULATED]
    simulated = run_peer("scalesim", {**job, "layers": few}, root / ".venv-scalesim")["layers"]
    print(f"{preset}: SCALE-Sim done", file=sys.stderr, flush=True)
    lines = [
        f"## {config.rows}x{config.cols} (`{preset}`)",
        "",
        "| layer | ours | ZigZag | SCALE-Sim, closed form | simulated | bytes: ours | ZigZag "
        "| SCALE-Sim |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    totals = [0.0] * 5
    for layer in job["layers"]:
        name = layer["name"]
        mine, peer = ours[name], zigzag["layers"][name]
        formula = closed_form(layer, config)
        numbers = (mine["cycles"], peer["cycles"], formula, mine["bytes"], peer["bytes"])
        totals = [total + number for total, number in zip(totals, numbers, strict=True)]
        measured = simulated.get(name)
        cells = [f"{number:,.0f}" for number in numbers]
        cells.insert(3, f"{measured['cycles']:,}" if measured else "")
        cells.append(f"{measured['bytes']:,}" if measured else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    cells = [f"{total:,.0f}" for total in totals]
    lines.append("| all | " + " | ".join([*cells[:3], "", *cells[3:], ""]) + " |")
    lines += [
        "",
        f"Time to answer, CPU seconds: ours {compiled:.1f} by the compiler (with what compiling "
        f"its loops takes), {cpu:.1f} with the replay of every cycle; ZigZag "
        f"{zigzag['cpu_seconds']:.0f}; SCALE-Sim "
        + ", ".join(f"{one['cpu_seconds']:.0f} for {name}" for name, one in simulated.items())
        + ".",
        "",
    ]
    return lines


HEAD = """# Beside SCALE-Sim and ZigZag

Made by `make peers`: VGG-16 on weight-stationary arrays, int8, with the buffers and the bandwidth
of the preset. Ours are the cycles of the replay, which are [those of the RTL](model-validation.md),
at the bandwidth of the bus and a latency of 40 cycles. ZigZag is zigzag-dse 3.9.1, searching for
the least latency (`lpf_limit` 6, its latency with loading and unloading); SCALE-Sim is scalesim
3.0.0, the cycles without the first fill of its buffers.

What they model differently:

- **SCALE-Sim** loads a block of weights, lets the pixels through, drains the array, and only then
  loads the next block: folds x (pixels + 2 rows + columns - 2). Ours changes weights behind the
  last pixel without a pause, so layers of few pixels take a fraction. Its rows are the products of
  a window (im2col), so conv1_1's 27 fill two passes of 16 rows; ours packs neighbouring pixels
  into a pass, three of them. It has no requantisation and no pooling; traffic is in elements, and
  reads repeat what windows share.
- **ZigZag** counts loops that fit memories, and stalls of the bandwidths between these. The fill
  of the array, the latency of the memory, instructions and bursts are not in this model. Input
  channels go to rows, output channels to columns, as given to it, so conv1_1 uses 3 rows. Pools
  are left out: it writes what they read.
- **Ours** is a schedule that runs: instructions are read from the same memory, halos and unaligned
  runs are whole bus beats, pools are fused into the convolution before them.

"""


def main():
    """Run all and write the table."""
    parser = argparse.ArgumentParser(prog="make peers", description=__doc__)
    parser.add_argument("--presets", default="default,large")
    parser.add_argument("--out", type=Path, default=Path("docs/peers.md"))
    options = parser.parse_args()
    text = HEAD
    try:
        for preset in options.presets.split(","):
            text += "\n".join(compare("vgg16", preset, TOOLS.parent)) + "\n"
    except SystolithError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    options.out.write_text(text.rstrip() + "\n")
    print(f"{options.out} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
