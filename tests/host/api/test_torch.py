"""Modules and state dicts of the real PyTorch."""

import numpy as np
import pytest

import systolith as sy
from systolith_host.frontend.vgg import build_network, torchvision_keys
from systolith_host.frontend.weights import random_weights

torch = pytest.importorskip("torch", reason="PyTorch is not installed: see `make torch-setup`")
nn = torch.nn


class Residual(nn.Module):
    """Everything that small image classifiers have: sums, strides, clamps, a global pool."""

    def __init__(self):
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.two = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.down = nn.Conv2d(8, 16, 1, stride=2)
        self.drop, self.classes = nn.Dropout(0.5), nn.Linear(16, 10)

    def forward(self, x):
        x = nn.functional.relu(self.one(x))
        x = nn.functional.relu6(self.down(nn.functional.relu(x + self.two(x))))
        return self.classes(self.drop(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)))


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.conv(x) if x.sum() > 100 else nn.functional.relu(self.conv(x))


MODULES = {
    "normalised": (
        (3, 8, 8),
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)
        ),
    ),
    "residual": ((3, 16, 16), Residual),
    "linear": ((20,), lambda: nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))),
}


def inputs(*shape):
    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape, np.float32))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_runs_and_computes_what_pytorch_does(name):
    shape, build = MODULES[name]
    torch.manual_seed(0)
    module = build().train()
    images = inputs(4, *shape)
    net = sy.load(module, calibrate=images)
    assert module.training
    with torch.no_grad():
        wanted = module.eval()(images).numpy()
    np.testing.assert_allclose(net.forward(images), wanted, rtol=1e-3, atol=1e-4)
    run = net.compile("tiny").run(images[0], judge=True)
    assert run.report.mismatches == 0
    assert np.abs(run.output - wanted[0]).max() < 0.05 * np.abs(wanted).max()


def test_a_branch_on_values_is_warned_of():
    with pytest.warns(torch.jit.TracerWarning, match="might cause the trace to be incorrect"):
        sy.load(Branch(), input_shape=(3, 8, 8))


@pytest.mark.parametrize(
    ("build", "line"),
    [
        (
            lambda: nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear")),
            r"Sequential: network \(graph\): has no convolution and no linear layer",
        ),
        (
            lambda: nn.Sequential(nn.Conv2d(3, 4, 3)).double(),
            r"Sequential: its parameters must be float32, not torch.float64: call .float\(\) on it",
        ),
        (
            lambda: nn.Bilinear(3, 3, 3),
            "Bilinear: PyTorch cannot export it to ONNX: .* missing 1 required positional argument",
        ),
    ],
)
def test_modules_that_cannot_run_are_named_in_one_line(build, line):
    with pytest.raises(sy.SystolithError, match=rf"^{line}"):
        sy.load(build(), input_shape=(3, 8, 8))


def test_a_state_dict_is_read(tmp_path):
    graph = build_network("mini")
    keys, state = torchvision_keys("mini"), {}
    for name, layer in random_weights(graph, 3).items():
        state[f"{keys[name]}.weight"] = torch.from_numpy(layer.weight)
        state[f"{keys[name]}.bias"] = nn.Parameter(torch.from_numpy(layer.bias))
    torch.save(state, tmp_path / "mini.pth")
    images = inputs(2, 3, 32, 32)
    saved = sy.load("mini", weights=tmp_path / "mini.pth", calibrate=images)
    made = sy.load("mini", seed=3, calibrate=images)
    assert np.array_equal(saved.forward(images), made.forward(images))


def test_a_state_dict_that_would_run_code_is_refused(tmp_path):
    torch.save(Branch(), tmp_path / "module.pth")
    with pytest.raises(sy.SystolithError, match=r"module\.pth: holds more than tensors, which"):
        sy.load("mini", weights=tmp_path / "module.pth")
