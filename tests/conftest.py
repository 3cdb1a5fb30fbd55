"""Fixtures for all rings."""

import os
from pathlib import Path

import aerostat
from tests.servers import fresh_postgres_url, postgres, postgres_url, rabbitmq, rabbitmq_url

# Child processes of tests find the very package that is tested, wherever the suite was started from.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(aerostat.__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
)

pytest_plugins = ("aerostat.testing.fixture",)

__all__ = ["fresh_postgres_url", "postgres", "postgres_url", "rabbitmq", "rabbitmq_url"]
