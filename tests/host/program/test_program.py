"""Program files and the places of tensors in memory."""

import json
import random

import numpy as np
import pytest
from safetensors.numpy import save_file

from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.lab.fuzz.networks import random_qgraph
from systolith_host.program.program import Place, Program
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import VERSION


def place(channels, pixel_bytes=0, unsigned=False, batch=2, height=3, width=5, block=4):
    made = Place("t", 64, 0, batch, channels, height, width, unsigned, pixel_bytes, block, 1.0, 0)
    return Place(**{**made.__dict__, "size": batch * made.image_bytes})


@pytest.fixture(scope="module")
def program():
    return compile_network(random_qgraph(random.Random(3)), PRESETS["tiny"], 2)


@pytest.mark.parametrize(
    ("channels", "pixel_bytes"), [(1, 0), (4, 0), (9, 0), (1, 1), (2, 2), (1, 2)]
)
@pytest.mark.parametrize("unsigned", [False, True])
def test_unpack_gives_back_what_was_packed(channels, pixel_bytes, unsigned):
    where = place(channels, pixel_bytes, unsigned)
    values = np.random.default_rng(1).integers(0, 256, where.shape).astype(np.uint8)
    values = values.view(where.dtype)
    data = where.pack(values)
    assert data.dtype == np.uint8
    assert data.shape == (where.size,)
    np.testing.assert_array_equal(where.unpack(data), values)
    assert where.unpack(data).dtype == where.dtype


def test_blocked_layout_is_image_block_row_pixel_channel():
    where = place(6)
    values = np.arange(2 * 6 * 3 * 5, dtype=np.int64).astype(np.int8).reshape(where.shape)
    data = where.pack(values).view(np.int8).reshape(2, 2, 3, 5, 4)
    assert data[1, 1, 2, 3, 1] == values[1, 5, 2, 3]
    assert not data[:, 1, :, :, 2:].any()


def test_packed_rows_fill_whole_words():
    where = place(1, pixel_bytes=1)
    assert where.row_bytes == 8
    data = where.pack(np.ones(where.shape, np.int8)).reshape(2, 3, 8)
    assert data[0, 0].tolist() == [1, 1, 1, 1, 1, 0, 0, 0]


def test_unsigned_values_stand_with_128_subtracted():
    where = place(1, unsigned=True, batch=1, height=1, width=1)
    assert where.pack(np.full(where.shape, 130, np.uint8)).view(np.int8)[0] == 2


def test_pack_refuses_another_shape_and_type():
    with pytest.raises(SystolithError, match=r"^t: values must be int8 of shape \(2, 6, 3, 5\)"):
        place(6).pack(np.zeros((2, 5, 3, 5), np.int8))
    with pytest.raises(SystolithError, match=r"^t: values must be int8 .*, not uint8"):
        place(6).pack(np.zeros((2, 6, 3, 5), np.uint8))
    with pytest.raises(SystolithError, match=r"^t: must have 240 bytes, not 3$"):
        place(6).unpack(np.zeros(3, np.uint8))


def test_a_program_survives_its_file(program, tmp_path):
    path = tmp_path / "p.systolith"
    program.save(path)
    loaded = Program.load(path)
    assert loaded.layers == program.layers
    assert dict(loaded.places) == dict(program.places)
    assert loaded.config == program.config
    assert (loaded.network, loaded.batch, loaded.memory_size, loaded.input, loaded.output) == (
        program.network,
        program.batch,
        program.memory_size,
        program.input,
        program.output,
    )
    for (address, data), (other_address, other) in zip(
        loaded.segments, program.segments, strict=True
    ):
        assert address == other_address
        np.testing.assert_array_equal(data, other)


def test_the_image_holds_the_segments(program, tmp_path):
    path = tmp_path / "image"
    program.write_image(path)
    image = np.fromfile(path, np.uint8)
    assert image.size == program.memory_size
    for address, data in program.segments:
        np.testing.assert_array_equal(image[address : address + data.size], data)
    place = program.places[program.input]
    inputs = {program.input: np.full(place.shape, 7, place.dtype)}
    program.write_image(path, inputs)
    np.testing.assert_array_equal(np.fromfile(path, np.uint8), program.memory_image(inputs))
    assert np.count_nonzero(np.fromfile(path, np.uint8) != image) >= inputs[program.input].size


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_cut_file_is_refused_in_one_line(program, tmp_path, keep):
    path = tmp_path / "p.systolith"
    program.save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SystolithError, match=r"p\.systolith: is damaged: [^\n]*$"):
        Program.load(path)


OLDER = json.dumps({"version": VERSION, "segments": []})


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"conv.weight": np.zeros(3, np.float32)}, str(path))
    with pytest.raises(SystolithError, match="is not a program"):
        Program.load(path)
    save_file({"a": np.zeros(3, np.uint8)}, str(path), {"systolith program": "{}"})
    with pytest.raises(SystolithError, match=r"is damaged: [^\n]*version"):
        Program.load(path)
    with pytest.raises(SystolithError, match="cannot be read"):
        Program.load(tmp_path / "missing")
    save_file({"a": np.zeros(3, np.uint8)}, str(path), {"systolith program": OLDER})
    with pytest.raises(SystolithError, match=r"of another version of systolith; compile it again$"):
        Program.load(path)


def test_addresses_beyond_the_memory_are_refused(program, tmp_path):
    path = tmp_path / "p.systolith"
    small = Program(**{**program.__dict__, "memory_size": 64})
    small.save(path)
    with pytest.raises(SystolithError, match="must lie within the program's memory"):
        Program.load(path)
