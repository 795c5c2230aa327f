"""The program: instructions, packed weights and memory map of a network on one accelerator."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from systolith_host.errors import SystolithError
from systolith_host.program.check import check, record, shape, whole
from systolith_host.program.host import HostStep
from systolith_host.program.inside import Part, pieces_inside
from systolith_host.program.place import Place
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.registers import VERSION

__all__ = ["LayerProgram", "Place", "Program"]

_FORMAT = "systolith program"
"""Name of a file's only entry of text."""

_FORMAT_VERSION, _HOST_FORMAT_VERSION = 2, 3
"""Of the entries, without and with parts for the host; the hardware has a version of its own."""


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

    def memory_image(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return external memory before a run: the segments, and tensors by name, uint8."""
        memory = np.zeros(self.memory_size, np.uint8)
        for address, data in self._pieces(inputs):
            memory[address : address + data.size] = data
        return memory

    def _pieces(self, inputs: Mapping[str, np.ndarray]) -> list[tuple[int, np.ndarray]]:
        placed = [self.places[name].pieces(values) for name, values in inputs.items()]
        return [*self.segments, *chain.from_iterable(placed)]

    def write_image(
        self, path: Path | str, inputs: Mapping[str, np.ndarray] = MappingProxyType({})
    ) -> None:
        """Write a sparse file of external memory before a run, as :meth:`memory_image`."""
        try:
            with open(path, "wb") as file:
                file.truncate(self.memory_size)
                for address, data in self._pieces(inputs):
                    file.seek(address)
                    np.ascontiguousarray(data).tofile(file)
        except OSError as error:
            raise SystolithError(f"{path}: cannot be written: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."
