"""The bus edges: the standard's signals, directions and widths."""

from typing import Any

import pytest
from amaranth.hdl import Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.bus.axi import (
    AxiId,
    Response,
    axi4_members,
    axi4_read_members,
    axi4_write_members,
    axi_lite_members,
)
from systolith_hw.spec.registers import ADDR_WIDTH
from systolith_sim.testing.configs import small_config

TO_MASTER = {"awready", "wready", "bid", "bresp", "bvalid"}
TO_MASTER |= {"arready", "rid", "rdata", "rresp", "rlast", "rvalid"}


def width(member):
    return Shape.cast(member.shape).width


@pytest.mark.parametrize(("bus_bytes", "size"), [(4, 2), (8, 3), (32, 5)])
def test_the_master_drives_all_but_answers_and_readies(bus_bytes, size):
    config = small_config(bus_bytes=bus_bytes, out_depth=256, addr_width=40)
    members: dict[str, Any] = axi4_members(config)
    assert {name for name, member in members.items() if member.flow is In} == TO_MASTER
    assert width(members["araddr"]) == width(members["awaddr"]) == 40
    assert width(members["rdata"]) == width(members["wdata"]) == 8 * bus_bytes
    assert width(members["wstrb"]) == bus_bytes
    assert members.keys() == axi4_read_members(config).keys() | axi4_write_members(config).keys()
    # Bursts of whole beats, incrementing; they stand from the start.
    for channel in ("ar", "aw"):
        assert members[f"{channel}size"].init == size
        assert members[f"{channel}burst"].init == 1


def test_the_slave_mirrors_a_control_port():
    members = axi_lite_members()
    outputs = {name for name, member in members.items() if member.flow is Out}
    assert outputs == {
        "awready",
        "wready",
        "bresp",
        "bvalid",
        "arready",
        "rdata",
        "rresp",
        "rvalid",
    }
    assert width(members["awaddr"]) == width(members["araddr"]) == ADDR_WIDTH
    assert width(members["wdata"]) == 8 * width(members["wstrb"]) == 32


def test_master_and_slave_fit_together():
    signature = wiring.Signature(axi4_members(small_config()))
    flipped = signature.flip()
    assert {name: member.flow.flip() for name, member in signature.members.items()} == {
        name: member.flow for name, member in flipped.members.items()
    }


def test_codes_are_those_of_the_standard():
    assert [response.name for response in Response] == ["OKAY", "EXOKAY", "SLVERR", "DECERR"]
    assert [response.value for response in Response] == [0, 1, 2, 3]
    assert len({identifier.value for identifier in AxiId}) == 2
