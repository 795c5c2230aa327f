"""The end of a network that the host computes: a softmax, and all that follows it."""

from typing import TYPE_CHECKING

import onnx

from systolith_host.frontend.hosted import WEIGHTED
from systolith_host.frontend.problems import UnsupportedError

if TYPE_CHECKING:
    from systolith_host.frontend.reader import Reader

__all__ = ["end", "on_host"]


def end(reader: "Reader", proto: onnx.NodeProto, name: str) -> None:
    """Take in a node with which the host's part begins; the values before it are the output."""
    _leave(reader, proto, reader.source(proto, moved=True))


def on_host(reader: "Reader", proto: onnx.NodeProto) -> bool:
    """Take in a node behind the host's part, and return True; return False for any other.

    Raises
    ------
    UnsupportedError
        If the network would go on behind it.
    """
    behind = [name for name in proto.input if name in reader.ended]
    if not behind:
        return False
    others = [name for name in proto.input if name in reader.alias and name not in behind]
    sources = {reader.alias[name] for name in behind}
    if proto.op_type in WEIGHTED or others or len(sources) > 1:
        last = reader.ended[behind[0]]
        if last == "Sigmoid" and {reader.alias[name] for name in others} == sources:
            raise UnsupportedError(
                "makes, with the Sigmoid before it, a function of one tensor: it runs only where "
                "the accelerator looks functions up in tables (functions 1 in its configuration), "
                "or on the host"
            )
        raise UnsupportedError(f"follows {last}, which the host computes at the very end only")
    _leave(reader, proto, reader.alias[behind[0]])
    return True


def _leave(reader: "Reader", proto: onnx.NodeProto, source: str) -> None:
    reader.epilogue.append(proto.op_type)
    for name in proto.output:
        if name:
            reader.alias[name] = source
            reader.layouts.pop(name, None)
            reader.ended[name] = proto.op_type
