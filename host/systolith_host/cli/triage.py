"""The command `systolith triage`, and how a run saves the case that it looks at."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from systolith_host.cli import options
from systolith_host.cli.output import MISMATCH, check_targets, complain, give
from systolith_host.cli.views.triage import retired_line, verdict_lines
from systolith_host.errors import SystolithError
from systolith_host.escape import slug
from systolith_host.extras import need
from systolith_host.flow.case import VIEW, WAVES, Case, run_case, trace_case
from systolith_host.flow.retired import RETIRED, LockStep, retire_case
from systolith_host.flow.run import observer_of
from systolith_host.progress import ProgressLog
from systolith_host.runtime.backend import refuse_waves
from systolith_host.runtime.choose import DEVICES, DeviceOptions, choose_backend
from systolith_host.terminal import error_console
from systolith_hw.spec.memory import Memory

__all__ = ["keep_case", "triage"]


def keep_case(case: Case) -> None:
    """Save a case in a folder of the layer's name, and say so on standard error."""
    folder = Path(f"{slug(case.layer.name)}.case")
    try:
        case.save(folder)
    except SystolithError as error:
        complain(f"the wrong layer is not saved: {error}", "warning")
        return
    text = f"{folder}: the wrong layer, saved; run it again with `systolith triage {folder}`"
    error_console().print(text, soft_wrap=True)


def triage(
    case: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The folder LAYER.case that `systolith run` saved."),
    ],
    device: Annotated[
        str, typer.Option(metavar="|".join(DEVICES), help="Where the layer runs again.")
    ] = "rtl",
    board: options.BoardOption = None,
    waves: Annotated[
        bool,
        typer.Option(
            "--waves",
            help="Write the RTL's waveforms of the cycles in which it works on the first wrong "
            f"tile, DIR/{WAVES}, and a view of them for GTKWave, DIR/{VIEW}.",
        ),
    ] = False,
    retired: Annotated[
        bool,
        typer.Option(
            "--retired",
            help="Compare RTL and emulator after each instruction: the first is named that leaves "
            f"other words, sums or bytes behind. All up to it go to DIR/{RETIRED}.",
        ),
    ] = False,
    json: options.JsonOption = None,
) -> None:
    """Run a layer again that differed from the golden model, and say where it goes wrong.

    A run with mismatches saves its first wrong layer in a folder: the layer's program, its inputs,
    the output that is wanted and the one that was found. The layer runs again, with the memory of
    that run, on a device and on the emulator. If the emulator is right, the device is wrong, else
    the program is.

    Exit status: 0 if every value is equal, 1 if not, 2 if the command or a file is wrong.
    """
    check_targets(json)
    saved = Case.load(case)
    backend = choose_backend(device, DeviceOptions(memory=saved.memory or Memory(), board=board))
    if waves:
        if device != "rtl":
            raise refuse_waves()
        need("--waves", "sim", "pylibfst")
        need("--waves", "explore")
    step: LockStep | None = None
    with ProgressLog(error_console()) as log:
        observer = observer_of(log, saved.program.layers, one_at_a_time=True)
        rerun = partial(trace_case, folder=case) if waves else run_case
        if retired:
            verdict, step = retire_case(saved, backend, observer, rerun)
            step.save(case / RETIRED)
        else:
            verdict = rerun(saved, backend, observer)
    lines = verdict_lines(verdict)
    if step is not None:
        lines.append(retired_line(step))
    if waves:
        lines.append(f"{case / WAVES}: look at it with `gtkwave {case / VIEW}`")
    give("\n".join(lines), verdict.to_dict(), json)
    if verdict.triage is not None:
        raise typer.Exit(MISMATCH)
