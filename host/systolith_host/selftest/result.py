"""What a stage of the self-test finds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from systolith_host.flow.case import Case

__all__ = ["Absent", "Finding", "Result", "Verdict"]


class Verdict(str, Enum):
    """How a stage ended."""

    PASS = "pass"
    FAIL = "FAIL"
    ABSENT = "not on this device"
    SKIPPED = "not run"


@dataclass(frozen=True)
class Finding:
    """A stage's end that is no exception.

    Parameters
    ----------
    text : str
        One line, with figures; of a failure, with the way out.
    figures : mapping of str to object
        The same as JSON values.
    case : Case, optional
        The layer that differs from the golden model; the stage has failed then.
    """

    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    case: Case | None = None


class Absent(Exception):
    """The device does not have what a stage is about; the text is the reason."""


@dataclass(frozen=True)
class Result:
    """A stage that has ended.

    Parameters
    ----------
    stage : str
    verdict : Verdict
    finding : Finding
    seconds : float
        Wall time.
    """

    stage: str
    verdict: Verdict
    finding: Finding
    seconds: float

    @property
    def line(self) -> str:
        """The stage in one line."""
        return f"{self.stage:9} {self.verdict.value}: {self.finding.text}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "stage": self.stage,
            "verdict": self.verdict.value,
            "text": self.finding.text,
            "figures": dict(self.finding.figures),
            "seconds": round(self.seconds, 3),
        }
