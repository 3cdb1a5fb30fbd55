"""`kill -9` of anything while the first-flight stack is made, changed and deleted; then a reboot.

After each kill the stack comes to its end, or fails with a reason, and deletion leaves nothing anywhere. Who is killed
when is decided by a fixed seed. `AEROSTAT_KILLS=N` kills N times in each of the three phases; without it three times,
which is what there is time for on every change.

The guest halts at once and so never calls back: we do that for it.
"""

import contextlib
import os
import random
import shutil
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import openstack.exceptions
import pytest

from tests.metal.killing import DAEMONS, OURS, Unreachable, kill, make_halting_image, quick_cloud, wait_ready
from tests.metal.real_cloud import Left, RealCloud, why_no_real_cloud
from tests.waiting import eventually

pytestmark = [
    pytest.mark.metal,
    pytest.mark.skipif(bool(why_no_real_cloud()), reason=why_no_real_cloud() or "-"),
]

SEED = 7
ROUNDS = int(os.environ.get("AEROSTAT_KILLS", "3"))
VICTIMS = [*OURS, "guest", *DAEMONS]
# About how long each phase takes when nobody is killed.
PHASES_S = {"create": 6.0, "update": 6.0, "delete": 3.0}
SETTLED_LIMIT_S = 120.0
TEMPLATE = Path(__file__).parents[2] / "examples" / "first-flight.yaml"

# What the update brings: another machine with all that belongs to it, and another rule. (A guest that halts gives no
# card back, so the first machine keeps its port.)
MORE = """
  second_port:
    type: OS::Neutron::Port
    depends_on: subnet
    properties:
      network: { get_resource: network }
      security_groups:
        - { get_resource: security_group }
  second_floating_ip:
    type: OS::Neutron::FloatingIP
    depends_on: router_interface
    properties:
      floating_network: { get_param: public_network }
      port_id: { get_resource: second_port }
  second_machine:
    type: OS::Nova::Server
    properties:
      image: { get_param: image }
      flavor: { get_param: flavor }
      networks:
        - port: { get_resource: second_port }

"""

Refused = (*Unreachable, openstack.exceptions.HttpException)


@pytest.fixture(scope="module")
def cloud():
    with quick_cloud("as-ks-") as cloud:
        yield cloud


@pytest.fixture(scope="module")
def demo(cloud):
    with cloud.connect("demo") as connection:
        make_halting_image(connection)
        connection.compute.create_keypair(name="flight")
        yield connection


def victims(chance: random.Random) -> list[tuple[str, str, float]]:
    """Who dies in which phase, and how long after its beginning: everybody's turn comes before anybody's second."""
    names: list[str] = []
    while len(names) < ROUNDS * len(PHASES_S):
        names += chance.sample(VICTIMS, len(VICTIMS))
    phases = list(PHASES_S) * ROUNDS
    return [
        (phase, name, chance.uniform(0, PHASES_S[phase])) for phase, name in zip(phases, names, strict=False)
    ]


def test_whoever_dies_a_stack_ends_and_leaves_nothing(cloud: RealCloud, demo: Any) -> None:
    plain = eventually(lambda: logical(cloud), 30, why="the first network is in OVN")
    kept = rows_of(demo)
    stack = None
    for phase, victim, after_s in victims(random.Random(SEED)):
        told = f"{victim} was killed {after_s:.1f} s into {phase}"
        print(told, flush=True)
        stack = begin(demo, stack, phase)
        endure(cloud, demo, stack, victim, after_s)
        wait_ready(cloud, demo, told)
        if phase != "delete":
            check_end(demo, stack, told)
            continue
        eventually(partial(gone, demo, stack), SETTLED_LIMIT_S, why=f"the stack is gone after {told}")
        eventually(lambda: cloud.left() == Left(), SETTLED_LIMIT_S, why=f"no guest is left after {told}")
        eventually(lambda: rows_of(demo) == kept, SETTLED_LIMIT_S, why=f"no row is left after {told}")
        eventually(
            lambda: logical(cloud) == plain, SETTLED_LIMIT_S, why=f"nothing is left in OVN after {told}"
        )
    assert cloud.rows("select count(*) from kernel_flows where state = 'running'") == [(0,)]


def begin(demo: Any, stack: Any, phase: str) -> Any:
    """Ask for what the phase is about; gives the stack."""
    if phase == "create":
        return demo.orchestration.create_stack(name="first", **wanted())
    if phase == "update":
        # The SDK would send only what changed, without the template.
        answer = demo.orchestration.put(f"/stacks/{stack.name}/{stack.id}", json=wanted(MORE))
        assert answer.status_code == 202, answer.text
    else:
        demo.orchestration.delete_stack(stack)
    return stack


def check_end(demo: Any, stack: Any, told: str) -> None:
    """It comes to an end; one that is bad has a reason."""
    now = eventually(partial(ended, demo, stack), SETTLED_LIMIT_S, why=f"an end after {told}")
    print("   ", now.status, now.status_reason, flush=True)
    assert now.status.endswith("_COMPLETE") or is_reason(now.status_reason), f"{told}: {now.status_reason}"


def test_after_a_reboot_all_is_there_again(cloud: RealCloud, demo: Any) -> None:
    stack = demo.orchestration.create_stack(name="first", **wanted())
    eventually(lambda: call_back(demo, stack) and ended(demo, stack), SETTLED_LIMIT_S, why="the stack")
    assert demo.orchestration.get_stack(stack).status == "CREATE_COMPLETE"
    off = demo.compute.create_server(
        name="off",
        image_id=demo.image.find_image("halts").id,
        flavor_id=demo.compute.find_flavor("m1.nano").id,
        networks="none",
    )
    eventually(lambda: demo.compute.get_server(off).status == "ACTIVE", 60, why="the second server")
    demo.compute.stop_server(off)
    eventually(lambda: demo.compute.get_server(off).status == "SHUTOFF", 90, why="it is off")
    world, addresses = cloud.left(), sorted(ip.floating_ip_address for ip in demo.network.ips())
    reboot(cloud)
    cloud.up()
    wait_ready(cloud, demo, "the reboot")
    eventually(lambda: cloud.domains() == world.domains, SETTLED_LIMIT_S, why="who should run, runs")
    eventually(lambda: cloud.left() == world, SETTLED_LIMIT_S, why="taps and ports as before")
    assert sorted(ip.floating_ip_address for ip in demo.network.ips()) == addresses
    assert {server.name: server.status for server in demo.compute.servers()}["off"] == "SHUTOFF"
    demo.compute.delete_server(off)
    demo.orchestration.delete_stack(stack)
    eventually(lambda: cloud.left() == Left(), SETTLED_LIMIT_S, why="it can be deleted as ever")


def wanted(more: str = "") -> dict[str, Any]:
    """The stack, with more resources or without."""
    parameters = {"key_name": "flight", "image": "halts", "timeout": 300}
    text = TEMPLATE.read_text().replace("resources:\n", f"resources:\n{more}", 1)
    return {"template": text.replace("port_range_max: 22", "port_range_max: 23") if more else text} | {
        "parameters": parameters
    }


def endure(cloud: RealCloud, demo: Any, stack: Any, victim: str, after_s: float) -> None:
    """Play the guest until the moment has come, then kill."""
    ends_s = time.monotonic() + after_s
    while time.monotonic() < ends_s:
        call_back(demo, stack)
        time.sleep(0.1)
    kill(cloud, victim)


def call_back(demo: Any, stack: Any) -> bool:
    """What the guest would do when it has booted; always true."""
    with contextlib.suppress(*Refused):
        path = f"/stacks/{stack.name}/{stack.id}/resources"
        states = {
            one["resource_name"]: one["resource_status"]
            for one in demo.orchestration.get(path).json().get("resources", ())
        }
        if states.get("called_back", "").endswith("IN_PROGRESS"):
            demo.orchestration.post(f"{path}/ready/signal", json={"status": "SUCCESS", "data": "hello"})
    return True


def ended(demo: Any, stack: Any) -> Any:
    """The stack, when nothing goes on in it; it is called back meanwhile."""
    call_back(demo, stack)
    with contextlib.suppress(*Refused):
        now = demo.orchestration.get_stack(stack)
        return None if now.status.endswith("_IN_PROGRESS") else now
    return None


def is_reason(text: str) -> bool:
    """A reason that says more than that something failed."""
    return len(text.split()) > 3


def gone(demo: Any, stack: Any) -> bool:
    """Whether the stack is no more; asked for again if deleting failed for a reason."""
    with contextlib.suppress(*Refused):
        now = demo.orchestration.find_stack(stack.id)
        if now is None or now.status == "DELETE_COMPLETE":
            return True
        if now.status == "DELETE_FAILED":
            assert is_reason(now.status_reason), now.status_reason
            demo.orchestration.delete_stack(stack)
    return False


def logical(cloud: RealCloud) -> int:
    """How many things OVN was told of."""
    return len(cloud.logical_things())


def rows_of(demo: Any) -> dict[str, int]:
    """What the project has, counted."""
    network = demo.network
    return {
        "servers": len(list(demo.compute.servers())),
        "networks": len(list(network.networks())),
        "ports": len(list(network.ports())),
        "routers": len(list(network.routers())),
        "floating IPs": len(list(network.ips())),
        "groups": len(list(network.security_groups())),
    }


def reboot(cloud: RealCloud) -> None:
    """What is left of a cloud after the power failed: its files, without sockets and what else lives in memory."""
    supervisor = cloud.process_ids()["supervisor"]
    os.kill(supervisor, signal.SIGKILL)
    for _ in range(3):
        for pid in cloud.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    eventually(lambda: not cloud.pids(), 20, why="everything is dead")
    for name in cloud.namespaces():
        eventually(partial(remove_namespace, name), 20, why=f"{name} is gone")
    for path in cloud.folder.run.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def remove_namespace(name: str) -> bool:
    return os.system(f"ip netns delete {name}") == 0
