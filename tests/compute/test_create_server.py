"""Making a server, from the request to a guest on a host."""

from .conftest import PUBLIC_KEY, Cloud


async def test_the_thin_line(cloud: Cloud) -> None:
    made = await cloud.ask("POST", "/os-keypairs", {"keypair": {"name": "key", "public_key": PUBLIC_KEY}})
    assert made.status_code == 200, made.text
    server_id = await cloud.make_server(key_name="key")
    building = await cloud.server(server_id)
    assert (building["status"], building["addresses"]) == ("BUILD", {})
    await cloud.settle()
    server = await cloud.server(server_id)
    assert server["status"] == "ACTIVE", server
    assert [ip["addr"] for ip in server["addresses"]["private"]] == ["10.0.0.11"]
    assert server["key_name"] == "key"
    guest = await cloud.host().inspect_domain(server_id)
    assert guest.state == "running"
    assert list(guest.ports) == list(cloud.world.ports)
    assert cloud.world.allocations[server_id]

    assert (await cloud.ask("DELETE", f"/servers/{server_id}")).status_code == 204
    await cloud.settle()
    assert (await cloud.ask("GET", f"/servers/{server_id}")).status_code == 404
    assert await cloud.host().list_domains() == []
    assert cloud.world.ports == {}
    assert cloud.world.allocations == {}
