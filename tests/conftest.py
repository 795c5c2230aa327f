"""What several folders need: the form of reports, and netlists of components."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from systolith_host.flow.report import Report
from systolith_host.fpga.synthesis import synthesise
from systolith_hw.generate import component_rtlil
from systolith_hw.primitives.ecp5 import Ecp5

SCHEMA = Path(__file__).parents[1] / "docs" / "reference" / "report.schema.json"


def pytest_configure(config):
    # A shell starts what runs in its background deaf to Ctrl-C, nohup deaf to a hang-up, and
    # children inherit that; the commands that tests start have to end by both.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # A component that a test only looks at, or whose constructor refuses its arguments, counts as
    # unused, and Amaranth says so whenever it is collected, in whichever test runs then.
    config.addinivalue_line("filterwarnings", "ignore:.* created but never used")


@pytest.fixture(scope="session")
def report_validator():
    """Return what checks a report's JSON values against the published schema."""
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(autouse=True)
def _reports_are_valid(request, monkeypatch):
    whole = Report.to_dict

    def to_dict(report):
        made = whole(report)
        # As a file has it: tuples are lists there.
        request.getfixturevalue("report_validator").validate(json.loads(json.dumps(made)))
        return made

    monkeypatch.setattr(Report, "to_dict", to_dict)


@pytest.fixture
def ecp5_netlist(tmp_path):
    """Return what synthesises a component, and returns the netlist's Verilog and its cells."""

    def synthesised(component):
        netlist = synthesise(component_rtlil(component, "other", Ecp5()), "other", tmp_path)
        code = (
            "from pyosys import libyosys; design = libyosys.Design(); "
            f"design.run_pass('read_json {netlist.path.name}'); "
            "design.run_pass('write_verilog -noattr netlist.v')"
        )
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
        return (tmp_path / "netlist.v").read_text(), netlist.cells

    return synthesised
