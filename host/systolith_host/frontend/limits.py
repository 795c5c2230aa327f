"""Limits on a network's size: a file that exceeds them is refused before memory is taken."""

__all__ = [
    "CONSTANTS_EACH",
    "CONSTANTS_FREE",
    "CONSTANTS_UNIFORM",
    "LARGEST_ACTIVATION",
    "LARGEST_ACTIVATIONS",
    "LARGEST_SIDE",
    "MOST_EXTERNAL_BYTES",
    "MOST_FILE_BYTES",
    "MOST_NODES",
]

MOST_FILE_BYTES = (1 << 31) - 1
"""Bytes of a protobuf; larger models keep their weights in external files."""

MOST_EXTERNAL_BYTES = 1 << 33
"""Bytes of all external files' tensors together."""

MOST_NODES = 1 << 14
"""Nodes of a network."""

LARGEST_SIDE = 1 << 16
"""Height or width of an image, padding around it included, and of kernel, stride and dilation."""

LARGEST_ACTIVATION = 1 << 28
"""Elements of one tensor of activations, for one image."""

LARGEST_ACTIVATIONS = 1 << 31
"""Elements of all tensors of activations together, for one image."""

CONSTANTS_FREE = 1 << 24
CONSTANTS_EACH = 8
"""Elements that nodes may make of constants, all together: `CONSTANTS_FREE`, plus
`CONSTANTS_EACH` for each element that the file holds. Weights that several layers use count for
each of them."""

CONSTANTS_UNIFORM = 3 << 26
"""Elements of constants that are one number all over, which take no memory before they are weights:
such weights stand in for real ones in files that are to be small."""
