"""Runs a small network on the exact model and in the simulated RTL, and compares the two."""

import numpy as np

import systolith as sy

images = np.random.default_rng(0).standard_normal((4, 3, 32, 32), np.float32)
program = sy.load("mini", calibrate=images).compile("tiny", memory=sy.Memory(bytes_per_cycle=4))
model, rtl = (program.run(images[0], device=device) for device in ("model", "rtl"))
for name, tensor in rtl.tensors.items():
    assert np.array_equal(tensor, model.tensors[name]), name
for one, other in zip(model.report.layers, rtl.report.layers, strict=True):
    assert (one.states, one.bytes_read) == (other.states, other.bytes_read), one.name
rtl.report.save("report.json")
print(f"{rtl.report.cycles:,} cycles, class {rtl.output.argmax()}")
