"""Where in the accelerator a line or branch of its flattened Verilog belongs, and what it says."""

import re
from functools import cached_property

from systolith_sim.faults.counts import Place

__all__ = ["Source", "part_of"]

_NAME = re.compile(r"\\(\S+) ")
_ARM = re.compile(r"\d+'b([?1]+):")


def part_of(name: str) -> str:
    """Return the part of the accelerator that has a signal: the first instance of its name.

    Wires between the parts have a number behind ``$``; with the ports they are "accelerator".
    """
    first, dot, _ = name.partition(".")
    return first if dot and "$" not in first else "accelerator"


class Source:
    """The text that was simulated, for descriptions of its lines.

    Parameters
    ----------
    verilog : str
        The file whose lines :class:`Place` counts.
    """

    def __init__(self, verilog: str) -> None:
        self._lines = verilog.splitlines()

    @cached_property
    def _calls(self) -> dict[str, str]:
        """The only call of each function; Yosys writes a function for each choice of many."""
        found = {}
        for line in self._lines:
            called = re.search(r"= (_\d+_)\(", line)
            if called:
                found[called[1]] = line.strip()
        return found

    @cached_property
    def _values(self) -> dict[str, str]:
        """What is assigned to each name without a meaning."""
        pattern = re.compile(r"^ *assign (_\d+_) = (.*);$")
        matches = (pattern.match(line) for line in self._lines)
        return {match[1]: match[2] for match in matches if match}

    def _arm(self, index: int) -> str | None:
        """Return what chooses an arm of a function, or None if the line is in none."""
        start = index
        while start and "endfunction" not in self._lines[start]:
            opens = re.match(r" *function .*?(_\d+_);", self._lines[start])
            if opens:
                break
            start -= 1
        else:
            return None
        call = self._calls.get(opens[1], "") if opens else ""
        inner = re.sub(r"^.*?\(|\);$", "", call)
        selects = inner.rpartition("{")[2].rstrip(" }") if inner.endswith("}") else ""
        names = [name.strip() for name in selects.split(",")][::-1]
        texts = [self._values.get(name, name) for name in names]
        target = call.removeprefix("assign ").partition(" = ")[0]
        arm = _ARM.search(self._lines[index])
        if arm is None:
            chosen = f"none of: {'; '.join(texts)}"
        else:
            place = len(arm[1]) - 1 - arm[1].index("1")
            chosen = texts[place] if place < len(texts) else ""
        return f"{target} where {chosen}"

    def describe(self, place: Place) -> tuple[str, str]:
        """Return the part and the text of a line or branch.

        A choice between more than two is described by what it is assigned to and what chooses that
        arm; any other by its own text. Names keep no backslashes.
        """
        index = place.line - 1
        text = self._arm(index)
        if text is None:
            text = " ".join(line.strip() for line in self._lines[index : index + 2])
            if "assign" in self._lines[index] or ";" in self._lines[index]:
                text = self._lines[index].strip()
            arms = {"cond_then": "then", "cond_else": "else", "if": "then"}
            text = f"{arms.get(place.name, place.name)}: {text}"
        names = [found for found in _NAME.findall(text) if "." in found]
        text = re.sub(r"\\(\S+) ", r"\1", text)
        return part_of(names[0]) if names else "accelerator", text
