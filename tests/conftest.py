"""Fixtures for all rings."""

import os
from pathlib import Path

from hypothesis import settings

import aerostat
from tests.servers import fresh_postgres_url, postgres, postgres_url, rabbitmq, rabbitmq_url

# Child processes of tests find the very package that is tested, wherever the suite was started from.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(aerostat.__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
)

# The same examples in every run, so that a run says something of the change it is for; others are looked for on demand.
settings.register_profile("same", derandomize=True)
settings.register_profile("search", derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

pytest_plugins = ("aerostat.testing.fixture",)

__all__ = ["fresh_postgres_url", "postgres", "postgres_url", "rabbitmq", "rabbitmq_url"]
