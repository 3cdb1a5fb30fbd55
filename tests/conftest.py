"""Fixtures for all rings."""

from tests.servers import fresh_postgres_url, postgres, postgres_url, rabbitmq, rabbitmq_url

pytest_plugins = ("aerostat.testing.fixture",)

__all__ = ["fresh_postgres_url", "postgres", "postgres_url", "rabbitmq", "rabbitmq_url"]
