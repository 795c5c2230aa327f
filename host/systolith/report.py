"""What a run showed, as programs and notebooks take it."""

import os
from pathlib import Path
from typing import Any

from systolith.notebook import data_frame, roofline, table
from systolith_host.flow import report as flow

__all__ = ["Report"]


class Report(flow.Report):
    """Cycles, bytes, stalls and mismatches of each layer, and their totals.

    See :class:`systolith_host.flow.report.Report` for its fields. Its JSON is what ``systolith run
    --json`` writes.
    """

    @classmethod
    def of(cls, report: flow.Report) -> "Report":
        """Return a report that shows itself."""
        return cls(**vars(report))

    @property
    def cycles(self) -> int | None:
        """Of all layers; None where the device does not count."""
        return self.groups["all"].cycles

    @property
    def mismatches(self) -> int | None:
        """Values that differ from the golden model's; None where nothing was compared."""
        return self.groups["all"].mismatches

    def rows(self) -> list[dict[str, Any]]:
        """Return a flat row for each layer: name, kind, counts, shares, and stalls by cause."""
        rows = []
        for layer in self.layers:
            row = {
                "layer": layer.title,
                "kind": layer.kind,
                "macs": layer.macs,
                "cycles": layer.cycles,
                "bound_cycles": layer.bound_cycles,
                "utilisation": self.utilisation(layer),
                "bytes_read": layer.bytes_read,
                "bytes_written": layer.bytes_written,
                "compulsory_bytes": layer.compulsory_bytes,
                "busy_cycles": layer.busy_cycles,
            }
            row |= {f"stall_{name.removeprefix('wait_')}": n for name, n in layer.stalls.items()}
            rows.append({**row, "mismatches": layer.mismatches, "seconds": layer.seconds})
        return rows

    def to_pandas(self) -> Any:
        """Return :meth:`rows` as a pandas DataFrame.

        Raises
        ------
        SystolithError
            If pandas is not installed.
        """
        return data_frame(self.rows())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report as JSON.

        Raises
        ------
        SystolithError
            If the file cannot be written.
        """
        super().save(Path(path))

    def __repr__(self) -> str:
        cycles = "" if self.cycles is None else f", {self.cycles:,} cycles"
        return f"<Report of {self.network} on {self.device}{cycles}>"

    def _repr_html_(self) -> str:
        cycles = "" if self.cycles is None else f", {self.cycles:,} cycles"
        caption = f"{self.network}, batch {self.batch}, {self.device}{cycles}"
        return table(self.rows(), caption) + roofline(self)
