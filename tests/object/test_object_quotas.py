"""Quotas of containers and of accounts: who sets them, and what they refuse."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from .kit import Store, opened

A = "/v1/AUTH_a"
C = f"{A}/c"
USERS = {
    "a:admin": {"key": "k", "groups": [".admin"]},
    "a:writer": {"key": "k"},
    "r:reseller": {"key": "k", "groups": [".admin", ".reseller_admin"]},
}
SIGNED = {"middleware": {"tempauth": {"users": USERS}}}


async def signed(store: Store, user: str) -> Store:
    got = await store("GET", "/auth/v1.0", headers={"x-auth-user": user, "x-auth-key": "k"})
    return store.as_(x_auth_token=got.headers["x-auth-token"])


async def put(store: Store, name: str, data: bytes | Iterable[bytes]) -> tuple[int, str]:
    answer = await store("PUT", f"{C}/{name}", data)
    return answer.status, answer.text if answer.status >= 400 else ""


EXCEEDED = (413, "Upload exceeds quota.")
OF_POLICY = (413, "Upload exceeds policy quota.")
DONE = (201, "")


async def test_bytes_of_a_container(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put(C, X_Container_Meta_Quota_Bytes="10")
        assert await put(store, "a", b"123456") == DONE
        assert await put(store, "b", b"12345") == EXCEEDED
        assert await put(store, "b", [b"123", b"45"]) == EXCEEDED
        assert (await store("GET", C)).lines == ["a"]
        assert await put(store, "b", [b"12", b"34"]) == DONE
        assert await put(store, "c", [b""]) == DONE
        assert (await store("POST", C, headers={"x-container-meta-quota-bytes": ""})).status == 204
        assert await put(store, "b", b"12345") == DONE


async def test_copies_count(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put(f"{A}/src")
        await store.put(f"{A}/src/large", b"x" * 11)
        await store.put(f"{A}/src/small", b"x" * 10)
        await store.put(C, X_Container_Meta_Quota_Bytes="10")
        answer = await store("COPY", f"{A}/src/large", headers={"destination": "c/o"})
        assert (answer.status, answer.text) == EXCEEDED
        assert (await store("PUT", f"{C}/o", b"", {"x-copy-from": "src/large"})).status == 413
        assert (await store("COPY", f"{A}/src/small", headers={"destination": "c/o"})).status == 201


async def test_objects_of_a_container(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put(C, X_Container_Meta_Quota_Count="2")
        assert [await put(store, name, b"1") for name in "abc"] == [DONE, DONE, EXCEEDED]
        assert (await store("POST", f"{C}/a", headers={"x-object-meta-a": "b"})).status == 202
        assert (await store("DELETE", f"{C}/a")).status == 204
        assert await put(store, "c", b"1") == DONE


@pytest.mark.parametrize(
    ("kind", "value"), [("bytes", "x"), ("count", "-1"), ("bytes", "1.5"), ("count", "²")]
)
async def test_a_quota_is_a_number(tmp_path: Path, kind: str, value: str) -> None:
    async with opened(tmp_path) as store:
        answer = await store("PUT", C, headers={f"x-container-meta-quota-{kind}": value})
        assert (answer.status, answer.text) == (400, f"Invalid {kind} quota.")


async def test_versions_count(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put(C, X_Versions_Enabled="true", X_Container_Meta_Quota_Bytes="10")
        assert [await put(store, "o", b"12345") for _ in range(3)] == [DONE, DONE, EXCEEDED]


async def test_who_may_not_write_hears_nothing_of_quotas(tmp_path: Path) -> None:
    async with opened(tmp_path, **SIGNED) as store:
        admin, writer = await signed(store, "a:admin"), await signed(store, "a:writer")
        await admin.put(C, X_Container_Meta_Quota_Bytes="1")
        assert await put(admin, "o", b"12") == EXCEEDED
        assert (await put(writer, "o", b"12"))[0] == 403
        assert (await put(store, "o", b"12"))[0] == 401
        await admin("POST", C, headers={"x-container-write": "a:writer"})
        assert await put(writer, "o", b"12") == EXCEEDED


@pytest.mark.parametrize("header", ["x-account-quota-bytes", "x-account-meta-quota-bytes"])
async def test_bytes_of_an_account(tmp_path: Path, header: str) -> None:
    async with opened(tmp_path, **SIGNED) as store:
        admin, reseller = await signed(store, "a:admin"), await signed(store, "r:reseller")
        await admin.put(C)
        assert (await admin("POST", A, headers={header: "10"})).status == 403
        assert (await admin("POST", A, headers={header.replace("x-", "x-remove-", 1): "x"})).status == 403
        assert (await reseller("POST", A, headers={header: "ten"})).status == 400
        assert (await reseller("POST", A, headers={header: "10"})).status == 204
        assert (await admin("HEAD", A)).headers["x-account-quota-bytes"] == "10"
        assert await put(admin, "a", b"123456") == DONE
        await store.room.cluster.containers.sums.flush("AUTH_a")
        assert await put(admin, "b", b"12345") == EXCEEDED
        assert await put(admin, "b", [b"123", b"45"]) == EXCEEDED
        assert await put(reseller, "b", b"12345") == DONE
        gone = await reseller("POST", A, headers={header.replace("x-", "x-remove-", 1): "x"})
        assert gone.status == 204
        assert "x-account-quota-bytes" not in (await admin("HEAD", A)).headers
        assert await put(admin, "c", b"1234567890") == DONE


async def test_objects_of_an_account(tmp_path: Path) -> None:
    async with opened(tmp_path, **SIGNED) as store:
        admin, reseller = await signed(store, "a:admin"), await signed(store, "r:reseller")
        await admin.put(C)
        assert (await reseller("POST", A, headers={"x-account-quota-count": "1"})).status == 204
        assert await put(admin, "a", b"") == DONE
        await store.room.cluster.containers.sums.flush("AUTH_a")
        assert await put(admin, "b", b"") == EXCEEDED


async def test_quotas_of_a_policy(tmp_path: Path) -> None:
    policies = [
        {"index": 0, "name": "gold", "is_default": True},
        {"index": 1, "name": "Silver"},
    ]
    async with opened(tmp_path, policies=policies, **SIGNED) as store:
        admin, reseller = await signed(store, "a:admin"), await signed(store, "r:reseller")
        await admin.put(C, X_Storage_Policy="Silver")
        await admin.put(f"{A}/gold", X_Storage_Policy="gold")
        quotas = {"x-account-quota-bytes-policy-silver": "5", "x-account-quota-count-policy-silver": "1"}
        assert (await admin("POST", A, headers=quotas)).status == 403
        assert (await reseller("POST", A, headers=quotas)).status == 204
        headers = (await admin("HEAD", A)).headers
        assert {name: headers[name] for name in quotas} == quotas
        assert await put(admin, "a", b"123456") == OF_POLICY
        assert await put(admin, "a", b"1") == DONE
        await store.room.cluster.containers.sums.flush("AUTH_a")
        assert await put(admin, "b", b"") == OF_POLICY
        assert (await admin("PUT", f"{A}/gold/o", b"123456")).status == 201
        assert (await reseller("POST", A, headers=dict.fromkeys(quotas, ""))).status == 204
        assert await put(admin, "b", b"123456") == DONE
