"""The simulator: whole lives of a cloud in one process, under a virtual clock, with misfortune drawn from a seed.

`./aerostat sim --seeds 1000` runs them; `docs/subsystems/simulation.md` says what is simulated, what is asked of each
life, and what such a life cannot show. It is shipped with the package and not kept beside the tests, because the
command must work wherever the program does.
"""

from .history import Outcome
from .runner import run

__all__ = ["Outcome", "run"]
