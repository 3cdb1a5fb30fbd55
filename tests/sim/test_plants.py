"""The simulator can fail: faults that somebody in a hurry might write are found, and soon."""

import pytest

from aerostat.testing import sim
from aerostat.testing.sim.plants import PLANTS

# How many seeds, from the first on, it may take. How many it takes is in docs/subsystems/simulation.md.
ENOUGH = 40


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_fault_is_found(plant: str) -> None:
    lives = sim.run(range(1, ENOUGH + 1), plant=PLANTS[plant])
    assert next((one for one in lives if one.violations), None) is not None
    lives.close()
