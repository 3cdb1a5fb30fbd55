"""`host drain --move`: a host's servers go to others; what cannot go is told; interrupted, it is taken up again."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from aerostat.cli.api import Api
from aerostat.cli.host import emptying
from aerostat.cli.host.emptying import Emptying, Outcome
from aerostat.kernel.errors import DriverError
from aerostat.testing import Cloud
from tests.house.conftest import WAIT_S, wait
from tests.waiting import eventually

HOSTS = ("fake-1", "fake-2", "fake-3")
LIMIT_S = 30.0


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(emptying, "LOOK_EVERY_S", 0.02)
    with Cloud(environ={"AEROSTAT_COMPUTE_FAKE_HOSTS": "3"}) as cloud:
        yield cloud


@pytest.fixture
def on_first(cloud: Cloud, new_server: Any) -> Callable[..., Any]:
    """`on_first("name")`: a server on the first host, ACTIVE."""

    def make(name: str) -> Any:
        zone = {"availability_zone": f"nova:{HOSTS[0]}"}
        return wait(cloud.connection, new_server(cloud.connection, name, None, networks="none", **zone))

    return make


def host_of(cloud: Cloud, server: Any) -> str:
    return str(cloud.connection.compute.get_server(server.id).compute_host)


def status_of(cloud: Cloud, server: Any) -> str:
    return str(cloud.connection.compute.get_server(server.id).status)


def empty(cloud: Cloud, *, limit_s: float = LIMIT_S, at_once: int = 2) -> tuple[Outcome, list[str]]:
    """Move everything off the first host; what became of it, and what was said."""
    said: list[str] = []
    values = {**cloud.environment, "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default"}
    with Api(values) as api:
        api.put("compute", f"/os-services/{service_of(cloud)}", {"status": "disabled"}, version="2.53")
        return Emptying(api, HOSTS[0], at_once=at_once, limit_s=limit_s, say=said.append).run(), said


def service_of(cloud: Cloud) -> str:
    return str(next(one for one in cloud.connection.compute.services() if one.host == HOSTS[0]).id)


def hypervisor(cloud: Cloud, name: str = HOSTS[0]) -> Any:
    return cloud.house.state["compute"].fake_world.hosts[name]


def commanded(cloud: Cloud, *words: str) -> subprocess.Popen[str]:
    """`aerostat host drain`, as an operator of this cloud types it."""
    return subprocess.Popen(
        [sys.executable, "-m", "aerostat", "host", "drain", HOSTS[0], "--move", *words],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("OS_")},
            **cloud.environment,
            "AEROSTAT_STATE": str(cloud.house.config.folder.path),
            "AEROSTAT_KERNEL_PUBLIC_URL": cloud.url,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_running_ones_and_those_that_are_off_go_and_are_what_they_were(cloud: Cloud, on_first: Any) -> None:
    compute = cloud.connection.compute
    running, paused, off = (on_first(name) for name in ("running", "paused", "off"))
    compute.pause_server(paused)
    compute.stop_server(off)
    wait(cloud.connection, paused, "PAUSED")
    wait(cloud.connection, off, "SHUTOFF")
    outcome, said = empty(cloud)
    assert outcome.stay == {}
    assert sorted(outcome.gone) == ["off", "paused", "running"]
    assert len(said) == 3
    assert any(line.startswith("off went to fake-") for line in said)
    for server, status in ((running, "ACTIVE"), (paused, "PAUSED"), (off, "SHUTOFF")):
        assert host_of(cloud, server) in HOSTS[1:]
        assert status_of(cloud, server) == status
    there = hypervisor(cloud, host_of(cloud, off)).guest(off.id)
    assert there.started_at_s == 0.0, "who was off was started by nobody"
    assert cloud.call(hypervisor(cloud).list_domains()) == []
    outcome, said = empty(cloud)
    assert (outcome, said) == (Outcome(), []), "a second time there is nothing to do"


def test_each_that_stays_has_a_reason(cloud: Cloud, on_first: Any) -> None:
    compute = cloud.connection.compute
    suspended, resized, unlucky, goes = (on_first(name) for name in ("a", "b", "c", "d"))
    compute.suspend_server(suspended)
    compute.resize_server(resized, compute.find_flavor("m1.tiny").id)
    wait(cloud.connection, suspended, "SUSPENDED")
    wait(cloud.connection, resized, "VERIFY_RESIZE")
    cloud.faults.fail("compute", "send", times=1, error=DriverError("the wire is cut"))
    outcome, said = empty(cloud, at_once=1)
    assert outcome.gone == ["d"]
    assert "suspended" in outcome.stay["a"]
    assert "confirm or revert" in outcome.stay["b"]
    assert "the wire is cut" in outcome.stay["c"]
    assert {host_of(cloud, one) for one in (suspended, resized, unlucky)} == {HOSTS[0]}
    assert status_of(cloud, unlucky) == "ACTIVE"
    assert len(said) == 4
    assert host_of(cloud, goes) in HOSTS[1:]


def test_no_host_has_room(cloud: Cloud, on_first: Any) -> None:
    servers = [on_first("one"), on_first("one")]
    for service in cloud.connection.compute.services():
        if service.host != HOSTS[0]:
            cloud.connection.compute.disable_service(service, service.host, "nova-compute")
    outcome, _ = empty(cloud)
    assert set(outcome.stay) == {f"one ({server.id})" for server in servers}
    assert all("No valid host" in reason for reason in outcome.stay.values())


@pytest.mark.parametrize(("words", "said"), [(("--stop",), "not both"), (("--at-once", "0"), "one at least")])
def test_words_that_make_no_sense(cloud: Cloud, words: tuple[str, ...], said: str) -> None:
    typed = commanded(cloud, *words)
    assert said in typed.communicate(timeout=WAIT_S)[1]
    assert typed.returncode == 1


def test_a_guest_that_is_too_busy_is_waited_for_so_long_and_no_longer(cloud: Cloud, on_first: Any) -> None:
    busy, quick = on_first("busy"), on_first("quick")
    hypervisor(cloud).moves.make_busy(busy.id)
    outcome, _ = empty(cloud, limit_s=1.0)
    assert outcome.gone == ["quick"]
    assert outcome.stay == {"busy": "it is still on its way after 1 s"}
    assert host_of(cloud, quick) in HOSTS[1:]
    compute = cloud.connection.compute
    eventually(lambda: next(compute.server_migrations(busy)).status == "running", WAIT_S, every_s=0.05)
    (migration,) = compute.server_migrations(busy)
    hurry = threading.Timer(0.5, lambda: compute.force_complete_server_migration(migration, busy))
    hurry.start()
    outcome, _ = empty(cloud)
    hurry.join()
    assert outcome == Outcome(gone=["busy"]), "what was begun before is followed"


def test_one_that_is_deleted_half_way_is_not_waited_for(cloud: Cloud, on_first: Any) -> None:
    server = on_first("short")
    cloud.connection.compute.stop_server(server)
    wait(cloud.connection, server, "SHUTOFF")
    cloud.connection.compute.migrate_server(server)
    wait(cloud.connection, server, "VERIFY_RESIZE")
    cloud.connection.compute.delete_server(server)
    cloud.connection.compute.wait_for_delete(server, interval=0.02, wait=WAIT_S)
    assert empty(cloud, limit_s=5.0) == (Outcome(), [])


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_it_is_taken_up_again(cloud: Cloud, on_first: Any, how: signal.Signals) -> None:
    running, off = on_first("running"), on_first("off")
    cloud.connection.compute.stop_server(off)
    wait(cloud.connection, off, "SHUTOFF")
    cloud.faults.delay("compute", "prepare_landing", 1.0)
    first = commanded(cloud, "--at-once", "1")
    eventually(lambda: status_of(cloud, off) == "VERIFY_RESIZE" or status_of(cloud, running) == "MIGRATING",
               LIMIT_S, every_s=0.02)  # fmt: skip
    first.send_signal(how)
    words = first.communicate(timeout=WAIT_S)
    assert first.returncode == (130 if how is signal.SIGINT else -signal.SIGKILL), words
    if how is signal.SIGINT:
        assert "takes it up again" in words[1]
        assert "Traceback" not in words[1]
    cloud.faults.heal("compute")
    second = commanded(cloud)
    said, complaint = second.communicate(timeout=WAIT_S)
    assert second.returncode == 0, said + complaint
    assert "0 did not" in said
    assert {host_of(cloud, one) for one in (running, off)} <= set(HOSTS[1:])
    assert (status_of(cloud, running), status_of(cloud, off)) == ("ACTIVE", "SHUTOFF")
