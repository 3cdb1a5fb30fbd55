"""Answers on their way to clients of another age."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from aerostat.services.object.cluster.errors import NoQuorum
from aerostat.services.object.config import Limits
from aerostat.services.object.http import front
from aerostat.services.object.http.request import Request
from aerostat.services.object.http.response import Refusal, Response

from .kit import Answer, ask

ENDED: list[bool] = []


async def pieces(count: int, error: Exception | None = None) -> AsyncIterator[bytes]:
    try:
        for _ in range(count):
            yield b"x" * 100
        if error is not None:
            raise error
    finally:
        ENDED.append(True)


async def asked(count: int, version: str, error: Exception | None = None) -> Answer:
    """For an answer of so many pieces, whose length nobody knows."""

    async def handler(request: Request) -> Response:
        return Response(200, {"content-type": "text/plain"}, stream=pieces(count, error))

    ENDED.clear()
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": version,
        "method": "GET",
        "path": "/v1/A/c/o",
        "query_string": b"",
        "headers": [],
    }
    answer = await ask(front.Front(handler, Limits()), scope, [])
    assert ENDED == [True]
    return answer


async def test_who_knows_no_chunks_gets_a_length() -> None:
    answer = await asked(3, "1.0")
    assert (answer.status, answer.headers["content-length"], len(answer.body)) == (200, "300", 300)
    newer = await asked(3, "1.1")
    assert ("content-length" in newer.headers, len(newer.body)) == (False, 300)


async def test_what_is_too_much_for_the_memory_is_not_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "MOST_WHOLE", 1000)
    assert (await asked(10, "1.0")).status == 200
    assert (await asked(11, "1.0")).status == 505
    assert (await asked(11, "1.1")).status == 200


@pytest.mark.parametrize(
    ("error", "status"), [(Refusal(409, "not any more"), 409), (NoQuorum("o", 1, 2), 503)]
)
async def test_what_goes_wrong_in_the_middle_is_the_answer_where_nothing_was_sent(
    error: Exception, status: int
) -> None:
    assert (await asked(3, "1.0", error)).status == status
