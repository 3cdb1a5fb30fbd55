"""The worlds as fixtures: `world` is each of them in turn."""

import pytest

from .worlds import AmqpWorld, LocalWorld, MemoryWorld


@pytest.fixture(params=["memory", "local", "amqp"])
async def world(request: pytest.FixtureRequest, tmp_path):
    match request.param:
        case "memory":
            world = MemoryWorld()
        case "local":
            world = LocalWorld(tmp_path)
        case _:
            world = AmqpWorld(request.getfixturevalue("rabbitmq_url"))
    yield world
    await world.close()


@pytest.fixture
async def local(tmp_path):
    world = LocalWorld(tmp_path)
    yield world
    await world.close()


@pytest.fixture
async def amqp(rabbitmq_url: str):
    world = AmqpWorld(rabbitmq_url)
    yield world
    await world.close()
