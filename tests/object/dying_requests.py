"""Requests that are cut off at any of the points at which they wait."""

import types


class Cut(BaseException):
    """Not to be caught: nothing more of the request happens."""


@types.coroutine
def until(work, waits):
    """Runs a coroutine until it has waited so often, and ends it there. Answers its result, or raises `Cut`."""
    steps = work.__await__()
    value, error = None, None
    for _ in range(waits):
        try:
            waited_for = steps.throw(error) if error is not None else steps.send(value)
        except StopIteration as end:
            return end.value
        value, error = None, None
        try:
            value = yield waited_for
        except BaseException as raised:
            error = raised
    steps.close()
    raise Cut
