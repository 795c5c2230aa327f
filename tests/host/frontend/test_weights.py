"""Random weights, and files of weights, good and bad."""

import importlib.util
import sys
import types

import numpy as np
import pytest
from safetensors.numpy import save_file

from systolith_host import extras
from systolith_host.errors import SystolithError
from systolith_host.frontend.vgg import build_network, torchvision_keys
from systolith_host.frontend.weights import load_weights, random_weights

GRAPH = build_network("mini")


def state_dict(seed=1, dtype: type = np.float32):
    keys = torchvision_keys("mini")
    state = {}
    for name, layer in random_weights(GRAPH, seed).items():
        state[f"{keys[name]}.weight"] = layer.weight.astype(dtype)
        state[f"{keys[name]}.bias"] = layer.bias.astype(dtype)
    return state


def test_random_weights_depend_on_the_seed_alone():
    first, again, other = (random_weights(GRAPH, seed) for seed in (3, 3, 4))
    assert np.array_equal(first["fc4"].weight, again["fc4"].weight)
    assert not np.array_equal(first["fc4"].weight, other["fc4"].weight)


def test_random_weights_have_he_scaling():
    weight = random_weights(GRAPH, 0)["fc4"].weight
    assert weight.shape == (24, 256)
    assert weight.std() == pytest.approx(np.sqrt(2 / 256), rel=0.05)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_safetensors_are_read(tmp_path, dtype):
    state = state_dict(dtype=dtype)
    path = tmp_path / "mini.safetensors"
    save_file(state, path)
    weights = load_weights(path, GRAPH)
    assert list(weights) == [node.name for node in GRAPH.weighted]
    assert weights["conv2_1"].weight.dtype == np.float32
    assert np.array_equal(weights["conv2_1"].weight, state["features.3.weight"].astype(np.float32))
    assert np.array_equal(weights["fc6"].bias, state["classifier.6.bias"].astype(np.float32))


def changed(**changes):
    state = state_dict()
    for key, value in changes.items():
        key = key.replace("__", ".")
        if value is None:
            del state[key]
        else:
            state[key] = value
    return state


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features__3__weight": None}, r"features\.3\.weight is missing; is this a torchvision"),
        (
            {"classifier__0__weight": np.zeros((24, 255), np.float32)},
            r"classifier\.0\.weight: shape must be \(24, 256\) in mini, not \(24, 255\)$",
        ),
        ({"features__9__weight": np.zeros(1, np.float32)}, r"features\.9\.weight is no weight of"),
        (
            {"features__0__bias": np.zeros(8, np.int32)},
            r"features\.0\.bias: values must be one of float16, float32, float64, not int32$",
        ),
        (
            {"features__0__bias": np.full(8, np.nan, np.float32)},
            r"features\.0\.bias: has values that are not finite$",
        ),
        (
            {"features__1__running_mean": np.zeros(8, np.float32)},
            r"has batch normalisation; give the weights of the plain mini$",
        ),
    ],
)
def test_wrong_tensors_are_named(tmp_path, changes, message):
    path = tmp_path / "mini.safetensors"
    save_file(changed(**changes), path)
    with pytest.raises(SystolithError, match=f"^{path}: {message}") as caught:
        load_weights(path, GRAPH)
    assert "\n" not in str(caught.value)


def test_bfloat16_is_refused(tmp_path):
    save_file(state_dict(dtype=np.float16), tmp_path / "mini.safetensors")
    data = (tmp_path / "mini.safetensors").read_bytes().replace(b'"F16"', b'"BF16"')
    size = int.from_bytes(data[:8], "little")
    extra = data.index(b"BF16") and data.count(b'"BF16"')
    (tmp_path / "bf.safetensors").write_bytes((size + extra).to_bytes(8, "little") + data[8:])
    with pytest.raises(
        SystolithError, match=r"values must be one of float16, .*, not (BF16|bfloat16)$"
    ):
        load_weights(tmp_path / "bf.safetensors", GRAPH)


def test_damaged_and_foreign_files_are_refused(tmp_path):
    whole = tmp_path / "mini.safetensors"
    save_file(state_dict(), whole)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(SystolithError, match=r"cut\.safetensors: not a safetensors file, or dam"):
        load_weights(cut, GRAPH)
    with pytest.raises(SystolithError, match=r"none\.safetensors: no such file$"):
        load_weights(tmp_path / "none.safetensors", GRAPH)
    other = tmp_path / "weights.h5"
    other.write_bytes(b"")
    with pytest.raises(SystolithError, match=r"weights must be a \.safetensors, \.pth, \.pt file"):
        load_weights(other, GRAPH)


def test_pth_without_torch_says_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "is_installed", lambda module: module != "torch")
    path = tmp_path / "mini.pth"
    path.write_bytes(b"x")
    with pytest.raises(SystolithError, match=r"\.pth needs PyTorch; install systolith\[torch\]"):
        load_weights(path, GRAPH)


class FakeTensor:
    """As much of torch.Tensor as reading needs."""

    def __init__(self, values):
        self.values = values
        self.shape = values.shape

    def detach(self):
        return self

    def numpy(self):
        return self.values


@pytest.fixture
def fake_torch(monkeypatch):
    torch = types.ModuleType("torch")
    torch.__spec__ = importlib.util.spec_from_loader("torch", None)
    torch.Tensor = FakeTensor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    return torch


def test_pth_is_read_without_running_code(tmp_path, fake_torch):
    state = state_dict()

    def load(path, map_location, weights_only):
        assert (map_location, weights_only) == ("cpu", True)
        return {key: FakeTensor(value) for key, value in state.items()}

    fake_torch.load = load
    path = tmp_path / "mini.pth"
    path.write_bytes(b"x")
    weights = load_weights(path, GRAPH)
    assert np.array_equal(weights["conv1_1"].weight, state["features.0.weight"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (RuntimeError("bad\nzip"), r"not a PyTorch state dict, or damaged: bad zip$"),
        ([1, 2], r"must be a state dict \(names and tensors, nothing else\)$"),
        ({"epoch": 3}, r"must be a state dict \(names and tensors, nothing else\)$"),
    ],
)
def test_bad_pth_is_refused(tmp_path, fake_torch, content, message):
    def load(*args, **kwargs):
        if isinstance(content, Exception):
            raise content
        return content

    fake_torch.load = load
    path = tmp_path / "mini.pth"
    path.write_bytes(b"x")
    with pytest.raises(SystolithError, match=f"^{path}: {message}"):
        load_weights(path, GRAPH)
