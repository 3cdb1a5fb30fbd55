"""A store on each database we support."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aerostat.kernel.db import Store, create_schema, open_store
from aerostat.kernel.model import metadata


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db?synchronous=off"
    url: str = request.getfixturevalue("fresh_postgres_url")
    return url


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An open store with the kernel's own tables."""
    opened = await open_store(store_url)
    await create_schema(opened, [metadata])
    yield opened
    await opened.close()
