"""Work that outlives a request: states, flows, reconcilers, sweepers, and the engine that runs them."""

from .engine import Engine
from .flows import Fault, Flow, Outcome, Step, Work, trim_flows, wake
from .lease import holding
from .nudges import forward_nudges
from .reconcile import OVERLAP, Reconciler, Unfinished
from .states import ANY, Machine, Move
from .sweep import Sweeper
from .worker import working_in

__all__ = [
    "ANY",
    "OVERLAP",
    "Engine",
    "Fault",
    "Flow",
    "Machine",
    "Move",
    "Outcome",
    "Reconciler",
    "Step",
    "Sweeper",
    "Unfinished",
    "Work",
    "forward_nudges",
    "holding",
    "trim_flows",
    "wake",
    "working_in",
]
