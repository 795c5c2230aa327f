"""The example of trained networks: where its files are, a photograph is what it shows."""

import os
from pathlib import Path

import pytest

import systolith as sy

FOLDER = os.environ.get("SYSTOLITH_IMAGENET", "")
SHOWN = {"coffee.png": ("espresso",), "chelsea.png": ("Egyptian Mau", "tabby cat", "Egyptian cat")}


@pytest.mark.skipif(not FOLDER, reason="SYSTOLITH_IMAGENET names no folder of the example's files")
@pytest.mark.parametrize("network", ["mobilenet_v2", "efficientnet_lite0"])
def test_photographs_are_what_they_show(network):
    folder = Path(FOLDER)
    net = sy.load(folder / f"{network}.onnx", calibrate=folder / "photographs")
    program = net.compile("default")
    for name, wanted in SHOWN.items():
        run = program.run(folder / "photographs" / name, "emulator", judge=True)
        assert run.report.mismatches == 0
        assert run.report.float_top[0] == run.report.top[0][0]
        assert run.top(1)[0][0].name in wanted
