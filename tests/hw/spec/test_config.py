"""The configuration: how it is read, and the numbers derived from it."""

import dataclasses
import hashlib
import json
import re

import pytest

from systolith_hw.spec.config import AcceleratorConfig, ConfigError
from systolith_hw.spec.presets import PRESETS, load_config

TINY = PRESETS["tiny"].to_dict()


def config(**changes):
    return AcceleratorConfig(**{**TINY, **changes})


def test_derived_numbers_of_rectangles():
    tall = config(rows=8, weight_depth=64)
    assert (tall.block, tall.row_groups, tall.col_groups) == (4, 2, 1)
    wide = config(rows=3, cols=6, param_depth=12, post_lanes=1)
    assert (wide.block, wide.row_groups, wide.col_groups) == (3, 1, 2)
    assert wide.pack_sizes == (1,)
    assert config(rows=12, cols=12, param_depth=24).pack_sizes == (1, 2, 3, 4, 6)
    assert tall.multipliers == 32
    assert tall.burst_bytes == 128
    assert (tall.act_bytes, tall.weight_bytes) == (2048 * 8, 64 * 4)


@pytest.mark.parametrize("rows", [2, 3, 4, 5, 16, 17, 128])
def test_partial_sums_hold_the_largest_products(rows):
    made = config(
        rows=rows, cols=rows, weight_depth=256, param_depth=4 * rows, post_lanes=1, out_depth=80
    )
    assert rows * 255 * 128 < 1 << (made.psum_width - 1)


def test_the_fingerprint_is_that_of_every_field_but_the_name():
    base = config()
    assert config(name="other").fingerprint == base.fingerprint
    assert 0 <= base.fingerprint < 1 << 64
    others = [config(**{field: value}) for field, value in [("act_depth", 4096), ("acc_width", 31)]]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 3


def test_unknown_and_missing_fields_are_named():
    with pytest.raises(ConfigError, match=r"^configuration: no such field: colour, size$"):
        AcceleratorConfig.from_dict({**TINY, "size": 3, "colour": 1})
    fields = {key: value for key, value in TINY.items() if key not in ("rows", "bus_bytes")}
    with pytest.raises(ConfigError, match=r"^a\.toml: missing field: rows, bus_bytes$"):
        AcceleratorConfig.from_dict(fields, "a.toml")
    with pytest.raises(
        ConfigError, match=r"^configuration: rows must be between 2 and 128, not 1$"
    ):
        AcceleratorConfig.from_dict({**TINY, "rows": 1})


def test_a_toml_file_is_read_and_its_stem_is_the_name(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in TINY.items() if key != "name"))
    loaded = load_config(str(path))
    assert loaded.name == "mine"
    assert loaded.fingerprint == PRESETS["tiny"].fingerprint


def test_a_file_that_is_no_configuration_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    where = re.escape(str(path))
    with pytest.raises(ConfigError, match=f"^{where}: cannot be read: .*No such file"):
        load_config(str(path))
    path.write_text("rows = = 4")
    with pytest.raises(ConfigError, match=f"^{where}: not TOML: "):
        load_config(str(path))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=f"^{where}: cannot be read: "):
        load_config(str(path))


def test_an_unknown_preset_is_refused_with_the_known_ones():
    message = rf"^config must be one of {', '.join(PRESETS)} or a TOML file, not 'huge'$"
    with pytest.raises(ConfigError, match=message):
        load_config("huge")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_found_by_name(name):
    assert load_config(name) is PRESETS[name]
    assert PRESETS[name].name == name


def test_winograd_widens_the_array_and_its_sums():
    with_it = config(winograd=4, acc_depth=144)
    assert (with_it.act_width, with_it.weight_width) == (15, 14)
    assert (with_it.psum_width, with_it.sum_width) == (28, 38)
    without = config(acc_depth=144)
    assert (without.act_width, without.weight_width) == (8, 8)
    assert (without.psum_width, without.sum_width) == (18, 32)
    assert with_it.acc_bytes == -(-288 * 4 * 38 // 8)


def test_gathering_takes_a_mask_and_differences_of_nine_bits():
    with_it = config(gather=64)
    assert (with_it.act_width, with_it.psum_width) == (9, config().psum_width)
    assert with_it.mask_words == 16
    assert config().mask_words == 0


def test_an_option_that_is_left_out_is_not_hashed():
    fields = PRESETS["tiny"].to_dict()
    for option in ("name", "winograd", "functions", "gather", "nibbles"):
        del fields[option]
    text = json.dumps(fields, sort_keys=True)
    digest = hashlib.sha256(text.encode()).digest()[:8]
    assert PRESETS["tiny"].fingerprint == int.from_bytes(digest, "little")
    assert config(winograd=4, acc_depth=144).fingerprint != config(acc_depth=144).fingerprint
    assert config(functions=1).fingerprint != config().fingerprint
    assert config(gather=64).fingerprint != config().fingerprint
    assert config(nibbles=1).fingerprint != config().fingerprint


def test_the_memories_of_winograd_hold_two_chunks_and_two_strips():
    plain = PRESETS["ecp5-85f"]
    assert (plain.patch_ring, plain.kernel_ring, plain.transformed_bytes) == (0, 0, 0)
    config = dataclasses.replace(plain, winograd=14)
    assert (config.patch_ring, config.kernel_ring, config.strip_words) == (1008, 864, 512)
    assert config.transformed_bytes == (12 * 1008 * 15 + 12 * 864 * 14) // 8 + 512 * 12
