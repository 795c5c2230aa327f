"""Named configurations."""

from pathlib import Path

from systolith_hw.spec.config import AcceleratorConfig, ConfigError

__all__ = ["PRESETS", "load_config"]

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
        # 16x16 on a 128-bit bus: 256 KiB activations, 64 KiB weights, 128 KiB accumulators.
        AcceleratorConfig(
            name="default",
            rows=16,
            cols=16,
            act_depth=16384,
            weight_depth=4096,
            param_depth=1024,
            acc_depth=1024,
            post_lanes=8,
            bus_bytes=16,
        ),
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
        AcceleratorConfig(
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
        ),
        # 32x32 on a 256-bit bus: 512 KiB activations, 256 KiB weights, 256 KiB accumulators.
        AcceleratorConfig(
            name="large",
            rows=32,
            cols=32,
            act_depth=16384,
            weight_depth=8192,
            param_depth=2048,
            acc_depth=1024,
            post_lanes=16,
            bus_bytes=32,
        ),
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
        return AcceleratorConfig.from_toml(path)
    raise ConfigError(
        f"config must be one of {', '.join(PRESETS)} or a TOML file, not {name_or_path!r}"
    )
