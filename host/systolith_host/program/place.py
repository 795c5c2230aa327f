"""Where a tensor stands in external memory, and its bytes there."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from systolith_host.errors import SystolithError
from systolith_hw.spec.numerics import device_offset

__all__ = ["Place"]


@dataclass(frozen=True)
class Place:
    """Where and how a tensor stands in external memory (layouts: docs/architecture.md).

    Parameters
    ----------
    tensor : str
    address, size : int
        In bytes; the address is a multiple of 64.
    batch, channels, height, width : int
    unsigned : bool
        uint8 if true, else int8; the accelerator's memory holds int8 in either case.
    pixel_bytes : int
        Bytes of a pixel of a packed tensor, 0 for the layout blocked by channel.
    block : int
        Channels of a block, which is also the bytes of a memory word.
    scale : float
        Real value of one step.
    zero_point : int
        Integer that stands for 0.0, in the tensor's own type.
    parent : str
        Tensor that includes this one, if it stands inside another.
    image_pitch, plane_pitch, row_pitch, pixel_pitch : int
        Bytes from image to image, channel block to channel block, row to row and pixel to pixel
        where the parent says so, else 0: nothing is between them.
    real : bool
        Whether it is an input of float32 that only the host reads; its memory is not used.
    """

    tensor: str
    address: int
    size: int
    batch: int
    channels: int
    height: int
    width: int
    unsigned: bool
    pixel_bytes: int
    block: int
    scale: float
    zero_point: int
    parent: str = ""
    image_pitch: int = 0
    real: bool = False
    plane_pitch: int = 0
    row_pitch: int = 0
    pixel_pitch: int = 0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The tensor's (images, channels, height, width)."""
        return (self.batch, self.channels, self.height, self.width)

    @property
    def dtype(self) -> np.dtype:
        """The tensor's own type."""
        return np.dtype(np.float32 if self.real else np.uint8 if self.unsigned else np.int8)

    @property
    def blocks(self) -> int:
        """Channel blocks of the blocked layout."""
        return -(-self.channels // self.block)

    @property
    def row_bytes(self) -> int:
        """Bytes from row to row."""
        if self.row_pitch:
            return self.row_pitch
        if self.pixel_bytes:
            return -(-self.width * self.pixel_bytes // self.block) * self.block
        return self.width * self.block

    @property
    def plane_bytes(self) -> int:
        """Bytes from channel block to channel block."""
        return self.plane_pitch or self.height * self.row_bytes

    @property
    def pixel_step(self) -> int:
        """Bytes from pixel to pixel of the blocked layout."""
        return self.pixel_pitch or self.block

    @property
    def dense_row_bytes(self) -> int:
        """Bytes from row to row, or 0 if something stands between the planes."""
        return self.row_bytes if self.plane_bytes == self.height * self.row_bytes else 0

    @property
    def data_bytes(self) -> int:
        """Bytes from the first of an image to its last."""
        if self.pixel_bytes:
            return self.plane_bytes
        counts = (self.blocks - 1, self.height - 1, self.width - 1, 1)
        pitches = (self.plane_bytes, self.row_bytes, self.pixel_step, self.block)
        return sum(count * pitch for count, pitch in zip(counts, pitches, strict=True))

    @property
    def image_bytes(self) -> int:
        """Bytes from image to image."""
        return self.image_pitch or self.data_bytes

    @property
    def filler(self) -> int:
        """Byte of memory for the last block's channels beyond the tensor's: the zero point.

        The accelerator fills up its results in the same way.
        """
        return (self.zero_point - device_offset(self.unsigned)) & 0xFF

    def pieces(self, values: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Return addresses and bytes of a tensor; memory between them is not touched.

        Raises
        ------
        SystolithError
            As :meth:`pack`.
        """
        data = self.pack(values)
        levels = (
            (self.batch, self.image_bytes),
            (self.blocks, self.plane_bytes),
            (self.height, self.row_bytes),
            (self.width, self.pixel_step),
        )
        pitched = (self.image_pitch, self.plane_pitch, self.row_pitch, self.pixel_pitch)
        deepest = max((depth for depth, pitch in enumerate(pitched, 1) if pitch), default=0)
        addresses = np.array([self.address])
        for count, pitch in levels[:deepest]:
            addresses = (addresses[:, None] + pitch * np.arange(count)).reshape(-1)
        return list(zip(addresses.tolist(), data.reshape(len(addresses), -1), strict=True))

    def pack(self, values: np.ndarray) -> np.ndarray:
        """Return the bytes of a tensor as they stand in memory, without any gaps.

        Parameters
        ----------
        values : ndarray of :attr:`dtype`, shape :attr:`shape`

        Raises
        ------
        SystolithError
            If shape or type differ.
        """
        if values.shape != self.shape or values.dtype != self.dtype:
            raise SystolithError(
                f"{self.tensor}: values must be {self.dtype} of shape {self.shape}, "
                f"not {values.dtype} of shape {values.shape}"
            )
        data = np.ascontiguousarray(values).view(np.uint8)
        if self.unsigned:
            data = data ^ np.uint8(0x80)
        if self.pixel_bytes:
            image = np.zeros((self.batch, self.height, self.row_bytes), np.uint8)
            pixels = image[:, :, : self.width * self.pixel_bytes]
            pixels = pixels.reshape(self.batch, self.height, self.width, self.pixel_bytes)
            pixels[..., : self.channels] = data.transpose(0, 2, 3, 1)
            pixels = pixels.reshape(self.batch, self.height, -1)
            image[:, :, : self.width * self.pixel_bytes] = pixels
            return image.reshape(-1)
        blocks = np.empty((self.batch, self.blocks * self.block, self.height, self.width), np.uint8)
        blocks[:, : self.channels] = data
        blocks[:, self.channels :] = self.filler
        blocks = blocks.reshape(self.batch, self.blocks, self.block, self.height, self.width)
        return np.ascontiguousarray(blocks.transpose(0, 1, 3, 4, 2)).reshape(-1)

    def unpack(self, data: np.ndarray) -> np.ndarray:
        """Return the tensor, of :attr:`shape` and :attr:`dtype`, that stands in those bytes.

        Raises
        ------
        SystolithError
            If the number of bytes is not :attr:`size`.
        """
        if data.size != self.size:
            raise SystolithError(f"{self.tensor}: must have {self.size} bytes, not {data.size}")
        data = np.asarray(data).view(np.uint8).reshape(-1)
        if self.pixel_bytes:
            rows = data.reshape(self.batch, self.height, self.row_bytes)
            pixels = rows[:, :, : self.width * self.pixel_bytes].reshape(
                self.batch, self.height, self.width, self.pixel_bytes
            )
            values = pixels[..., : self.channels].transpose(0, 3, 1, 2)
        else:
            shape = (self.batch, self.blocks, self.block, self.height, self.width)
            pitches = (self.image_bytes, self.plane_bytes, 1, self.row_bytes, self.pixel_step)
            blocks = as_strided(data, shape, pitches, writeable=False)
            values = blocks.reshape(self.batch, -1, *shape[3:])[:, : self.channels]
        if self.unsigned:
            values = values ^ np.uint8(0x80)
        return np.ascontiguousarray(values).view(self.dtype)
