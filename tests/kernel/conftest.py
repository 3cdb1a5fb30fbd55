"""A store on each database we support, a world of lamps in it, a clock that stands."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from aerostat.kernel.clock import Clock, clock
from aerostat.kernel.db import Store, create_schema, open_store
from aerostat.kernel.model import metadata

from .toy_flows import World


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db?synchronous=off"
        return
    # A schema of its own is as good as a database of its own, and takes a tenth of the time.
    postgres = request.getfixturevalue("postgres")
    name = f"test_{secrets.token_hex(6)}"
    postgres.sql(f"CREATE SCHEMA {name}")
    yield f"{postgres.url}?search_path={name}"
    postgres.sql(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An open store with the kernel's own tables."""
    opened = await open_store(store_url)
    await create_schema(opened, [metadata])
    yield opened
    await opened.close()


@pytest.fixture
async def world(store: Store) -> World:
    """Lamps, sockets and switches, and the store they are written in."""
    return await World(store).open()


@pytest.fixture
def standing_clock() -> Iterator[Clock]:
    """Time stands still until the test steps it."""
    clock.stop()
    yield clock
    clock.run()
