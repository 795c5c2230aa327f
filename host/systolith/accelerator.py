"""An accelerator: its configuration, what it takes of an FPGA, and its Verilog."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

from systolith.notebook import table
from systolith.progress import Progress, log_of
from systolith_host.errors import SystolithError
from systolith_host.extras import need
from systolith_host.fpga.estimate import estimate
from systolith_host.fpga.parts import PARTS, Part, check_fits
from systolith_hw.spec.config import AcceleratorConfig, ConfigError
from systolith_hw.spec.presets import PRESETS, load_config, read_config

__all__ = ["Accelerator", "Resources", "part_of"]


@dataclass(frozen=True)
class Resources:
    """What an accelerator takes of an ECP5.

    Parameters
    ----------
    used : mapping of str to int
        LUT, FF, DSP and block RAM. DSPs and block RAMs are counted, LUTs and FFs estimated.
    part : Part, optional
        The FPGA that it is compared with: its ``name``, and the ``resources`` that it has.
    """

    used: Mapping[str, int]
    part: Part | None = None

    @property
    def fits(self) -> bool:
        """Whether the part has enough of everything; true if none was named."""
        there = self.used if self.part is None else self.part.resources
        return all(count <= there[name] for name, count in self.used.items())

    def check(self) -> None:
        """Refuse an accelerator that the part cannot hold.

        Raises
        ------
        SystolithError
            Naming each resource that is short, the need and what there is.
        """
        if self.part is not None:
            check_fits("the accelerator", self.used, self.part)

    def _repr_html_(self) -> str:
        there = {} if self.part is None else self.part.resources
        rows = [
            {"resource": name, "used": count, "available": there.get(name)}
            for name, count in self.used.items()
        ]
        return table(rows, caption="ECP5" if self.part is None else self.part.name)


class Accelerator:
    """A systolic array with its buffers and its bus, as a configuration describes it.

    Parameters
    ----------
    **fields
        Those of :class:`systolith_hw.spec.config.AcceleratorConfig`, which says what each means
        and may be. Needed: ``rows`` and ``cols`` of the array; ``act_depth``, ``weight_depth``,
        ``param_depth`` and ``acc_depth`` of the buffers, in words; ``post_lanes``, the channels
        requantised per cycle; ``bus_bytes``, the width of the AXI4 bus. The others have defaults.

    Raises
    ------
    SystolithError
        If a field is unknown or missing, or breaks a rule; the line names field, rule and value.

    Examples
    --------
    >>> Accelerator.preset("default").replace(rows=8, cols=8).config.multipliers
    64
    """

    def __init__(self, **fields: Any) -> None:
        self._config = AcceleratorConfig.from_dict(_plain(fields), "accelerator")

    @classmethod
    def preset(cls, name: str) -> "Accelerator":
        """Return a configuration that has a name; `systolith configs` lists them.

        Raises
        ------
        SystolithError
            If there is none of that name.
        """
        if not isinstance(name, str) or name not in PRESETS:
            raise ConfigError(f"preset must be one of {', '.join(PRESETS)}, not {name!r}")
        return cls(**PRESETS[name].to_dict())

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> "Accelerator":
        """Read a TOML file whose keys are the fields.

        Raises
        ------
        SystolithError
            If it cannot be read, or holds no configuration that can be built.
        """
        return cls(**read_config(Path(path)).to_dict())

    @classmethod
    def of(cls, given: "Accelerator | AcceleratorConfig | str | os.PathLike[str]") -> "Accelerator":
        """Return an accelerator, or that of a configuration, of a preset's name, or of a TOML file.

        Raises
        ------
        SystolithError
            If it is none of them.
        """
        if isinstance(given, Accelerator):
            return given
        if isinstance(given, AcceleratorConfig):
            return cls(**given.to_dict())
        if isinstance(given, str | os.PathLike):
            return cls(**load_config(os.fspath(given)).to_dict())
        raise ConfigError(
            f"accelerator must be an Accelerator, a preset's name or a TOML file, not {given!r}"
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The configuration: every field, and what follows from them."""
        return self._config

    @property
    def name(self) -> str:
        """What reports call it."""
        return self._config.name

    def replace(self, **fields: Any) -> "Accelerator":
        """Return an accelerator with other fields; it is called "custom" unless it gets a name.

        Raises
        ------
        SystolithError
            As :class:`Accelerator`.
        """
        return Accelerator(**{**self._config.to_dict(), "name": "custom", **fields})

    def verilog(self, folder: str | os.PathLike[str], *, progress: Progress = None) -> list[Path]:
        """Write the Verilog: for synthesis, for simulation, and a JSON of facts.

        Parameters
        ----------
        folder : path
            Is made if it does not exist.
        progress : callable or bool, optional
            See :mod:`systolith.progress`.

        Returns
        -------
        list of Path
            ``accelerator.v``, ``accelerator_sim.v`` and ``accelerator.json``.

        Raises
        ------
        SystolithError
            If a package is missing, or the folder cannot be written.
        """
        need("verilog", "sim", "amaranth", "pyosys")
        from systolith_hw.generate import write_accelerator  # takes a second to import

        with log_of(progress) as log:
            log.stage(f"generating {self.name}")
            try:
                return write_accelerator(self._config, Path(folder))
            except OSError as error:
                raise SystolithError(f"{folder}: cannot be written: {error.strerror}") from None

    def resources(self, part: str | None = None) -> Resources:
        """Return what it takes of an ECP5, in a moment; nothing is synthesised.

        Parameters
        ----------
        part : str, optional
            An FPGA to compare with: "ecp5-25f", "ecp5-45f" or "ecp5-85f", or a part's whole name.

        Raises
        ------
        SystolithError
            If there is no such part.
        """
        used = estimate(self._config)
        return Resources(used, None if part is None else part_of(part))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Accelerator) and self._config == other._config

    def __hash__(self) -> int:
        return hash(self._config)

    def __repr__(self) -> str:
        config = self._config
        return f"<Accelerator {config.name}: {config.rows}x{config.cols}>"

    def _repr_html_(self) -> str:
        rows = [{"field": name, "value": value} for name, value in self._config.to_dict().items()]
        return table(rows, caption=f"accelerator {self.name}")


def part_of(name: Any) -> Part:
    """Return the FPGA of a name, short ("ecp5-85f", in its slowest grade) or whole.

    Raises
    ------
    SystolithError
        If there is none.
    """
    short = {f"ecp5-{part.size.lower()}": part for part in reversed(PARTS.values())}
    names = {**dict(sorted(short.items())), **PARTS}
    if not isinstance(name, str) or name not in names:
        raise SystolithError(f"part must be one of {', '.join(names)}, not {name!r}")
    return names[name]


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields with Python's integers in place of NumPy's."""
    return {
        name: int(value) if isinstance(value, Integral) and type(value) is not bool else value
        for name, value in fields.items()
    }
