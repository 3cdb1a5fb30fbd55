"""What the room announces, and that every announced version can be asked for."""

import pytest

from aerostat.services.compute.versions import CHANGES

from .conftest import PEOPLE, Cloud


async def test_the_documents(cloud: Cloud) -> None:
    every = (await cloud.http.get("/compute/")).json()["versions"]
    assert [(one["id"], one["status"], one["min_version"]) for one in every] == [
        ("v2.0", "SUPPORTED", ""),
        ("v2.1", "CURRENT", "2.1"),
    ]
    one = (await cloud.http.get("/compute/v2.1/")).json()["version"]
    assert one["version"] == CHANGES[-1][0]
    assert one["links"][0]["href"] == "http://cloud.test/compute/v2.1/"
    assert (await cloud.http.get("/compute/v2.1")).json()["version"] == one


def test_no_version_is_left_out() -> None:
    assert [version for version, _ in CHANGES] == [f"2.{minor}" for minor in range(2, len(CHANGES) + 2)]


@pytest.mark.parametrize("header", ["X-OpenStack-Nova-API-Version", "OpenStack-API-Version"])
async def test_both_headers(cloud: Cloud, header: str) -> None:
    value = "2.30" if header.startswith("X") else "compute 2.30"
    answer = await cloud.http.get("/compute/v2.1/flavors", headers={"x-auth-token": "alice", header: value})
    assert answer.headers["OpenStack-API-Version"] == "compute 2.30"
    assert answer.headers["X-OpenStack-Nova-API-Version"] == "2.30"
    assert "X-OpenStack-Nova-API-Version" in answer.headers["vary"]
    assert answer.headers["x-compute-request-id"].startswith("req-")


@pytest.mark.parametrize(("version", "status"), [("2.999", 406), ("1.0", 406), ("two", 400), ("latest", 200)])
async def test_other_versions(cloud: Cloud, version: str, status: int) -> None:
    assert (await cloud.ask("GET", "/flavors", version=version)).status_code == status


async def test_the_path_may_hold_the_project(cloud: Cloud) -> None:
    answer = await cloud.http.get("/compute/v2.1/p1/servers", headers={"x-auth-token": "alice"})
    assert answer.json() == {"servers": []}


@pytest.mark.parametrize(
    "path", ["/extensions", "/flavors/42/os-extra_specs", "/limits", "/os-quota-sets/p1", "/servers"]
)
async def test_the_project_may_stand_in_the_path(cloud: Cloud, path: str) -> None:
    plain = await cloud.ask("GET", path)
    assert plain.status_code == 200
    with_project = await cloud.ask("GET", "/p1" + path)
    assert (with_project.status_code, with_project.json()) == (200, plain.json())


@pytest.mark.parametrize("who", ["alice", "root"])
async def test_another_project_s_path_is_malformed(cloud: Cloud, who: str) -> None:
    answer = await cloud.http.get("/compute/v2.1/elsewhere/servers", headers={"x-auth-token": who})
    assert answer.status_code == 400
    own = PEOPLE[who].project_id
    assert answer.json()["badRequest"]["message"] == (
        f"Malformed request URL: URL's project_id 'elsewhere' doesn't match Context's project_id '{own}'"
    )
