"""The pytest fixture. Installed as a plugin with the package, so a project's tests need no import."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .cloud import Cloud


@pytest.fixture
def aerostat_cloud() -> "Iterator[Cloud]":
    """A fake cloud of this test's own: `aerostat_cloud.connection` is an openstacksdk connection to it."""
    from .cloud import Cloud

    with Cloud() as cloud:
        yield cloud


@pytest.fixture(scope="session")
def shared_aerostat_cloud() -> "Iterator[Cloud]":
    """One fake cloud for all tests of a run that do not mind each other."""
    from .cloud import Cloud

    with Cloud() as cloud:
        yield cloud
