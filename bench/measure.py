"""One case, run and told as a line of a table."""

import time

from .cases import Case
from .cloud import FakeCloud, Refused


def measured(cloud: FakeCloud, case: Case, count: int) -> str:
    """CPU of all the cloud's processes for one operation, in `count` runs after a first that does not count."""
    if case.needs not in cloud.api.rooms:
        return f"| {case.name} | 0 | no {case.needs} room | | {case.budget_ms:g} | {case.peer} |"
    try:
        once = case.prepare(cloud.api)
        if count > 1:
            once()  # statements compiled, views made: costs of a process's first request of a kind
        before_s, began_s = cloud.tree.cpu_s(), time.monotonic()
        for _ in range(count):
            once()
        wall_ms = (time.monotonic() - began_s) * 1000 / count
        time.sleep(0.4)  # records of requests are written a moment later
        cpu_ms = (cloud.tree.cpu_s() - before_s) * 1000 / count
    except (Refused, LookupError) as problem:
        return f"| {case.name} | 0 | failed: {problem} | | {case.budget_ms:g} | {case.peer} |"
    over = " **over**" if cpu_ms > case.budget_ms else ""
    return (
        f"| {case.name} | {count} | {cpu_ms:.2f}{over} | {wall_ms:.1f} | {case.budget_ms:g} | {case.peer} |"
    )
