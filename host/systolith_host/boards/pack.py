"""From a routed design to a bitstream, and reading the bitstream back."""

from pathlib import Path

from systolith_host.errors import SystolithError
from systolith_host.fpga.tools import find_tool, run_tool

__all__ = ["PACKER", "UNPACKER", "pack"]

PACKER = "yowasp-ecppack"
UNPACKER = "yowasp-ecpunpack"
LIMIT_SECONDS = 600


def pack(config: Path, bitstream: Path) -> None:
    """Pack nextpnr's textual bitstream, and check that it survives reading back.

    The bitstream is unpacked, which checks its device and its checksums, and packed again: the
    bytes must be the same.

    Parameters
    ----------
    config : Path
        In the folder of the bitstream; logs go there, too.
    bitstream : Path

    Raises
    ------
    SystolithError
        If a tool fails, or the bytes differ.
    """
    folder = bitstream.parent
    read_back, again = "read-back.config", "read-back.bit"
    _pack(config.name, bitstream.name, folder)
    command = [find_tool(UNPACKER), "--input", bitstream.name, "--textcfg", read_back]
    _run(command, folder, "ecpunpack", read_back)
    _pack(read_back, again, folder)
    same = bitstream.read_bytes() == (folder / again).read_bytes()
    for name in (read_back, again):
        (folder / name).unlink()
    if not same:
        raise SystolithError(f"{bitstream}: read back and packed again, its bytes differ")


def _pack(config: str, bitstream: str, folder: Path) -> None:
    command = [find_tool(PACKER), "--compress", "--input", config, "--bit", bitstream]
    _run(command, folder, "ecppack", bitstream)


def _run(command: list[str], folder: Path, name: str, result: str) -> None:
    log = folder / f"{name}.log"
    (folder / result).unlink(missing_ok=True)
    run = run_tool(command, folder, log, LIMIT_SECONDS)
    if run.status != 0 or not (folder / result).exists():
        lines = [line for line in log.read_text().splitlines() if line.strip()] or ["no output"]
        reason = "no end" if run.status is None else lines[-1].strip()
        raise SystolithError(f"{name} failed: {reason} (all of it in {log})")
