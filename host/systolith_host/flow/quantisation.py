"""The options of quantisation, and the warning where they were not enough."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from systolith_host.network.qgraph import QGraph
from systolith_host.network.weight_bits import WeightBits
from systolith_host.quantize.noise import decibels

__all__ = ["LEAST_DECIBELS", "Quantisation", "cost_line", "real_output", "warning"]

LEAST_DECIBELS = 15.0
"""Signal over noise of the output below which a warning is given."""


@dataclass(frozen=True)
class Quantisation:
    """The options for turning a float network into integers.

    Parameters
    ----------
    method : str, optional
        One of quantize.calibrate.METHODS; by default "mse" where the next three are on by default.
    equalisation, correction, rounding : bool, optional
        Whether to equalise channels across layers, to correct biases, and to round the weights of
        a layer together; by default all three, but for random weights without calibration images.
    weight_bits : WeightBits
        Where weights get other than 8 bits.
    """

    method: str | None = None
    equalisation: bool | None = None
    correction: bool | None = None
    rounding: bool | None = None
    weight_bits: WeightBits = field(default_factory=dict)

    @property
    def asked(self) -> dict[str, bool]:
        """What a file with integers of its own cannot have, and whether it is asked for."""
        return {
            "equalise": bool(self.equalisation),
            "correct_bias": bool(self.correction),
            "round_together": bool(self.rounding),
            "weight_bits": bool(self.weight_bits),
        }

    def settled(self, careful: bool) -> "Quantisation":
        """Return what is left to the defaults decided.

        Parameters
        ----------
        careful : bool
            Whether values matter: there are calibration images, or weights that are not random.
        """
        given = (self.equalisation, self.correction, self.rounding)
        method = self.method or ("mse" if careful else "minmax")
        settled = (careful if one is None else one for one in given)
        return Quantisation(method, *settled, weight_bits=self.weight_bits)


def cost_line(
    qgraph: QGraph, wide: np.ndarray, narrow: np.ndarray, float_output: np.ndarray
) -> str:
    """Return what weights of fewer bits cost, in a line.

    Parameters
    ----------
    qgraph : QGraph
    wide, narrow : ndarray of integers, shape (N, ...)
        The output with weights of 8 bits, and with weights of fewer.
    float_output : ndarray of float32, shape (N, ...)
    """
    wanted = float_output.reshape(len(float_output), -1)
    texts = []
    for tensor in (narrow, wide):
        real = real_output(qgraph, {qgraph.output: tensor}).reshape(len(wanted), -1)
        same = int((real.argmax(axis=1) == wanted.argmax(axis=1)).sum())
        texts.append(f"{decibels(wanted, real):.1f} dB and {same} of {len(wanted)} classes")
    return f"weights of fewer bits: {texts[0]} of the float network, with 8 bits {texts[1]}"


def real_output(qgraph: QGraph, tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the network's output dequantised: ndarray of float64, shape (N, K, P, Q)."""
    target = qgraph.tensors[qgraph.output]
    return (tensors[qgraph.output].astype(np.float64) - target.zero_point) * target.scale


def warning(
    qgraph: QGraph,
    tensors: Mapping[str, np.ndarray],
    float_output: np.ndarray,
    how: Quantisation,
    calibrated: bool,
) -> str | None:
    """Return a line where integers give another class than floats, or are noisy; None otherwise.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        The golden model's.
    float_output : ndarray of float32, shape (N, ...)
    how : Quantisation
        Settled.
    calibrated : bool
        Whether calibration had images of its own.
    """
    real = real_output(qgraph, tensors).reshape(len(float_output), -1)
    wanted = float_output.reshape(len(float_output), -1)
    ratio = decibels(wanted, real)
    others = int((real.argmax(axis=1) != wanted.argmax(axis=1)).sum())
    if not others and ratio >= LEAST_DECIBELS:
        return None
    text = f"signal over noise of the output is {ratio:.1f} dB"
    if others:
        text += f", and the class differs from the float network's for {others} of {len(real)}"
    options = {
        "--calibrate FOLDER, with photographs like those to come": not calibrated,
        "--equalise": not how.equalisation,
        "--correct-bias": not how.correction,
        "--round-together": not how.rounding,
        "--calibration mse": how.method != "mse",
    }
    ways = [option for option, left in options.items() if left]
    return f"warning: {text}; {'try ' + ', '.join(ways) if ways else 'calibrate on more images'}"
