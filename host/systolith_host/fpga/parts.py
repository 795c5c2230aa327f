"""The FPGAs that can be built for, and what each has."""

from collections.abc import Mapping
from dataclasses import dataclass

from systolith_host.errors import SystolithError

__all__ = ["PARTS", "Part", "check_fits", "load_part"]


@dataclass(frozen=True)
class Part:
    """An FPGA in a package and speed grade.

    Parameters
    ----------
    name : str
    size : str
        As :class:`systolith_hw.primitives.ecp5.Ecp5` has it.
    options : tuple of str
        What nextpnr is told of die, package and grade.
    resources : mapping of str to int
        What it has, by the names of :data:`RESOURCES`.
    """

    name: str
    size: str
    options: tuple[str, ...]
    resources: Mapping[str, int]


RESOURCES = ("LUT", "FF", "DSP", "block RAM")


def _ecp5(
    size: str,
    grade: int,
    counts: tuple[int, int, int],
    *,
    family: str = "u",
    package: str = "CABGA381",
) -> Part:
    luts, multipliers, rams = counts
    resources: dict[str, int]
    prefix = "" if family == "u" else f"{family}-"
    die = f"--{prefix}{size.removesuffix('F')}k"
    options = (die, "--package", package, "--speed", str(grade))
    resources = dict(zip(RESOURCES, (luts, luts, multipliers, rams), strict=True))
    return Part(f"lfe5{family}-{size.lower()}-{grade}", size, options, resources)


PARTS = {
    part.name: part
    for part in (
        _ecp5("85F", 6, (83640, 156, 208)),
        _ecp5("85F", 8, (83640, 156, 208)),
        _ecp5("45F", 6, (43848, 72, 108)),
        _ecp5("25F", 6, (24288, 28, 56)),
        # The same die with transceivers, in the package of the ECPIX-5.
        _ecp5("85F", 8, (83640, 156, 208), family="um5g", package="CABGA554"),
    )
}
"""By name. The numbers are nextpnr's."""


def load_part(name: str) -> Part:
    """Return the part of that name.

    Raises
    ------
    SystolithError
        If there is none.
    """
    if name not in PARTS:
        raise SystolithError(f"part must be one of {', '.join(PARTS)}, not {name!r}")
    return PARTS[name]


def check_fits(what: str, need: Mapping[str, int], part: Part) -> None:
    """Refuse a design that the part cannot hold.

    Parameters
    ----------
    what : str
        What the message calls the design.
    need : mapping of str to int
        By the names of :data:`RESOURCES`.

    Raises
    ------
    SystolithError
        Naming each resource that is short, the need and what there is.
    """
    short = [
        f"{count:,} {name} needed, {part.resources[name]:,} there"
        for name, count in need.items()
        if count > part.resources[name]
    ]
    if short:
        raise SystolithError(f"{what} does not fit {part.name}: {'; '.join(short)}")
