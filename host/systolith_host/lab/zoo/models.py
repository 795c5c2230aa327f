"""Networks in PyTorch that torchvision lacks: a detector, a U-Net, a reader of text lines."""

import importlib
import itertools
from collections.abc import Sequence
from typing import Any

__all__ = ["OcrLike", "UNet", "YoloLike"]

# Any: PyTorch is an extra, and its types are not those of this project to check.
torch: Any = importlib.import_module("torch")
nn: Any = torch.nn
functional: Any = torch.nn.functional


def _block(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    stride: int | tuple[int, int] = 1,
    *,
    groups: int = 1,
    act: Any = None,
) -> Any:
    """Return a convolution with batch normalisation, and an activation if one is given."""
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([] if act is None else [act()]))


class _Split(nn.Module):
    """Two branches of a tensor, one through residual blocks, joined again: a CSP block."""

    def __init__(self, inputs: int, outputs: int, count: int, *, residual: bool = True) -> None:
        super().__init__()
        half, act = outputs // 2, nn.SiLU
        self.first = _block(inputs, half, act=act)
        self.second = _block(inputs, half, act=act)
        self.last = _block(outputs, outputs, act=act)
        self.residual = residual
        self.inner = nn.ModuleList(
            nn.Sequential(_block(half, half, act=act), _block(half, half, 3, act=act))
            for _ in range(count)
        )

    def forward(self, x: Any) -> Any:
        y = self.first(x)
        for block in self.inner:
            y = y + block(y) if self.residual else block(y)
        return self.last(torch.cat([y, self.second(x)], 1))


class YoloLike(nn.Module):
    """A detector of one stage with SiLU, resizing and three outputs, as YOLOv5's smallest has."""

    def __init__(self) -> None:
        super().__init__()
        act = nn.SiLU

        def down(inputs: int, outputs: int) -> Any:
            return _block(inputs, outputs, 3, 2, act=act)

        self.stem = nn.Sequential(down(3, 16), down(16, 32), _Split(32, 32, 1))
        self.third = nn.Sequential(down(32, 64), _Split(64, 64, 2))
        self.fourth = nn.Sequential(down(64, 128), _Split(128, 128, 3))
        self.fifth = nn.Sequential(down(128, 256), _Split(256, 256, 1))
        self.squeeze, self.spread = _block(256, 128, act=act), _block(512, 256, act=act)
        self.lateral = nn.ModuleList([_block(256, 128, act=act), _block(128, 64, act=act)])
        self.up = nn.Upsample(scale_factor=2)
        self.joined = nn.ModuleList(
            _Split(inputs, outputs, 1, residual=False)
            for inputs, outputs in ((256, 128), (128, 64), (128, 128), (256, 256))
        )
        self.down = nn.ModuleList([down(64, 64), down(128, 128)])
        self.heads = nn.ModuleList(nn.Conv2d(channels, 255, 1) for channels in (64, 128, 256))

    def forward(self, x: Any) -> Any:
        third = self.third(self.stem(x))
        fourth = self.fourth(third)
        pooled = [self.squeeze(self.fifth(fourth))]
        for _ in range(3):
            pooled.append(functional.max_pool2d(pooled[-1], 5, 1, 2))
        fifth = self.lateral[0](self.spread(torch.cat(pooled, 1)))
        middle = self.joined[0](torch.cat([self.up(fifth), fourth], 1))
        middle = self.lateral[1](middle)
        fine = self.joined[1](torch.cat([self.up(middle), third], 1))
        middle = self.joined[2](torch.cat([self.down[0](fine), middle], 1))
        coarse = self.joined[3](torch.cat([self.down[1](middle), fifth], 1))
        pairs = zip(self.heads, (fine, middle, coarse), strict=True)
        return tuple(head(each) for head, each in pairs)


class UNet(nn.Module):
    """Four scales down and up again, by max-pools and transposed convolutions."""

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 128), classes: int = 4) -> None:
        super().__init__()

        def double(inputs: int, outputs: int) -> Any:
            first = _block(inputs, outputs, 3, act=nn.ReLU)
            return nn.Sequential(first, _block(outputs, outputs, 3, act=nn.ReLU))

        pairs = list(itertools.pairwise(widths))
        self.first = double(3, widths[0])
        self.down = nn.ModuleList(double(one, other) for one, other in pairs)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(other, one, 2, 2) for one, other in reversed(pairs)
        )
        self.joined = nn.ModuleList(double(2 * one, one) for one, _ in reversed(pairs))
        self.last = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Any) -> Any:
        found = [self.first(x)]
        for layer in self.down:
            found.append(layer(functional.max_pool2d(found[-1], 2)))
        y = found.pop()
        for up, joined in zip(self.up, self.joined, strict=True):
            y = joined(torch.cat([up(y), found.pop()], 1))
        return self.last(y)


class _Gate(nn.Module):
    """Squeeze-and-excite: channels times a function of their means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.less = nn.Conv2d(channels, channels // 4, 1)
        self.more = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Any) -> Any:
        y = functional.relu(self.less(functional.adaptive_avg_pool2d(x, 1)))
        return x * functional.hardsigmoid(self.more(y))


class OcrLike(nn.Module):
    """A reader of text lines with HardSwish and squeeze-and-excite, as PP-OCR's have."""

    def __init__(self, classes: int = 97) -> None:
        super().__init__()
        act = nn.Hardswish
        blocks, inputs = [_block(3, 16, 3, 2, act=act)], 16
        stages = (
            (32, 3, (1, 1), False),
            (64, 3, (2, 1), False),
            (64, 3, (1, 1), False),
            (128, 3, (2, 1), False),
            (128, 5, (1, 1), False),
            (256, 5, (2, 1), True),
            (256, 5, (1, 2), True),
        )
        for outputs, kernel, stride, gated in stages:
            blocks.append(_block(inputs, inputs, kernel, stride, groups=inputs, act=act))
            blocks += [_Gate(inputs)] if gated else []
            blocks.append(_block(inputs, outputs, act=act))
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Conv2d(inputs, classes, 1)

    def forward(self, x: Any) -> Any:
        y = self.blocks(x)
        y = self.last(functional.avg_pool2d(y, (y.shape[2], 1)))
        return torch.softmax(y.squeeze(2).permute(0, 2, 1), 2)
