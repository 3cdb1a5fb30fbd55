"""Making a server, from the request to a guest on a host."""

import asyncio
import errno
from typing import Any

import pytest

from aerostat.kernel import operation
from aerostat.kernel.clock import clock
from aerostat.kernel.errors import DriverError
from aerostat.kernel.model import flows
from aerostat.services.compute import model, scheduling
from aerostat.services.compute.flows import claiming
from aerostat.services.compute.host.orders import HostLink

from .conftest import PUBLIC_KEY, Cloud

NOWHERE = "00000000-0000-0000-0000-000000000000"


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


async def post(
    cloud: Cloud,
    *,
    user: str = "alice",
    version: str | None = None,
    hints: Any = None,
    without: tuple[str, ...] = (),
    **attributes: Any,
) -> Any:
    server = {"name": "one", "flavorRef": "42", "imageRef": cloud.image["id"], **attributes}
    if version is not None and float(version.split(".")[1]) >= 37:
        server.setdefault("networks", "auto")
    for name in without:
        server.pop(name, None)
    body: dict[str, Any] = {"server": server}
    if hints is not None:
        body["os:scheduler_hints"] = hints
    return await cloud.ask("POST", "/servers", body, user=user, version=version)


async def test_what_a_create_answers(cloud: Cloud) -> None:
    answer = await post(cloud, adminPass="opensesame")
    assert answer.status_code == 202
    server = answer.json()["server"]
    assert set(server) == {"id", "links", "OS-DCF:diskConfig", "security_groups", "adminPass"}
    assert server["adminPass"] == "opensesame"
    assert answer.headers["location"] == server["links"][0]["href"]
    several = await post(cloud, min_count=2, max_count=2, return_reservation_id=True)
    assert set(several.json()) == {"reservation_id"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": 12}, "name"),
        ({"flavorRef": "none"}, "Flavor none could not be found."),
        ({"imageRef": NOWHERE}, "Can not find requested image"),
        ({"imageRef": "odd"}, "imageRef"),
        ({"imageRef": ""}, "Invalid imageRef"),
        ({"key_name": "none"}, "Invalid key_name"),
        ({"networks": [{"uuid": NOWHERE}]}, "could not be found"),
        ({"networks": [{"uuid": "a-b-c"}]}, "proper format"),
        ({"networks": [{"port": NOWHERE}]}, "could not be found"),
        ({"networks": [{"fixed_ip": "10.0.0.5"}]}, "uuid"),
        ({"networks": "auto"}, "networks"),
        ({"security_groups": [{"name": "none"}]}, "Security group none not found"),
        ({"availability_zone": "none"}, "availability zone is not available"),
        ({"user_data": "not base 64!"}, "user_data"),
        ({"user_data": "A" * 65536}, "user_data"),
        ({"metadata": {"k": "v" * 256}}, "metadata"),
        ({"metadata": {"": "v"}}, "metadata"),
        ({"min_count": 3, "max_count": 2}, "min_count must be <= max_count"),
        ({"min_count": 0}, "min_count"),
        ({"accessIPv6": "odd"}, "accessIPv6"),
        ({"OS-DCF:diskConfig": "ODD"}, "diskConfig"),
        (
            {"block_device_mapping_v2": [{"source_type": "volume", "destination_type": "volume"}]},
            "not available",
        ),
        ({"odd": 1}, "odd"),
        ({"description": "x"}, "description"),
        ({"tags": ["x"]}, "tags"),
    ],
)
async def test_refusals(cloud: Cloud, change: dict[str, Any], text: str) -> None:
    answer = await post(cloud, **change)
    assert answer.status_code == 400, answer.text
    assert text in answer.json()["badRequest"]["message"]
    assert (await cloud.get("/servers"))["servers"] == []


async def test_refusals_of_later_versions(cloud: Cloud) -> None:
    assert (await post(cloud, version="2.37", without=("networks",), networks="x")).status_code == 400
    assert (await post(cloud, version="2.57", personality=[])).status_code == 400
    assert (await post(cloud, version="2.63", trusted_image_certificates=["a"])).status_code == 400
    assert (await post(cloud, version="2.52", tags=["a/b"])).status_code == 400
    assert (await post(cloud, version="2.74", host="fake-1")).status_code == 403
    assert (await post(cloud, version="2.74", host="odd", user="root")).status_code == 400
    assert (await post(cloud, availability_zone="nova:fake-1")).status_code == 403
    assert (await post(cloud, hints={"group": NOWHERE})).status_code == 400
    assert (await post(cloud, hints={"group": "odd"})).status_code == 400
    assert (await post(cloud, user="ann")).status_code == 403


async def test_networks_of_its_own_choice(cloud: Cloud) -> None:
    none = await cloud.active_server(version="2.37", networks="none")
    assert (await cloud.server(none))["addresses"] == {}
    other = cloud.world.add_network(name="other")
    assert (await post(cloud)).status_code == 409  # two networks, and none was named
    both = [{"uuid": cloud.network["id"], "tag": "first"}, {"uuid": other["id"], "fixed_ip": "10.0.0.77"}]
    server_id = await cloud.active_server(version="2.42", networks=both)
    addresses = (await cloud.server(server_id))["addresses"]
    assert list(addresses) == ["private", "other"]
    assert addresses["other"][0]["addr"] == "10.0.0.77"
    external = cloud.world.add_network("p0", "public", **{"router:external": True, "shared": False})
    assert (await post(cloud, networks=[{"uuid": external["id"]}])).status_code == 400


async def test_a_port_that_is_brought_along_stays(cloud: Cloud) -> None:
    from .neighbours import FakeNetwork

    network: FakeNetwork = cloud.house.client("network", (await cloud.house.authenticate("alice")))
    port = await network.create_port(network_id=cloud.network["id"], project_id="p1")
    server_id = await cloud.active_server(networks=[{"port": port["id"]}])
    assert cloud.world.ports[port["id"]]["device_id"] == server_id
    assert (await post(cloud, networks=[{"port": port["id"]}])).status_code == 409
    twice = [{"port": port["id"]}, {"port": port["id"]}]
    assert (await post(cloud, networks=twice)).status_code in (400, 409)
    await cloud.ask("DELETE", f"/servers/{server_id}")
    await cloud.settle()
    assert cloud.world.ports[port["id"]]["device_id"] == ""


async def test_a_port_that_two_servers_ask_for_at_once_is_given_to_one(cloud: Cloud) -> None:
    """Found by the simulator: both were told that it is free, and both got it."""
    from .neighbours import FakeNetwork

    network: FakeNetwork = cloud.house.client("network", (await cloud.house.authenticate("alice")))
    port = await network.create_port(network_id=cloud.network["id"], project_id="p1")
    ids = [await cloud.make_server(networks=[{"port": port["id"]}]) for _ in range(2)]
    await cloud.settle()
    states = {id: (await cloud.server(id))["status"] for id in ids}
    assert sorted(states.values()) == ["ACTIVE", "ERROR"]
    (winner,) = [id for id, status in states.items() if status == "ACTIVE"]
    assert cloud.world.ports[port["id"]]["device_id"] == winner
    for id in sorted(ids, key=lambda id: id == winner):
        await cloud.ask("DELETE", f"/servers/{id}")
        await cloud.settle()
        assert cloud.world.ports[port["id"]]["device_id"] == ("" if id == winner else winner)


async def test_a_port_does_not_lead_to_an_external_network(cloud: Cloud) -> None:
    external = cloud.world.add_network("p1", "public", **{"router:external": True, "shared": False})
    client = cloud.house.client("network", await cloud.house.authenticate("alice"))
    port = await client.create_port(network_id=external["id"], project_id="p1")
    answer = await post(cloud, networks=[{"port": port["id"]}])
    assert answer.status_code == 400
    assert "external network" in answer.text
    assert (await post(cloud, networks=[{"port": port["id"]}], user="root")).status_code == 202


async def test_a_port_on_a_network_that_its_user_cannot_see(cloud: Cloud) -> None:
    unseen = cloud.world.add_network("p0", "unseen", shared=False)
    client = cloud.house.client("network", await cloud.house.authenticate("alice"))
    port = await client.create_port(network_id=unseen["id"], project_id="p1")
    assert (await post(cloud, networks=[{"port": port["id"]}])).status_code == 202


async def test_several_at_once(cloud: Cloud) -> None:
    assert (await post(cloud, min_count=2, max_count=3)).status_code == 202
    await cloud.settle()
    names = [one["name"] for one in (await cloud.get("/servers"))["servers"]]
    assert sorted(names) == ["one-1", "one-2", "one-3"]
    await cloud.ask("PUT", "/os-quota-sets/p1", {"quota_set": {"instances": 4}}, user="root")
    assert (await post(cloud, min_count=2, max_count=3)).status_code == 403
    assert (await post(cloud, min_count=1, max_count=3)).status_code == 202
    assert len((await cloud.get("/servers"))["servers"]) == 4


@pytest.mark.parametrize(("quota", "limit"), [("instances", 0), ("cores", 0), ("ram", 63)])
async def test_quotas(cloud: Cloud, quota: str, limit: int) -> None:
    await cloud.ask("PUT", "/os-quota-sets/p1", {"quota_set": {quota: limit}}, user="root")
    answer = await post(cloud)
    assert answer.status_code == 403
    assert answer.json()["forbidden"]["message"].startswith(f"Quota exceeded for {quota}: Requested")


async def test_an_image_that_does_not_fit(cloud: Cloud) -> None:
    for attributes in ({"min_ram": 256}, {"min_disk": 2}, {"size": 2 << 30}, {"status": "queued"}):
        image = cloud.world.add_image(**attributes)
        assert (await post(cloud, imageRef=image["id"])).status_code == 400


async def test_no_valid_host_says_why(cloud: Cloud) -> None:
    body = {"flavor": {"name": "huge", "ram": 1 << 20, "vcpus": 1, "disk": 1, "id": "huge"}}
    await cloud.ask("POST", "/flavors", body, user="root")
    await cloud.ask("PUT", "/os-quota-sets/p1", {"quota_set": {"ram": -1}}, user="root")
    server_id = await cloud.make_server(flavorRef="huge")
    await cloud.settle()
    server = await cloud.server(server_id)
    assert server["status"] == "ERROR"
    assert server["fault"]["message"] == (
        "No valid host was found. 1 of 1 hosts lack RAM (1048576 MiB asked, 15872 free)."
    )
    record = await operation.list_for(cloud.db, subject_id=server_id)
    (refusal,) = [row for row in record if row.verdict == "refused"]
    assert refusal.data["refused"] == [
        {
            "filter": "ram",
            "host": "fake-1",
            "asked": 1048576,
            "free": 15872,
            "unit": "MiB",
            "reason": "lack RAM",
        }
    ]
    assert cloud.world.ports == {}
    assert cloud.world.allocations == {}


async def test_a_host_that_refuses(cloud: Cloud) -> None:
    cloud.host().faults.fail("ensure_domain", error=DriverError("The disk is full.", detail="/dev/x"))
    server_id = await cloud.make_server()
    await cloud.settle()
    server = await cloud.server(server_id)
    assert (server["status"], server["fault"]["message"]) == ("ERROR", "The disk is full.")
    assert "details" not in server["fault"]
    assert (await cloud.server(server_id, user="root"))["fault"]["details"] == "/dev/x"
    assert server["hostId"] == ""
    assert cloud.world.ports == {}
    assert await cloud.host().list_domains() == []
    assert (await cloud.ask("DELETE", f"/servers/{server_id}")).status_code == 204


async def test_a_port_that_is_made_after_the_servers_end_is_taken_back(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    (port,) = cloud.world.ports.values()
    assert (await cloud.ask("DELETE", f"/servers/{server_id}")).status_code == 204
    await cloud.settle()
    assert cloud.world.ports == {}
    cloud.world.ports[port["id"]] = port
    await cloud.house.engine.run_one("compute.late_ports")
    assert cloud.world.ports == {}
    clock.step(hours=1)
    cloud.world.ports[port["id"]] = port
    await cloud.house.engine.run_one("compute.late_ports")
    assert list(cloud.world.ports) == [port["id"]], "of so old an end nothing can come any more"


async def test_an_image_with_another_hash_is_not_booted(cloud: Cloud, standing_clock: None) -> None:
    image = cloud.world.add_image(os_hash_algo="sha512", os_hash_value="0" * 128)
    server_id = await cloud.make_server(imageRef=image["id"])
    await cloud.house.engine.settle()
    fault = (await cloud.server(server_id))["fault"]
    assert "checksum" in fault["message"]


class TestTwoHosts:
    @pytest.fixture
    def config_overrides(self) -> dict[str, str]:
        return {"AEROSTAT_COMPUTE_FAKE_HOSTS": "2"}

    async def host_of(self, cloud: Cloud, server_id: str) -> str:
        return str((await cloud.server(server_id, user="root"))["OS-EXT-SRV-ATTR:host"])

    async def test_servers_are_spread(self, cloud: Cloud) -> None:
        hosts = {await self.host_of(cloud, await cloud.active_server()) for _ in range(2)}
        assert hosts == {"fake-1", "fake-2"}

    @pytest.mark.parametrize("verb", ["ensure_domain", "ensure_base_image"])
    async def test_a_host_whose_disk_is_full_is_left_for_another(self, cloud: Cloud, verb: str) -> None:
        for host in ("fake-1", "fake-2"):
            full = OSError(errno.ENOSPC, "No space left on device")
            cloud.host(host).faults.fail(verb, times=None, error=full)
        first = await cloud.make_server()
        await cloud.settle()
        shown = await cloud.server(first)
        assert shown["status"] == "ERROR"
        assert "The host's disk is full." in shown["fault"]["message"]
        assert cloud.world.allocations == {}
        cloud.host("fake-2").faults.heal()
        assert await self.host_of(cloud, await cloud.active_server()) == "fake-2"

    async def test_a_host_that_refuses_is_left_for_another(self, cloud: Cloud) -> None:
        cloud.host("fake-1").faults.fail("ensure_domain", error=DriverError("No."))
        server_id = await cloud.active_server()
        assert await self.host_of(cloud, server_id) == "fake-2"
        assert await cloud.host("fake-1").list_domains() == []
        assert len(cloud.world.allocations) == 1
        record = await operation.list_for(cloud.db, subject_id=server_id)
        assert "fake-1: No." in [row.reason for row in record]

    async def test_who_was_overtaken_takes_away_no_guest(
        self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its order is refused, but by then another worker has finished the step and holds the lease."""
        made = HostLink.ensure_guest

        async def overtaken(link: HostLink, spec: Any, *args: Any, **options: Any) -> Any:
            monkeypatch.setattr(HostLink, "ensure_guest", made)
            await made(link, spec, *args, **options)
            async with cloud.db.transaction() as tx:
                await tx.update(flows, {"subject_id": spec.id}, lease_token="another's", state="done")
                await tx.update(model.SERVERS, {"id": spec.id}, state="active")
            raise DriverError("The order is late.")

        monkeypatch.setattr(HostLink, "ensure_guest", overtaken)
        server_id = await cloud.make_server()
        await cloud.settle()
        assert (await cloud.server(server_id))["status"] == "ACTIVE"
        assert [domain.id for domain in await cloud.host("fake-1").list_domains()] == [server_id]

    async def test_a_host_can_be_asked_for(self, cloud: Cloud) -> None:
        for host in ("fake-2", "fake-1"):
            first = await cloud.active_server(user="root", version="2.74", networks="none", host=host)
            assert await self.host_of(cloud, first) == host
            zoned = await cloud.active_server(
                user="root", version="2.37", networks="none", availability_zone=f"nova:{host}"
            )
            assert await self.host_of(cloud, zoned) == host

    async def test_disabled_and_silent_hosts_are_left_out(self, cloud: Cloud) -> None:
        services = (await cloud.get("/os-services", user="root", version="2.53"))["services"]
        off = next(one for one in services if one["host"] == "fake-1")
        body = {"status": "disabled", "disabled_reason": "broken fan"}
        await cloud.ask("PUT", f"/os-services/{off['id']}", body, user="root", version="2.53")
        for _ in range(2):
            assert await self.host_of(cloud, await cloud.active_server()) == "fake-2"
        forced = next(one for one in services if one["host"] == "fake-2")
        await cloud.ask(
            "PUT", f"/os-services/{forced['id']}", {"forced_down": True}, user="root", version="2.53"
        )
        server_id = await cloud.make_server()
        await cloud.settle()
        message = (await cloud.server(server_id))["fault"]["message"]
        assert "1 of 2 hosts are disabled: broken fan" in message
        assert "1 of 2 hosts are down" in message

    @pytest.mark.parametrize(("policy", "apart"), [("anti-affinity", True), ("affinity", False)])
    async def test_server_groups(self, cloud: Cloud, policy: str, apart: bool) -> None:
        body = {"server_group": {"name": "g", "policies": [policy]}}
        group = (await cloud.ask("POST", "/os-server-groups", body)).json()["server_group"]
        ids = []
        for _ in range(3):
            answer = await post(cloud, hints={"group": group["id"]})
            assert answer.status_code == 202, answer.text
            ids.append(answer.json()["server"]["id"])
            await cloud.settle()
        hosts = [await self.host_of(cloud, server_id) for server_id in ids]
        if apart:
            assert sorted(hosts[:2]) == ["fake-1", "fake-2"]
            message = (await cloud.server(ids[2]))["fault"]["message"]
            assert "2 of 2 hosts carry a member of the anti-affinity server group already" in message
        else:
            assert len(set(hosts)) == 1
        shown = (await cloud.get(f"/os-server-groups/{group['id']}"))["server_group"]
        assert shown["members"] == ids
        assert (await cloud.server(ids[0], version="2.71"))["server_groups"] == [group["id"]]

    async def test_members_that_are_placed_at_the_same_time_stand_apart(
        self, cloud: Cloud, monkeypatch: Any, standing_clock: None
    ) -> None:
        """Found by the simulator: both were given the same host, for neither had one when the other was placed."""
        body = {"server_group": {"name": "g", "policies": ["anti-affinity"]}}
        group = (await cloud.ask("POST", "/os-server-groups", body)).json()["server_group"]
        ids = [(await post(cloud, hints={"group": group["id"]})).json()["server"]["id"] for _ in range(2)]
        monkeypatch.setattr(claiming, "decide", both_first(scheduling.decide))
        for _ in range(4):
            await cloud.settle()
            clock.step(seconds=10)
        assert sorted([await self.host_of(cloud, id) for id in ids]) == ["fake-1", "fake-2"]

    async def test_of_two_members_that_see_each_other_on_a_host_one_stays(
        self, cloud: Cloud, monkeypatch: Any, standing_clock: None
    ) -> None:
        """Both gave way, paused alike, and met there again."""
        await cloud.db.update(model.HOSTS, {"name": "fake-2"}, disabled=True)
        body = {"server_group": {"name": "g", "policies": ["anti-affinity"]}}
        group = (await cloud.ask("POST", "/os-server-groups", body)).json()["server_group"]
        ids = [(await post(cloud, hints={"group": group["id"]})).json()["server"]["id"] for _ in range(2)]
        lower, higher = sorted(ids)
        for name in ("decide", "find_crowd"):  # neither is placed when they choose; both are when they look
            monkeypatch.setattr(claiming, name, both_first(getattr(scheduling, name)))
        await cloud.settle()
        rows = [await cloud.db.get(model.SERVERS, id=id) for id in (lower, higher)]
        assert [row.host for row in rows] == ["fake-1", None]
        for _ in range(4):
            clock.step(seconds=10)
            await cloud.settle()
        assert (await cloud.server(lower))["status"] == "ACTIVE"
        message = (await cloud.server(higher))["fault"]["message"]
        assert "1 of 2 hosts carry a member of the anti-affinity server group already" in message

    async def test_hints_to_be_beside_and_apart(self, cloud: Cloud) -> None:
        first = await cloud.active_server()
        for hint, same in (("same_host", True), ("different_host", False)):
            server_id = (await post(cloud, hints={hint: [first]})).json()["server"]["id"]
            await cloud.settle()
            alike = await self.host_of(cloud, server_id) == await self.host_of(cloud, first)
            assert alike is same

    async def test_zones_are_made_of_aggregates(self, cloud: Cloud) -> None:
        body = {"aggregate": {"name": "a", "availability_zone": "east"}}
        aggregate = (await cloud.ask("POST", "/os-aggregates", body, user="root")).json()["aggregate"]
        url = f"/os-aggregates/{aggregate['id']}/action"
        await cloud.ask("POST", url, {"add_host": {"host": "fake-2"}}, user="root")
        for zone, host in (("east", "fake-2"), ("nova", "fake-1")):
            server_id = await cloud.active_server(availability_zone=zone)
            assert await self.host_of(cloud, server_id) == host
            assert (await cloud.server(server_id))["OS-EXT-AZ:availability_zone"] == zone
        pinned = await cloud.server(server_id, version="2.96")
        assert pinned["pinned_availability_zone"] == "nova"


def both_first(function: Any) -> Any:
    """The function, which the first two who call it begin together and leave together."""
    both, calls = asyncio.Barrier(2), iter(range(2))

    async def meet(*args: Any, **more: Any) -> Any:
        if next(calls, None) is None:
            return await function(*args, **more)
        await both.wait()
        found = await function(*args, **more)
        await both.wait()
        return found

    return meet


class TestConfigDrives:
    @pytest.fixture
    def config_overrides(self) -> dict[str, str]:
        return {"AEROSTAT_COMPUTE_FORCE_CONFIG_DRIVE": "true"}

    async def test_every_server_can_be_given_one(self, cloud: Cloud) -> None:
        assert (await cloud.server(await cloud.active_server()))["config_drive"] == "True"


async def test_personality(cloud: Cloud) -> None:
    files = [{"path": "/etc/motd", "contents": "aGVsbG8="}]
    server_id = await cloud.active_server(personality=files, config_drive=True)
    drive = cloud.host().spec(server_id).config_drive
    assert drive["openstack/content/0000"] == b"hello"
    assert b'"path":"/etc/motd"' in drive["openstack/latest/meta_data.json"]
    assert (await post(cloud, personality=files * 6)).status_code == 403


async def test_host_names_can_be_chosen_since_2_90(cloud: Cloud) -> None:
    server_id = await cloud.active_server(version="2.90", hostname="custom")
    assert (await cloud.server(server_id, version="2.90"))["OS-EXT-SRV-ATTR:hostname"] == "custom"
    changed = await cloud.ask("PUT", f"/servers/{server_id}", {"server": {"hostname": "new"}}, version="2.90")
    assert changed.json()["server"]["OS-EXT-SRV-ATTR:hostname"] == "new"
    assert (await post(cloud, hostname="x1")).status_code == 400
    assert (await post(cloud, version="2.90", hostname="a b")).status_code == 400


async def test_a_project_without_networks_may_ask_for_any(cloud: Cloud) -> None:
    cloud.world.networks.clear()
    refused = {"server": {"name": "x", "flavorRef": "42", "imageRef": cloud.image["id"], "networks": "auto"}}
    answer = await cloud.ask("POST", "/servers", refused, version="2.37")
    assert answer.status_code == 400
    assert "no external network" in answer.text
    cloud.world.makes_networks = True
    for name in ("one", "two"):
        server_id = await cloud.make_server(name=name, networks="auto", version="2.37")
        await cloud.settle()
        assert list((await cloud.server(server_id))["addresses"]) == ["auto_allocated_network"]
    assert len(cloud.world.networks) == 1
