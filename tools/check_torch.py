"""Imports PyTorch and torchvision as `systolith lab zoo` does, and says what is there.

Exit status: 1 if they do not fit each other.
"""

import sys

from systolith_host.lab.pytorch import import_pair

try:
    torch, torchvision = import_pair()
    torchvision.models.squeezenet1_1()
except (ImportError, RuntimeError) as error:
    sys.exit(f"error: PyTorch and torchvision do not fit each other: {error}")
print(f"PyTorch {torch.__version__}, torchvision {torchvision.__version__}")
if not torchvision.extension._has_ops():
    print(
        "This torchvision is built for another PyTorch and cannot load its own operators. Networks "
        "of `systolith lab zoo` need none of them; a plain `import torchvision` fails."
    )
