"""The mesh: rows and columns of processing elements."""

from typing import Any

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.compute.pe import ProcessingElement
from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.technology import ask
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["Mesh"]


class Mesh(wiring.Component):
    """Weight-stationary array: activations move right, partial sums and weights move down.

    The edges are skewed: the activation of row i arrives i cycles after that of row 0, the weight
    of column j arrives j cycles after that of column 0. Activations that enter row 0 in cycle t
    have their partial sum of column j at ``psum[j]`` in cycle t + j + latency. A weight block
    enters at the top edge in ``rows`` cycles, row 0's weights first. Row 0's ``swap`` must come at
    least ``rows`` cycles after column 0's ``capture``, and the capture of the next block must not
    come before that swap. Blocks can therefore follow each other every ``rows`` cycles without a
    pause.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    act : In, ``rows`` activations, signed(act_width), skewed
    swap : In, with row 0's activation; the mesh takes it to row i with row i's activation
    weight : In, ``cols`` weights, signed(weight_width), skewed
    capture : In, with column 0's weight for row 0; the mesh takes it to column j with its weight
    psum : Out, ``cols`` partial sums of ``rows`` products, signed(psum_width), skewed
    """

    act: Any
    swap: Signal
    weight: Any
    capture: Signal
    psum: Any

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "act": In(data.ArrayLayout(signed(config.act_width), config.rows)),
                "swap": In(1),
                "weight": In(data.ArrayLayout(signed(config.weight_width), config.cols)),
                "capture": In(1),
                "psum": Out(data.ArrayLayout(signed(config.psum_width), config.cols)),
            }
        )

    @staticmethod
    def latency(config: AcceleratorConfig) -> int:
        """Return the cycles from row 0's activation to column 0's partial sum."""
        return config.rows + ProcessingElement.PRODUCT_LATENCY

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows, cols = self.config.rows, self.config.cols

        def site(row: int, col: int) -> str | None:
            return ask(platform, "get_multiplier_site", row, col, rows, cols)

        widths = (self.config.act_width, self.config.weight_width, self.config.psum_width)
        grid = [
            [ProcessingElement(*widths, site=site(i, j)) for j in range(cols)] for i in range(rows)
        ]
        swap, capture = self.swap, self.capture
        for i in range(rows):
            for j in range(cols):
                pe = grid[i][j]
                m.submodules[f"pe_{i}_{j}"] = pe
                if j:
                    m.d.comb += pe.act_i.eq(grid[i][j - 1].act_o)
                else:
                    m.d.comb += [pe.act_i.value.eq(self.act[i]), pe.act_i.swap.eq(swap)]
                    if i + 1 < rows:
                        swap = delay(m, swap, 1, f"swap_to_{i + 1}")
                if i:
                    m.d.comb += [
                        pe.weight_i.eq(grid[i - 1][j].weight_o),
                        pe.psum_i.eq(grid[i - 1][j].psum_o),
                    ]
                else:
                    m.d.comb += [
                        pe.weight_i.value.eq(self.weight[j]),
                        pe.weight_i.capture.eq(capture),
                    ]
                    if j + 1 < cols:
                        capture = delay(m, capture, 1, f"capture_to_{j + 1}")
        for j in range(cols):
            m.d.comb += self.psum[j].eq(grid[rows - 1][j].psum_o)
        return m
