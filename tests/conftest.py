"""Every report that a test makes has the published form."""

import json
from pathlib import Path

import jsonschema
import pytest

from systolith_host.flow.report import Report

SCHEMA = Path(__file__).parents[1] / "docs" / "reference" / "report.schema.json"


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
