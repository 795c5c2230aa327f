"""SCALE-Sim 3 and ZigZag versus our own cycles on VGG-16: a table in docs/peers.md."""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from systolith_host.compiler import compile_network
from systolith_host.cost.confirm import compare as measure
from systolith_host.cost.replay import replay_program
from systolith_host.errors import SystolithError
from systolith_host.flow.load import shape_network
from systolith_host.network.qgraph import QConv
from systolith_hw.spec.presets import PRESETS
from systolith_sim.memory.timing import MemoryTiming

LIMIT_SECONDS = 3000
"""Of a peer on one array."""

TOOLS = Path(__file__).parent


def layers_of(network):
    """Return the shapes of a network's convolutions; a fully connected layer is one of 1x1."""
    qgraph = shape_network(network)
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


def children_seconds():
    """Return the CPU seconds of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def own(network, config, rtl):
    """Return the cycles and bytes of our layers by replay or RTL, and how and how fast."""
    qgraph = shape_network(network)
    compile_network(shape_network("mini"), config)  # compiles what is compiled
    cpu = time.process_time()
    program = compile_network(qgraph, config)
    compiled = time.process_time()
    counted = [layer.counters for layer in replay_program(program)]
    replayed = time.process_time()
    speed = f"{compiled - cpu:.1f} by the compiler, {replayed - compiled:.1f} more for the replay"
    how = "those of the replay"
    if rtl:
        before = children_seconds()
        cases = measure(program, MemoryTiming())
        counted = [case.measured for case in cases]
        equal = f"{sum(case.exact for case in cases)} of {len(cases)}"
        how = f"measured in the RTL (Verilator); the replay has {equal} layers equal"
        speed += f", {children_seconds() - before:.0f} for the RTL (and its build, if new)"
    found = {
        layer.name: {"cycles": one.cycles, "bytes": one.bytes_read + one.bytes_written}
        for layer, one in zip(program.layers, counted, strict=True)
    }
    return found, how, speed


def _with_winograd(network, preset):
    """Return a sentence on the preset that has Winograd, or nothing if there is none."""
    other = PRESETS.get(preset.removesuffix("-direct"))
    if other is None or not other.winograd:
        return ""
    layers, _, _ = own(network, other, rtl=False)
    total = sum(one["cycles"] for one in layers.values())
    return (
        f" With Winograd's convolution `{other.name}` takes {total:,} cycles in all, by the replay."
    )


def compare(network, preset, root, rtl, simulate):
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
    ours, how, speed = own(network, config, rtl)
    print(f"{preset}: ours done", file=sys.stderr, flush=True)
    zigzag = run_peer("zigzag", job, root / ".venv-zigzag")
    print(f"{preset}: ZigZag done", file=sys.stderr, flush=True)
    few = [layer for layer in job["layers"] if layer["name"] in simulate]
    simulated = run_peer("scalesim", {**job, "layers": few}, root / ".venv-scalesim")["layers"]
    print(f"{preset}: SCALE-Sim done", file=sys.stderr, flush=True)
    lines = [
        f"## {config.rows}x{config.cols} (`{preset}`)",
        "",
        f"Our cycles are {how}.{_with_winograd(network, preset)}",
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
        f"CPU seconds of the prediction: ours {speed}; ZigZag {zigzag['cpu_seconds']:.0f}; "
        "SCALE-Sim "
        + ", ".join(f"{one['cpu_seconds']:.0f} for {name}" for name, one in simulated.items())
        + ".",
        "",
    ]
    return lines


HEAD = """# SCALE-Sim and ZigZag compared

`make peers` writes this page: VGG-16 on weight-stationary arrays, int8, with the buffers and the
bandwidth of the preset. The RTL or the [replay](model-validation.md) of every cycle counts our
cycles, at the bandwidth of the bus and a latency of 40 cycles;
`ARGS="--rtl default-direct,large-direct"` has the RTL count both presets. The peers know only the
direct convolution, so the presets are those without Winograd's. No figure on this page gathers
weights or packs them in 4 bits: every weight is a byte, and read. ZigZag is zigzag-dse 3.9.1,
searching for the least latency (`lpf_limit` 6, its latency with loading and unloading). SCALE-Sim
is scalesim 3.0.0; its cycles exclude the first fill of its buffers.

The three model different things:

- **SCALE-Sim** loads a block of weights, lets the pixels through, drains the array, and only then
  loads the next block: folds x (pixels + 2 rows + columns - 2), which its simulation confirms to
  the cycle. Systolith changes weights behind the last pixel without a pause, so layers of few
  pixels, fully connected ones above all, take a fraction. SCALE-Sim's rows are the products of a
  window (im2col), so conv1_1's 27 fill two passes of 16 rows, or one of 32. Systolith packs the
  three taps of a row of the kernel into a pass, three passes in all, and is slower there. The
  memory keeps up in these cycles. Requantisation and pooling are not modelled. Bytes are DRAM reads
  and writes of one-byte elements; pixels that windows share are read again.
- **ZigZag** counts loops that fit memories, and stalls caused by the bandwidths between them. Its
  model has no fill of the array, memory latency, instructions or bursts. It was told to map input
  channels to rows and output channels to columns, so conv1_1 uses 3 rows. It looks for the least
  latency, so bytes that hide behind the array cost it nothing; Systolith weighs them. Pools are
  left out: ZigZag writes the inputs of the pools.
- **Systolith** ("ours") has a schedule that runs: instructions are read from the same memory, halos
  and unaligned runs are whole bus beats, pools are fused into the convolution before them.

"""


def main():
    """Run all and write the table."""
    parser = argparse.ArgumentParser(prog="make peers", description=__doc__)
    parser.add_argument("--presets", default="default-direct,large-direct")
    parser.add_argument(
        "--rtl", default="default-direct", help="presets whose cycles the RTL counts"
    )
    parser.add_argument(
        "--simulate",
        default="conv1_1",
        help="layers that SCALE-Sim simulates; all convolutions would take it two hours",
    )
    parser.add_argument("--out", type=Path, default=Path("docs/peers.md"))
    options = parser.parse_args()
    text = HEAD
    try:
        for preset in options.presets.split(","):
            rtl = preset in options.rtl.split(",")
            lines = compare("vgg16", preset, TOOLS.parent, rtl, options.simulate.split(","))
            text += "\n".join(lines) + "\n"
    except SystolithError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    options.out.write_text(text.rstrip() + "\n")
    print(f"{options.out} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
