"""Presets: each by its name, distinct, and found before files of the same name."""

import re
from dataclasses import replace

import pytest

from systolith_hw.spec.config import AcceleratorConfig, ConfigError
from systolith_hw.spec.presets import PRESETS, load_config


def test_every_preset_goes_by_its_own_name():
    assert set(PRESETS) == {
        *("tiny", "default-direct", "default", "ecp5-85f", "ecp5-85f-winograd", "k26"),
        *("default-gather", "ecp5-85f-gather", "large-direct", "large"),
    }
    assert all(config.name == name for name, config in PRESETS.items())
    assert len({config.fingerprint for config in PRESETS.values()}) == len(PRESETS)


def test_the_direct_forms_are_those_without_winograd():
    for name, acc_depth in (("default", 1024), ("large", 1024)):
        direct = PRESETS[f"{name}-direct"]
        assert direct.winograd == 0 < PRESETS[name].winograd
        other = replace(PRESETS[name], winograd=0, acc_depth=acc_depth)
        assert other.fingerprint == direct.fingerprint


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_found_whatever_files_are_there(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("nothing of use")
    assert load_config(name) is PRESETS[name]


def test_a_file_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    fields = PRESETS["tiny"].to_dict() | {"name": "mine", "acc_depth": 32}
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in fields.items()))
    assert load_config(str(path)) == AcceleratorConfig(**fields)


def test_another_name_is_refused_with_those_that_there_are():
    names = ", ".join(PRESETS)
    message = rf"^config must be one of {re.escape(names)} or a TOML file, not 'huge'$"
    with pytest.raises(ConfigError, match=message):
        load_config("huge")
