"""What stacks go through, each a flow on its row."""

from .bring_in_line import create, delete, roll_back, update
from .check_stack import check
from .stop_stack import stop
from .suspend_stack import resume, suspend
from .take_away_leftover import take_away

FLOWS = {
    flow.name: flow for flow in (create, update, roll_back, delete, stop, check, suspend, resume, take_away)
}
