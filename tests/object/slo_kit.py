"""Static large objects of three small segments."""

import contextlib
import hashlib

import msgspec

from .kit import opened

PUT, GET, DELETE = "multipart-manifest=put", "multipart-manifest=get", "multipart-manifest=delete"


@contextlib.asynccontextmanager
async def with_segments(folder):
    """A store with `/v1/a/c/a`, `b`, `c`: ten times their own name."""
    async with opened(folder) as store:
        await store.put("/v1/a/c")
        for letter in "abc":
            await store.put(f"/v1/a/c/{letter}", letter.encode() * 10)
        yield store


def md5(data):
    return hashlib.md5(data).hexdigest()


async def put(store, segments, path="/v1/a/c/m", *, query=PUT, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await store("PUT", path, msgspec.json.encode(segments), named, query=query)


async def made(store, *names, path="/v1/a/c/m"):
    answer = await put(store, [{"path": f"/c/{name}"} for name in names], path)
    assert answer.status == 201, answer
    return answer


async def read(store, path="/v1/a/c/m", range_=None, query=""):
    return await store("GET", path, headers={"range": range_} if range_ else {}, query=query)


async def listed(store, container="/v1/a/c"):
    return {row["name"]: row for row in (await store("GET", container, query="format=json")).json}
