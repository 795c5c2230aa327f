"""What it would take to run what is refused: in the model, or in the accelerator."""

from systolith_host.frontend.problems import Problem

__all__ = ["remedy"]

_TABLES = (
    "in the model, Relu or Clip in its place; in the accelerator, a table of 256 values between "
    "requantisation and pooling"
)
_PRODUCTS = (
    "in the accelerator, weights that come from a tensor in memory instead of the program; "
    "Add and Concat join tensors today"
)
_MOVES = (
    "in the accelerator, other addresses of LOAD or STORE; where the amounts are fixed, a "
    "convolution with constant weights does the same in the model"
)
_RECURRENT = "a host that computes parts of a network: nothing is carried from step to step here"

_BY_OPERATOR = {
    **dict.fromkeys(
        "Celu Elu Erf Exp Gelu HardSigmoid HardSwish LeakyRelu Log Mish PRelu Selu Sigmoid "
        "Softplus Softsign Swish Tanh ThresholdedRelu".split(),
        _TABLES,
    ),
    **dict.fromkeys("Div Einsum MatMul Max Min Mul Pow Sub QLinearMul".split(), _PRODUCTS),
    **dict.fromkeys(
        "ConvTranspose DepthToSpace Gather Resize ScatterND Slice SpaceToDepth Split Tile "
        "Transpose Upsample".split(),
        _MOVES,
    ),
    **dict.fromkeys("GRU LSTM Loop RNN Scan".split(), _RECURRENT),
    "AveragePool": "in the model, count_include_pad=1 or no padding",
    "GlobalMaxPool": "in the model, a MaxPool whose kernel is its input's size",
    "GroupNormalization": "statistics of constants, as BatchNormalization has them",
    "InstanceNormalization": "statistics of constants, as BatchNormalization has them",
    "LayerNormalization": "statistics of constants, as BatchNormalization has them",
    "LRN": "in the model, no such layer, or BatchNormalization in its place",
    "Softmax": "a host that computes parts of a network: it may only end one",
}

_DEFAULT = "a host that computes parts of a network: all nodes run on the accelerator"

_NO_COUNTERPART = "has no counterpart"
_UNKNOWN_DOMAIN = "operators of domain"


def remedy(problem: Problem) -> str | None:
    """Return what it would take to run a node, in words; None if its reason says it.

    A reason says it behind its semicolon or colon. What the accelerator lacks altogether is
    answered by operator.
    """
    if problem.reason.startswith(_UNKNOWN_DOMAIN):
        return "in the model, the same with ONNX's own operators"
    if problem.reason.startswith(_NO_COUNTERPART):
        return _BY_OPERATOR.get(problem.operator, _DEFAULT)
    if ";" in problem.reason or ": " in problem.reason:
        return None
    return _BY_OPERATOR.get(problem.operator)
