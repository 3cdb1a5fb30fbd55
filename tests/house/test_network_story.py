"""Networks as a user builds them: a private network, a way out, and what is refused."""

import openstack.exceptions
import pytest

from tests.house.conftest import WAIT_S, wait


def test_a_private_network_with_a_way_out(demo, new_server):
    net = demo.network
    network = net.create_network(name="lab")
    subnet = net.create_subnet(network_id=network.id, ip_version=4, cidr="10.99.0.0/24", name="lab")
    router = net.create_router(
        name="lab", external_gateway_info={"network_id": net.find_network("public").id}
    )
    net.add_interface_to_router(router, subnet_id=subnet.id)
    server = wait(demo, new_server(demo, "inside", network="lab"))
    (port,) = net.ports(device_id=server.id)
    assert port.fixed_ips[0]["ip_address"].startswith("10.99.0.")
    address = net.create_ip(floating_network_id=net.find_network("public").id, port_id=port.id)
    assert address.floating_ip_address.startswith("172.24.4.")
    assert net.get_ip(address).router_id == router.id

    with pytest.raises(openstack.exceptions.ConflictException):
        net.delete_network(network)
    with pytest.raises(openstack.exceptions.ConflictException):
        net.remove_interface_from_router(router, subnet_id=subnet.id)

    net.delete_ip(address)
    demo.compute.delete_server(server)
    demo.compute.wait_for_delete(server, interval=0.02, wait=WAIT_S)
    net.remove_interface_from_router(router, subnet_id=subnet.id)
    net.delete_router(router)
    net.delete_network(network)
    assert net.find_network("lab") is None
    assert list(net.subnets(name="lab")) == []


def test_the_fake_world_is_what_the_rows_say(aerostat_cloud):
    """The network room's topology reaches the driver, and goes again."""
    cloud, demo = aerostat_cloud, aerostat_cloud.connect("demo")
    world = cloud.house.state["network"].driver.world
    settle(cloud)
    before = set(world.things)
    network = demo.network.create_network(name="seen")
    demo.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.98.0.0/24")
    settle(cloud)
    assert {key.kind for key in set(world.things) - before} >= {"network", "subnet"}
    demo.network.delete_network(network)
    settle(cloud)
    assert set(world.things) == before


def settle(cloud):
    """Let the engine do all that is due now."""
    cloud.call(cloud.house.engine.run_one("network.topology"))
