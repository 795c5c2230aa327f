"""Accelerators: configurations, Verilog, resources."""

import numpy as np
import pytest

import systolith as sy
from systolith_host.fpga.estimate import estimate
from systolith_hw.generate import accelerator_verilog
from systolith_hw.spec.presets import PRESETS


def test_presets_files_and_fields_give_the_same_accelerator(tmp_path):
    tiny = sy.Accelerator.preset("tiny")
    path = tmp_path / "tiny.toml"
    fields = {name: value for name, value in tiny.config.to_dict().items() if name != "name"}
    path.write_text("".join(f"{name} = {value}\n" for name, value in fields.items()))
    same = [sy.Accelerator(**tiny.config.to_dict()), sy.Accelerator.from_toml(str(path))]
    same += [sy.Accelerator.of(given) for given in ("tiny", path, tiny, PRESETS["tiny"])]
    assert set(same) == {tiny}
    assert tiny.config == PRESETS["tiny"]


def test_fields_may_be_replaced_and_numpys():
    one = sy.Accelerator.preset("tiny").replace(rows=np.int64(8), name="eight")
    assert (one.config.rows, type(one.config.rows), one.name) == (8, int, "eight")
    assert sy.Accelerator.preset("tiny").replace(cols=8).name == "custom"


def test_resources_are_those_of_the_estimate_and_compared_with_a_part():
    for name in ("tiny", "ecp5-85f", "large"):
        assert sy.Accelerator.preset(name).resources().used == estimate(PRESETS[name])
    fits = sy.Accelerator.preset("ecp5-85f").resources("ecp5-85f")
    assert fits.fits
    assert fits.part is not None
    assert fits.part.name == "lfe5u-85f-6"
    fits.check()
    large = sy.Accelerator.preset("large").resources("lfe5u-25f-6")
    assert not large.fits
    with pytest.raises(sy.SystolithError, match=r"^the accelerator does not fit lfe5u-25f-6: "):
        large.check()
    assert "<td" in fits._repr_html_()


def test_verilog_is_that_of_the_generator(tmp_path):
    tiny = sy.Accelerator.preset("tiny")
    paths = tiny.verilog(str(tmp_path / "rtl"))
    assert [path.name for path in paths] == [
        "accelerator.v", "accelerator_sim.v", "accelerator.json"
    ]  # fmt: skip
    assert paths[0].read_text() == accelerator_verilog(tiny.config)
