"""Configurations as files: what `configs --show` prints can be read, and the schema agrees."""

import dataclasses
import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from systolith_host.cli.views.config_form import config_schema, config_toml
from systolith_hw.spec.check import RANGES
from systolith_hw.spec.config import AcceleratorConfig, ConfigError
from systolith_hw.spec.presets import PRESETS, load_config, read_config

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "docs" / "reference" / "config.schema.json"


@pytest.mark.parametrize("config", PRESETS.values(), ids=list(PRESETS))
def test_what_is_shown_is_the_configuration_and_keeps_to_the_schema(config, tmp_path):
    path = tmp_path / "shown.toml"
    path.write_text(config_toml(config))
    assert read_config(path) == config
    jsonschema.validate(tomllib.loads(path.read_text()), config_schema())


def test_every_field_is_explained_and_has_a_range():
    names = {field.name for field in dataclasses.fields(AcceleratorConfig)}
    assert set(RANGES) == names - {"name"}
    properties = config_schema()["properties"]
    assert set(properties) == names | {"base"}
    assert all(properties[name]["description"].endswith(".") for name in names)
    comments = config_toml(PRESETS["tiny"])
    assert "# Bits of a sum, 20 to 32.\nacc_width = 32\n" in comments
    assert max(map(len, comments.splitlines())) <= 100


def test_the_schema_in_the_documentation_is_the_one_that_the_command_prints(command):
    status, out, _ = command("configs", "--schema")
    assert status == 0
    assert out == SCHEMA.read_text()


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda path: path.stem
)
def test_the_files_that_come_along_keep_to_it(path):
    jsonschema.validate(tomllib.loads(path.read_text()), json.loads(SCHEMA.read_text()))


@pytest.mark.parametrize("name", RANGES)
def test_a_range_of_the_schema_is_the_one_that_is_checked(name):
    low, high = RANGES[name]
    for value in (low - 1, high + 1):
        fields = PRESETS["tiny"].to_dict() | {name: value}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(fields, config_schema())
        with pytest.raises(ConfigError, match=f"{name} must be "):
            AcceleratorConfig.from_dict(fields)


def test_a_file_takes_what_it_leaves_out_from_its_base(tmp_path):
    path = tmp_path / "wide.toml"
    path.write_text('base = "default"\nacc_depth = 2016\nwinograd = 56\n')
    found = load_config(str(path))
    wanted = dataclasses.replace(PRESETS["default"], name="wide", acc_depth=2016, winograd=56)
    assert found == wanted


@pytest.mark.parametrize("base", ['"huge"', "3", "[]"])
def test_a_base_that_is_no_preset_is_refused(tmp_path, base):
    path = tmp_path / "odd.toml"
    path.write_text(f"base = {base}\n")
    with pytest.raises(ConfigError, match=r"odd\.toml: base must be one of tiny, default, .*, not"):
        load_config(str(path))
