"""What the stories share: one cloud for those that do not mind each other, and a server made in a line."""

from collections.abc import Callable
from typing import Any

import pytest

from aerostat.testing import Cloud

WAIT_S = 20


@pytest.fixture
def demo(shared_aerostat_cloud: Cloud) -> Any:
    """An openstacksdk connection as the demo user, on the cloud that stories share."""
    return shared_aerostat_cloud.connect("demo")


@pytest.fixture
def admin(shared_aerostat_cloud: Cloud) -> Any:
    return shared_aerostat_cloud.connection


@pytest.fixture
def new_server(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`new_server(connection, name="a", network="private", **more)`: asked for, and deleted after the test."""

    def make(
        connection: Any,
        name: str = "a",
        network: str | None = "private",
        *,
        remove_after: bool = True,
        **more: Any,
    ) -> Any:
        if network is not None:
            more["networks"] = [{"uuid": connection.network.find_network(network).id}]
        server = connection.compute.create_server(
            name=name,
            image_id=connection.image.find_image("aerostat-test").id,
            flavor_id=connection.compute.find_flavor("m1.nano").id,
            **more,
        )

        def remove() -> None:
            connection.compute.delete_server(server, ignore_missing=True)
            connection.compute.wait_for_delete(server, interval=0.05, wait=WAIT_S)

        if remove_after:
            request.addfinalizer(remove)
        return server

    return make


def wait(connection: Any, server: Any, status: str = "ACTIVE") -> Any:
    """The server as soon as it has the status; raises if it is ERROR instead. Looks afresh at once."""
    fresh = connection.compute.get_server(server)
    return connection.compute.wait_for_server(fresh, status, interval=0.02, wait=WAIT_S)
