"""The command line: the short commands, and how the others are named and ended."""

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from systolith_host.cli import board as board_commands
from systolith_host.cli.area import area
from systolith_host.cli.compile import compile_
from systolith_host.cli.design import design
from systolith_host.cli.driver import driver, header, image, simulate
from systolith_host.cli.estimate import estimate
from systolith_host.cli.evaluate import evaluate
from systolith_host.cli.explore import explore
from systolith_host.cli.lab import lab
from systolith_host.cli.options import (
    AcceleratorOption,
    HostNodesOption,
    NetworkArgument,
    SeedOption,
    ShapeOption,
    size_of,
)
from systolith_host.cli.output import (
    HUNG_UP,
    INTERRUPTED,
    MISMATCH,
    MISUSE,
    TERMINATED,
    complain,
    show,
)
from systolith_host.cli.package import package
from systolith_host.cli.report import report
from systolith_host.cli.run import run
from systolith_host.cli.selftest import selftest
from systolith_host.cli.timing import timing
from systolith_host.cli.triage import triage
from systolith_host.cli.views.config_form import config_schema, config_toml
from systolith_host.cli.views.configs import config_table
from systolith_host.cli.views.network import network_table
from systolith_host.errors import SystolithError
from systolith_host.extras import need
from systolith_host.flow.load import load_graph
from systolith_host.progress import ProgressLog
from systolith_host.terminal import error_console
from systolith_host.version import describe
from systolith_hw.spec.presets import PRESETS, load_config

__all__ = ["app", "main"]

app = typer.Typer(
    name="systolith",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="A generator of systolic CNN accelerators, with the tools to run networks on them.",
    epilog="Start with [bold]systolith run vgg16[/bold]; every command explains itself: --help",
)


def _version(asked: bool) -> None:
    if asked:
        show(describe())
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="Show the version and the commit, and exit.",
        ),
    ] = False,
) -> None:
    pass


app.command(
    epilog="Examples:\n\n"
    "  systolith run vgg16 --device emulator\n\n"
    "  systolith run mini --config tiny --sequential --waves conv1_1\n\n"
    "  systolith run vgg16 --image cat.jpg --weights vgg16.safetensors --layers conv3_1..fc6\n\n"
    "  systolith run model.onnx --calibrate photographs/ --image cat.jpg\n\n"
    "  systolith run vgg16 --config large --bandwidth 8 --json large.json"
)(run)

app.command(
    epilog="Examples:\n\n  systolith triage conv1_1.case\n\n  systolith triage conv1_1.case --waves"
)(triage)

app.command(
    epilog="Examples:\n\n"
    "  systolith evaluate model.onnx --data validation/ --labels names.txt --limit 1000\n\n"
    "  systolith evaluate digits/digits.onnx --data digits/held-out.npz --config tiny --device rtl"
)(evaluate)

app.command(
    "compile",
    epilog="Examples:\n\n"
    "  systolith compile vgg16 --out vgg16.program\n\n"
    "  systolith compile vgg16 --explain conv4_2 --json conv4_2.json",
)(compile_)
app.command(
    epilog="Examples:\n\n"
    "  systolith estimate vgg16\n\n"
    "  systolith estimate model.onnx --config large --bandwidth 8 --json estimate.json"
)(estimate)


@app.command()
def info(
    network: NetworkArgument = "vgg16",
    shape: ShapeOption = None,
    host_nodes: HostNodesOption = True,
    config: AcceleratorOption = "default",
) -> None:
    """Show a network's layers: activations, weights and multiply-accumulates, and their totals.

    An accelerator that looks functions up in tables takes them in; without it the host has them.
    """
    functions = bool(load_config(config).functions)
    graph = load_graph(network, size_of(shape), host_nodes=host_nodes, functions=functions)
    show(network_table(graph))


@app.command()
def check(
    model: Annotated[Path, typer.Argument(metavar="FILE", help="An ONNX file.")],
    shape: ShapeOption = None,
    host_nodes: HostNodesOption = True,
    config: AcceleratorOption = "default",
) -> None:
    """Say whether an ONNX network can run, and which nodes the array cannot compute.

    Each of these is listed with the reason, and with what it would take. The host computes them,
    or the network cannot run: with --no-host-nodes, or if no layer is left for the array.

    If it can, it is compared with onnxruntime on a random image, and the difference is shown.

    Exit status: 0 if the network can run, 1 if not, 2 if the file is damaged.
    """
    from systolith_host.frontend.judge import judge
    from systolith_host.frontend.onnx import inspect_onnx  # onnx takes a moment to import

    target = load_config(config)
    network, problems = inspect_onnx(
        model, size_of(shape), host_nodes=host_nodes, functions=bool(target.functions)
    )
    from systolith_host.cli.views.problems import host_list, problem_list

    if network is not None:
        with ProgressLog(error_console()) as log:
            log.stage("comparison with onnxruntime")
            line = judge(model, network, target.multiplier_width)
        if network.hosted:
            show(host_list(network.hosted))
        show(f"{model}: can run: {network.summary}")
        show(f"{model}: {line}")
        return
    show(problem_list(problems, str(model)))
    raise typer.Exit(MISMATCH)


@app.command()
def export(
    network: Annotated[
        str,
        typer.Argument(
            help="alexnet, densenet121, mobilenet_v2, resnet18, resnet50, squeezenet1_1, vgg11_bn "
            "or vgg16."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="File for the model.")],
    size: Annotated[
        int, typer.Option(min=64, max=1024, help="Height and width of the images, in pixels.")
    ] = 224,
    seed: SeedOption = 0,
) -> None:
    """Write a well-known network as an ONNX file with random weights, to try things out."""
    from systolith_host.frontend.zoo import build_onnx  # onnx takes a moment to import

    model = build_onnx(network, seed=seed, size=size)
    try:
        out.write_bytes(model.SerializeToString())
    except OSError as error:
        raise SystolithError(f"{out}: cannot be written: {error.strerror}") from None
    show(f"{out}: {out.stat().st_size:,} bytes, {len(model.graph.node)} nodes")


@app.command()
def generate(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the files.")],
    config: AcceleratorOption = "default",
) -> None:
    """Write the accelerator as Verilog, for synthesis and for simulation, and a JSON of facts."""
    target = load_config(config)
    need("generate", "sim", "amaranth", "pyosys")
    from systolith_hw.generate import write_accelerator  # takes a second to import

    with ProgressLog(error_console()) as log:
        log.stage(f"generating {target.name}")
        try:
            paths = write_accelerator(target, out)
        except OSError as error:
            raise SystolithError(f"{out}: cannot be written: {error.strerror}") from None
    for path in paths:
        show(f"{path}: {path.stat().st_size:,} bytes")


app.command(
    epilog="Examples:\n\n"
    "  systolith explore vgg16 --bandwidth 2..32 --act-buffer 64K..512K\n\n"
    "  systolith explore vgg16 --rows 8,16,32 --cols 8,16,32 --bandwidth 4..32 --sample 100\n\n"
    "  systolith explore mini --config tiny --bandwidth 1..8 --confirm 1"
)(explore)

app.command(
    epilog="Examples:\n\n"
    "  systolith design vgg16 --board ecpix5-85f --clock 125\n\n"
    "  systolith design model.onnx --part lfe5u-45f-6 --bandwidth 4 --by traffic"
)(design)

app.command(
    epilog="Examples:\n\n"
    "  systolith report vgg16 --out report.html\n\n"
    "  systolith report vgg16 --measured run.json --sweep sweep --timeline conv5_2 --rtl\n\n"
    "  systolith report model.onnx --config large --bandwidth 8 --trace trace.json",
)(report)

app.command()(timing)
app.command(epilog="Example:\n\n  systolith package --config ecp5-85f --out core")(package)
app.command()(header)
app.command(epilog="Example:\n\n  systolith driver --config default --out build/driver")(driver)
app.command(epilog="Example:\n\n  systolith image vgg16.program --out vgg16.image")(image)
app.command(
    epilog="Example:\n\n  systolith simulate --config tiny --socket /tmp/accelerator\n\n"
    "  run_image --socket /tmp/accelerator mini.image input.bytes output.bytes"
)(simulate)
app.command(epilog="Example:\n\n  systolith area --config tiny --family xcup --out area")(area)


app.command(
    epilog="Examples:\n\n"
    "  systolith build --board ulx3s-85f --config tiny --out build/ulx3s\n\n"
    "  systolith build --board ecpix5-85f --clock 125 --seeds 8 --out build/ecpix5"
)(board_commands.build)
app.command()(board_commands.program)
app.command(
    epilog="Examples:\n\n"
    "  systolith selftest --config tiny --device rtl\n\n"
    "  systolith selftest --config ecp5-85f --device litex://localhost:1234 --board build/ulx3s"
)(selftest)
app.command()(board_commands.serve)
app.add_typer(lab)


@app.command(
    epilog="Examples:\n\n"
    "  systolith configs --show default > mine.toml\n\n"
    "  systolith configs --schema > config.schema.json"
)
def configs(
    shown: Annotated[
        str | None,
        typer.Option(
            "--show", metavar="CONFIG", help="Print one as a TOML file that explains each field."
        ),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of such files, for editors.")
    ] = False,
) -> None:
    """List the configurations that have a name, or print one as a file to change."""
    if shown is not None:
        print(config_toml(load_config(shown)), end="")
    elif schema:
        print(json.dumps(config_schema(), indent=2))
    else:
        show(config_table(PRESETS.values()))


def main() -> None:
    """Run the command line; a user's mistake ends in one line and exit status 2."""
    if threading.current_thread() is threading.main_thread():
        # An exception, so that what was started is stopped on the way out.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(TERMINATED))
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            signal.signal(signal.SIGHUP, lambda number, frame: sys.exit(HUNG_UP))
    try:
        status = app(standalone_mode=False, prog_name="systolith")
    except TyperException as error:
        if text := " ".join(error.format_message().split()):  # none where help was shown instead
            complain(text)
        sys.exit(MISUSE)
    except SystolithError as error:
        complain(" ".join(str(error).split()))
        sys.exit(MISUSE)
    except MemoryError as error:
        complain(f"needs more memory than there is: {' '.join(str(error).split())}".rstrip(": "))
        sys.exit(MISUSE)
    except RecursionError:
        complain("a file is nested too deeply to be read")
        sys.exit(MISUSE)
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.exit(MISMATCH)
    sys.exit(status or 0)
