"""JSON and TOML that are nested more deeply than a parser goes: one line each."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from systolith_host.errors import SystolithError
from systolith_host.flow.saved import read_fields
from systolith_host.network.store import load_qgraph
from systolith_hw.spec.config import ConfigError
from systolith_hw.spec.presets import PRESETS, load_config

DEEP = "[" * 200_000


def test_a_saved_report(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(DEEP)
    with pytest.raises(SystolithError, match=r"^--measured: [^\n]*run\.json: is not a report"):
        read_fields(path, "mini", PRESETS["tiny"], 1)


def test_a_stored_network(tmp_path):
    path = tmp_path / "net.safetensors"
    save_file({"a": np.zeros(1, np.uint8)}, str(path), {"systolith integer network": DEEP})
    with pytest.raises(SystolithError, match=r"net\.safetensors: is damaged: [^\n]*$"):
        load_qgraph(path)


def test_a_configuration(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text(f"rows = {DEEP[:20_000]}")
    with pytest.raises(ConfigError, match=r"deep\.toml: not TOML: [^\n]*$"):
        load_config(str(path))
