"""Waveforms for viewers: VCD becomes FST, with a view of the signals to look at first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from systolith_host.errors import SystolithError
from systolith_sim.rtl.testbench import EVENT_PINS

__all__ = ["Signal", "convert", "write_view"]

_TOP = "tb_top"

_GROUPS = {  # the beginnings of names of the test bench's signals, in the order of a view
    "registers": ("s_axil_aw", "s_axil_w", "s_axil_ar", "s_axil_r"),
    "reads": ("m_axi_ar", "m_axi_r"),
    "writes": ("m_axi_aw", "m_axi_w", "m_axi_b"),
}


@dataclass(frozen=True)
class Signal:
    """A signal of a file of waveforms.

    Parameters
    ----------
    path : str
        Its scopes and its name, joined by points.
    width : int
        In bits.
    """

    path: str
    width: int

    @property
    def shown(self) -> str:
        """The name by which a viewer finds it."""
        return f"{self.path}[{self.width - 1}:0]" if self.width > 1 else self.path


def convert(vcd: Path, fst: Path) -> list[Signal]:
    """Write the waveforms of a VCD file as FST; return its signals.

    Raises
    ------
    SystolithError
        If a file cannot be read or written, or the VCD ends within its header.
    """
    try:
        fst.write_bytes(b"")  # the library below does not say why it cannot write
        with vcd.open("r", encoding="ascii", errors="replace") as source:
            return _Writer(fst).copy(vcd, (line.strip() for line in source))
    except OSError as error:
        raise SystolithError(f"{error.filename}: {error.strerror}") from None


class _Writer:
    """Writes one FST file."""

    def __init__(self, fst: Path) -> None:
        from pylibfst import ffi, lib  # with the extra `sim`

        self._lib = lib
        self._context = lib.fstWriterCreate(str(fst).encode(), 1)
        if self._context == ffi.NULL:
            raise SystolithError(f"{fst}: cannot be written")
        self._handles: dict[str, tuple[int, int]] = {}

    def copy(self, vcd: Path, lines: Iterator[str]) -> list[Signal]:
        """Write what the lines of a VCD file say; return the signals."""
        try:
            signals = self._header(lines)
            if signals is None:
                raise SystolithError(f"{vcd}: is no VCD file, or ends within its header")
            for line in lines:
                self._change(line)
            return signals
        finally:
            self._lib.fstWriterClose(self._context)

    def _header(self, lines: Iterator[str]) -> list[Signal] | None:
        lib, context, signals = self._lib, self._context, []
        scopes: list[str] = []
        for line in lines:
            words = line.split()
            match words:
                case ["$timescale", scale, *_]:
                    lib.fstWriterSetTimescaleFromString(context, scale.encode())
                case ["$scope", _, name, *_]:
                    scopes.append(name)
                    nothing = b""
                    lib.fstWriterSetScope(context, lib.FST_ST_VCD_MODULE, name.encode(), nothing)
                case ["$upscope", *_]:
                    scopes.pop()
                    lib.fstWriterSetUpscope(context)
                case ["$var", _, bits, code, *name, "$end"]:
                    signals.append(self._variable(scopes, int(bits), code, name))
                case ["$enddefinitions", *_]:
                    return signals
        return None

    def _variable(self, scopes: list[str], width: int, code: str, name: list[str]) -> Signal:
        lib = self._lib
        known, _ = self._handles.get(code, (0, width))
        handle = lib.fstWriterCreateVar(
            self._context,
            lib.FST_VT_VCD_WIRE,
            lib.FST_VD_IMPLICIT,
            width,
            " ".join(name).encode(),
            known,
        )
        self._handles[code] = (known or handle, width)
        return Signal(".".join([*scopes, name[0]]), width)

    def _change(self, line: str) -> None:
        if not line or line[0] == "$":
            return
        if line[0] == "#":
            self._lib.fstWriterEmitTimeChange(self._context, int(line[1:]))
            return
        value, code = line[1:].split() if line[0] in "bB" else (line[0], line[1:])
        handle, width = self._handles[code]
        missing = "0" if value[0] == "1" else value[0]  # what VCD leaves out on the left
        self._lib.fstWriterEmitValueChange(
            self._context, handle, value.rjust(width, missing).encode()
        )


def write_view(path: Path, fst: Path, signals: Sequence[Signal], marker: int | None = None) -> None:
    """Write a view for GTKWave: engines, then registers, then the memory's channels.

    Parameters
    ----------
    path : Path
        Of the view (.gtkw).
    fst : Path
        The waveforms, in the same folder.
    signals : sequence of Signal
    marker : int, optional
        Time at which the view is marked, in ps.

    Raises
    ------
    SystolithError
        If it cannot be written.
    """
    by_name: dict[str, Signal] = {}
    for signal in signals:
        _, found, inside = signal.path.partition(f"{_TOP}.")
        if found:
            by_name.setdefault(inside, signal)
    names: list[str] = []
    for pin in EVENT_PINS.values():
        names += [name.strip() for name in pin.split("&")]
    groups = {"engines": [by_name[name].shown for name in names if name in by_name]}
    for title, beginnings in _GROUPS.items():
        groups[title] = [
            signal.shown
            for name, signal in by_name.items()
            if "." not in name and any(_channel(name) == each for each in beginnings)
        ]
    lines = [f'[dumpfile] "{fst.name}"', "[timestart] 0"]
    if marker is not None:
        lines.append(f"*-16.0 {marker}" + " -1" * 26)
    for title, shown in groups.items():
        lines += ["@200", f"-{title}"]
        for name in shown:
            lines += ["@22" if name.endswith("]") else "@28", name]
    try:
        path.write_text("\n".join(lines) + "\n")
    except OSError as error:
        raise SystolithError(f"{path}: cannot be written: {error.strerror}") from None


def _channel(name: str) -> str:
    """Return a bus signal's name up to its channel: that of m_axi_arvalid is m_axi_ar."""
    port, _, rest = name.rpartition("_")
    if rest[:2] in ("aw", "ar"):
        return f"{port}_{rest[:2]}"
    return f"{port}_{rest[:1]}"
