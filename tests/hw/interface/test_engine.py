"""What engines tell: states as the registers number them, and faults where they can happen."""

import pytest

from systolith_hw.compute.core import DirectCore
from systolith_hw.interface.engine import ComputeState, EngineStatus, LoadState, StoreState
from systolith_hw.load.engine import LoadEngine
from systolith_hw.spec.registers import ENGINE_STATES, Engine
from systolith_hw.store.engine import StoreEngine
from systolith_sim.testing.configs import small_config

ENGINES = [
    (Engine.LOAD, LoadState, LoadEngine, True),
    (Engine.COMPUTE, ComputeState, DirectCore, False),
    (Engine.STORE, StoreState, StoreEngine, True),
]


@pytest.mark.parametrize(("engine", "states", "component", "regions"), ENGINES)
def test_states_are_those_of_the_registers(engine, states, component, regions):
    names = [state.name.lower() for state in states]
    assert names == list(ENGINE_STATES[engine])
    assert [state.value for state in states] == list(range(len(names)))


@pytest.mark.parametrize(("engine", "states", "component", "regions"), ENGINES)
def test_an_engine_offers_its_status(engine, states, component, regions):
    status = EngineStatus(states, regions=regions)
    assert status.is_compliant(component(small_config()).status)
    assert ("miscount" in status.members) == regions
