"""A cloud whose machine's clock is set while it works: nothing fails for it, nothing waits until it has caught up."""

from collections.abc import Iterator
from typing import Any

import pytest

from aerostat.kernel.clock import clock
from aerostat.testing import Cloud
from tests.house.conftest import WAIT_S, wait
from tests.waiting import eventually

HOUR_S = 3600.0
STACK = {
    "heat_template_version": "2018-08-31",
    "resources": {
        # Templates' own timers go by the wall clock: only a step forward ends this one.
        "slow": {"type": "OS::Heat::TestResource", "properties": {"value": "x", "wait_secs": 1800}},
        "network": {"type": "OS::Neutron::Net", "depends_on": "slow"},
    },
}


@pytest.fixture(autouse=True)
def right_clock() -> Iterator[None]:
    yield
    clock.forget_jumps()


def created(demo: Any, server: Any) -> bool:
    return bool(demo.compute.get_server(server.id).status == "ACTIVE")


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S])
def test_the_clock_is_set_in_the_middle_of_work(by_s: float, aerostat_cloud: Cloud, new_server: Any) -> None:
    cloud = aerostat_cloud
    before = cloud.connect("demo")
    old = wait(before, new_server(before, "old", remove_after=False))
    template = STACK if by_s > 0 else {**STACK, "resources": {"network": {"type": "OS::Neutron::Net"}}}
    stack = before.orchestration.create_stack(name="mine", template=template)
    cloud.faults.fail("compute", "ensure_domain", times=2)
    young = new_server(before, "young", remove_after=False)
    clock.put(by_s)
    demo = cloud.connect("demo") if by_s > 0 else before  # tokens end an hour earlier, by right
    eventually(lambda: created(demo, young), WAIT_S)
    after = wait(demo, new_server(demo, "after", remove_after=False))  # hosts were not heard of since

    def whole() -> bool:
        return bool(demo.orchestration.get_stack(stack.id).status == "CREATE_COMPLETE")

    eventually(whole, WAIT_S)
    demo.compute.stop_server(after)
    wait(demo, after, "SHUTOFF")
    for server in (old, young, after):
        demo.compute.delete_server(server)
    eventually(lambda: list(demo.compute.servers()) == [], WAIT_S)
