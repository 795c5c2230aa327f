"""Damages ONNX files in ways that still parse, and in ways that do not."""

import random
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["EXTREMES", "extreme", "mutated", "rewired", "scrambled"]

EXTREMES = [
    *(sign * (1 << bits) for bits in (0, 1, 8, 16, 20, 31, 32, 40, 62) for sign in (1, -1)),
    *(0, 3, 65535, 65537, (1 << 31) - 1, (1 << 63) - 1, -(1 << 63)),
]
"""Integers about the ends of the types that hold them."""


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Return a file with a few bytes changed, cut out or doubled."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(changed))
        size = rng.randint(1, 8)
        choice = rng.random()
        if choice < 0.6:
            changed[place] = rng.choice(
                [0, 1, 2, 127, 128, 255, changed[place] ^ 1 << rng.randrange(8)]
            )
        elif choice < 0.8:
            del changed[place : place + size]
        else:
            changed[place:place] = changed[place : place + size]
    return bytes(changed)


def rewired(rng: random.Random, proto: onnx.ModelProto) -> bytes:
    """Return a file whose nodes have other inputs, attributes, types or shapes."""
    proto = onnx.ModelProto.FromString(proto.SerializeToString())
    nodes, tensors = proto.graph.node, proto.graph.initializer
    names = ["", "x", *(tensor.name for tensor in tensors), *(n.output[0] for n in nodes)]
    for _ in range(rng.randint(1, 3)):
        entry, tensor = rng.choice(nodes), rng.choice(tensors)
        choice = rng.randrange(7)
        if choice == 0 and entry.input:
            entry.input[rng.randrange(len(entry.input))] = rng.choice(names)
        elif choice == 1:
            entry.op_type = rng.choice([n.op_type for n in nodes] + ["Shape", "Pad", "Transpose"])
        elif choice == 2 and entry.attribute:
            attribute = rng.choice(entry.attribute)
            attribute.i = rng.choice([-1, 0, 3, 1 << 40])
            for index in range(len(attribute.ints)):
                attribute.ints[index] = rng.choice([-1, 0, 1, 5, 1 << 40])
        elif choice == 3 and tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice([-1, 0, 1, 7, 1 << 33])
        elif choice == 4:
            tensor.data_type = rng.randrange(25)
        elif choice == 5:
            del entry.input[:]
        else:
            del nodes[rng.randrange(len(nodes))]
        if not nodes:
            break
    return proto.SerializeToString()


def _parts_of(message: Any) -> list[Any]:
    """Return a message of a file and all messages in it."""
    found = [message]
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for part in value if field.is_repeated else [value]:
                found += _parts_of(part)
    return found


def scrambled(rng: random.Random, proto: onnx.ModelProto) -> bytes:
    """Return a file in which some fields have other values, or are doubled, or gone."""
    proto = onnx.ModelProto.FromString(proto.SerializeToString())
    texts = [b"", b"x", b"\xff\xfe", b"a" * 300, b"Shape", b"../w", b"com.microsoft"]
    for _ in range(rng.randint(1, 4)):
        message = rng.choice(_parts_of(proto))
        fields = message.ListFields()
        if not fields:
            continue
        field, value = rng.choice(fields)
        numbers = [-1, 0, 1, 2, 3, 7, 11, 1 << 20, (1 << 31) - 1]
        if field.type == field.TYPE_INT64:
            numbers += [1 << 40, -(1 << 63)]
        if rng.random() < 0.2:
            message.ClearField(field.name)
        elif field.is_repeated and len(value):
            index = rng.randrange(len(value))
            if rng.random() < 0.4:
                del value[index]
            elif rng.random() < 0.5:
                value.extend([value[index]])
            elif field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_INT64):
                value[index] = rng.choice(numbers)
            elif field.type == field.TYPE_STRING:
                value[index] = rng.choice(texts).decode("latin-1")
        elif field.type == field.TYPE_STRING:
            setattr(message, field.name, rng.choice(texts).decode("latin-1"))
        elif field.type == field.TYPE_BYTES:
            data = bytearray(value)
            if data and rng.random() < 0.7:
                data[rng.randrange(len(data))] = rng.choice([0, 1, 127, 128, 255])
            setattr(message, field.name, bytes(data) if rng.random() < 0.7 else rng.choice(texts))
        elif field.type == field.TYPE_ENUM:
            setattr(message, field.name, rng.choice(sorted(field.enum_type.values_by_number)))
        elif field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_INT64):
            setattr(message, field.name, rng.choice(numbers))
        elif field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
            setattr(message, field.name, rng.choice([0.0, -1.0, 1e38, float("inf"), float("nan")]))
    return proto.SerializeToString()


def extreme(rng: random.Random, proto: onnx.ModelProto) -> bytes:
    """Return a file with integers of any size in attributes, shapes and constants."""
    proto = onnx.ModelProto.FromString(proto.SerializeToString())
    graph = proto.graph
    whole = [t for t in graph.initializer if t.data_type == TensorProto.INT64]
    kinds = (onnx.AttributeProto.INT, onnx.AttributeProto.INTS)
    for _ in range(rng.randint(1, 3)):
        choice, value = rng.random(), rng.choice(EXTREMES)
        entry = rng.choice(graph.node)
        if choice < 0.6 and onnx.defs.has(entry.op_type, entry.domain):
            known: Any = onnx.defs.get_schema(entry.op_type, 17, entry.domain).attributes.values()
            known = [a for a in known if int(a.type) in kinds]
            if not known:
                continue
            attribute: Any = rng.choice(known)
            given = next((a for a in entry.attribute if a.name == attribute.name), None)
            if given is not None:
                entry.attribute.remove(given)
            if int(attribute.type) == onnx.AttributeProto.INT:
                made = helper.make_attribute(attribute.name, value)
            else:
                count = len(given.ints) if given is not None else rng.choice([2, 2, 4, 4, 1, 0])
                usual = list(given.ints) if given is not None else [1] * count
                for place in range(count):
                    if rng.random() < 0.6:
                        usual[place] = rng.choice([value, rng.choice(EXTREMES)])
                made = helper.make_attribute(
                    attribute.name, usual, attr_type=onnx.AttributeProto.INTS
                )
            entry.attribute.append(made)
        elif choice < 0.75 and whole:
            tensor = rng.choice(whole)
            values = numpy_helper.to_array(tensor).copy()
            if values.size:
                values.reshape(-1)[rng.randrange(values.size)] = value
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        elif choice < 0.85:
            dims = graph.input[0].type.tensor_type.shape.dim
            rng.choice(dims).dim_value = value
        else:
            _grow(rng, graph)
    return proto.SerializeToString()


def _grow(rng: random.Random, graph: onnx.GraphProto) -> None:
    """Let a constant pass through nodes that enlarge it."""
    tensor = rng.choice(graph.initializer)
    name, steps = tensor.name, []
    sizes = numpy_helper.from_array(np.array([rng.choice(EXTREMES)] * len(tensor.dims)), "sizes")
    if "sizes" not in [t.name for t in graph.initializer]:
        graph.initializer.append(sizes)
    for step in range(rng.choice([1, 2, 40])):
        made = f"{name}.{step}"
        operator = rng.choice(["Concat", "Concat", "Concat", "Tile", "Expand", "Gather"])
        inputs = [name, name] if operator == "Concat" else [name, "sizes"]
        step_node = helper.make_node(operator, inputs, [made], made)
        if operator in ("Concat", "Gather"):
            step_node.attribute.append(helper.make_attribute("axis", rng.choice([0, 0, 0, -1, 1])))
        steps.append(step_node)
        name = made
    for entry in graph.node:
        for index, used in enumerate(entry.input):
            if used == tensor.name:
                entry.input[index] = name
    for step in reversed(steps):
        graph.node.insert(0, step)
