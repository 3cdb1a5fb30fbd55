"""Requests that are cut off at any of the points at which they wait, or of the requests that they make themselves."""

import types

from .dying import Died


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


def dying_after(below, steps, *, is_done):
    """What lies below a layer, for so many requests; with the next the process dies, before it or after it."""
    left = steps

    async def dying(request):
        nonlocal left
        left -= 1
        if left < 0 and not is_done:
            raise Died
        response = await below(request)
        if left < 0:
            raise Died
        return response

    return dying
