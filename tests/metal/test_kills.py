"""`kill -9` of our processes while servers are made and deleted: nothing is stuck, nothing is left.

The order of kills and the moments are those of a fixed seed. The guests cost nothing; everything around
them is real.
"""

import random
import time
from typing import Any

import pytest

from tests.metal.killing import OURS, kill, make_halting_image, quick_cloud, wait_ready
from tests.metal.real_cloud import Left, RealCloud, why_no_real_cloud
from tests.waiting import eventually

pytestmark = [
    pytest.mark.metal,
    pytest.mark.skipif(bool(why_no_real_cloud()), reason=why_no_real_cloud() or "-"),
]

SEED = 20
KILLS = [*OURS] * 4
LATEST_S = 2.5  # a creation takes about two seconds here
SETTLED_LIMIT_S = 90.0


@pytest.fixture
def cloud():
    with quick_cloud("as-kill-") as cloud:
        yield cloud


def test_whatever_is_killed_servers_end_up_whole_or_gone(cloud):
    chance = random.Random(SEED)
    demo = cloud.connect("demo")
    image = make_halting_image(demo)
    for number, victim in enumerate(chance.sample(KILLS, len(KILLS))):
        told = f"kill {number} of {victim}"
        begin(demo, image, f"s{number}", chance)
        time.sleep(chance.uniform(0, LATEST_S))
        kill(cloud, victim)
        wait_ready(cloud, demo, told)
        eventually(lambda: at_rest(demo), SETTLED_LIMIT_S, why=f"every server at rest after {told}")
        for server in demo.compute.servers():
            assert server.status == "ACTIVE" or server.fault["message"], told
        eventually(
            lambda: cloud.left() == expected(cloud, demo),
            SETTLED_LIMIT_S,
            why=f"world and rows agree after {told}",
        )
    for server in demo.compute.servers():
        demo.compute.delete_server(server)
    eventually(lambda: cloud.left() == Left(), SETTLED_LIMIT_S, why="nothing is left")
    assert running_flows(cloud) == 0
    limits = demo.compute.get_limits().absolute
    assert (limits.instances_used, limits.total_ram_used) == (0, 0)


def begin(demo: Any, image: Any, name: str, chance: random.Random) -> None:
    """Ask for a server, and for the end of an older one now and then."""
    older = list(demo.compute.servers())
    demo.compute.create_server(
        name=name,
        image_id=image.id,
        flavor_id=demo.compute.find_flavor("m1.nano").id,
        networks=[{"uuid": demo.network.find_network("private").id}],
    )
    if older and (len(older) > 2 or chance.random() < 0.6):
        demo.compute.delete_server(chance.choice(older))


def at_rest(demo: Any) -> bool:
    return all(server.task_state is None for server in demo.compute.servers())


def expected(cloud: RealCloud, demo: Any) -> Left:
    """What the world should hold: a guest with all that belongs to it for each server that has a host."""
    left = Left()
    for server in demo.compute.servers():
        ports = {port.id for port in demo.network.ports(device_id=server.id)}
        left.switch_ports |= ports
        if server.status == "ACTIVE":
            left.domains.add(f"instance-{server.id}")
            left.taps |= {f"tap{port_id[:11]}" for port_id in ports}
            left.allocations.add(server.id)
            left.folders.add(server.id)
    return left


def running_flows(cloud: RealCloud) -> int:
    return int(cloud.rows("select count(*) from kernel_flows where state = 'running'")[0][0])
