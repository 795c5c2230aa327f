"""The zoo of networks as a page in Markdown."""

from collections.abc import Iterable, Mapping, Sequence

from systolith_host.lab.zoo.rows import MOST_RTL_CYCLES, ZooRow
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["zoo_page", "zoo_table"]

_COLUMNS = (
    "network",
    "file by",
    "weights",
    "input",
    "MMACs",
    "nodes on the host",
    "without tables",
    "float error",
    "cycles",
    "utilisation",
    "DRAM MB",
    "run at",
    "SNR dB",
    "emulator",
    "RTL",
)

_RIGHT = {
    *("MMACs", "float error", "cycles", "utilisation", "DRAM MB", "SNR dB", "emulator", "RTL")
}


def zoo_table(rows: Sequence[ZooRow], *, tables: bool) -> str:
    """Return a line for each row.

    Parameters
    ----------
    rows : sequence of ZooRow
    tables : bool
        Whether the accelerator looks functions up in tables; otherwise the column of an accelerator
        without them is left out.
    """
    ran = any(row.rtl is not None for row in rows)
    left = {"without tables": tables, "RTL": ran}
    columns = [name for name in _COLUMNS if left.get(name, True)]
    cells = [_cells(row) for row in rows]
    lines = [
        columns,
        ["---:" if name in _RIGHT else "---" for name in columns],
        *([each.get(name, "") for name in columns] for each in cells),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def zoo_page(rows: Sequence[ZooRow], config: AcceleratorConfig, named: str) -> str:
    """Return docs/zoo.md.

    Parameters
    ----------
    rows : sequence of ZooRow
    config : AcceleratorConfig
    named : str
        The configuration as the command names it.
    """
    rtl = any(row.rtl is not None for row in rows)
    ran = [row for row in rows if not row.refused]
    whole = sum(not row.hosted for row in ran)
    compared = sum(row.values * _runs(row) for row in ran)
    differ = sum((row.emulator or 0) + (row.rtl or 0) for row in ran)
    flag = " --rtl" if rtl else ""
    limits = (
        f"The RTL runs files of a fixed size up to {MOST_RTL_CYCLES:,} cycles; empty cells were"
    )
    limits = f"\n{limits}\nnot simulated." if rtl else ""
    return f"""# Well-known networks

`systolith lab zoo --config {named}{flag} --out docs/zoo.md` writes this page. It needs PyTorch and
torchvision (`make torch-setup`): their networks, and a detector, a U-Net and a reader of text
lines of this project's own, are exported by both of PyTorch's exporters, with random weights of
seed 0. The files named light_ are those of the package onnx; all of their weights are one number.

The accelerator is `{config.name}`: {config.rows}x{config.cols}, {config.bus_bytes}-byte bus. Of the
{len(rows)} files {len(ran)} run, {whole} of them without nodes on the host. The float error is the
largest difference from onnxruntime's outputs, divided by the largest output. Multiply-accumulates,
cycles, utilisation and traffic are the accelerator's for one image of the size in the column
"input", by the replay; Winograd's convolution makes a utilisation above 100 % possible. The last
columns are of a run of quantised values at another size: the output's signal over its noise, and
the values that differ from the golden model, on the emulator{" and in the RTL" if rtl else ""}:
{differ:,} of {compared:,} in all.{limits} Random weights leave less signal than trained ones.

{zoo_table(rows, tables=bool(config.functions))}
"""


def _cells(row: ZooRow) -> dict[str, str]:
    """Return what stands in each column."""
    head = {"network": row.name, "file by": row.source, "weights": row.weights}
    if row.refused:
        return head | {"input": f"refused: {row.refused}"}
    return head | {
        "input": _sides(row.shape),
        "MMACs": f"{row.macs / 1e6:,.0f}",
        "nodes on the host": _nodes(row.hosted),
        "without tables": _nodes(row.more),
        "float error": "" if row.error is None else f"{row.error:.0e}",
        "cycles": f"{row.cycles:,}",
        "utilisation": f"{100 * row.utilisation:.1f} %",
        "DRAM MB": f"{row.traffic / 1e6:,.1f}",
        "run at": _sides(row.ran),
        "SNR dB": "" if row.decibels is None else f"{row.decibels:.1f}",
        "emulator": "" if row.emulator is None else f"{row.emulator:,}",
        "RTL": _simulated(row),
    }


def _simulated(row: ZooRow) -> str:
    if row.rtl is None:
        return "too long" if row.ran == row.shape and row.cycles > MOST_RTL_CYCLES else ""
    return f"{row.rtl:,}"


def _runs(row: ZooRow) -> int:
    """Return how often the values of a row were compared."""
    return sum(count is not None for count in (row.emulator, row.rtl))


def _sides(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape))


def _nodes(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {operator}" for operator, count in counts.items()) or "none"
