"""The fast golden operators against literal loops over Python integers."""

import numpy as np
import pytest

from systolith_hw.spec.numerics import requantize
from systolith_sim.golden import ops
from systolith_sim.golden.ops import conv2d, conv_output_size, max_pool


def literal_conv2d(
    x,
    weight,
    bias,
    multiplier,
    shift,
    *,
    stride,
    padding,
    dilation,
    input_zero_point,
    output_zero_point,
    low,
    high,
):
    images, channels, height, width = x.shape
    outputs, _, taps_r, taps_s = weight.shape
    p, q = conv_output_size((height, width), (taps_r, taps_s), stride, padding, dilation)
    result = np.zeros((images, outputs, p, q), np.int64)
    for n, k, y, z in np.ndindex(result.shape):
        acc = 0
        for c, r, s in np.ndindex(channels, taps_r, taps_s):
            row = y * stride[0] + r * dilation[0] - padding[0]
            pixel = z * stride[1] + s * dilation[1] - padding[2]
            inside = 0 <= row < height and 0 <= pixel < width
            value = int(x[n, c, row, pixel]) if inside else input_zero_point
            acc += (value - input_zero_point) * int(weight[k, c, r, s])
        result[n, k, y, z] = requantize(
            acc, int(bias[k]), int(multiplier[k]), int(shift[k]), output_zero_point, low, high
        )
    return result


def literal_max_pool(x, kernel, stride, padding):
    images, channels, height, width = x.shape
    p, q = conv_output_size((height, width), kernel, stride, padding)
    result = np.zeros((images, channels, p, q), x.dtype)
    for n, c, y, z in np.ndindex(result.shape):
        values = []
        for r, s in np.ndindex(kernel):
            row, pixel = y * stride[0] + r - padding[0], z * stride[1] + s - padding[2]
            if 0 <= row < height and 0 <= pixel < width:
                values.append(x[n, c, row, pixel])
        result[n, c, y, z] = max(values)
    return result


def conv_case(seed, shape, outputs, kernel, unsigned=False, multiplier_width=16):
    rng = np.random.default_rng(seed)
    info = np.iinfo(np.uint8 if unsigned else np.int8)
    multiplier = rng.integers(1 << (multiplier_width - 1), 1 << multiplier_width, outputs)
    return (
        rng.integers(info.min, info.max + 1, shape).astype(info.dtype),
        rng.integers(-127, 128, (outputs, shape[1], *kernel)).astype(np.int8),
        rng.integers(-50000, 50000, outputs).astype(np.int32),
        multiplier,
        rng.integers(multiplier_width + 5, multiplier_width + 9, outputs),
    )


@pytest.mark.parametrize(
    ("shape", "outputs", "kernel", "stride", "padding", "dilation"),
    [
        ((1, 1, 1, 1), 1, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
        ((2, 3, 5, 4), 6, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
        ((1, 2, 7, 9), 3, (3, 2), (2, 3), (0, 2, 1, 0), (1, 1)),
        ((3, 2, 6, 6), 2, (2, 2), (1, 2), (1, 0, 2, 1), (2, 3)),
        ((1, 5, 8, 6), 4, (7, 5), (1, 1), (3, 3, 2, 2), (1, 1)),
        ((2, 4, 3, 3), 5, (3, 3), (1, 1), (0, 0, 0, 0), (1, 1)),
    ],
)
@pytest.mark.parametrize("unsigned", [False, True])
def test_convolution_equals_literal_loops(
    shape, outputs, kernel, stride, padding, dilation, unsigned
):
    case = conv_case(7, shape, outputs, kernel, unsigned)
    rest = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "input_zero_point": 137 if unsigned else -9,
        "output_zero_point": 5,
        "low": -3,
        "high": 100,
    }
    assert np.array_equal(conv2d(*case, **rest), literal_conv2d(*case, **rest))


@pytest.mark.parametrize("limit", [1, 500, 3000])
def test_chunking_changes_nothing(monkeypatch, limit):
    case = conv_case(3, (3, 4, 9, 7), 6, (3, 3))
    rest = {
        "stride": (1, 1),
        "padding": (1, 1, 1, 1),
        "dilation": (1, 1),
        "input_zero_point": 3,
        "output_zero_point": -20,
        "low": -128,
        "high": 127,
        "dtype": np.int8,
    }
    whole = conv2d(*case, **rest)
    assert whole.dtype == np.int8
    monkeypatch.setattr(ops, "COLUMN_BYTES", limit)
    assert np.array_equal(conv2d(*case, **rest), whole)


def test_largest_sums_and_multipliers_are_exact():
    taps = 65536
    x = np.full((1, taps, 1, 1), 255, np.uint8)
    weight = np.full((2, taps, 1, 1), 127, np.int8)
    weight[1] = -127
    case = (x, weight, np.array([1, -1]), np.array([2**24 - 1] * 2), np.array([47, 47]))
    rest = {
        "stride": (1, 1),
        "padding": (0, 0, 0, 0),
        "dilation": (1, 1),
        "input_zero_point": 0,
        "output_zero_point": 0,
        "low": -32768,
        "high": 32767,
    }
    expected = [
        requantize(sign * taps * 255 * 127, sign, 2**24 - 1, 47, 0, -32768, 32767)
        for sign in (1, -1)
    ]
    assert conv2d(*case, **rest).ravel().tolist() == expected


def test_halves_round_towards_plus_infinity():
    x = np.array([[[[1, -1, 3, -3]]]], np.int8)
    one = np.ones((1, 1, 1, 1), np.int8)
    y = conv2d(
        x,
        one,
        np.zeros(1),
        np.ones(1),
        np.ones(1),
        stride=(1, 1),
        padding=(0, 0, 0, 0),
        dilation=(1, 1),
        input_zero_point=0,
        output_zero_point=0,
        low=-128,
        high=127,
    )
    assert y.ravel().tolist() == [1, 0, 2, -1]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [
        ((2, 2), (2, 2), (0, 0, 0, 0)),
        ((3, 3), (2, 2), (1, 1, 1, 1)),
        ((3, 2), (1, 2), (2, 0, 1, 0)),
        ((1, 1), (3, 2), (0, 0, 0, 0)),
    ],
)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_max_pool_equals_literal_loops(kernel, stride, padding, dtype):
    info = np.iinfo(dtype)
    x = np.random.default_rng(5).integers(info.min, info.max + 1, (2, 3, 7, 6)).astype(dtype)
    y = max_pool(x, kernel, stride, padding)
    assert y.dtype == x.dtype
    assert np.array_equal(y, literal_max_pool(x, kernel, stride, padding))


def test_padding_never_wins_a_pool():
    x = np.full((1, 1, 2, 2), -128, np.int8)
    assert (max_pool(x, (2, 2), (1, 1), (1, 1, 1, 1)) == -128).all()


def test_wrong_shapes_and_clamps_are_refused():
    case = conv_case(1, (1, 2, 4, 4), 2, (3, 3))
    rest = {
        "stride": (1, 1),
        "padding": (0, 0, 0, 0),
        "dilation": (1, 1),
        "input_zero_point": 0,
        "output_zero_point": 0,
        "low": 0,
        "high": 255,
    }
    with pytest.raises(ValueError, match=r"^low and high must be ordered and fit int8, not 0 and"):
        conv2d(*case, **rest, dtype=np.int8)
    with pytest.raises(ValueError, match=r"^weight must have 3 input channels, not 2$"):
        conv2d(np.zeros((1, 3, 4, 4), np.int8), *case[1:], **rest)
    with pytest.raises(ValueError, match=r"^kernel must fit the padded input of 2x4, not span 3x3"):
        conv2d(case[0][:, :, :2], *case[1:], **rest)
    with pytest.raises(ValueError, match=r"^padding must be smaller than the kernel"):
        max_pool(case[0], (2, 2), (2, 2), (2, 0, 0, 0))


@pytest.mark.parametrize("groups", [2, 3, 6])
def test_grouped_convolution_equals_literal_loops(groups):
    x, weight, bias, multiplier, shift = conv_case(groups, (2, 6, 5, 4), 6, (3, 2))
    weight = weight[:, : 6 // groups]
    numbers = {
        "stride": (1, 2),
        "padding": (1, 0, 1, 1),
        "dilation": (1, 1),
        "input_zero_point": -9,
        "output_zero_point": 5,
        "low": -128,
        "high": 127,
    }
    found = conv2d(x, weight, bias, multiplier, shift, groups=groups, **numbers)
    inputs, outputs = 6 // groups, 6 // groups
    for group in range(groups):
        channels = slice(group * inputs, (group + 1) * inputs)
        part = slice(group * outputs, (group + 1) * outputs)
        wanted = literal_conv2d(
            x[:, channels], weight[part], bias[part], multiplier[part], shift[part], **numbers
        )
        np.testing.assert_array_equal(found[:, part], wanted)


def test_depthwise_sums_beyond_32_bits_are_exact():
    side = 300
    x = np.full((1, 2, side, side), 255, np.uint8)
    weight = np.full((2, 1, side, side), -128, np.int8)
    total = -255 * 128 * side**2
    assert total < -(1 << 31)
    bias, multiplier, shift = np.zeros(2, int), np.full(2, 1024), np.full(2, 35)
    rest = {"input_zero_point": 0, "output_zero_point": 0, "low": -128, "high": 127}
    shape = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 2}
    found = conv2d(x, weight, bias, multiplier, shift, **rest, **shape)
    assert found.ravel().tolist() == [(total * 1024 + (1 << 34)) >> 35] * 2


@pytest.mark.parametrize("factors", [(32639, -1), (-32896, 32639), (1, 1), (300, 20000)])
def test_sum_equals_literal_loops(factors):
    rng = np.random.default_rng(abs(factors[0]))
    a = rng.integers(-128, 128, (2, 3, 4, 5)).astype(np.int8)
    b = rng.integers(0, 256, a.shape).astype(np.uint8)
    a.flat[:2], b.flat[:2] = (-128, 127), (255, 0)
    shift = max(1, round(np.log2(max(map(abs, factors)) * 45000)))
    found = ops.add(
        (a, b),
        factors,
        45000,
        shift,
        input_zero_points=(-7, 200),
        output_zero_point=100,
        low=90,
        high=255,
        dtype=np.uint8,
    )
    assert found.dtype == np.uint8
    for place in np.ndindex(a.shape):
        acc = factors[0] * (int(a[place]) + 7) + factors[1] * (int(b[place]) - 200)
        assert found[place] == requantize(acc, 0, 45000, shift, 100, 90, 255)
