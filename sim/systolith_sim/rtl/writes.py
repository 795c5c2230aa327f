"""What the RTL wrote, instruction by instruction: the file of write_recorder.v.

The file knows no instructions. Each store is written in the order of the program, though, and so an
instruction takes as many of the next writes as it makes.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from systolith_hw.spec.config import AcceleratorConfig
from systolith_sim.emulator.access import Written

__all__ = ["WriteLog", "programs_in"]

_BUFFERS = {"A": "act", "W": "weight", "P": "param", "T": "table"}

Write = tuple[int, int, np.ndarray]
"""A word's place, the first of its elements that are written, and these."""


def programs_in(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield the lines of each program of a file."""
    program: list[str] | None = None
    for line in lines:
        if line.strip() != "S":
            if program is not None:
                program.append(line)
            continue
        if program is not None:
            yield program
        program = []
    if program is not None:
        yield program


class WriteLog:
    """The writes of one program, taken one instruction after the other.

    Parameters
    ----------
    config : AcceleratorConfig
    lines : iterable of str
        Those of the program, without its "S".
    """

    def __init__(self, config: AcceleratorConfig, lines: Iterable[str]) -> None:
        self._config = config
        self._writes: dict[str, deque[Write]] = {}
        self._words: dict[tuple[str, int], np.ndarray] = {}
        bursts: list[tuple[int, int]] = []
        beats: list[tuple[int, np.ndarray]] = []
        for line in lines:
            kind, *texts = line.split()
            if kind == "D":
                beats.append((int(texts[0], 16), _bytes(texts[1])))
            elif kind == "B":
                bursts.append((int(texts[0], 16), int(texts[1], 16)))
            elif kind == "C":
                column, bank, addr, value = (int(text, 16) for text in texts)
                value -= (value >> config.sum_width - 1) << config.sum_width
                self._push(f"acc{bank}", addr, column, np.array([value]))
            else:
                self._push_groups(_BUFFERS[kind], int(texts[0], 16), int(texts[1], 16), texts[2])
        self._push_beats(bursts, beats)

    def _push(self, store: str, place: int, first: int, elements: np.ndarray) -> None:
        # The columns of the array come one after the other.
        name = f"{store} {first}" if store.startswith("acc") else store
        self._writes.setdefault(name, deque()).append((place, first, elements))

    def _push_groups(self, store: str, place: int, groups: int, text: str) -> None:
        elements = _bytes(text)
        for group in range(groups.bit_length()):
            if not groups >> group & 1:
                continue
            if store == "param":  # a word of the buffer holds those of all lanes
                self._push(store, place * self._config.post_lanes + group, 0, elements)
            else:
                signed = elements - 2 * (elements & 128)
                self._push(store, place, group * elements.size, signed)

    def _push_beats(
        self, bursts: list[tuple[int, int]], beats: list[tuple[int, np.ndarray]]
    ) -> None:
        size = self._config.bus_bytes
        following = iter(beats)
        for addr, count in bursts:
            start = addr // size * size
            for number, (strobes, values) in enumerate(islice(following, count)):
                for lane in range(size):
                    if strobes >> lane & 1:
                        self._push(
                            "memory", start + number * size + lane, 0, values[lane : lane + 1]
                        )

    def take(self, written: Written) -> np.ndarray | None:
        """Take the writes of an instruction; return what then stands where it writes.

        Parameters
        ----------
        written : Written
            By the emulator.

        Returns
        -------
        ndarray of int64, shape (places, count), or None
            None if there are too few writes, or some of other places.
        """
        names = [written.store]
        if written.store.startswith("acc"):
            names = [f"{written.store} {column}" for column in range(written.count)]
        places = set(written.places.tolist())
        for name in names:
            writes = self._writes.get(name, deque())
            if len(writes) < written.writes:
                return None
            for _ in range(written.writes):
                place, first, elements = writes.popleft()
                if place not in places:
                    return None
                self._word(written.store, place)[first : first + elements.size] = elements
        found = [self._word(written.store, place) for place in written.places.tolist()]
        return np.stack(found)[:, written.first : written.first + written.count]

    def left_over(self) -> dict[str, int]:
        """Return how many writes of each store no instruction has taken."""
        left: dict[str, int] = {}
        for name, writes in self._writes.items():
            if writes:
                store = name.split()[0]
                left[store] = left.get(store, 0) + len(writes)
        return left

    def _word(self, store: str, place: int) -> np.ndarray:
        if (store, place) not in self._words:
            elements = max(self._config.rows, self._config.cols, 8)
            self._words[store, place] = np.zeros(elements, np.int64)
        return self._words[store, place]


def _bytes(text: str) -> np.ndarray:
    """Return the bytes of a hexadecimal number, lowest first, int64."""
    return np.frombuffer(bytes.fromhex(text), np.uint8)[::-1].astype(np.int64)
