"""Gateware without initial values: what a chip or a partial reset begins with is not known.

Amaranth gives every register an initial value, and FPGAs load it. Nothing may depend on that:
control has a reset, and data is not looked at before it was written. Icarus then begins with X
everywhere, Verilator with random bits (:func:`random_start`).

One thing is looked at: lanes of a word that no LOAD fills, which the array multiplies with weights
of zero. Verilog makes that X, a multiplier makes it zero (:func:`with_products_of_zero`).
"""

import re

from systolith_hw.spec.config import AcceleratorConfig

__all__ = [
    "UNKNOWN",
    "random_start",
    "with_products_of_zero",
    "with_watch",
    "without_initial_values",
]

_REGISTER = re.compile(r"^(\s*(?:output )?reg\b[^=;]*?)\s*=[^;]*;", re.MULTILINE)
_MEMORY = re.compile(r"^\s*initial for \((\w+) = 0;.*\n", re.MULTILINE)

_PRODUCT = re.compile(r"^( *assign [^=\n]+ = )([^*?\n]+) \* ([^*?\n]+);$", re.MULTILINE)

_ALWAYS_KNOWN = (
    *("m_axi_arvalid", "m_axi_awvalid", "m_axi_wvalid", "m_axi_rready", "m_axi_bready"),
    *("s_axil_awready", "s_axil_wready", "s_axil_arready", "s_axil_bvalid", "s_axil_rvalid"),
    "irq",
)
_KNOWN_WHEN_VALID = {
    **{
        f"m_axi_{channel}valid": tuple(
            f"m_axi_{channel}{name}"
            for name in ("id", "addr", "len", "size", "burst", "cache", "prot")
        )
        for channel in ("ar", "aw")
    },
    "m_axi_wvalid": ("m_axi_wstrb", "m_axi_wlast"),
    "s_axil_bvalid": ("s_axil_bresp",),
    "s_axil_rvalid": ("s_axil_rdata", "s_axil_rresp"),
}

UNKNOWN = "error: unknown value of"
"""What the simulator says where an unknown value leaves the accelerator, before the port's name."""


def without_initial_values(verilog: str) -> str:
    """Return the accelerator's Verilog without the initial values of registers and memories.

    Raises
    ------
    ValueError
        If it has none: the text is not what this function understands.
    """
    text, registers = _REGISTER.subn(r"\1 ;", verilog)  # an escaped name ends with a space
    text, _ = _MEMORY.subn("", text)
    if not registers or re.search(r"^\s*initial\b", text, re.MULTILINE):
        raise ValueError("initial values are written in another way than expected")
    return text


def with_products_of_zero(verilog: str) -> str:
    """Return the Verilog whose products of a known zero and an unknown value are zero.

    Raises
    ------
    ValueError
        If it has a product that this function does not understand.
    """
    text, found = _PRODUCT.subn(r"\1\2 === 0 || \3 === 0 ? 0 : \2 * \3;", verilog)
    # An attribute is written (* ... *), a comment /* ... */.
    if found != len(re.findall(r"(?<![(/]) \* (?!\))", verilog)):
        raise ValueError("products are written in another way than expected")
    return text


def random_start(seed: int) -> tuple[str, ...]:
    """Return Verilator's arguments for a start with random bits of a seed, from 1 to 2**31 - 1."""
    return ("+verilator+rand+reset+2", f"+verilator+seed+{seed % ((1 << 31) - 1) + 1}")


def with_watch(verilog: str, config: AcceleratorConfig, top: str = "accelerator") -> str:
    """Return the Verilog with a watch that ends the simulation when an unknown value leaves it.

    From the reset on every VALID, READY and the interrupt are known; with a VALID its payload is,
    and of write data the bytes whose strobe is set.

    Parameters
    ----------
    verilog : str
    config : AcceleratorConfig
        Gives the width of the bus.
    top : str
        The module with the ports.
    """
    conditions = [(f"^{name} === 1'bx", name) for name in _ALWAYS_KNOWN]
    for valid, payload in _KNOWN_WHEN_VALID.items():
        conditions += [(f"{valid} && ^{name} === 1'bx", name) for name in payload]
    for byte in range(config.bus_bytes):
        part = f"m_axi_wdata[{8 * byte} +: 8]"
        conditions.append((f"m_axi_wvalid && m_axi_wstrb[{byte}] && ^{part} === 1'bx", part))
    checks = "".join(
        f'    if ({condition}) begin $display("{UNKNOWN} {name}"); $finish; end\n'
        for condition, name in conditions
    )
    watch = f"  always @(posedge clk) if (rst === 1'b0) begin\n{checks}  end\nendmodule\n"
    start = re.search(rf"^module {top}\b", verilog, re.MULTILINE)
    if start is None:
        raise ValueError(f"no module {top}")
    end = verilog.index("endmodule\n", start.start())
    return verilog[:end] + watch + verilog[end + len("endmodule\n") :]
