"""A store, or an account, that takes no writes."""

from pathlib import Path

from aerostat.services.object import timestamp

from .kit import Store, opened


async def mark(store: Store, account: str, value: str) -> None:
    """As an operator does it, from within."""
    said = {"x-account-sysmeta-read-only": (value, timestamp.now())}
    assert await store.room.cluster.accounts.say(account, said)
    store.room.infos.forget(account)


async def test_an_account_is_marked(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware={"read_only": {"enabled": True}}) as store:
        for account in ("A", "B"):
            await store.put(f"/v1/{account}/c")
            await store.put(f"/v1/{account}/c/o", b"bytes")
        await mark(store, "A", "true")
        for method in ("PUT", "POST", "DELETE"):
            answer = await store(method, "/v1/A/c/o")
            assert (answer.status, answer.text) == (405, "Writes are disabled for this account.")
        assert (await store("COPY", "/v1/B/c/o", headers={"destination-account": "A"})).status == 405
        assert (await store("GET", "/v1/A/c/o")).body == b"bytes"
        await store.put("/v1/B/c/o", b"other")
        await mark(store, "A", "")
        await store.put("/v1/A/c/o", b"other")


async def test_the_whole_store(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put("/v1/A/c")
        await store.put("/v1/A/c/o", b"bytes")
    options = {"enabled": True, "read_only": True, "allow_deletes": True}
    async with opened(tmp_path, middleware={"read_only": options}) as store:
        assert (await store("PUT", "/v1/A/c/new")).status == 405
        assert (await store("DELETE", "/v1/A/c/o")).status == 204
        await mark(store, "A", "false")
        await store.put("/v1/A/c/new")
