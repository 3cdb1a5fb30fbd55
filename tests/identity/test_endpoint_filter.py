"""Which endpoints a project sees, and that its catalog obeys."""

from .conftest import Client, Persona

FILTER = "/v3/OS-EP-FILTER"


async def seen(persona: Persona) -> set[str]:
    catalog = (await persona.request("GET", "auth/catalog")).json()["catalog"]
    assert all(service["endpoints"] for service in catalog)
    return {endpoint["id"] for service in catalog for endpoint in service["endpoints"]}


async def test_a_project_sees_the_endpoints_it_is_associated_with(admin: Client) -> None:
    project = (await admin.make("projects", name="p"))["id"]
    other = await admin.persona("member", f"projects/{(await admin.make('projects', name='o'))['id']}")
    persona = await admin.persona("member", f"projects/{project}")
    every = {one["id"]: one["interface"] for one in (await admin.get("/v3/endpoints")).json()["endpoints"]}
    assert await seen(persona) == every.keys()
    public = next(id for id, interface in every.items() if interface == "public")
    pair = f"{FILTER}/projects/{project}/endpoints/{public}"
    assert (await admin.get(pair)).status_code == 404
    assert (await admin.put(pair)).status_code == 204
    assert (await admin.put(pair)).status_code == 409
    assert (await admin.head(pair)).status_code == 204
    assert await seen(persona) == {public}
    assert await seen(other) == every.keys()
    group = await admin.post(
        f"{FILTER}/endpoint_groups", json={"endpoint_group": {"name": "g", "filters": {"interface": "admin"}}}
    )
    assert group.status_code == 201
    base = f"{FILTER}/endpoint_groups/{group.json()['endpoint_group']['id']}"
    inside = {one["id"] for one in (await admin.get(f"{base}/endpoints")).json()["endpoints"]}
    assert inside == {id for id, interface in every.items() if interface == "admin"}
    assert (await admin.put(f"{base}/projects/{project}")).status_code == 204
    assert (await admin.get(f"{base}/projects/{project}")).status_code == 200
    assert await seen(persona) == {public, *inside}
    listed = (await admin.get(f"{FILTER}/projects/{project}/endpoints")).json()["endpoints"]
    assert {one["id"] for one in listed} == {public, *inside}
    for path, plural in (
        (f"{base}/projects", "projects"),
        (f"{FILTER}/projects/{project}/endpoint_groups", "endpoint_groups"),
        (f"{FILTER}/endpoints/{public}/projects", "projects"),
    ):
        assert len((await admin.get(path)).json()[plural]) == 1
    assert (await admin.delete(pair)).status_code == 204
    assert await seen(persona) == inside
    assert (await admin.delete(base)).status_code == 204
    assert await seen(persona) == every.keys()


async def test_a_group_has_filters_of_endpoints(admin: Client) -> None:
    for filters in ({}, {"url": "x"}, {"interface": "odd"}, None):
        body = {"endpoint_group": {"name": "g", "filters": filters}}
        assert (await admin.post(f"{FILTER}/endpoint_groups", json=body)).status_code == 400
