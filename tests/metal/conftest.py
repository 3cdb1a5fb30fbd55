"""What tests of a cloud of many processes begin with. Who has another cloud names his own `cloud`."""

from collections.abc import Iterator

import pytest

from tests.metal.many_processes import ManyProcesses, User, many_processes
from tests.servers import Postgres


@pytest.fixture(scope="module")
def cloud(postgres: Postgres) -> Iterator[ManyProcesses]:
    with many_processes(postgres) as cloud:
        cloud.up()
        yield cloud


@pytest.fixture
def demo(cloud: ManyProcesses) -> Iterator[User]:
    """The demo user; afterwards nothing is left of what was made."""
    user = cloud.user("demo")
    yield user
    cloud.check_all_goes(user)
