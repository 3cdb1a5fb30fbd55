"""Stored policies, and which one an endpoint has: its own, its service's in a region around it, its service's."""

from .conftest import Client


async def test_the_policy_of_an_endpoint_is_the_nearest_one(admin: Client) -> None:
    await admin.make("regions", id="outer")
    await admin.make("regions", id="inner", parent_region_id="outer")
    loop = {"region": {"parent_region_id": "inner"}}
    assert (await admin.patch("/v3/regions/outer", json=loop)).status_code == 400
    service = (await admin.make("services", type="t", name="n"))["id"]
    where = {"service_id": service, "interface": "public", "url": "http://x"}
    endpoint = (await admin.make("endpoints", region_id="inner", **where))["id"]
    own = {}
    for name, path in (
        ("service", f"services/{service}"),
        ("region", f"services/{service}/regions/outer"),
        ("endpoint", f"endpoints/{endpoint}"),
    ):
        made = await admin.post("/v3/policies", json={"policy": {"type": "text/plain", "blob": name}})
        assert made.status_code == 201, made.text
        own[name] = f"/v3/policies/{made.json()['policy']['id']}/OS-ENDPOINT-POLICY/{path}"
    effective = f"/v3/endpoints/{endpoint}/OS-ENDPOINT-POLICY/policy"
    assert (await admin.get(effective)).status_code == 404
    for name in ("service", "region", "endpoint"):
        assert (await admin.get(own[name])).status_code == 404
        assert (await admin.put(own[name])).status_code == 204
        assert (await admin.get(own[name])).status_code == 204
        assert (await admin.get(effective)).json()["policy"]["blob"] == name
    listed = own["endpoint"].rsplit("/", 1)[0]
    assert [one["id"] for one in (await admin.get(listed)).json()["endpoints"]] == [endpoint]
    for name, left in (("endpoint", "region"), ("region", "service")):
        assert (await admin.delete(own[name])).status_code == 204
        assert (await admin.delete(own[name])).status_code == 404
        assert (await admin.get(effective)).json()["policy"]["blob"] == left


async def test_an_association_names_what_is_there(admin: Client) -> None:
    made = await admin.post("/v3/policies", json={"policy": {"type": "text/plain", "blob": ""}})
    base = f"/v3/policies/{made.json()['policy']['id']}/OS-ENDPOINT-POLICY"
    for path in ("endpoints/absent", "services/absent", "services/absent/regions/RegionOne"):
        assert (await admin.put(f"{base}/{path}")).status_code == 404
    assert (await admin.post("/v3/policies", json={"policy": {"type": "x"}})).status_code == 400
