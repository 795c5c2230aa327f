"""Program images: equal to their programs as C reads them; damaged ones are refused.

SYSTOLITH_FUZZ says how many damaged images there are, SYSTOLITH_SEED repeats some.
"""

import os
import random
import subprocess
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.shortage import ShortageError
from systolith_host.drivers.image import program_image, write_image
from systolith_host.drivers.layout import (
    DATA_ALIGNMENT,
    HEADER,
    INDEX_BYTES,
    LAYER,
    NO_TENSOR,
    SEGMENT,
    TENSOR,
)
from systolith_host.errors import SystolithError
from systolith_host.lab.fuzz.networks import random_config, random_qgraph, sought
from systolith_host.program.program import Program
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import VERSION

COUNT = int(os.environ.get("SYSTOLITH_FUZZ", "1000"))
SEED = os.environ.get("SYSTOLITH_SEED")

OK, WRONG_VERSION, BAD_IMAGE = 0, 3, 10
"""Of enum systolith_result."""


def image_of(program):
    return b"".join(bytes(part) for part in program_image(program))


def random_program(rng):
    def draw():
        try:
            return compile_network(random_qgraph(rng), random_config(rng), rng.choice([1, 2, 3]))
        except ShortageError:
            return None

    return sought(draw)


@pytest.fixture(scope="module")
def program():
    return compile_network(random_qgraph(random.Random(3)), PRESETS["tiny"], 2)


@pytest.fixture(scope="session")
def image_tool(compile_with_driver, tmp_path_factory):
    """Return a function that gives images to the C driver, and returns its lines for each."""
    source = Path(__file__).with_name("image_tool.c")
    tool = compile_with_driver(tmp_path_factory.mktemp("tool") / "image_tool", source)

    def read(images, *arguments):
        stream = b"".join(len(data).to_bytes(4, "little") + data for data in images)
        done = subprocess.run([tool, *arguments], input=stream, capture_output=True, timeout=500)
        assert done.returncode == 0, done.stderr.decode()[-3000:]
        answers = done.stdout.decode(errors="replace").split("opened ")[1:]
        assert len(answers) == len(images)
        return [[line.split() for line in answer.splitlines()] for answer in answers]

    return read


def said(words):
    return dict(word.split("=", 1) for word in words)


def test_c_reads_what_the_program_has(image_tool):
    rng = random.Random(11)
    programs = [random_program(rng) for _ in range(20)]
    for made, (status, *lines) in zip(
        programs, image_tool([image_of(each) for each in programs]), strict=True
    ):
        assert status == ["0"]
        assert lines.pop() == ["loaded", "0"]
        by_kind = {"image": [], "layer": [], "tensor": [], "segment": []}
        for kind, *words in lines:
            by_kind[kind].append(said(words))
        (image,) = by_kind["image"]
        names = list(made.places)
        assert image["network"] == made.network
        assert image["configuration"] == made.config.name
        for key in ("memory_size", "batch"):
            assert int(image[key]) == getattr(made, key)
        for key in ("fingerprint", "block", "addr_width"):
            assert int(image[key]) == getattr(made.config, key)
        assert names[int(image["input"])] == made.input
        assert names[int(image["output"])] == made.output
        for layer, found in zip(made.layers, by_kind["layer"], strict=True):
            inputs = tuple(names[int(number)] for number in found.pop("inputs").split(","))
            assert (inputs, names[int(found.pop("output"))]) == (layer.inputs, layer.output)
            assert found == {key: str(getattr(layer, key)) for key in found}
        for place, found in zip(made.places.values(), by_kind["tensor"], strict=True):
            parent = int(found.pop("parent"))
            assert (names[parent] if parent != NO_TENSOR else "") == place.parent
            assert found.pop("unsigned") == str(int(place.unsigned))
            assert found == {key: str(getattr(place, key)) for key in found}
        for (address, data), found in zip(made.segments, by_kind["segment"], strict=True):
            total = 0
            for value in data.tolist():
                total = (total * 31 + value) & 0xFFFFFFFF
            assert found == {"address": str(address), "size": str(data.size), "sum": str(total)}


def with_checksum(data):
    """Return an image whose tables have the checksum that belongs to them, if that can be."""
    header = HEADER.unpack(data)
    sizes = {"layers": LAYER.size, "tensors": TENSOR.size, "segments": SEGMENT.size}
    sizes |= {"inputs": INDEX_BYTES, "names_bytes": 1}
    end = HEADER.size + sum(header[name] * size for name, size in sizes.items())
    if end > len(data):
        return data
    return data[:12] + zlib.crc32(data[16:end]).to_bytes(4, "little") + data[16:]


def damaged(rng, data):
    """Return an image with some damage: bits, numbers, a cut."""
    made = bytearray(data)
    tables = HEADER.size + 700
    for _ in range(rng.choice([1, 1, 2, 5])):
        kind = rng.random()
        if kind < 0.1:
            del made[rng.randrange(HEADER.size, len(made)) :]
            continue
        # More often where the numbers are than in the data.
        place = rng.randrange(min(len(made), tables) if kind < 0.9 else len(made))
        if kind < 0.4:
            made[place] ^= 1 << rng.randrange(8)
            continue
        size = rng.choice([4, 8])
        place -= place % size
        number = int.from_bytes(made[place : place + size], "little")
        bit, most = 1 << rng.randrange(8 * size), (1 << 8 * size) - 1
        edge = rng.choice([0, 1, most, most // 2 + 1, len(data), number + 1, number - 1, bit])
        made[place : place + size] = (edge % (1 << 8 * size)).to_bytes(size, "little")
    return bytes(made)


def test_damaged_images_are_refused_or_harmless(image_tool):
    seed = int(SEED) if SEED else random.SystemRandom().getrandbits(32)
    print(f"SYSTOLITH_SEED={seed}")
    rng = random.Random(seed)
    images = []
    whole = [image_of(random_program(rng)) for _ in range(4)]
    for _ in range(COUNT):
        image = damaged(rng, rng.choice(whole))
        images.append(with_checksum(image) if rng.random() < 0.8 else image)
    results = Counter()
    for answer in image_tool(images, "unchecked"):
        results[int(answer[0][0])] += 1
    print(results)
    assert results[BAD_IMAGE] > COUNT // 3
    assert results[OK] > COUNT // 30
    assert set(results) <= {OK, WRONG_VERSION, BAD_IMAGE}


def data_span(data, index):
    """Return the offsets at which a segment's bytes begin and end."""
    header = HEADER.unpack(data)
    table = HEADER.size + LAYER.size * header["layers"] + TENSOR.size * header["tensors"]
    segment = SEGMENT.unpack(data[table + SEGMENT.size * index :][: SEGMENT.size])
    return segment["offset"], segment["offset"] + segment["size"]


def test_every_flipped_bit_of_tables_and_data_is_noticed(program, image_tool):
    data = image_of(program)
    rng = random.Random(5)
    spans = [data_span(data, index) for index in range(len(program.segments))]
    tables = min(start for start, _ in spans) - DATA_ALIGNMENT
    places = [*range(tables)]
    places += [rng.randrange(*span) for span in spans for _ in range(100)]
    images = []
    for place in places:
        made = bytearray(data)
        made[place] ^= 1 << rng.randrange(8)
        images.append(bytes(made))
    for place, (opened, *lines) in zip(places, image_tool(images), strict=True):
        if place < tables:
            assert opened != ["0"], place
        else:
            assert (opened, lines[-1]) == (["0"], ["loaded", str(BAD_IMAGE)]), place


@pytest.mark.parametrize("size", [0, 1, 15, HEADER.size - 1, HEADER.size])
def test_an_image_that_is_cut_off_is_refused(program, image_tool, size):
    ((opened,),) = image_tool([image_of(program)[:size]])
    assert opened == [str(BAD_IMAGE)]


def test_an_image_of_another_register_version_is_told_from_a_damaged_one(program, image_tool):
    data = bytearray(image_of(program))
    data[16:20] = (VERSION + 1).to_bytes(4, "little")
    ((opened,),) = image_tool([with_checksum(bytes(data))])
    assert opened == [str(WRONG_VERSION)]


def test_an_image_may_stand_in_more_memory_than_it_needs(program, image_tool):
    (answer,) = image_tool([image_of(program) + bytes(100)])
    assert (answer[0], answer[-1]) == (["0"], ["loaded", "0"])


def test_data_stand_aligned_and_equal_programs_make_equal_images(program, tmp_path):
    data = image_of(program)
    assert data == image_of(program)
    for index in range(len(program.segments)):
        assert data_span(data, index)[0] % DATA_ALIGNMENT == 0
    assert write_image(program, tmp_path / "image") == len(data)
    assert (tmp_path / "image").read_bytes() == data
    program.save(tmp_path / "program")
    assert image_of(Program.load(tmp_path / "program")) == data


def test_a_number_that_does_not_fit_is_refused(program):
    wrong = replace(program, layers=(replace(program.layers[0], macs=1 << 64),))
    with pytest.raises(SystolithError, match=r"has a number that an image cannot hold"):
        image_of(wrong)


def test_an_image_that_cannot_be_written_is_a_line(program, tmp_path):
    with pytest.raises(SystolithError, match=r"cannot be written: Is a directory$"):
        write_image(program, tmp_path)
