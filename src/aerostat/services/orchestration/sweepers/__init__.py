"""What is cleaned away in time."""

from . import deleted_stacks

SWEEPERS = (deleted_stacks.SWEEPER,)
