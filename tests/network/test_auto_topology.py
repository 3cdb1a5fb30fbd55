"""A network that reaches outside for whoever asks for one."""

from .conftest import Api, make_external


async def make_ingredients(api: Api) -> None:
    network = await make_external(api)
    root = api("root")
    await root.change(f"networks/{network['id']}", is_default=True)
    await root.make(
        "subnetpools", name="p", prefixes=["10.64.0.0/16"], default_prefixlen=26, is_default=True, shared=True
    )


async def test_it_is_made_once_and_whole(api: Api) -> None:
    await make_ingredients(api)
    first = (await api.get("auto-allocated-topology/p1"))["auto_allocated_topology"]
    assert first["tenant_id"] == "p1"
    assert (await api.get("auto-allocated-topology/None"))["auto_allocated_topology"] == first
    (subnet,) = (await api.get(f"subnets?network_id={first['id']}"))["subnets"]
    assert subnet["cidr"] == "10.64.0.0/26"
    (router,) = (await api.get("routers"))["routers"]
    assert router["external_gateway_info"] is not None
    port = await api.make("ports", network_id=first["id"])
    assert (await api.refused("DELETE", "auto-allocated-topology/p1"))[:2] == (409, "NetworkInUse")
    await api.delete(f"ports/{port['id']}")
    await api.delete("auto-allocated-topology/p1")
    assert (await api.get("routers"))["routers"] == []
    assert (await api.refused("DELETE", "auto-allocated-topology/p1"))[0] == 404


async def test_what_is_missing_is_said(api: Api) -> None:
    status, kind, message = await api.refused("GET", "auto-allocated-topology/p1")
    assert (status, kind) == (409, "AutoAllocationFailure")
    assert message == "Deployment error: No default router:external network."
    await make_ingredients(api)
    dry = (await api.get("auto-allocated-topology/p1?fields=dry-run"))["auto_allocated_topology"]
    assert dry["id"] == "dry-run=pass"
    assert (await api.get("routers"))["routers"] == []
    assert (await api.refused("GET", "auto-allocated-topology/p2"))[0] == 400
