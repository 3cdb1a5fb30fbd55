"""What a guest is told of itself: one content, in the layouts of OpenStack and of EC2.

The metadata service (`metadata_service.py`) answers it over HTTP, the config drive holds it as files.

Layout: https://docs.openstack.org/nova/latest/user/metadata.html
"""

import base64
import ipaddress
import random
from collections.abc import Mapping
from typing import Any

import msgspec

from aerostat.kernel.db import Row

# Dates are those of upstream's formats; a guest takes the newest that it knows.
OPENSTACK_VERSIONS = (
    "2012-08-10",
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-06-30",
    "2016-10-06",
    "2017-02-22",
    "2018-08-27",
    "2020-10-14",
    "latest",
)
EC2_VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "latest",
)

_FIRST_WITH = {
    "vendor_data.json": "2013-10-17",
    "network_data.json": "2015-10-15",
    "vendor_data2.json": "2016-10-06",
}

Tree = Mapping[str, Any]


class Content:
    """All that one server's guest may ask. Trees are nested mappings with texts as leaves."""

    def __init__(
        self, server: Row, network_data: dict[str, Any], addresses: dict[str, list[str]], password: str | None
    ) -> None:
        self.server = server
        self.network_data = network_data
        self.addresses = addresses
        self._password = password

    def meta_data(self) -> dict[str, Any]:
        """`meta_data.json`"""
        server = self.server
        data: dict[str, Any] = {
            "uuid": server.id,
            "name": server.name,
            "hostname": server.hostname,
            "launch_index": server.launch_index,
            "availability_zone": server.availability_zone or "nova",
            "project_id": server.project_id,
            "devices": self._devices(),
            "dedicated_cpus": [],
        }
        if server.metadata:
            data["meta"] = server.metadata
        if server.key is not None:
            data["public_keys"] = {server.key["name"]: server.key["public_key"]}
            data["keys"] = [
                {"name": server.key["name"], "type": server.key["type"], "data": server.key["public_key"]}
            ]
        if server.personality:
            data["files"] = [
                {"path": file["path"], "content_path": f"/content/{number:04d}"}
                for number, file in enumerate(server.personality)
            ]
        # A seed for the guest's random numbers: fresh with each reading, as upstream does it.
        data["random_seed"] = base64.b64encode(random.randbytes(512)).decode()
        if self._password is not None:
            data["admin_pass"] = self._password
        return data

    @property
    def user_data(self) -> bytes | None:
        if self.server.user_data is None:
            return None
        return base64.b64decode(self.server.user_data)

    def openstack(self, version: str) -> dict[str, bytes]:
        """Files below `/openstack/<version>/`."""
        files = {"meta_data.json": _json(self.meta_data())}
        if self.user_data is not None:
            files["user_data"] = self.user_data
        extra = {
            "vendor_data.json": {},
            "network_data.json": self.network_data,
            "vendor_data2.json": {"static": {}},
        }
        for name, value in extra.items():
            if version == "latest" or version >= _FIRST_WITH[name]:
                files[name] = _json(value)
        return files

    def openstack_files(self) -> dict[str, bytes]:
        """The config drive's `openstack/…`."""
        return {
            f"openstack/{version}/{name}": data
            for version in OPENSTACK_VERSIONS
            for name, data in self.openstack(version).items()
        }

    def ec2_files(self) -> dict[str, bytes]:
        """The config drive's `ec2/…`: the meta-data tree as one JSON file, and the user data."""
        files = {}
        for version in ("2009-04-04", "latest"):
            files[f"ec2/{version}/meta-data.json"] = _json(self.ec2())
            if self.user_data is not None:
                files[f"ec2/{version}/user-data"] = self.user_data
        return files

    def ec2(self) -> dict[str, Any]:
        """The tree below `/latest/meta-data/`."""
        server = self.server
        fixed, floating = self.addresses["fixed"], self.addresses["floating"]
        tree: dict[str, Any] = {
            "ami-id": f"ami-{server.image_id[:8]}",
            "ami-launch-index": str(server.launch_index),
            "ami-manifest-path": "None",
            "block-device-mapping": {"ami": "vda", "root": "/dev/vda"},
            "hostname": server.hostname,
            "instance-action": "none",
            "instance-id": f"i-{server.id[:8]}",
            "instance-type": server.flavor["name"],
            "local-hostname": server.hostname,
            "local-ipv4": fixed[0] if fixed else "",
            "placement": {"availability-zone": server.availability_zone or "nova"},
            "public-hostname": server.hostname,
            "public-ipv4": floating[0] if floating else "",
            "reservation-id": server.reservation_id,
            "security-groups": "\n".join(
                dict.fromkeys(name for one in server.interfaces for name in one["security_groups"])
            ),
        }
        if server.key is not None:
            tree["public-keys"] = {
                "0": {"openssh-key": server.key["public_key"], "_name": server.key["name"]}
            }
        return tree

    def _devices(self) -> list[dict[str, Any]]:
        """Tagged network cards, so that a guest can tell them apart."""
        return [
            {"type": "nic", "bus": "none", "address": "none", "mac": one["mac"], "tags": [one["tag"]]}
            for one in self.server.interfaces
            if one.get("tag")
        ]


async def content_of(server: Row, network_client: Any, *, admin_password: str | None = None) -> Content:
    """Gather what the guest is told. `network_client` must be allowed to see the server's subnets."""
    subnet_ids = sorted(
        {ip["subnet_id"] for one in server.interfaces for ip in one["ips"] if ip.get("subnet_id")}
    )
    subnets = {}
    if subnet_ids:
        subnets = {one["id"]: one for one in await network_client.list_subnets(id=subnet_ids)}
    return Content(server, network_data(server, subnets), addresses_of(server), admin_password)


def addresses_of(server: Row) -> dict[str, list[str]]:
    """IPv4 addresses of the server by type, in the order of its cards."""
    found: dict[str, list[str]] = {"fixed": [], "floating": []}
    for one in server.interfaces:
        for ip in one["ips"]:
            if ip["version"] == 4:
                found[ip["type"]].append(ip["address"])
    return found


def network_data(server: Row, subnets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`network_data.json`: links, networks on them, name servers."""
    links: list[dict[str, Any]] = []
    networks: list[dict[str, Any]] = []
    services: dict[str, dict[str, str]] = {}
    for one in server.interfaces:
        link = f"tap{one['port_id'][:11]}"
        links.append(
            {
                "id": link,
                "vif_id": one["port_id"],
                "type": "ovs",
                "mtu": one["mtu"],
                "ethernet_mac_address": one["mac"],
            }
        )
        for ip in one["ips"]:
            subnet = subnets.get(ip.get("subnet_id"))
            if subnet is None:
                continue
            servers = [{"type": "dns", "address": address} for address in subnet.get("dns_nameservers") or ()]
            services.update({entry["address"]: entry for entry in servers})
            networks.append(_network(len(networks), link, one, ip, subnet, servers))
    return {"links": links, "networks": networks, "services": list(services.values())}


def _network(
    number: int,
    link: str,
    interface: Mapping[str, Any],
    ip: Mapping[str, Any],
    subnet: Mapping[str, Any],
    servers: list[dict[str, str]],
) -> dict[str, Any]:
    version = ip["version"]
    shown: dict[str, Any] = {
        "id": f"network{number}",
        "link": link,
        "network_id": interface["network_id"],
        "services": servers,
    }
    if subnet.get("enable_dhcp", True) and version == 4:
        return {**shown, "type": "ipv4_dhcp"}
    if version == 6 and subnet.get("ipv6_address_mode"):
        return {**shown, "type": f"ipv6_{subnet['ipv6_address_mode']}"}
    prefix = ipaddress.ip_network(subnet["cidr"])
    routes = [
        {
            "network": str(ipaddress.ip_network(route["destination"]).network_address),
            "netmask": str(ipaddress.ip_network(route["destination"]).netmask),
            "gateway": route["nexthop"],
        }
        for route in subnet.get("host_routes") or ()
    ]
    if subnet.get("gateway_ip"):
        every = ipaddress.ip_network("0.0.0.0/0" if version == 4 else "::/0")
        routes.insert(
            0,
            {
                "network": str(every.network_address),
                "netmask": str(every.netmask),
                "gateway": subnet["gateway_ip"],
            },
        )
    return {
        **shown,
        "type": f"ipv{version}",
        "ip_address": ip["address"],
        "netmask": str(prefix.netmask),
        "routes": routes,
    }


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)
