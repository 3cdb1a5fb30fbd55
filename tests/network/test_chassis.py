"""What is set in the switch of a machine that the distribution runs, and what is left to whoever chose it."""

import pytest

from aerostat.services.network.drivers.ovn.chassis import (
    OURS,
    Chassis,
    ChassisPlan,
    own_address_towards,
    plan_chassis,
    same_servers,
)

SOUTHBOUND = "tcp:10.0.0.5:6642"
DEBIAN = {"hostname": "box.example", "system-id": "8f6e", "rundir": "/var/run/openvswitch"}


def plan(present: dict[str, str], reached_from: str = "10.0.0.9", **wanted: object) -> ChassisPlan:
    chassis = Chassis(**{"host_name": "node-7", "southbound": SOUTHBOUND, **wanted})  # type: ignore[arg-type]
    return plan_chassis(present, chassis, reached_from, frozenset({"box", "box.example"}))


def test_a_fresh_machine_is_set_up_and_then_left_alone() -> None:
    first = plan(DEBIAN)
    assert first.conflicts == []
    assert first.tunnel_address == "10.0.0.9"
    assert first.changes == {
        "ovn-remote": SOUTHBOUND,
        "ovn-encap-type": "geneve",
        "ovn-encap-ip": "10.0.0.9",
        "hostname": "node-7",
        OURS: "hostname ovn-encap-ip ovn-encap-type ovn-remote",
    }, "the random system-id stays: the distribution writes it anew at each start"
    assert plan(DEBIAN | first.changes) == ChassisPlan({}, [], "10.0.0.9")
    bare = plan({})
    assert bare.changes["system-id"] == "node-7"


def test_what_we_set_follows_our_settings() -> None:
    before = DEBIAN | plan(DEBIAN, bridge_mappings={"public": "br-ex"}).changes
    assert before["ovn-bridge-mappings"] == "public:br-ex"
    after = plan(
        before,
        southbound="tcp:10.0.0.6:6642",
        tunnel_address="10.1.0.9",
        bridge_mappings={"public": "br-out"},
    )
    assert after.conflicts == []
    assert after.changes == {
        "ovn-remote": "tcp:10.0.0.6:6642",
        "ovn-encap-ip": "10.1.0.9",
        "ovn-bridge-mappings": "public:br-out",
        OURS: before[OURS],
    }


@pytest.mark.parametrize(
    ("present", "wanted", "word"),
    [
        ({"ovn-remote": "tcp:10.9.9.9:6642"}, {}, "external_ids:ovn-remote is tcp:10.9.9.9:6642"),
        (
            {"ovn-encap-ip": "10.2.0.9"},
            {"tunnel_address": "10.1.0.9"},
            "network.tunnel_address needs 10.1.0.9",
        ),
        ({"ovn-bridge-mappings": "x:br-x"}, {"bridge_mappings": {"public": "br-ex"}}, "ovn-bridge-mappings"),
        ({"hostname": "elsewhere"}, {}, "kernel.host_name needs node-7"),
        ({}, {"reached_from": ""}, "network.tunnel_address is not set"),
    ],
)
def test_what_others_chose_is_not_overruled(
    present: dict[str, str], wanted: dict[str, object], word: str
) -> None:
    (conflict,) = plan(DEBIAN | present, **wanted).conflicts  # type: ignore[arg-type]
    assert word in conflict


def test_what_others_chose_stays_where_it_does_no_harm() -> None:
    chosen = {
        "ovn-remote": "tcp:10.0.0.6:6642, tcp:10.0.0.5:6642",
        "ovn-encap-type": "geneve,vxlan",
        "ovn-encap-ip": "10.2.0.9",
        "ovn-bridge-mappings": "x:br-x",
        "system-id": "node-7",
        "hostname": "elsewhere",
    }
    found = plan(chosen, southbound="tcp:10.0.0.5:6642,tcp:10.0.0.6:6642")
    assert found == ChassisPlan({}, [], "10.2.0.9")


def test_own_address() -> None:
    assert own_address_towards("tcp:127.0.0.1:6642") == "127.0.0.1"
    assert own_address_towards("ssl:127.0.0.1:6642,ssl:127.0.0.2:6642") == "127.0.0.1"
    assert own_address_towards("unix:/run/sb.sock") == ""
    assert own_address_towards("tcp:nonsense") == ""
    assert same_servers("a,b", "b, a")
    assert not same_servers("a", "a,b")
