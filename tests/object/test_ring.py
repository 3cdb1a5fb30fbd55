"""The ring: balance, distance, few moves, and its files. Properties over worlds of every shape."""

import math
from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aerostat.services.object.ring import Builder, Hasher, Ring, RingError, measure, tiers_of
from aerostat.services.object.ring.targets import wanted_replicas

POWER = 8
HOUR_S = 3600.0
NOW_S = 1_000_000 * HOUR_S

devices = st.lists(
    st.tuples(
        st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.sampled_from([1.0, 1.0, 2.0, 4.0, 10.0])
    ),
    min_size=1,
    max_size=16,
)
replicas = st.sampled_from([1, 2, 2.5, 3, 4])


def built(world, replicas, *, overload=0.0, power=POWER, min_part_hours=0):
    builder = Builder(power, replicas, min_part_hours=min_part_hours, overload=overload)
    for number, (region, zone, node, weight) in enumerate(world):
        builder.add(
            region=region, zone=zone, node=f"{region}-{zone}-{node}", name=f"d{number}", weight=weight
        )
    builder.rebalance(now_s=NOW_S)
    return builder


def held(ring):
    return Counter(id for part in range(ring.parts) for id in ring.ids(part))


def moves(before, after):
    """Replicas that are on a device on which the partition had none."""
    return sum(len(set(after.ids(part)) - set(before.ids(part))) for part in range(before.parts))


@settings(max_examples=60, deadline=None)
@given(devices, replicas)
def test_every_replica_has_a_device_and_none_shares_it_needlessly(world, replicas):
    ring = built(world, replicas).ring()
    assert ring.replicas == pytest.approx(replicas)
    for part in range(ring.parts):
        ids = ring.ids(part)
        assert len(ids) in (math.floor(replicas), math.ceil(replicas))
        assert max(Counter(ids).values()) <= math.ceil(replicas / len(world))


@settings(max_examples=60, deadline=None)
@given(devices, replicas, st.sampled_from([0.0, 0.1, 1.0]))
def test_devices_get_what_their_weight_says(world, replicas, overload):
    assume(len(world) >= replicas)  # with fewer, distance comes before balance
    builder = built(world, replicas, overload=overload)
    wanted = wanted_replicas(builder.devices.values(), replicas, overload)
    counts = held(builder.ring())
    for device in builder.devices.values():
        share = wanted[tiers_of(device)[-1]] * builder.parts
        assert abs(counts[device.id] - share) <= max(2.0, 0.04 * share)


@settings(max_examples=40, deadline=None)
@given(devices, replicas, st.sampled_from([0.0, 0.1, 1.0]))
def test_what_is_wanted_of_a_tier_is_wanted_of_its_children(world, replicas, overload):
    builder = built(world, replicas, overload=overload, power=0)
    wanted = wanted_replicas(builder.devices.values(), replicas, overload)
    sums = Counter()
    for tier, amount in wanted.items():
        if tier:
            sums[tier[:-1]] += amount
    for tier, amount in sums.items():
        assert amount == pytest.approx(wanted[tier])


@settings(max_examples=40, deadline=None)
@given(devices, replicas)
def test_replicas_are_apart_as_the_weights_allow(world, replicas):
    assert measure(built(world, replicas).ring()).crowded <= 0.02 * (1 << POWER)


@pytest.mark.parametrize("zones", [2, 3, 4, 6])
def test_zones_of_one_size_share_a_partition_evenly(zones):
    world = [(1, zone, node, 1.0) for zone in range(zones) for node in (1, 2) for _ in range(3)]
    ring = built(world, 3).ring()
    for part in range(ring.parts):
        counts = Counter(ring.devices[id].zone for id in ring.ids(part))
        assert max(counts.values()) == math.ceil(3 / zones)
    assert measure(ring).balance == 0


@settings(max_examples=40, deadline=None)
@given(devices, replicas, st.sampled_from([1.0, 2.0]))
def test_a_new_device_takes_its_share_and_hardly_more_moves(world, replicas, weight):
    builder = built(world, replicas)
    before = builder.ring()
    new = builder.add(node="new", name="new", weight=weight, zone=world[0][1])
    builder.rebalance(now_s=NOW_S)
    after = builder.ring()
    wanted = {
        device.id: wanted_replicas(builder.devices.values(), replicas)[tiers_of(device)[-1]] * builder.parts
        for device in builder.devices.values()
    }
    least = sum(max(0.0, wanted[id] - held(before)[id]) for id in builder.devices)
    assert moves(before, after) <= 1.25 * least + 0.1 * builder.parts
    assert held(after)[new.id] > 0 or wanted[new.id] < 1


@settings(max_examples=40, deadline=None)
@given(devices.filter(lambda world: len(world) > 1), replicas, st.data())
def test_a_lost_device_is_replaced_at_once(world, replicas, data):
    builder = built(world, replicas, min_part_hours=1)
    lost = data.draw(st.sampled_from(sorted(builder.devices)))
    builder.remove(lost)
    builder.rebalance(now_s=NOW_S)
    ring = builder.ring()
    assert lost not in held(ring)
    assert sum(held(ring).values()) == round(replicas * ring.parts)


@settings(max_examples=30, deadline=None)
@given(devices.filter(lambda world: len(world) > 1), replicas, st.data())
def test_of_a_partition_one_replica_moves_at_a_time(world, replicas, data):
    builder = built(world, replicas, min_part_hours=2)
    emptied = data.draw(st.sampled_from(sorted(builder.devices)))
    builder.set_weight(emptied, 0)
    if all(device.weight == 0 for device in builder.devices.values()):
        return
    now_s = NOW_S
    for _ in range(12):
        before = builder.ring()
        done = builder.rebalance(now_s=now_s)
        after = builder.ring()
        changed = [
            sum(one != other for one, other in zip(before.ids(part), after.ids(part), strict=True))
            for part in range(after.parts)
        ]
        assert max(changed) <= 1
        builder.rebalance(now_s=now_s + HOUR_S)
        later = builder.ring()
        resting = [part for part in range(after.parts) if changed[part]]
        assert all(after.ids(part) == later.ids(part) for part in resting), "moved an hour ago"
        now_s += 2 * HOUR_S
        if done.moved == done.waiting == 0 and now_s > NOW_S + 4 * HOUR_S:
            break
    assert emptied not in held(builder.ring())


def test_a_balanced_ring_is_left_alone():
    builder = built([(1, zone, 1, 1.0) for zone in range(4)], 3)
    before = builder.ring()
    assert builder.rebalance(now_s=NOW_S).moved == 0
    assert moves(before, builder.ring()) == 0


@settings(max_examples=30, deadline=None)
@given(devices, replicas)
def test_handoffs_are_all_the_others_the_farthest_first(world, replicas):
    ring = built(world, replicas).ring()
    for part in range(0, ring.parts, 37):
        holders, handoffs = ring.holders(part), list(ring.handoffs(part))
        ids = [device.id for device in (*holders, *handoffs)]
        assert sorted(ids) == sorted(ring.devices)
        assert [device.id for device in ring.handoffs(part)] == [device.id for device in handoffs]
        regions = {device.region for device in holders}
        others = {device.region for device in ring.devices.values()} - regions
        assert {device.region for device in handoffs[: len(others)]} == others


def test_the_number_of_replicas_can_change():
    builder = built([(1, zone, 1, 1.0) for zone in range(4)], 2)
    before = builder.ring()
    builder.set_replicas(3)
    done = builder.rebalance(now_s=NOW_S)
    assert (done.placed, done.moved) == (builder.parts, 0)
    assert measure(builder.ring()).crowded == 0
    builder.set_replicas(2)
    builder.rebalance(now_s=NOW_S)
    assert builder.ring().replicas == 2
    assert moves(before, builder.ring()) <= builder.parts


# Files


def test_both_files_come_back_as_they_were(tmp_path):
    builder = built([(1, zone, 1, 1.0) for zone in range(4)], 2.5, min_part_hours=3, overload=0.1)
    builder.remove(1)
    builder.save(tmp_path / "b")
    builder.ring().save(tmp_path / "r")
    again, ring = Builder.load(tmp_path / "b"), Ring.load(tmp_path / "r")
    assert again.devices == builder.devices
    assert (again.version, again.min_part_hours, again.overload) == (1, 3, 0.1)
    assert [ring.ids(part) for part in range(ring.parts)] == [
        builder.ring().ids(part) for part in range(ring.parts)
    ]
    assert again.add(node="n", name="n", weight=1).id == 4, "ids are never used twice"
    assert again.rebalance(now_s=NOW_S + HOUR_S, seed=1) == builder_with(builder).rebalance(
        now_s=NOW_S + HOUR_S, seed=1
    )


def builder_with(builder):
    builder.add(node="n", name="n", weight=1)
    return builder


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b[:60] + b"x" + b[61:], lambda b: b"", lambda b: b"{}"]
)
def test_a_damaged_file_is_told(tmp_path, damage):
    path = tmp_path / "r"
    built([(1, 1, 1, 1.0)], 1).ring().save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RingError):
        Ring.load(path)
    with pytest.raises(RingError):
        Builder.load(path)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Builder(33, 3),
        lambda: Builder(8, 0.5),
        lambda: Builder(8, math.inf),
        lambda: Builder(8, 3, overload=-1),
        lambda: Builder(8, 3).add(node="n", name="d", weight=-1),
        lambda: Builder(8, 3).add(node="n", name="d", weight=math.nan),
        lambda: Builder(8, 3).rebalance(),
        lambda: Builder(8, 3).ring(),
        lambda: Builder(8, 3).remove(0),
    ],
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(RingError):
        wrong()


# From names to partitions


def test_the_hash_depends_on_the_secret_and_on_every_part():
    one, other = Hasher(b"s" * 16), Hasher(b"t" * 16)
    hashes = {
        one.hash("a"),
        other.hash("a"),
        one.hash("a", "c"),
        one.hash("a", "c", "o"),
        one.hash("a", "c", "o/p"),
        one.hash("a", "c", "\udcff"),
    }
    assert len(hashes) == 6
    assert all(len(hashed) == 32 for hashed in hashes)
    with pytest.raises(ValueError, match="secret"):
        Hasher(b"short")


def test_names_spread_over_all_partitions():
    hasher, ring = Hasher(b"s" * 16), built([(1, 1, 1, 1.0)], 1).ring()
    counts = Counter(ring.partition(hasher.hash("a", "c", str(number))) for number in range(50 * ring.parts))
    assert len(counts) == ring.parts
    assert max(counts.values()) < 2 * 50
