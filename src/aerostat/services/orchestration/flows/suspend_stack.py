"""Suspending a stack's resources, those that need others first, and waking them again, the other way round."""

from ..visits import visit_flow

suspend = visit_flow("stack.suspend", "SUSPEND", backwards=True)
resume = visit_flow("stack.resume", "RESUME")
