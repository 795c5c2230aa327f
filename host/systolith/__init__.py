"""Systolith, a generator of systolic CNN accelerators, for programs and notebooks.

From a network and an accelerator to what it computes and what it costs::

    import systolith as sy

    acc = sy.Accelerator.preset("default")
    net = sy.load("model.onnx", calibrate="photographs/")
    prog = net.compile(acc, memory=sy.Memory(bytes_per_cycle=8))
    run = prog.run("cat.jpg", device="model")
    run.output                # ndarray of float32, (1, classes)
    run.report                # cycles, bytes and stalls of each layer

* :class:`Accelerator`: a configuration; its Verilog, and what it takes of an FPGA.
* :func:`load` returns a :class:`Network`, whose ``compile`` returns a :class:`Compiled` program,
  whose ``run`` returns a :class:`Run` with its :class:`Report`. ``Network.estimate`` returns the
  same report from shapes alone, and ``Compiled.load`` a program that was saved.
  ``Compiled.evaluate`` counts how often the network is right, in an :class:`Evaluation`.
* :class:`Memory`: the external memory. :class:`Form`: what a network expects of photographs.
* :func:`explore` compares many accelerators and memories in a :class:`Sweep`.

A user's mistake, a missing package or a failing device raises :class:`SystolithError`, whose text
is one line. Objects show themselves in notebooks; what takes long has a parameter ``progress`` (see
:mod:`systolith.progress`).
"""

from systolith.accelerator import Accelerator, Resources
from systolith.compiled import Compiled
from systolith.explore import Sweep, explore
from systolith.network import Network, load
from systolith.report import Report
from systolith.run import Guess, Run
from systolith_host.errors import SystolithError
from systolith_host.flow.evaluate import Evaluation
from systolith_host.frontend.form import Form
from systolith_host.version import version
from systolith_hw.spec.memory import Memory

__all__ = [
    "Accelerator",
    "Compiled",
    "Evaluation",
    "Form",
    "Guess",
    "Memory",
    "Network",
    "Report",
    "Resources",
    "Run",
    "Sweep",
    "SystolithError",
    "__version__",
    "explore",
    "load",
]

__version__ = version()
