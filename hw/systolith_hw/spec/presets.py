"""Named configurations."""

from dataclasses import replace
from pathlib import Path

from systolith_hw.spec.compat import tomllib
from systolith_hw.spec.config import AcceleratorConfig, ConfigError

__all__ = ["PRESETS", "load_config", "read_config"]

_DEFAULT = AcceleratorConfig(
    name="default-direct",
    rows=16,
    cols=16,
    act_depth=16384,
    weight_depth=4096,
    param_depth=1024,
    acc_depth=1024,
    post_lanes=8,
    bus_bytes=16,
)

_WINOGRAD = replace(_DEFAULT, name="default", winograd=28)

_LARGE = AcceleratorConfig(
    name="large-direct",
    rows=32,
    cols=32,
    act_depth=16384,
    weight_depth=8192,
    param_depth=2048,
    acc_depth=1024,
    post_lanes=16,
    bus_bytes=32,
)

_ECP5_WINOGRAD = AcceleratorConfig(
    name="ecp5-85f-winograd",
    rows=12,
    cols=12,
    act_depth=16384,
    weight_depth=2048,
    param_depth=384,
    acc_depth=512,
    acc_width=30,
    post_lanes=4,
    bus_bytes=8,
    winograd=14,
)

PRESETS = {
    config.name: config
    for config in (
        # 4x4 with small buffers: builds in seconds, tiles even small layers.
        AcceleratorConfig(
            name="tiny",
            rows=4,
            cols=4,
            act_depth=2048,
            weight_depth=512,
            param_depth=64,
            acc_depth=64,
            post_lanes=2,
            out_depth=64,
            bus_bytes=8,
            burst_beats=16,
            outstanding_reads=4,
            outstanding_writes=2,
            queue_depth=4,
        ),
        # 16x16 on a 128-bit bus: 256 KiB activations, 64 KiB weights, 128 KiB of direct sums.
        # Tiles of 28 patches are the largest that 1024 accumulators hold. They keep a map of 14x14
        # in one tile, of 16 patches, and its weights are then read once: VGG-16 takes 23.8 million
        # cycles, with 16 patches 25.8 and with 14 patches 28.2.
        _WINOGRAD,
        _DEFAULT,
        # `default` with units that gather weights, for as many inputs as VGG-16's fc6 has, and with
        # weights of 4 bits.
        replace(_WINOGRAD, name="default-gather", gather=25088, nibbles=1),
        # 12x12 for an LFE5U-85F: 144 of 156 multipliers for the array, 8 for 4 requantiser lanes;
        # 96 + 24 + 24 block RAMs of 18 Kbit for activations, weights and accumulators.
        AcceleratorConfig(
            name="ecp5-85f",
            rows=12,
            cols=12,
            act_depth=16384,
            weight_depth=4096,
            param_depth=384,
            acc_depth=512,
            post_lanes=4,
            bus_bytes=8,
        ),
        # `ecp5-85f` with Winograd. 14 patches are the 504 of 512 words that a block RAM of 36 bits
        # gives a column of a bank; half the weights make room for the rings of transformed values:
        # 169 block RAMs, 181 with all the weights, and VGG-16's cycles grow by 0.4 %.
        _ECP5_WINOGRAD,
        # With units that gather weights, for the inputs of VGG-16's fc6: 512 channels of 7x7 pixels
        # in blocks of 12.
        replace(_ECP5_WINOGRAD, name="ecp5-85f-gather", gather=25284),
        # 16x64 for the 1,248 DSPs of a K26: few rows keep passes over small maps full. By its bits
        # it fits once the activations are in the 64 UltraRAMs; by whole block RAMs, the transformed
        # weights have to be distributed memory (64 of the 144 otherwise). VGG-16 takes 13.4 million
        # cycles. 28 patches would take 12.2, with 128 block RAMs for the accumulators alone.
        AcceleratorConfig(
            name="k26",
            rows=16,
            cols=64,
            act_depth=16384,
            weight_depth=2048,
            param_depth=1024,
            acc_depth=512,
            acc_width=30,
            post_lanes=16,
            bus_bytes=16,
            winograd=14,
        ),
        # 32x32 on a 256-bit bus: 512 KiB activations, 256 KiB weights, 256 KiB of direct sums.
        # A pass takes no fewer cycles than the array has rows, so tiles need more than 32 patches.
        # Twice the accumulators hold 56: VGG-16 takes 8.6 million cycles, 9.2 with 28 patches.
        replace(_LARGE, name="large", acc_depth=2048, winograd=56),
        _LARGE,
    )
}


def load_config(name_or_path: str) -> AcceleratorConfig:
    """Return the preset of that name, or the configuration in that TOML file.

    Raises
    ------
    ConfigError
        If it is neither, or the file does not hold a configuration that can be built.
    """
    if name_or_path in PRESETS:
        return PRESETS[name_or_path]
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.exists():
        return read_config(path)
    raise ConfigError(
        f"config must be one of {', '.join(PRESETS)} or a TOML file, not {name_or_path!r}"
    )


def read_config(path: Path) -> AcceleratorConfig:
    """Read a TOML file whose keys are the fields; the name defaults to the file's stem.

    With ``base``, a preset's name, fields that are missing are the preset's.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not TOML, or does not describe a configuration.
    """
    try:
        fields = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    base = fields.pop("base", None)
    if base is not None:
        if not isinstance(base, str) or base not in PRESETS:
            raise ConfigError(f"{path}: base must be one of {', '.join(PRESETS)}, not {base!r}")
        fields = PRESETS[base].to_dict() | {"name": path.stem} | fields
    return AcceleratorConfig.from_dict({"name": path.stem, **fields}, str(path))
