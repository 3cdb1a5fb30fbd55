"""The scheduler's pure parts."""

from typing import Any

import pytest

from aerostat.services.compute.scheduler import Asked, HostPicture, choose

FREE = {"VCPU": 8, "MEMORY_MB": 1024, "DISK_GB": 10}


def host(name: str, **attributes: Any) -> HostPicture:
    return HostPicture(**{"id": name, "name": name, "free": FREE, **attributes})


def asked(**attributes: Any) -> Asked:
    return Asked(**{"server_id": "s", "resources": {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}, **attributes})


@pytest.mark.parametrize(
    ("wish", "picture", "filter"),
    [
        ({}, {"enabled": False}, "enabled"),
        ({}, {"up": False}, "up"),
        ({"zone": "east"}, {}, "availability_zone"),
        ({"host": "other"}, {}, "requested_host"),
        ({"arch": "aarch64"}, {}, "image_architecture"),
        ({"excluded": frozenset({"a"})}, {}, "retry"),
        ({"group_policy": "anti-affinity"}, {"group_members": 1}, "anti_affinity"),
        ({"same_host": frozenset({"b"})}, {}, "same_host"),
        ({"different_host": frozenset({"a"})}, {}, "different_host"),
        ({"extra_specs": {"aggregate_instance_extra_specs:ssd": "true"}}, {}, "aggregate_extra_specs"),
        ({}, {"free": {**FREE, "MEMORY_MB": 511}}, "ram"),
        ({}, {"free": {**FREE, "VCPU": 0}}, "vcpu"),
        ({}, {"free": {**FREE, "DISK_GB": 0}}, "disk"),
        ({}, {"free": {}}, "ram"),
    ],
)
def test_each_filter_refuses(wish: dict[str, Any], picture: dict[str, Any], filter: str) -> None:
    decision = choose(asked(**wish), [host("a", **picture)])
    assert decision.ranked == ()
    assert [no.filter for no in decision.refusals] == [filter]


@pytest.mark.parametrize(
    ("wish", "picture"),
    [
        ({"zone": "nova", "host": "a", "arch": "x86_64"}, {}),
        ({"group_policy": "anti-affinity", "max_per_host": 2}, {"group_members": 1}),
        (
            {"extra_specs": {"aggregate_instance_extra_specs:ssd": "true"}},
            {"aggregates": ({"ssd": "true, fast"},)},
        ),
        ({"extra_specs": {"hw:cpu_policy": "shared"}}, {}),
        ({"resources": {"VCPU": 8, "MEMORY_MB": 1024, "DISK_GB": 10}}, {}),
    ],
)
def test_what_fits_is_let_through(wish: dict[str, Any], picture: dict[str, Any]) -> None:
    assert [one.name for one in choose(asked(**wish), [host("a", **picture)]).ranked] == ["a"]


def test_the_emptiest_host_comes_first() -> None:
    hosts = [
        host("full", free={**FREE, "MEMORY_MB": 600}),
        host("busy", servers=3),
        host("empty"),
    ]
    assert [one.name for one in choose(asked(), hosts).ranked] == ["empty", "busy", "full"]


def test_soft_policies_only_weigh() -> None:
    hosts = [host("with", group_members=1), host("without")]
    assert choose(asked(group_policy="soft-affinity"), hosts).ranked[0].name == "with"
    assert choose(asked(group_policy="soft-anti-affinity"), hosts).ranked[0].name == "without"


def test_affinity_binds_once_there_is_a_member() -> None:
    hosts = [host("with", group_members=1), host("without")]
    decision = choose(asked(group_policy="affinity"), hosts)
    assert [one.name for one in decision.ranked] == ["with"]
    assert [one.name for one in choose(asked(group_policy="affinity"), [host("a"), host("b")]).ranked] == [
        "a",
        "b",
    ]


def test_the_host_of_an_affinity_group_is_full() -> None:
    hosts = [host("with", group_members=1, free={}), host("without")]
    decision = choose(asked(group_policy="affinity"), hosts)
    assert decision.ranked == ()


def test_the_reason_counts_hosts_and_names_amounts() -> None:
    low = [host(f"h{n}", free={**FREE, "MEMORY_MB": 100 + n}) for n in range(3)]
    decision = choose(asked(), [*low, host("down", up=False)])
    assert decision.reason == "3 of 4 hosts lack RAM (512 MiB asked, 102 free); 1 of 4 hosts are down."
    assert choose(asked(), []).reason == "There are no compute hosts."
