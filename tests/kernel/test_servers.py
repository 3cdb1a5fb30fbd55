"""The private servers are there, private, and fresh."""

import asyncpg
import pytest

from tests.servers import AMQP_HELLO, Rabbitmq, answers


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_gets_an_empty_database(fresh_postgres_url: str, turn: int) -> None:
    connection = await asyncpg.connect(fresh_postgres_url)
    try:
        await connection.execute("create table thing (id integer)")
        assert await connection.fetchval("select count(*) from thing") == 0
        assert await connection.fetchval("show fsync") == "off"
    finally:
        await connection.close()


def test_rabbitmq_speaks_amqp(rabbitmq: Rabbitmq) -> None:
    assert rabbitmq.is_running
    assert answers(rabbitmq.port, AMQP_HELLO)
