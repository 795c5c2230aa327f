"""The effect of equalisation and bias correction on the noise of quantised networks."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from manual.tables import table
from nightly import commit
from systolith_host.cli.page import split_page
from systolith_host.errors import SystolithError
from systolith_host.flow.quantisation import real_output
from systolith_host.frontend.images import load_image, sample_images
from systolith_host.frontend.onnx import read_onnx
from systolith_host.frontend.zoo import ZOO, build_onnx
from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden
from systolith_host.network.graph import Graph, Weights
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.correct import correct
from systolith_host.quantize.equalise import equalise
from systolith_host.quantize.groups import divide_channels, equalisable
from systolith_host.quantize.noise import decibels, layer_noise
from systolith_host.quantize.quantize import quantize, quantize_input

__all__ = ["BEGIN", "END", "WAYS", "Found", "main", "measure", "page"]

BEGIN, END = "<!-- make noise -->\n", "<!-- end of make noise -->\n"

WAYS = ("neither", "equalised", "corrected", "both", "all")

SIDE = 64
CALIBRATION, HELD_OUT = 8, 8
"""Images that scales and biases come from, and those that are judged on."""

EXAMPLE = Path(__file__).parent.parent / "examples" / "digits" / "train.py"

Network = tuple[str, Graph, Weights, np.ndarray, np.ndarray]
"""Name, network, weights, images of calibration, images held out."""


@dataclass(frozen=True)
class Found:
    """A network's noise in one way.

    Parameters
    ----------
    network, way : str
        Networks that differ in their seed only have one name.
    output, worst : float
        Signal to noise of the output and of the worst layer, in decibels.
    pairs : int
        That were equalised.
    same : str
        Of how many images the class is that of the floats.
    """

    network: str
    way: str
    output: float
    worst: float
    pairs: int
    same: str


def page(found: Sequence[Found]) -> str:
    """Return a table in Markdown with a line for each network; seeds stand next to each other."""
    rows = []
    for name in dict.fromkeys(one.network for one in found):
        ways = {
            way: [one for one in found if (one.network, one.way) == (name, way)] for way in WAYS
        }
        cells = [", ".join(f"{one.output:.1f}" for one in some) for some in ways.values()]
        rows.append((name, *cells, ", ".join(str(one.pairs) for one in ways["all"])))
    return table(("network", *WAYS, "pairs"), rows)


def photographs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pieces of scikit-learn's photographs: left halves to calibrate on, right to judge."""
    rng = np.random.default_rng(seed)
    large = [load_image(path, 4 * SIDE) for path in sample_images()]

    def pieces(count: int, first: int) -> np.ndarray:
        found = []
        for number in range(count):
            image = large[number % len(large)]
            row, column = rng.integers(0, 3 * SIDE), first + rng.integers(0, SIDE)
            found.append(image[:, row : row + SIDE, column : column + SIDE])
        return np.ascontiguousarray(found, np.float32)

    return pieces(CALIBRATION, 0), pieces(HELD_OUT, 2 * SIDE)


def networks(folder: Path, seeds: int) -> Iterator[Network]:
    """Yield well-known networks, one with channels of very different size, and the example."""
    for seed in range(seeds):
        calibration, held_out = photographs(seed)
        for name in ZOO:
            path = folder / f"{name}.onnx"
            onnx.save(build_onnx(name, seed=seed, size=SIDE, classes=100), path)
            model = read_onnx(path)
            path.unlink()
            yield name, model.graph, model.weights, calibration, held_out
            if name == "alexnet":
                weights = dict(model.weights)
                rng = np.random.default_rng(seed)
                for pair in equalisable(model.graph):
                    factors = 2 ** rng.uniform(-4, 4, pair.channels)
                    weights |= divide_channels(weights, pair, factors)
                title = f"{name}, channels scaled by 1/16 to 16"
                yield title, model.graph, weights, calibration, held_out
    subprocess.run([sys.executable, str(EXAMPLE), "--out", str(folder)], check=True)
    model = read_onnx(folder / "digits.onnx")
    images = np.load(folder / "calibration.npy"), np.load(folder / "held-out.npz")["images"]
    yield "digits example (trained)", model.graph, model.weights, *images


def measure(
    graph: Graph, weights: Weights, calibration: np.ndarray, held_out: np.ndarray, way: str
) -> tuple[float, float, int, np.ndarray]:
    """Return signal to noise of the output and of the worst layer, pairs equalised, and outputs.

    The output's noise is measured against the float network that was given, that of the layers
    before it against the equalised one, whose channels have their scales.
    """
    pairs = 0
    made = weights
    if way in ("equalised", "both", "all"):
        made, found = equalise(graph, weights, calibration)
        pairs = sum(bool(one.way) for one in found)
    qgraph = quantize(graph, made, calibrate(graph, made, calibration), 16)
    if way in ("corrected", "both", "all"):
        qgraph, _ = correct(graph, made, qgraph, calibration, rounding=way == "all")
    tensors = run_golden(qgraph, quantize_input(qgraph, held_out))
    noise = layer_noise(graph, made, qgraph, tensors, held_out)
    *_, (_, wanted) = run_float(graph, weights, held_out)
    made_of = real_output(qgraph, tensors).reshape(wanted.shape)
    noise[qgraph.output] = decibels(wanted, made_of)
    layers = [ratio for name, ratio in noise.items() if name != qgraph.input]
    outputs = tensors[qgraph.output].reshape(len(held_out), -1)
    return noise[qgraph.output], min(layers), pairs, outputs


def main() -> None:
    """Print each result, and write a table to a page."""
    parser = argparse.ArgumentParser(prog="make noise", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="of each well-known network")
    parser.add_argument("--out", type=Path, help="a page that gets the table")
    options = parser.parse_args()
    version, found = commit(), []
    if options.out:
        try:
            split_page(options.out, BEGIN, END)
        except SystolithError as error:
            parser.error(str(error))
    print(f"{'network':38} {'way':10} {'output':>7} {'worst':>7} {'pairs':>6}  agrees with float")
    with tempfile.TemporaryDirectory() as folder:
        for name, graph, weights, calibration, held_out in networks(Path(folder), options.seeds):
            *_, (_, scores) = run_float(graph, weights, held_out)
            best = scores.reshape(len(held_out), -1).argmax(axis=1)
            for way in WAYS:
                last, worst, pairs, values = measure(graph, weights, calibration, held_out, way)
                same = f"{(values.argmax(axis=1) == best).sum()}/{len(held_out)}"
                found.append(Found(name, way, last, worst, pairs, same))
                print(f"{name:38} {way:10} {last:7.2f} {worst:7.2f} {pairs:6}  {same}", flush=True)
    if options.out:
        before, after = split_page(options.out, BEGIN, END)
        text = f"Of commit {version}:\n\n{page(found)}"
        options.out.write_text(f"{before}{BEGIN}\n{text}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
