"""Checking a stack: does all that it made still stand, and is it well?"""

from ..visits import visit_flow

check = visit_flow("stack.check", "CHECK")
