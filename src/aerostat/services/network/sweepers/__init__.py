"""One file for each kind of upkeep of the network room."""

from . import agents

SWEEPERS = (agents.SWEEPER,)
