"""What guests are told of themselves."""

import base64
from typing import Any

import httpx
import pytest

from aerostat.services.compute.metadata_service import metadata_app

from .conftest import PUBLIC_KEY, Cloud


def guest(cloud: Cloud, address: str, network_id: str | None = None) -> httpx.AsyncClient:
    application = metadata_app(cloud.house)(network_id or cloud.network["id"])
    transport = httpx.ASGITransport(application, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://169.254.169.254")


async def make(cloud: Cloud, **attributes: Any) -> str:
    await cloud.ask("POST", "/os-keypairs", {"keypair": {"name": "key", "public_key": PUBLIC_KEY}})
    data = base64.b64encode(b"#!/bin/sh\necho hello\n").decode()
    return await cloud.active_server(
        name="My Server", key_name="key", user_data=data, metadata={"role": "web"}, **attributes
    )


async def test_the_openstack_layout(cloud: Cloud) -> None:
    server_id = await make(cloud)
    async with guest(cloud, "10.0.0.11") as http:
        assert "latest" in (await http.get("/openstack")).text.split()
        assert "2018-08-27" in (await http.get("/openstack/")).text.split()
        files = (await http.get("/openstack/latest")).text.split()
        assert {"meta_data.json", "user_data", "network_data.json", "vendor_data.json"} <= set(files)
        assert "network_data.json" not in (await http.get("/openstack/2013-10-17")).text
        data = (await http.get("/openstack/latest/meta_data.json")).json()
        assert data["uuid"] == server_id
        assert data["hostname"] == "my-server"
        assert data["public_keys"] == {"key": PUBLIC_KEY}
        assert data["meta"] == {"role": "web"}
        assert "admin_pass" not in data
        assert (await http.get("/openstack/latest/user_data")).text == "#!/bin/sh\necho hello\n"
        network = (await http.get("/openstack/latest/network_data.json")).json()
        assert network["links"][0]["mtu"] == 1442
        assert network["networks"][0]["type"] == "ipv4_dhcp"
        assert network["services"] == [{"type": "dns", "address": "10.0.0.3"}]


async def test_the_ec2_layout(cloud: Cloud) -> None:
    server_id = await make(cloud)
    async with guest(cloud, "10.0.0.11") as http:
        assert "2009-04-04" in (await http.get("/")).text.split()
        assert (await http.get("/latest/")).text.split() == ["meta-data/", "user-data"]
        names = (await http.get("/2009-04-04/meta-data/")).text.split()
        assert {"instance-id", "placement/", "public-keys/"} <= set(names)
        assert (await http.get("/latest/meta-data/public-keys/")).text == "0=key"
        assert (await http.get("/latest/meta-data/public-keys/0/")).text == "openssh-key"
        assert (await http.get("/latest/meta-data/public-keys/0/openssh-key")).text == PUBLIC_KEY
        assert (await http.get("/latest/meta-data/local-ipv4")).text == "10.0.0.11"
        assert (await http.get("/latest/meta-data/instance-id")).text == f"i-{server_id[:8]}"
        assert (await http.get("/latest/meta-data/placement/availability-zone")).text == "nova"
        assert (await http.get("/latest/user-data")).text.startswith("#!/bin/sh")


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/latest/odd",
        "/latest/meta-data/odd",
        "/latest/meta-data/public-keys/1",
        "/latest/meta-data/public-keys/0/_name",
        "/openstack/1999-01-01",
        "/openstack/latest/odd.json",
        "/openstack/latest/content/0000",
    ],
)
async def test_what_is_not_there(cloud: Cloud, path: str) -> None:
    await make(cloud)
    async with guest(cloud, "10.0.0.11") as http:
        assert (await http.get(path)).status_code == 404


async def test_only_guests_are_answered(cloud: Cloud) -> None:
    await make(cloud)
    other = cloud.world.add_network("p2", "other")
    for address, network in (("10.0.0.99", None), ("10.0.0.11", other["id"])):
        async with guest(cloud, address, network) as http:
            assert (await http.get("/openstack/latest/meta_data.json")).status_code == 404
            assert (await http.get("/latest/meta-data/")).status_code == 404


async def test_the_password_is_left_once(cloud: Cloud) -> None:
    await make(cloud)
    async with guest(cloud, "10.0.0.11") as http:
        url = "/openstack/latest/password"
        assert (await http.get(url)).text == ""
        assert (await http.post(url, content=b"x" * 2000)).status_code == 400
        assert (await http.post(url, content=b"c2VjcmV0")).status_code == 200
        assert (await http.get(url)).text == "c2VjcmV0"
        assert (await http.post(url, content=b"again")).status_code == 409
        assert (await http.delete(url)).status_code == 405


async def test_the_config_drive_holds_the_same(cloud: Cloud) -> None:
    server_id = await make(cloud, config_drive=True, adminPass="opensesame")
    drive = cloud.host().spec(server_id).config_drive
    assert b"opensesame" in drive["openstack/latest/meta_data.json"]
    assert drive["openstack/latest/user_data"] == b"#!/bin/sh\necho hello\n"
    assert b"My Server" in drive["openstack/2012-08-10/meta_data.json"]
    assert b"ami-id" in drive["ec2/latest/meta-data.json"]
    shown = await cloud.server(server_id)
    assert shown["config_drive"] == "True"
