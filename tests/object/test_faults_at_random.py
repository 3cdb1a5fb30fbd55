"""Devices fail at random: what was acknowledged is there, the newest and whole."""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aerostat.services.object.cluster.calls import Patience
from aerostat.services.object.cluster.errors import DeviceFull, NoQuorum
from aerostat.services.object.cluster.policies import Policy
from aerostat.services.object.stores.protocol import DeviceAway

from .faults import Devices, facts, leftovers, read, write

COUNT = 5
GOLD = Policy(index=0, name="gold", replicas=3)
TIN = Policy(index=0, name="tin", kind="erasure", ec_data=2, ec_parity=2)
PATIENCE = Patience(answer_s=1.0, hedge_s=0.05, linger_s=0.02, stall_s=1.0)
SIZES = [0, 20, 5_000, 1_500_000]

FAULT = st.sampled_from(["away", "full", "hang", "dies"])
STEP = st.one_of(
    st.tuples(st.just("put"), st.sampled_from("op"), st.sampled_from(SIZES), st.booleans()),
    st.tuples(st.just("delete"), st.sampled_from("op")),
    st.tuples(st.just("read"), st.sampled_from("op")),
    st.tuples(st.just("fault"), st.integers(0, COUNT - 1), FAULT),
    st.tuples(st.just("mend")),
)
LIMITS = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
FOLDERS = "/dev/shm" if os.path.isdir("/dev/shm") else None


class World:
    """What was acknowledged, by name; and what may be there because nobody knows how a write ended."""

    def __init__(self, devices):
        self.devices = devices
        self.store = devices.cluster.objects(0)
        self.at = 0
        self.acknowledged = {}
        self.uncertain = {}

    async def change(self, name, data, streamed):
        self.at += 1
        self.uncertain.setdefault(name, []).append(data)
        if data is None:
            await self.store.delete("a", "c", name, self.at)
        elif streamed:
            await write(self.store, data, self.at, name)
        else:
            await self.store.put("a", "c", name, data, facts(data, self.at, name))
        self.acknowledged[name], self.uncertain[name] = data, []

    async def check(self, name):
        found = await read(self.store, name, newest=True)
        assert found in [self.acknowledged.get(name), *self.uncertain.get(name, [])]


def fail(faulty, fault):
    if fault == "hang":
        faulty.hang()
    elif fault == "dies":
        faulty.dies_after = 1000
    else:
        setattr(faulty, fault, True)


async def play(steps, policy, at_once):
    """`at_once`: so many devices are broken at most. Returns how many writes were refused."""
    root = Path(tempfile.mkdtemp(dir=FOLDERS))
    devices = Devices(root, COUNT, [policy], patience=PATIENCE)
    world = World(devices)
    broken, refused = [], 0
    try:
        for step in steps:
            match step:
                case "fault", number, fault:
                    if number not in broken and len(broken) == at_once:
                        list(devices.faulty.values())[broken.pop(0)].mend()
                    if number not in broken:
                        broken.append(number)
                    fail(devices.faulty[f"local/d{number}"], fault)
                case ("mend",):
                    devices.mend()
                    broken = []
                case "read", name:
                    try:
                        await world.check(name)
                    except (NoQuorum, DeviceAway, OSError):
                        assert at_once > 1
                case verb, name, *more:
                    size, streamed = more or (None, False)
                    data = None if verb == "delete" else os.urandom(size)
                    try:
                        await world.change(name, data, streamed)
                    except (NoQuorum, DeviceFull):
                        assert at_once > 1, "one broken device stops no write"
                        refused += 1
        devices.mend()
        await devices.cluster.calls.close()
        for name in "op":
            await world.check(name)
    finally:
        await devices.close()
        assert leftovers(root) == []
        shutil.rmtree(root)
    return refused


@pytest.mark.parametrize("policy", [GOLD, TIN], ids=lambda one: one.name)
@LIMITS
@given(steps=st.lists(STEP, max_size=15))
def test_one_broken_device_at_a_time_stops_nothing(policy, steps):
    assert asyncio.run(play(steps, policy, 1)) == 0


@pytest.mark.parametrize("policy", [GOLD, TIN], ids=lambda one: one.name)
@LIMITS
@given(steps=st.lists(STEP, max_size=15))
def test_whatever_breaks_nothing_acknowledged_is_lost(policy, steps):
    asyncio.run(play(steps, policy, 3))
