"""The program: instructions, packed weights and memory map of a network on one accelerator."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from systolith_host.errors import SystolithError
from systolith_host.program.check import check, record, shape, whole
from systolith_host.program.host import HostStep
from systolith_host.program.inside import Part, pieces_inside
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.registers import VERSION

__all__ = ["LayerProgram", "Place", "Program"]

_FORMAT = "systolith program"
"""Name of a file's only entry of text."""

_FORMAT_VERSION, _HOST_FORMAT_VERSION = 2, 3
"""Of the entries, without and with parts for the host; the hardware has a version of its own."""


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
        Tensor whose channels include this one's, if it stands inside another.
    image_pitch : int
        Bytes from image to image if the parent says so, else 0.
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
        if self.pixel_bytes:
            return -(-self.width * self.pixel_bytes // self.block) * self.block
        return self.width * self.block

    @property
    def plane_bytes(self) -> int:
        """Bytes from channel block to channel block."""
        return self.height * self.row_bytes

    @property
    def data_bytes(self) -> int:
        """Bytes of an image."""
        return self.plane_bytes * (1 if self.pixel_bytes else self.blocks)

    @property
    def image_bytes(self) -> int:
        """Bytes from image to image."""
        return self.image_pitch or self.data_bytes

    def pieces(self, values: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Return addresses and bytes of a tensor; memory between its images is not touched.

        Raises
        ------
        SystolithError
            As :meth:`pack`.
        """
        data = self.pack(values)
        if not self.image_pitch:
            return [(self.address, data)]
        images = data.reshape(self.batch, -1)
        return [(self.address + i * self.image_pitch, image) for i, image in enumerate(images)]

    def pack(self, values: np.ndarray) -> np.ndarray:
        """Return the bytes of a tensor as they stand in memory, without gaps between images.

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
        # As the accelerator fills up the last block.
        blocks[:, self.channels :] = (self.zero_point ^ 0x80 * self.unsigned) & 0xFF
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
        if self.image_pitch:
            starts = range(0, self.batch * self.image_pitch, self.image_pitch)
            data = np.concatenate([data[start : start + self.data_bytes] for start in starts])
        if self.pixel_bytes:
            rows = data.reshape(self.batch, self.height, self.row_bytes)
            pixels = rows[:, :, : self.width * self.pixel_bytes].reshape(
                self.batch, self.height, self.width, self.pixel_bytes
            )
            values = pixels[..., : self.channels].transpose(0, 3, 1, 2)
        else:
            blocks = data.reshape(self.batch, self.blocks, self.height, self.width, self.block)
            values = blocks.transpose(0, 1, 4, 2, 3).reshape(
                self.batch, self.blocks * self.block, self.height, self.width
            )[:, : self.channels]
        if self.unsigned:
            values = values ^ np.uint8(0x80)
        return np.ascontiguousarray(values).view(self.dtype)


@dataclass(frozen=True)
class LayerProgram:
    """The program of one layer, which the host starts on its own.

    Parameters
    ----------
    name : str
    covers : tuple of str
        The network's layers that this one computes: a convolution and, if fused, its pool.
    kind : str
        "conv", "fc", "pool", "add" or "copy".
    input, more_inputs, output : str, tuple of str, str
        Names of its tensors; those that it reads begin with `input`.
    instruction_address, instruction_count : int
        Values that the host writes to PROGRAM_ADDR and PROGRAM_COUNT.
    macs : int
        Multiply-accumulates that the layer needs; 0 for a pool.
    products : int
        The fewest multiplications that give them: a quarter of them with Winograd's convolution.
    compulsory_bytes : int
        Each input activation that is needed and each weight read once, each output activation
        written once: no order of the work moves less.
    bound_cycles : int
        max(products / multipliers, compulsory_bytes / bus_bytes), rounded up.
    predicted_cycles : int
        The compiler's estimate.
    """

    name: str
    covers: tuple[str, ...]
    kind: str
    input: str
    output: str
    instruction_address: int
    instruction_count: int
    macs: int
    products: int
    compulsory_bytes: int
    bound_cycles: int
    predicted_cycles: int
    more_inputs: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """All tensors that it reads."""
        return (self.input, *self.more_inputs)


@dataclass(frozen=True)
class Program:
    """A compiled network.

    Parameters
    ----------
    network : str
    config : AcceleratorConfig
        The only configuration that it runs on.
    batch : int
        Images of a run.
    layers : tuple of LayerProgram
        In the order in which they run.
    places : mapping of str to Place
        The tensors that stand in memory.
    segments : tuple of (address, ndarray of uint8)
        Contents of memory before the run: instructions, weights, parameters.
    memory_size : int
        Bytes of external memory that the program needs, from address 0.
    input, output : str
        Names of the network's input and output tensors.
    input_shape, output_shape : tuple of int
        Of one image as the network's users know it: a place has a vector as (channels, 1, 1).
    host : tuple of HostStep
        What the host computes between the layers, in the order in which it runs.
    """

    network: str
    config: AcceleratorConfig
    batch: int
    layers: tuple[LayerProgram, ...]
    places: Mapping[str, Place]
    segments: tuple[tuple[int, np.ndarray], ...]
    memory_size: int
    input: str
    output: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    host: tuple[HostStep, ...] = ()

    @cached_property
    def parts(self) -> dict[str, tuple[Part, ...]]:
        """The tensors that nothing makes as a whole, and what they consist of, in order."""
        made = {step.output for step in (*self.layers, *self.host)}
        return pieces_inside(self.places, {self.input, *made})

    def save(self, path: Path | str) -> None:
        """Write the program to one file (safetensors).

        Raises
        ------
        SystolithError
            If the file cannot be written.
        """
        meta = {
            "format": _HOST_FORMAT_VERSION if self.host else _FORMAT_VERSION,
            "version": VERSION,
            "network": self.network,
            "config": self.config.to_dict(),
            "fingerprint": f"{self.config.fingerprint:016x}",
            "batch": self.batch,
            "layers": [dataclasses.asdict(layer) for layer in self.layers],
            "places": [dataclasses.asdict(place) for place in self.places.values()],
            "segments": [address for address, _ in self.segments],
            "memory_size": self.memory_size,
            "input": self.input,
            "output": self.output,
            "input_shape": self.input_shape,
            "output_shape": self.output_shape,
        }
        tensors = {f"segment{index}": data for index, (_, data) in enumerate(self.segments)}
        if self.host:
            meta["host"] = [step.to_dict() for step in self.host]
            models = [np.frombuffer(step.part.model, np.uint8) for step in self.host]
            tensors |= {f"host{index}": model for index, model in enumerate(models)}
        try:
            # One entry: the order in which several are written changes from run to run.
            save_file(tensors, str(path), {_FORMAT: json.dumps(meta)})
        except (OSError, SafetensorError) as error:
            raise SystolithError(f"{path}: cannot be written: {_one_line(error)}") from None

    @classmethod
    def load(cls, path: Path | str) -> "Program":
        """Read a program from a file that :meth:`save` wrote.

        Raises
        ------
        SystolithError
            If the file cannot be read, is damaged, or is not a program of this version.
        """
        try:
            with safe_open(str(path), framework="numpy") as file:
                header = file.metadata() or {}
                if _FORMAT not in header:
                    raise SystolithError(
                        f"{path}: is not a program; make one with `systolith compile`"
                    )
                meta = json.loads(header[_FORMAT])
                if meta["version"] != VERSION:
                    raise SystolithError(
                        f"{path}: is a program of version {meta['version']}, not {VERSION}; "
                        "compile it again"
                    )
                if meta.get("format") not in (_FORMAT_VERSION, _HOST_FORMAT_VERSION):
                    raise SystolithError(
                        f"{path}: is a program file of another version of systolith; compile it "
                        "again"
                    )
                data = [file.get_tensor(f"segment{i}") for i in range(len(meta["segments"]))]
                data += [file.get_tensor(f"host{i}") for i in range(len(meta.get("host", ())))]
            return cls._from_meta(meta, data)
        except OSError as error:
            raise SystolithError(f"{path}: cannot be read: {_one_line(error)}") from None
        except KeyError as error:
            raise SystolithError(f"{path}: is damaged: it has no {error}") from None
        except RecursionError:
            raise SystolithError(f"{path}: is damaged: its description is too deep") from None
        except (SafetensorError, ValueError, TypeError, AttributeError) as error:
            raise SystolithError(f"{path}: is damaged: {_one_line(error)}") from None

    @classmethod
    def _from_meta(cls, meta: dict[str, Any], data: list[np.ndarray]) -> "Program":
        if not all(type(meta[name]) is str for name in ("network", "input", "output")):
            raise ValueError("network, input and output must be names")
        places = [record(Place, place) for place in meta["places"]]
        if len({place.tensor for place in places}) != len(places):
            raise ValueError("a tensor has two places")
        addresses = [whole(address, "a segment's address") for address in meta["segments"]]
        program = cls(
            network=meta["network"],
            config=AcceleratorConfig.from_dict(meta["config"]),
            batch=meta["batch"],
            layers=tuple(record(LayerProgram, layer) for layer in meta["layers"]),
            places={place.tensor: place for place in places},
            segments=tuple(zip(addresses, data, strict=False)),
            memory_size=meta["memory_size"],
            input=meta["input"],
            output=meta["output"],
            input_shape=shape(meta["input_shape"], "input_shape"),
            output_shape=shape(meta["output_shape"], "output_shape"),
            host=tuple(map(HostStep.from_dict, meta.get("host", ()), data[len(addresses) :])),
        )
        if meta["fingerprint"] != f"{program.config.fingerprint:016x}":
            raise ValueError("its configuration is not the one that it was compiled for")
        check(program)
        return program

    def write_image(self, path: Path | str) -> None:
        """Write a sparse file of :attr:`memory_size` bytes with the segments in their places."""
        try:
            with open(path, "wb") as file:
                file.truncate(self.memory_size)
                for address, data in self.segments:
                    file.seek(address)
                    np.ascontiguousarray(data).tofile(file)
        except OSError as error:
            raise SystolithError(f"{path}: cannot be written: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."
