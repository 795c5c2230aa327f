"""Where a network comes from: a name, a file, or what is made a file."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from systolith.pytorch import export_module, is_module
from systolith_host.errors import SystolithError
from systolith_host.escape import slug

__all__ = ["named_source"]


def named_source(source: Any, calibrate: Any, shape: Any) -> tuple[str, Path | None]:
    """Return a network's name or file, and the folder that was made for it."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source), None
    if is_module(source):
        name, data = type(source).__name__, export_module(source, calibrate, shape)
    elif hasattr(source, "SerializeToString") and hasattr(source, "graph"):
        name = source.graph.name
        try:
            data = source.SerializeToString()
        except Exception as error:  # protobuf's own kinds, above 2 GiB
            reason = " ".join(str(error).split())[:160]
            raise SystolithError(f"the model cannot be written: {reason}") from None
    else:
        raise SystolithError(
            "network must be a built-in one's name, an ONNX file, an onnx.ModelProto or a "
            f"torch.nn.Module, not {type(source).__name__}"
        )
    folder = Path(tempfile.mkdtemp(prefix="systolith-network-"))
    path = folder / f"{slug(name)[:64] or 'network'}.onnx"
    try:
        path.write_bytes(data)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise SystolithError(f"{path}: cannot be written: {error.strerror}") from None
    return str(path), folder
