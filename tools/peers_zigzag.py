"""ZigZag on a network's layers: runs in an environment of its own, prints JSON; see peers.py."""

import contextlib
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import yaml


def port(number, kind, bits, allocation):
    name = {"read": "r", "write": "w", "read_write": "rw"}[kind]
    return {
        "name": f"{name}_port_{number}",
        "type": kind,
        "bandwidth_min": min(bits, 8),
        "bandwidth_max": bits,
        "allocation": allocation,
    }


def accelerator(job):
    """Return an array, its registers and accumulators, two buffers and a memory."""
    rows, cols, bus = job["rows"], job["cols"], 8 * job["bus_bytes"]
    both = ["D1", "D2"]
    # What goes from high to low and low to high, in and out: all through one port.
    shared = [(name, way) for name in ("I1", "I2") for way in ("fh", "tl")]
    shared += [("O", way) for way in ("fh", "tl", "fl", "th")]

    # Costs matter for energies only, which nobody asks for.
    def memory(size, operands, served, ports, **more):
        costs = {"r_cost": 1.0, "w_cost": 1.0, "area": 0.0, "latency": 1}
        fields = {"operands": operands, "served_dimensions": served, "ports": ports}
        return {"size": size, **costs, **fields, **more}

    return {
        "name": "array",
        "operational_array": {
            "unit_energy": 1.0,
            "unit_area": 1.0,
            "dimensions": both,
            "sizes": [cols, rows],
        },
        "memories": {
            # Two weights: one in use, the next one on its way. Twice the accumulators likewise.
            "weight_register": memory(
                16,
                ["I2"],
                [],
                [port(1, "read", 8, ["I2, tl"]), port(1, "write", 8, ["I2, fh"])],
                force_double_buffering=True,
            ),
            "accumulators": memory(
                64 * job["acc_depth"],
                ["O"],
                ["D2"],
                [
                    port(1, "read", 32, ["O, tl"]),
                    port(1, "write", 32, ["O, fl"]),
                    port(2, "read", 32, ["O, th"]),
                    port(2, "write", 32, ["O, fh"]),
                ],
                force_double_buffering=True,
            ),
            "activations": memory(
                8 * job["act_bytes"],
                ["I1"],
                both,
                [port(1, "read", 8 * rows, ["I1, tl"]), port(1, "write", 8 * rows, ["I1, fh"])],
            ),
            "weights": memory(
                8 * job["weight_bytes"],
                ["I2"],
                both,
                [port(1, "read", 8 * cols, ["I2, tl"]), port(1, "write", 8 * cols, ["I2, fh"])],
            ),
            "memory": memory(
                1 << 40,
                ["I1", "I2", "O"],
                both,
                [
                    port(1, "read_write", bus, [f"{name}, {way}" for name, way in shared])
                ],
            ),
        },
    }  # fmt: skip


def workload(layers):
    found = []
    for number, layer in enumerate(layers):
        high, wide = layer["out_height"], layer["out_width"]
        found.append(
            {
                "id": number,
                "name": layer["name"],
                "operator_type": "Conv",
                "equation": "O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]",
                "dimension_relations": ["ix=1*ox+1*fx", "iy=1*oy+1*fy"],
                "loop_dims": ["B", "K", "C", "OY", "OX", "FY", "FX"],
                "loop_sizes": [
                    1, layer["outputs"], layer["inputs"], high, wide, *layer["kernel"],
                ],
                "operand_precision": {"W": 8, "I": 8, "O": 32, "O_final": 8},
                "operand_source": {"W": number, "I": number},
            }
        )  # fmt: skip
    return found


def mapping(job):
    spatial = {"D1": [f"K, {job['cols']}"], "D2": [f"C, {job['rows']}"]}
    links = {"O": "O", "W": "I2", "I": "I1"}
    return [
        {"name": name, "spatial_mapping": spatial, "memory_operand_links": links}
        for name in ("default", "Conv")
    ]


def run(job):
    from zigzag.api import get_hardware_performance_zigzag

    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        documents = {
            "accelerator": accelerator(job),
            "workload": workload(job["layers"]),
            "mapping": mapping(job),
        }
        for name, value in documents.items():
            paths[name] = str(Path(folder) / f"{name}.yaml")
            Path(paths[name]).write_text(yaml.safe_dump(value, sort_keys=False))
        started, cpu = time.monotonic(), time.process_time()
        with contextlib.redirect_stdout(sys.stderr):
            answer = get_hardware_performance_zigzag(
                **paths,
                opt="latency",
                dump_folder=str(Path(folder) / "out"),
                lpf_limit=6,
                loma_show_progress_bar=False,
            )
        seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    costs = [cost for cost, _ in answer[-1][0][1]]
    layers = {
        cost.layer.name: {"cycles": float(cost.latency_total2), "bytes": moved(cost)}
        for cost in costs
    }
    return {"seconds": seconds, "cpu_seconds": cpu, "layers": layers}


def moved(cost):
    """Return the bytes that the outermost memory gives and takes for a layer."""
    from zigzag.mapping.data_movement import DataMoveAttr

    bits = 0.0
    for levels in cost.mapping.unit_mem_data_movement.values():
        amount, precision, count = (
            levels[-1].get_attribute(attribute)
            for attribute in (
                DataMoveAttr.DATA_TRANS_AMOUNT_PER_PERIOD,
                DataMoveAttr.DATA_PRECISION,
                DataMoveAttr.DATA_TRANS_PERIOD_COUNT,
            )
        )
        bits += sum(amount.get(way) * precision.get(way) * count.get(way) for way in amount.data)
    return bits / 8


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
