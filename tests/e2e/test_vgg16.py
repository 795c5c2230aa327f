"""Layers of VGG-16 at full size in the RTL: equal to the golden model, and close to the bounds."""

import json
import sys

import pytest

from systolith_host.cli import app as cli


@pytest.mark.requirement("CNT-2")
@pytest.mark.requirement("NUM-1", presets=("default", "default-direct"))
@pytest.mark.rtl
@pytest.mark.parametrize(
    # 16 patches cover conv5_3's map of 14x14, where 12.25 would do.
    ("config", "bound", "most"),
    [("default", 451_584, 1.32), ("default-direct", 1_806_336, 1.002)],
)
def test_layers_of_each_kind_keep_to_their_bounds(tmp_path, monkeypatch, config, bound, most):
    path = tmp_path / "report.json"
    layers = ["--layers", "conv1_1,conv5_3,fc8"]
    arguments = ["run", "vgg16", "--config", config, *layers, "--json", str(path)]
    monkeypatch.setattr(sys, "argv", ["systolith", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    rows = {row["name"]: row for row in json.loads(path.read_text())["layers"]}
    # Cycles: the packed first layer is the one that cannot fill the array.
    assert [rows[name]["bound_cycles"] for name in rows] == [338_688, bound, 256_319]
    assert rows["conv1_1"]["cycles"] <= 1.80 * 338_688
    assert rows["conv5_3"]["cycles"] <= most * bound
    assert rows["fc8"]["cycles"] <= 1.04 * 256_319
    # Traffic: apart from halos and padded channels there are only instructions and parameters.
    for row in rows.values():
        traffic = row["bytes_read"] + row["bytes_written"]
        assert row["compulsory_bytes"] < traffic <= 1.07 * row["compulsory_bytes"]
        assert row["busy_cycles"] + sum(row["stalls"].values()) == row["cycles"]
        assert row["mismatches"] == 0
