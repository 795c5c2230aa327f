"""The VGG networks by Simonyan and Zisserman, and a miniature for trying things out."""

from dataclasses import dataclass

from systolith_host.errors import SystolithError
from systolith_host.network.graph import Graph, GraphBuilder

__all__ = ["NETWORKS", "Vgg", "build_network", "torchvision_keys"]


@dataclass(frozen=True)
class Vgg:
    """A network of 3x3 convolutions in stages, each ended by a 2x2 pool, then three linear layers.

    Parameters
    ----------
    name : str
    stages : tuple of tuple of int
        Output channels of the convolutions of each stage.
    hidden, classes : int
        Features of the first two linear layers, and of the last.
    size : int
        Pixels of the image's sides.
    doc : str
        One line for people.
    """

    name: str
    stages: tuple[tuple[int, ...], ...]
    hidden: int = 4096
    classes: int = 1000
    size: int = 224
    doc: str = ""


def _stages(*counts: int) -> tuple[tuple[int, ...], ...]:
    channels = (64, 128, 256, 512, 512)
    return tuple((c,) * count for c, count in zip(channels, counts, strict=True))


NETWORKS = {
    vgg.name: vgg
    for vgg in (
        Vgg("vgg11", _stages(1, 1, 2, 2, 2), doc="configuration A: 8 convolutions"),
        Vgg("vgg13", _stages(2, 2, 2, 2, 2), doc="configuration B: 10 convolutions"),
        Vgg("vgg16", _stages(2, 2, 3, 3, 3), doc="configuration D: 13 convolutions"),
        Vgg("vgg19", _stages(2, 2, 4, 4, 4), doc="configuration E: 16 convolutions"),
        Vgg(
            "mini",
            ((8,), (12, 12), (16,)),
            hidden=24,
            classes=10,
            size=32,
            doc="a VGG in miniature: 32x32 pixels, seconds in a simulator",
        ),
    )
}


def build_network(name: str) -> Graph:
    """Return a built-in network.

    Layers are called conv1_1 ..., pool1 ..., and, counting on from the stages, fc6, fc7, fc8; each
    convolution and each linear layer but the last is followed by a ReLU.

    Raises
    ------
    SystolithError
        If there is no network of that name.
    """
    if name not in NETWORKS:
        raise SystolithError(f"network must be one of {', '.join(NETWORKS)}, not {name!r}")
    vgg = NETWORKS[name]
    builder = GraphBuilder(vgg.name, (3, vgg.size, vgg.size))
    for stage, channels in enumerate(vgg.stages, 1):
        for index, count in enumerate(channels, 1):
            builder.conv(f"conv{stage}_{index}", count, (3, 3), padding=(1, 1, 1, 1))
            builder.relu(f"relu{stage}_{index}")
        builder.max_pool(f"pool{stage}", (2, 2), (2, 2))
    builder.flatten("flatten")
    first = len(vgg.stages) + 1
    for number in (first, first + 1):
        builder.linear(f"fc{number}", vgg.hidden)
        builder.relu(f"relu{number}")
    builder.linear(f"fc{first + 2}", vgg.classes)
    return builder.build()


def torchvision_keys(name: str) -> dict[str, str]:
    """Return, by layer name, the prefix of its ``.weight`` and ``.bias`` in torchvision's file.

    There a network is ``features``, whose members are convolutions, ReLUs and pools in order, and
    ``classifier``, whose members are linear, ReLU, dropout, linear, ReLU, dropout, linear.
    """
    vgg = NETWORKS[name]
    keys: dict[str, str] = {}
    member = 0
    for stage, channels in enumerate(vgg.stages, 1):
        for index in range(1, len(channels) + 1):
            keys[f"conv{stage}_{index}"] = f"features.{member}"
            member += 2
        member += 1
    first = len(vgg.stages) + 1
    for number, member in enumerate((0, 3, 6), first):
        keys[f"fc{number}"] = f"classifier.{member}"
    return keys
