"""A storm over a cloud of many processes: users at work while everything is killed and stopped in turn.

Users and questions are the simulator's; processes, queue and database are real. `STORM_SEED` begins another storm,
`STORM_OPERATIONS` makes it last longer.
"""

import asyncio
import os
import random
from collections.abc import Iterator

import pytest

from tests.metal.many_processes import ManyProcesses, many_processes, why_no_queue
from tests.metal.storm import Crowd, Misfortune, come_to_rest, errors_logged, lines_about
from tests.servers import Postgres

pytestmark = [
    pytest.mark.metal,
    pytest.mark.skipif(bool(why_no_queue()), reason=why_no_queue() or "-"),
]

SEED = int(os.environ.get("STORM_SEED", "1"))
OPERATIONS = int(os.environ.get("STORM_OPERATIONS", "200"))
REST_LIMIT_S = 180.0


@pytest.fixture
def cloud(postgres: Postgres) -> Iterator[ManyProcesses]:
    with many_processes(postgres) as cloud:
        cloud.up()
        yield cloud


def test_everything_is_killed_in_turn(cloud: ManyProcesses) -> None:
    crowd = Crowd(cloud, SEED)
    history = crowd.history
    storm = Misfortune(cloud, history, random.Random(SEED))
    crowd.start()
    try:
        storm.round()
        while crowd.real.operations < OPERATIONS and crowd.is_alive():
            storm.round()
    finally:
        crowd.go_home()
    broken, rest_s = asyncio.run(come_to_rest(cloud, history, crowd.memory, REST_LIMIT_S))
    for one in (*broken, *errors_logged(cloud)):
        history.violated(one)
    survived = ", ".join(f"{count} × {kind}" for kind, count in sorted(history.faults.items()))
    told = (
        f"storm {SEED}: {crowd.real.operations} operations on servers and stacks, {history.requests} requests,"
        f" at rest after {rest_s:.0f} s; survived: {survived}"
    )
    print(told)
    assert not history.violations, "\n".join([told, *history.violations, "", *lines_about(history)])
    assert crowd.real.operations >= OPERATIONS
    assert all(history.faults[kind] > 0 for kind in storm.kinds)
