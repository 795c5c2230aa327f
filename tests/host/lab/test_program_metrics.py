"""Random networks keep their programs, and the replay its counts, as long as none is to change."""

from pathlib import Path

import pytest

from systolith_host.lab.fuzz.cases import CONFIGS
from systolith_host.lab.metrics import DRAWN, differences, read_metrics
from systolith_host.lab.program_metrics import program_metrics
from systolith_hw.spec.presets import PRESETS

GOLDEN = read_metrics(Path(__file__).parents[2] / "golden_metrics.json")["random"]
RENEW = "if that is meant: `systolith lab metrics --no-synthesis`, and say why in the commit"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_random_networks_keep_their_programs_and_counts(config):
    found = program_metrics(config, DRAWN)
    assert differences(GOLDEN[config.name], found) == [], RENEW


def test_every_configuration_of_random_cases_is_in_the_file():
    assert set(GOLDEN) == {config.name for config in CONFIGS}


def test_the_same_networks_are_drawn_again():
    assert program_metrics(PRESETS["tiny"], 2) == program_metrics(PRESETS["tiny"], 2)
    assert program_metrics(PRESETS["tiny"], 2) != program_metrics(PRESETS["tiny"], 3)
