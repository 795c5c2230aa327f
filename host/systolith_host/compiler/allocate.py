"""The memory map: places of instructions, weights, parameters and tensors."""

from dataclasses import dataclass, field

from systolith_host.errors import SystolithError
from systolith_host.network.mosaic import Grid
from systolith_host.network.qgraph import QTensor
from systolith_host.program.place import Place
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["ALIGNMENT", "MemoryMap", "aligned", "check_size", "place_inside", "place_of"]

ALIGNMENT = 64
PAGE = 4096


def aligned(size: int, step: int = ALIGNMENT) -> int:
    """Return `size` rounded up to a multiple of `step`."""
    return -(-size // step) * step


@dataclass
class MemoryMap:
    """Regions of external memory, one after the other from address 0."""

    end: int = 0
    sizes: dict[str, int] = field(default_factory=dict)

    def reserve(self, size: int, purpose: str) -> int:
        """Return the address of a new region; `purpose` names its bytes in reports."""
        address = self.end
        self.end = aligned(address + size)
        self.sizes[purpose] = self.sizes.get(purpose, 0) + self.end - address
        return address

    @property
    def size(self) -> int:
        """Bytes of memory, in whole pages."""
        return aligned(self.end, PAGE)


def check_size(memory: MemoryMap, config: AcceleratorConfig, network: str, batch: int) -> None:
    """Refuse a program beyond the address space.

    Raises
    ------
    SystolithError
        If it does not fit; the message has the sizes.
    """
    limit = 1 << config.addr_width
    if memory.size <= limit:
        return
    parts = ", ".join(f"{purpose} {size:,}" for purpose, size in memory.sizes.items())
    raise SystolithError(
        f"{network}: needs {memory.size:,} bytes of memory at batch {batch} ({parts}), more than "
        f"the {limit:,} of addr_width {config.addr_width}; build with addr_width "
        f"{(memory.size - 1).bit_length()} or use a smaller batch"
    )


def place_of(
    tensor: QTensor, memory: MemoryMap, config: AcceleratorConfig, batch: int, pixel_bytes: int
) -> Place:
    """Reserve memory for a tensor and return its place."""
    channels, height, width = tensor.shape
    place = Place(
        tensor=tensor.name,
        address=0,
        size=0,
        batch=batch,
        channels=channels,
        height=height,
        width=width,
        unsigned=tensor.unsigned,
        pixel_bytes=pixel_bytes,
        block=config.block,
        scale=float(tensor.scale),
        zero_point=int(tensor.zero_point),
        real=tensor.real,
    )
    size = batch * place.image_bytes
    fields = {**place.__dict__, "address": memory.reserve(size, "activations"), "size": size}
    return Place(**fields)


def place_inside(tensor: QTensor, parent: Place, channel: int, grid: Grid | None = None) -> Place:
    """Return the place of a tensor inside another.

    Parameters
    ----------
    channel : int
        Of the parent, with which the tensor begins.
    grid : Grid, optional
        The parent's pixels that the tensor has; without it, all of them.
    """
    channels, height, width = tensor.shape
    plane, row, pixel = parent.plane_pitch, parent.row_pitch, parent.pixel_pitch
    address = parent.address + channel // parent.block * parent.plane_bytes
    if grid is not None:
        address += grid.row * parent.row_bytes + grid.column * parent.pixel_step
        plane = parent.plane_bytes
        if grid.down > 1 or width != parent.width:
            row = grid.down * parent.row_bytes
        if grid.across > 1:
            pixel = grid.across * parent.pixel_step
    place = Place(
        tensor=tensor.name,
        address=address,
        size=0,
        batch=parent.batch,
        channels=channels,
        height=height,
        width=width,
        unsigned=tensor.unsigned,
        pixel_bytes=0,
        block=parent.block,
        scale=float(tensor.scale),
        zero_point=int(tensor.zero_point),
        parent=parent.tensor,
        image_pitch=parent.image_bytes,
        plane_pitch=plane,
        row_pitch=row,
        pixel_pitch=pixel,
    )
    size = (parent.batch - 1) * parent.image_bytes + place.data_bytes
    return Place(**{**place.__dict__, "size": size})
