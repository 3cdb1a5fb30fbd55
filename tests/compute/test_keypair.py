"""Key pairs over HTTP."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from .conftest import PUBLIC_KEY, Cloud


async def create(cloud: Cloud, version: str | None = None, user: str = "alice", **keypair: Any) -> Any:
    body = {"keypair": {"name": "key", **keypair}}
    return await cloud.ask("POST", "/os-keypairs", body, version=version, user=user)


async def test_import_show_list_delete(cloud: Cloud) -> None:
    made = await create(cloud, "2.2", public_key=PUBLIC_KEY)
    assert made.status_code == 201
    keypair = made.json()["keypair"]
    assert set(keypair) == {"name", "public_key", "fingerprint", "type", "user_id"}
    assert keypair["fingerprint"].count(":") == 15
    shown = (await cloud.get("/os-keypairs/key"))["keypair"]
    assert set(shown) == {
        "name", "public_key", "fingerprint", "user_id", "id", "created_at", "updated_at", "deleted", "deleted_at"
    }  # fmt: skip
    assert isinstance(shown["id"], int)
    listed = (await cloud.get("/os-keypairs"))["keypairs"]
    assert listed == [
        {"keypair": {"name": "key", "public_key": PUBLIC_KEY, "fingerprint": keypair["fingerprint"]}}
    ]
    assert (await cloud.ask("DELETE", "/os-keypairs/key", version="2.2")).status_code == 204
    assert (await cloud.ask("GET", "/os-keypairs/key")).status_code == 404
    assert (await cloud.ask("DELETE", "/os-keypairs/key")).status_code == 404


async def test_the_oldest_version_answers_otherwise(cloud: Cloud) -> None:
    assert (await create(cloud, public_key=PUBLIC_KEY)).status_code == 200
    assert (await cloud.ask("DELETE", "/os-keypairs/key")).status_code == 202


async def test_generated_keys_fit_together(cloud: Cloud) -> None:
    keypair = (await create(cloud)).json()["keypair"]
    private = serialization.load_pem_private_key(keypair["private_key"].encode(), None)
    public = private.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    assert keypair["public_key"].startswith(public.decode())
    assert "private_key" not in (await cloud.get("/os-keypairs/key"))["keypair"]


async def test_each_user_has_his_own(cloud: Cloud) -> None:
    await create(cloud, public_key=PUBLIC_KEY)
    assert (await cloud.get("/os-keypairs", user="bob"))["keypairs"] == []
    assert (await cloud.ask("GET", "/os-keypairs/key", user="ann")).status_code == 404
    assert (await create(cloud, user="bob", public_key=PUBLIC_KEY)).status_code == 200
    seen = await cloud.ask("GET", "/os-keypairs/key?user_id=alice", user="root", version="2.10")
    assert seen.json()["keypair"]["user_id"] == "alice"
    refused = await cloud.ask("GET", "/os-keypairs?user_id=alice", user="bob", version="2.10")
    assert refused.status_code == 403
    for_other = await create(cloud, "2.10", user="root", public_key=PUBLIC_KEY, user_id="carol")
    assert for_other.json()["keypair"]["user_id"] == "carol"
    assert (
        await create(cloud, "2.10", user="bob", public_key=PUBLIC_KEY, user_id="carol")
    ).status_code == 403


async def test_twice_is_a_conflict(cloud: Cloud) -> None:
    await create(cloud, public_key=PUBLIC_KEY)
    again = await create(cloud, public_key=PUBLIC_KEY)
    assert again.status_code == 409
    assert again.json()["conflictingRequest"]["message"] == "Key pair 'key' already exists."


@pytest.mark.parametrize(
    "keypair",
    [
        {"name": ""},
        {"name": "x" * 256},
        {"name": " leading"},
        {"name": "ok", "public_key": "garbage"},
        {"name": "ok", "public_key": "ssh-rsa AAAA"},
        {"name": "ok", "public_key": PUBLIC_KEY.replace("AAAAC3", "AAAA!!")},
        {"name": "ok", "odd": 1},
        {"name": "ok", "public_key": 7},
        {},
    ],
)
async def test_bad_input(cloud: Cloud, keypair: dict[str, Any]) -> None:
    assert (await cloud.ask("POST", "/os-keypairs", {"keypair": keypair})).status_code == 400


async def test_generated_certificates_fit_their_key(cloud: Cloud) -> None:
    keypair = (await create(cloud, "2.2", type="x509")).json()["keypair"]
    certificate = x509.load_pem_x509_certificate(keypair["public_key"].encode())
    private = serialization.load_pem_private_key(keypair["private_key"].encode(), None)
    assert certificate.public_key() == private.public_key()
    assert keypair["fingerprint"].count(":") == 19


async def test_types(cloud: Cloud) -> None:
    assert (await create(cloud, type="ssh")).status_code == 400  # not before 2.2
    assert (await create(cloud, "2.2", type="odd", public_key=PUBLIC_KEY)).status_code == 400
    assert (await create(cloud, "2.2", type="x509", public_key="no certificate")).status_code == 400


async def test_pages_since_2_35(cloud: Cloud) -> None:
    for name in ("a", "b", "c"):
        await cloud.ask("POST", "/os-keypairs", {"keypair": {"name": name, "public_key": PUBLIC_KEY}})
    first = await cloud.get("/os-keypairs?limit=2", version="2.35")
    assert [one["keypair"]["name"] for one in first["keypairs"]] == ["a", "b"]
    assert "marker=b" in first["keypairs_links"][0]["href"]
    rest = await cloud.get("/os-keypairs?limit=2&marker=b", version="2.35")
    assert [one["keypair"]["name"] for one in rest["keypairs"]] == ["c"]
    assert len((await cloud.get("/os-keypairs?limit=2"))["keypairs"]) == 3


async def test_the_quota(cloud: Cloud) -> None:
    await cloud.ask("PUT", "/os-quota-sets/p1", {"quota_set": {"key_pairs": 1}}, user="root")
    await create(cloud, public_key=PUBLIC_KEY)
    refused = await cloud.ask("POST", "/os-keypairs", {"keypair": {"name": "b", "public_key": PUBLIC_KEY}})
    assert refused.status_code == 403
    assert "too many key pairs" in refused.json()["forbidden"]["message"]
