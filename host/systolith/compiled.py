"""A compiled network: the program of one accelerator, and its runs."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from systolith.accelerator import Accelerator
from systolith.arguments import (
    clock_of,
    described,
    device_options,
    form_of,
    labels_of,
    memory_of,
    whole_of,
)
from systolith.notebook import table
from systolith.progress import Progress, log_of
from systolith.report import Report
from systolith.run import Run
from systolith_host.errors import SystolithError
from systolith_host.flow.dataset import open_dataset
from systolith_host.flow.evaluate import Evaluation, evaluate_program
from systolith_host.flow.inputs import gather_inputs
from systolith_host.flow.judge import make_report
from systolith_host.flow.labels import Labels
from systolith_host.flow.load import Loaded
from systolith_host.flow.log import Log
from systolith_host.flow.outputs import integers, left_tensors, named_outputs, outputs_of
from systolith_host.flow.prepare import Quantised, golden_tensors
from systolith_host.flow.run import execute
from systolith_host.flow.select import select_layers
from systolith_host.frontend.form import Form
from systolith_host.network.golden import run_golden
from systolith_host.program.program import Program
from systolith_host.quantize.quantize import quantize_input
from systolith_host.runtime.choose import choose_backend
from systolith_hw.spec.memory import Memory

__all__ = ["Compiled"]


class Compiled:
    """A program: instructions, packed weights and memory map of a network on one accelerator.

    :meth:`systolith.Network.compile` makes one, :meth:`load` reads one.

    Attributes
    ----------
    program : systolith_host.program.program.Program
    memory : Memory
        That models and simulators have; a compiled program's schedules are chosen for it.
    """

    def __init__(
        self,
        program: Program,
        memory: Memory,
        network: tuple[Loaded, Quantised] | None = None,
        path: Path | None = None,
        form: Form | None = None,
        labels: Labels | None = None,
    ) -> None:
        self.program = program
        self.memory = memory
        self._network = network
        self._path = path
        self._form = network[0].form if network else form or Form()
        self._labels = labels

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        memory: Memory | None = None,
        form: Form | None = None,
        labels: str | os.PathLike[str] | Sequence[str] | None = None,
    ) -> "Compiled":
        """Read a program that :meth:`save` or ``systolith compile`` wrote.

        It runs without the network that it was compiled from, and without calibration. Only the
        golden model, and with it ``judge=True``, needs that network.

        Parameters
        ----------
        path : path
        memory : Memory, optional
            That models and simulators have, whatever the schedules were chosen for; as fast as the
            bus if None.
        form, labels
            As of :func:`systolith.load`: the program does not hold them. Without labels, classes
            have no names.

        Raises
        ------
        SystolithError
            If a file cannot be read, is damaged, or is not a program of this version.
        """
        memory, file = memory_of(memory), Path(path)
        program = Program.load(file)
        form = form_of(form)
        form.check(program.input_shape)
        names = labels_of(labels, int(np.prod(program.output_shape)), guess=False)
        return cls(program, memory, path=file, form=form, labels=names)

    @property
    def name(self) -> str:
        """The network's name."""
        return self.program.network

    @property
    def accelerator(self) -> Accelerator:
        """The only accelerator that it runs on."""
        return Accelerator.of(self.program.config)

    @property
    def batch(self) -> int:
        """Images of a run."""
        return self.program.batch

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one input: (channels, height, width) or (features,)."""
        return self.program.input_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of one output: (channels, height, width) or (features,)."""
        return self.program.output_shape

    @property
    def outputs(self) -> dict[str, str]:
        """By the names of the file's outputs, those of the tensors of a run.

        ``run.real(program.outputs["features"])`` is one of several outputs; ``run.output`` is the
        first.

        Raises
        ------
        SystolithError
            If the program came from a file, which does not hold the network.
        """
        loaded, quantised = self._origin("outputs")
        outputs = named_outputs(loaded, quantised.qgraph)
        return {name: tensor for name, (tensor, _) in outputs.items()}

    @property
    def quantised(self) -> Quantised:
        """The integer network that it computes.

        Raises
        ------
        SystolithError
            If the program came from a file, which does not hold the network.
        """
        return self._origin("quantised")[1]

    def _origin(self, wanted: str) -> tuple[Loaded, Quantised]:
        if self._network is None:
            raise SystolithError(
                f"{wanted} needs the network, which {self._path} does not hold: compile it again, "
                "or take `systolith run --program`"
            )
        return self._network

    @property
    def predicted_cycles(self) -> int:
        """The compiler's estimate; the cycles are those of ``run(x, device="model")``."""
        return sum(layer.predicted_cycles for layer in self.program.layers)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the program to a file, as ``systolith compile`` does.

        Raises
        ------
        SystolithError
            If the file cannot be written.
        """
        self.program.save(Path(path))

    def golden(self, x: Any) -> dict[str, np.ndarray]:
        """Compute every tensor by the golden model, which knows nothing of accelerators.

        Parameters
        ----------
        x : array, path, or sequence of them
            As of :meth:`run`, but any number of inputs.

        Returns
        -------
        dict of str to ndarray of uint8 or int8, shape (N, C, H, W)
            The input included.

        Raises
        ------
        SystolithError
            If an input cannot be used, or the program came from a file.
        """
        _, quantised = self._origin("golden")
        with log_of(None) as log:
            inputs = self._gathered(x, log)
        qgraph = quantised.qgraph
        return run_golden(qgraph, quantize_input(qgraph, inputs))

    def run(
        self,
        x: Any,
        device: str = "model",
        *,
        judge: bool = False,
        layers: str | None = None,
        sequential: bool | None = None,
        workers: int = 2,
        simulator: Literal["verilator", "icarus"] = "verilator",
        board: str | os.PathLike[str] | None = None,
        scheduler: str | None = None,
        clock_mhz: float = 150.0,
        progress: Progress = None,
    ) -> Run:
        """Run the program.

        Parameters
        ----------
        x : array, path, or sequence of them
            As many inputs as the batch: arrays of :attr:`input_shape`, or of (N, *input_shape),
            taken as they are; photographs, which are cut, scaled and normalised as torchvision does
            it; NumPy files (.npy). Of a network with several inputs a mapping of names to arrays.
        device : str
            "model": tensors by the emulator, cycles by the replay, exact and without a simulator.
            "rtl": the RTL in a simulator. "emulator": the program in NumPy. "litex://HOST:PORT": a
            board behind litex_server. "pynq:FILE.bit": the Zynq board that this runs on.
        judge : bool
            Whether to compute every tensor by the golden model, too, and to compare. Without it the
            device computes from the input alone. A program from a file has no network for it.
        layers : str, optional
            Only these: names and ranges, as "conv1_1,conv3_1..conv4_2". Needs `judge`: what the
            others would leave comes from the golden model.
        sequential : bool, optional
            Whether each layer takes what its predecessors left in memory. So it is without `judge`;
            with it layers run side by side from the golden model's tensors, unless this is true.
        workers : int
            Layers that run side by side, 1 to 256.
        simulator : {"verilator", "icarus"}
            Of the RTL.
        board : path, optional
            What ``systolith build`` wrote, for litex.
        scheduler : str, optional
            Address of a dask scheduler, on whose workers layers run. Needs `judge`.
        clock_mhz : float
            For the frames per second, where the device has no clock of its own.
        progress : callable or bool, optional
            See :mod:`systolith.progress`.

        Returns
        -------
        Run

        Raises
        ------
        SystolithError
            If inputs or options cannot be used, a package is missing, or the device fails.
        """
        sequential = not judge if sequential is None else sequential
        for name, given in (("layers", layers), ("scheduler", scheduler)):
            if given is not None and not judge:
                raise SystolithError(
                    f"{name} needs judge=True: what other layers leave comes from the golden model"
                )
        if not (judge or sequential):
            raise SystolithError("sequential=False needs judge=True: layers run side by side then")
        if scheduler is not None and sequential:
            raise SystolithError("scheduler spreads layers, sequential does not: choose one")
        clock_mhz = clock_of(clock_mhz)
        options = device_options(self.memory, workers, simulator, board, scheduler)
        judged_by = self._origin("judge=True") if judge else None
        program = self.program
        backend = choose_backend(str(device), options)
        selected = select_layers(program, layers)
        with log_of(progress) as log:
            inputs = self._inputs(x, log)
            tensors = {program.input: integers(program.places[program.input], inputs)}
            golden = float_output = None
            if judged_by is not None:
                loaded, quantised = judged_by
                tensors = golden = golden_tensors(loaded, quantised.qgraph, inputs, log)
                float_output = quantised.float_output(inputs)
            outcomes, seconds = execute(
                program, selected, tensors, backend, log, sequential=sequential
            )
            report = make_report(
                program,
                outcomes,
                backend.facts,
                clock_mhz=clock_mhz,
                golden=golden,
                float_output=float_output,
                labels=self._labels,
                sources={"weights": self._weights(), "images": described(x)},
                wall_seconds=seconds,
            )
        found = left_tensors(program, outcomes, {program.input: tensors[program.input]})
        outputs = outputs_of(self._network[0], self.quantised.qgraph) if self._network else None
        return Run(program, found, Report.of(report), self._labels, outputs)

    def evaluate(
        self,
        data: Any,
        device: str = "model",
        *,
        limit: int | None = None,
        simulator: Literal["verilator", "icarus"] = "verilator",
        board: str | os.PathLike[str] | None = None,
        progress: Progress = None,
    ) -> Evaluation:
        """Count how often the network is right: in floats, in integers, and on a device.

        Floats are onnxruntime's where the network came from a file and it is installed. A program
        from a file has no network: then the device is evaluated alone.

        Parameters
        ----------
        data : path or (images, labels)
            A folder with one for each class, whose name is that of the class or its index; a NumPy
            file (.npz) with the arrays images and labels; or two arrays: inputs as of :meth:`run`,
            (N, *input_shape), and N whole numbers.
        device, simulator, board
            As of :meth:`run`.
        limit : int, optional
            Most images, spread evenly over the data.
        progress : callable or bool, optional
            See :mod:`systolith.progress`.

        Returns
        -------
        Evaluation

        Raises
        ------
        SystolithError
            If data or options cannot be used, a package is missing, or the device fails.
        """
        if limit is not None:
            limit = whole_of("limit", limit, 1, 1 << 31)
        options = device_options(self.memory, 1, simulator, board)
        backend = choose_backend(str(device), options)
        classes = int(np.prod(self.output_shape))
        with log_of(progress) as log:
            dataset = open_dataset(data, self.input_shape, classes, self._labels, self._form)
            return evaluate_program(
                self.program, self._network, dataset.limited(limit), backend, log
            )

    def _weights(self) -> str:
        """Return in words where the weights came from."""
        return self._network[0].source if self._network else f"those of {self._path}"

    def _gathered(self, x: Any, log: Log) -> np.ndarray:
        return gather_inputs(x, self.input_shape, log, "x", self._form)

    def _inputs(self, x: Any, log: Log) -> np.ndarray:
        inputs = self._gathered(x, log)
        if len(inputs) != self.batch:
            raise SystolithError(
                f"x: the program takes a batch of {self.batch}, not {len(inputs)}: compile it with "
                f"batch={len(inputs)}"
            )
        return inputs

    def __repr__(self) -> str:
        config = self.program.config
        return f"<Compiled {self.name}, batch {self.batch}, for {config.name}>"

    def _repr_html_(self) -> str:
        rows = [
            {
                "layer": " + ".join(layer.covers) or layer.name,
                "kind": layer.kind,
                "macs": layer.macs,
                "instructions": layer.instruction_count,
                "bound_cycles": layer.bound_cycles,
                "predicted_cycles": layer.predicted_cycles,
            }
            for layer in self.program.layers
        ]
        return table(
            rows,
            f"{self.name}, batch {self.batch}, for {self.program.config.name}: "
            f"{self.program.memory_size:,} bytes of memory",
        )
