"""Stored credentials, EC2 keys, and the signed requests that are checked with them."""

import base64
import hashlib
import hmac
import json
from typing import Any

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from .conftest import Client, Persona


class Owner:
    def __init__(self, persona: Persona, project: str) -> None:
        self.persona, self.project = persona, project

    @property
    def base(self) -> str:
        return f"users/{self.persona.id}/credentials/OS-EC2"

    async def key(self) -> Any:
        answer = await self.persona.request("POST", self.base, {"tenant_id": self.project})
        assert answer.status_code == 201, answer.text
        return answer.json()["credential"]


@pytest.fixture
async def owner(admin: Client) -> Owner:
    project = (await admin.make("projects", name="work"))["id"]
    return Owner(await admin.persona("member", f"projects/{project}"), project)


async def test_keys_come_and_go(owner: Owner) -> None:
    key = await owner.key()
    assert (key["user_id"], key["tenant_id"]) == (owner.persona.id, owner.project)
    path = f"{owner.base}/{key['access']}"
    assert (await owner.persona.request("GET", path)).json()["credential"] == key
    assert (await owner.persona.request("GET", owner.base)).json()["credentials"] == [key]
    assert await owner.persona.status("DELETE", path) == 204
    assert await owner.persona.status("GET", path) == 404


async def test_a_key_for_a_project_without_a_role_opens_nothing(admin: Client, owner: Owner) -> None:
    other = (await admin.make("projects", name="other"))["id"]
    made = (await owner.persona.request("POST", owner.base, {"tenant_id": other})).json()["credential"]
    assert (await admin.post("/v3/ec2tokens", json={"credentials": v4(made)})).status_code == 401
    assert await owner.persona.status("POST", owner.base, {"tenant_id": "absent"}) == 404
    assert await owner.persona.status("POST", owner.base, {}) == 400
    key = {"access": "a", "secret": "s"}
    stored = {"type": "ec2", "blob": json.dumps(key), "user_id": owner.persona.id, "project_id": other}
    assert await owner.persona.status("POST", "credentials", {"credential": stored}) == 201
    assert (await admin.post("/v3/ec2tokens", json={"credentials": v4(key)})).status_code == 401


async def test_a_key_moved_to_another_project_gains_nothing(admin: Client, owner: Owner) -> None:
    key = await owner.key()
    other = (await admin.make("projects", name="other"))["id"]
    path = f"credentials/{hashlib.sha256(key['access'].encode()).hexdigest()}"
    assert await owner.persona.status("PATCH", path, {"credential": {"project_id": other}}) == 200
    assert (await admin.post("/v3/ec2tokens", json={"credentials": v4(key)})).status_code == 401
    assert await owner.persona.status("PATCH", path, {"credential": {"project_id": None}}) == 400


async def test_keys_are_their_owners(admin: Client, owner: Owner) -> None:
    key = await owner.key()
    other = await admin.persona("member", f"projects/{owner.project}")
    assert await other.status("GET", owner.base) == 403
    assert await other.status("POST", owner.base, {"tenant_id": owner.project}) == 403
    assert await other.status("GET", f"{owner.base}/{key['access']}") == 403
    assert await other.status("DELETE", f"{owner.base}/{key['access']}") == 403
    assert await other.status("GET", f"users/{other.id}/credentials/OS-EC2/{key['access']}") == 403
    id = hashlib.sha256(key["access"].encode()).hexdigest()
    assert await other.status("GET", f"credentials/{id}") == 403
    assert await other.status("PATCH", f"credentials/{id}", {"credential": {"blob": "x"}}) == 403
    assert await other.status("DELETE", f"credentials/{id}") == 403
    assert (await other.request("GET", "credentials")).json()["credentials"] == []
    assert (await other.request("GET", f"credentials?user_id={owner.persona.id}")).json()["credentials"] == []
    assert len((await owner.persona.request("GET", "credentials")).json()["credentials"]) == 1
    assert len((await admin.get("/v3/credentials?type=ec2")).json()["credentials"]) == 1


async def test_anything_may_be_stored_and_changed(owner: Owner) -> None:
    body = {"credential": {"type": "note", "blob": "ä", "user_id": owner.persona.id}}
    made = (await owner.persona.request("POST", "credentials", body)).json()["credential"]
    path = f"credentials/{made['id']}"
    changed = await owner.persona.request("PATCH", path, {"credential": {"blob": "b"}})
    assert changed.json()["credential"]["blob"] == "b"
    given_away = {"credential": {"user_id": "somebody"}}
    assert await owner.persona.status("PATCH", path, given_away) == 403
    ec2 = {"credential": {"type": "ec2", "blob": json.dumps({"access": "a", "secret": "b"})}}
    assert await owner.persona.status("PATCH", path, ec2) == 400
    assert await owner.persona.status("DELETE", path) == 204
    assert await owner.persona.status("GET", path) == 403  # who may not ask is not told what is there
    other = {"credential": {"type": "note", "blob": "x", "user_id": "somebody"}}
    assert await owner.persona.status("POST", "credentials", other) == 403


@pytest.mark.parametrize("blob", ["", "x", "[]", "{}", '{"access": 7}', "null", "[" * 5000])
async def test_keys_with_odd_blobs(owner: Owner, blob: str) -> None:
    body = {"credential": {"type": "ec2", "blob": blob, "project_id": owner.project}}
    assert await owner.persona.status("POST", "credentials", body) == 400


def v4(key: Any, verb: str = "POST", data: bytes = b"Action=DescribeInstances") -> dict[str, Any]:
    """What an EC2 service hands on of a request that the AWS libraries signed."""
    request = botocore.awsrequest.AWSRequest(
        verb,
        "http://ec2.test:8788/",
        data=data,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    keys = botocore.credentials.Credentials(key["access"], key["secret"])
    botocore.auth.SigV4Auth(keys, "ec2", "RegionOne").add_auth(request)
    headers = {**dict(request.headers.items()), "host": "ec2.test:8788"}
    return {
        "access": key["access"],
        "signature": headers["Authorization"].rpartition("Signature=")[2],
        "host": "ec2.test:8788",
        "verb": verb,
        "path": "/",
        "headers": headers,
        "params": {},
        "body_hash": hashlib.sha256(data).hexdigest(),
    }


async def test_a_request_signed_by_the_aws_libraries_gives_its_signers_token(
    admin: Client, owner: Owner
) -> None:
    asked = v4(await owner.key())
    answer = await admin.post("/v3/ec2tokens", json={"credentials": asked})
    assert answer.status_code == 200, answer.text
    token = answer.json()["token"]
    assert token["user"]["id"] == owner.persona.id
    assert token["project"]["id"] == owner.project
    assert token["methods"] == ["ec2credential"]
    signer = Persona(admin, owner.persona.id, answer.headers["x-subject-token"])
    assert await signer.status("GET", "auth/catalog") == 200
    tampered = {**asked, "body_hash": hashlib.sha256(b"Action=TerminateInstances").hexdigest()}
    assert (await admin.post("/v3/ec2tokens", json={"credentials": tampered})).status_code == 401


async def test_version_2(admin: Client, owner: Owner) -> None:
    key = await owner.key()
    params = {
        "Action": "DescribeInstances",
        "AWSAccessKeyId": key["access"],
        "SignatureVersion": "2",
        "SignatureMethod": "HmacSHA256",
        "Timestamp": "2026-11-22T21:38:44Z",
    }
    query = "&".join(f"{name}={value.replace(':', '%3A')}" for name, value in sorted(params.items()))
    text = "\n".join(["GET", "ec2.test", "/", query]).encode()
    signature = base64.b64encode(hmac.new(key["secret"].encode(), text, hashlib.sha256).digest()).decode()
    asked = {"access": key["access"], "host": "ec2.test", "verb": "GET", "path": "/", "params": params}
    good = await admin.post("/v3/ec2tokens", json={"ec2Credentials": {**asked, "signature": signature}})
    assert good.status_code == 200, good.text
    bad = await admin.post("/v3/ec2tokens", json={"credentials": {**asked, "signature": "x"}})
    assert bad.status_code == 401


async def test_a_string_to_sign_of_s3(admin: Client, owner: Owner) -> None:
    key = await owner.key()
    text = b"GET\n\n\nSun, 22 Nov 2026 21:38:44 GMT\n/bucket/"
    signature = base64.b64encode(hmac.new(key["secret"].encode(), text, hashlib.sha1).digest()).decode()
    asked = {
        "access": key["access"],
        "token": base64.urlsafe_b64encode(text).decode(),
        "signature": signature,
    }
    assert (await admin.post("/v3/s3tokens", json={"credentials": asked})).status_code == 200
    asked["signature"] = "x"
    assert (await admin.post("/v3/s3tokens", json={"credentials": asked})).status_code == 401


async def test_only_services_turn_signatures_into_tokens(owner: Owner) -> None:
    asked = v4(await owner.key())
    assert await owner.persona.status("POST", "ec2tokens", {"credentials": asked}) == 403
    answer = await owner.persona.client.post(
        "/v3/ec2tokens", json={"credentials": asked}, headers={"x-auth-token": ""}
    )
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"access": 7},
        {"access": "KEY", "params": []},
        {"access": "KEY", "params": {}},
        {"access": "absent", "params": {"SignatureVersion": "2"}},
        {"access": "KEY", "params": {"X-Amz-Algorithm": "AWS4-HMAC-SHA256"}},
        {"access": "KEY", "params": {"SignatureVersion": "1"}, "signature": None},
    ],
)
async def test_odd_signatures(admin: Client, owner: Owner, asked: Any) -> None:
    key = await owner.key()
    if asked.get("access") == "KEY":
        asked = {**asked, "access": key["access"]}
    answer = await admin.post("/v3/ec2tokens", json={"credentials": asked})
    assert answer.status_code in (400, 401), answer.text


async def test_a_key_ends_with_its_owners_role(admin: Client, owner: Owner) -> None:
    asked = v4(await owner.key())
    role = await admin.role_id("member")
    await admin.delete(f"/v3/projects/{owner.project}/users/{owner.persona.id}/roles/{role}")
    assert (await admin.post("/v3/ec2tokens", json={"credentials": asked})).status_code == 401
