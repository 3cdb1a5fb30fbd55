"""Containers and accounts on several devices, and how they hear of what they list."""

import asyncio

import pytest

from aerostat.services.object.cluster.errors import NoQuorum
from aerostat.services.object.stores.container_db import Entry
from aerostat.services.object.stores.listing import Asked
from aerostat.services.object.stores.pending import Pending

from .faults import Devices

SAID = {"x-container-meta-a": ("1", 5)}


@pytest.fixture
async def four(tmp_path):
    devices = Devices(tmp_path, 4)
    await devices.cluster.accounts.make("a", 1, {})
    yield devices
    await devices.close()


@pytest.fixture
def containers(four):
    return four.cluster.containers


@pytest.fixture
def accounts(four):
    return four.cluster.accounts


def notes(tmp_path):
    stores = [Pending(device) for device in sorted(tmp_path.glob("d*"))]
    return [pending.read(name) for pending in stores for name in pending.names()]


def entry(name="o", at=7, **more):
    return Entry(name=name, timestamp=at, size=3, etag="e", **more)


async def names(containers):
    return [found.name for found in await containers.list("a", "c", Asked())]


async def test_a_container_is_made_changed_and_deleted(containers, accounts, tmp_path):
    assert await containers.status("a", "c") is None
    assert await containers.list("a", "c", Asked()) is None
    assert await containers.say("a", "c", SAID) is False
    assert await containers.delete("a", "c", 4) is None
    assert await containers.make("a", "c", 5, 0, SAID) is True
    assert await containers.make("a", "c", 6, 0, {}) is False
    status, said = await containers.status("a", "c", newest=True)
    assert (status.put_at, said) == (6, SAID)
    assert await containers.say("a", "c", {"x-container-meta-b": ("2", 7)}) is True
    await containers.hear("a", "c", [entry()])
    assert await names(containers) == ["o"]
    assert await containers.delete("a", "c", 8) is False
    await containers.hear("a", "c", [entry(at=9, is_gone=True)])
    assert await containers.delete("a", "c", 10) is True
    assert await containers.status("a", "c") is None
    assert await accounts.list("a", Asked()) == []
    assert notes(tmp_path) == []


async def test_an_account_hears_of_its_containers(four, containers, accounts):
    assert await accounts.make("a", 2, {}) is False
    await containers.make("a", "c", 5, 0, {})
    assert [found.name for found in await accounts.list("a", Asked())] == ["c"]
    for number in range(10):
        await containers.hear("a", "c", [entry(f"o{number}")])
    assert sum(one.calls.count("hear_containers") for one in four.faulty.values()) == 3, "once for the PUT"
    status, _ = await accounts.status("a")
    assert (status.containers, status.objects, status.bytes) == (1, 10, 30)
    assert sum(one.calls.count("hear_containers") for one in four.faulty.values()) == 6
    assert await accounts.say("a", {"x-account-meta-a": ("1", 5)}) is True
    assert (await accounts.status("a", newest=True))[1] == {"x-account-meta-a": ("1", 5)}
    assert await accounts.delete("a", 9) is True
    assert await accounts.status("a") is None
    assert await accounts.say("a", {}) is False
    assert await accounts.delete("b", 9) is None


async def test_sums_reach_the_account_by_themselves(tmp_path):
    devices = Devices(tmp_path, 1, sums_after_s=0.05)
    containers = devices.cluster.containers
    await devices.cluster.accounts.make("a", 1, {})
    await containers.make("a", "c", 5, 0, {})
    await containers.hear("a", "c", [entry()])
    device = devices.local["local/d0"]
    place = devices.cluster.accounts.layout.place(devices.cluster.hasher.hash("a"))
    assert (await device.account(place))[0].objects == 0
    for _ in range(100):
        await asyncio.sleep(0.02)
        if (await device.account(place))[0].objects:
            break
    assert (await device.account(place))[0].bytes == 3
    await devices.close()


async def test_sums_of_many_containers_are_told_in_the_end(four, containers, accounts):
    for number in range(60):
        await containers.make("a", f"c{number}", 5, 0, {})
        await containers.hear("a", f"c{number}", [entry()])
    assert (await accounts.status("a"))[0].objects == 0, "too many to wait for"
    await containers.sums.flush_all()
    assert (await accounts.status("a", newest=True))[0].objects == 60  # a device that is slow may hear later


async def test_sums_that_could_not_be_told_are_told_later(four, containers, accounts):
    await containers.make("a", "c", 5, 0, {})
    await containers.hear("a", "c", [entry()])
    for faulty in four.of("a")[:3]:
        faulty.away = True
    await containers.sums.flush_all()
    four.mend()
    assert (await accounts.status("a"))[0].objects == 1


async def test_what_a_container_could_not_be_told_is_written_down(four, containers, tmp_path):
    await containers.make("a", "c", 5, 0, {})
    away = four.of("a", "c")[1]
    away.away = True
    await containers.hear("a", "c", [entry()])
    [note] = notes(tmp_path)
    assert (note.account, note.container, note.objects) == ("a", "c", [entry()])
    assert len(note.told) == 2
    assert four.faulty[note.told[0]] is not away
    assert await names(containers) == ["o"]


async def test_when_no_container_hears_it_is_written_down_or_refused(four, containers, tmp_path):
    await containers.make("a", "c", 5, 0, {})
    for faulty in four.faulty.values():
        faulty.forbidden = {"hear_objects"}
    await containers.hear("a", "c", [entry()])
    [note] = notes(tmp_path)
    assert note.told == []
    for faulty in four.faulty.values():
        faulty.away = True
    with pytest.raises(NoQuorum):
        await containers.hear("a", "c", [entry()])


async def test_what_an_account_could_not_be_told_is_written_down(four, containers, tmp_path):
    four.of("a")[0].away = True
    await containers.make("a", "c", 5, 0, {})
    found = [note for note in notes(tmp_path) if note.container is None]
    assert [(note.account, [one.name for one in note.containers], len(note.told)) for note in found] == [
        ("a", ["c"], 2)
    ]


async def test_with_a_device_away_a_handoff_has_the_container(four, containers):
    holders = four.of("a", "c")
    holders[0].away = True
    assert await containers.make("a", "c", 5, 0, SAID) is True
    assert await containers.say("a", "c", {"x-container-meta-a": ("2", 6)}) is True
    assert await containers.make("a", "c", 7, 0, {}) is False
    four.mend()
    assert (await containers.status("a", "c"))[1] == {"x-container-meta-a": ("2", 6)}


async def test_the_newest_of_each_word_is_known_whoever_has_the_most_objects(four, containers):
    holders = four.of("a", "c")[:3]
    await containers.make("a", "c", 5, 0, SAID)
    place = containers.layout.place(four.cluster.hasher.hash("a", "c"))
    await holders[1].device.say_of_container(place, {"x-container-meta-a": ("2", 9)})
    await holders[2].device.say_of_container(place, {"x-container-meta-b": ("3", 8)})
    await holders[0].device.hear_objects(place, [entry()])
    status, said = await containers.status("a", "c", newest=True)
    assert status.objects == 1
    assert said == {"x-container-meta-a": ("2", 9), "x-container-meta-b": ("3", 8)}


async def test_what_was_said_before_a_deletion_does_not_come_back_from_who_missed_it(four, containers):
    holders = four.of("a", "c")[:3]
    await containers.make("a", "c", 5, 0, SAID)
    holders[0].away = True
    await containers.delete("a", "c", 7)
    await containers.make("a", "c", 8, 0, {"x-container-meta-b": ("3", 8)})
    four.mend()
    _, said = await containers.status("a", "c", newest=True)
    assert {name: value for name, (value, _) in said.items() if value} == {"x-container-meta-b": "3"}


async def test_without_a_quorum_containers_say_so(four, containers):
    await containers.make("a", "c", 5, 0, SAID)
    holders = four.of("a", "c")
    for faulty in holders[1:]:
        faulty.away = True
    with pytest.raises(NoQuorum):
        await containers.make("a", "d", 6, 0, {})
    with pytest.raises(NoQuorum):
        await containers.say("a", "c", SAID)
    assert (await containers.status("a", "c")) is not None, "one that has it is enough"
    with pytest.raises(NoQuorum):
        await containers.delete("a", "c", 8)
    holders[0].away = True
    with pytest.raises(NoQuorum):
        await containers.status("a", "c")


async def test_a_deletion_that_one_device_missed_counts(four, containers, accounts):
    holders = four.of("a", "c")
    for number, missed in enumerate(holders[:3]):
        at = 10 + 10 * number
        await containers.make("a", "c", at, 0, {})
        missed.away = True
        assert await containers.delete("a", "c", at + 1) is True
        four.mend()
        assert await containers.status("a", "c", newest=True) is None
        assert await containers.make("a", "c", at + 2, 0, {}) is True
        assert await containers.status("a", "c") is not None
        assert await containers.delete("a", "c", at + 3) is True
    four.of("a")[0].away = True
    assert await accounts.delete("a", 50) is True
    four.mend()
    assert await accounts.status("a", newest=True) is None


async def test_a_device_that_hangs_hears_later(four, containers, tmp_path):
    await containers.make("a", "c", 5, 0, {})
    hanging = four.of("a", "c")[0]
    hanging.hang()
    began = asyncio.get_running_loop().time()
    for number in range(20):
        await containers.hear("a", "c", [entry(f"o{number}")])
    assert asyncio.get_running_loop().time() - began < 1.5, "waited for once, and not again"
    assert len(notes(tmp_path)) == 20
    assert hanging.calls.count("hear_objects") == 1
    assert len(await names(containers)) == 20


async def test_a_damaged_listing_is_passed_by_and_put_aside(four, containers, tmp_path):
    await containers.make("a", "c", 5, 0, {})
    await containers.hear("a", "c", [entry()])
    [first, *_] = four.of("a", "c")
    [path] = first.device.root.glob("containers/*/*/*.db")
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(b"rubbish" * 1000)
    rubbish.replace(path)
    assert await names(containers) == ["o"]
    assert (await containers.status("a", "c", newest=True))[0].objects == 1
    await four.cluster.calls.close()
    assert not path.exists()
