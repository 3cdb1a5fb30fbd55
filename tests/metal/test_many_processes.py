"""A cloud of many processes: two API workers, two engines, two hosts and a console over RabbitMQ and PostgreSQL."""

import asyncio
import signal
import threading
import time
from typing import Any

import httpx
import pytest
import websockets

from tests.metal.many_processes import ManyProcesses, User, created, why_no_queue
from tests.waiting import eventually

pytestmark = [
    pytest.mark.metal,
    pytest.mark.skipif(bool(why_no_queue()), reason=why_no_queue() or "-"),
]

UNDER_LOAD = 40
SETTLED_S = 60.0


def test_servers_on_both_hosts_and_their_consoles(cloud: ManyProcesses, demo: User) -> None:
    ids = {created(demo.create_server(f"s{n}")) for n in range(6)}
    demo.wait_all(ids, "ACTIVE")
    assert set(cloud.guests().values()) == {"node-1", "node-2"}
    cloud.check_agreement()
    workers = set(cloud.sql("select distinct lease_worker from kernel_flows where name = 'server.create'"))
    assert len(workers) == 2, "both engines worked"
    first = next(iter(ids))
    log = demo.http.post(f"/compute/v2.1/servers/{first}/action", json={"os-getConsoleOutput": {}})
    assert "login:" in log.json()["output"]
    asked = {"remote_console": {"protocol": "serial", "type": "serial"}}
    headers = {"OpenStack-API-Version": "compute 2.6"}
    url = demo.http.post(f"/compute/v2.1/servers/{first}/remote-consoles", json=asked, headers=headers).json()
    address = url["remote_console"]["url"]
    assert f":{cloud.console_port}/" in address

    async def read() -> bytes:
        async with websockets.connect(address) as line:
            return bytes(await asyncio.wait_for(line.recv(), 10))

    assert b"login:" in asyncio.run(read())
    at_console = httpx.get(f"http://127.0.0.1:{cloud.console_port}/compute/v2.1/servers", trust_env=False)
    assert at_console.status_code == 404


def test_a_token_is_known_everywhere_and_gone_everywhere(cloud: ManyProcesses) -> None:
    user = cloud.user("demo")
    for _ in range(6):
        assert user.http.get("/networking/v2.0/networks").status_code == 200  # now one worker, now the other
    token = user.http.headers["x-auth-token"]
    assert user.http.delete("/identity/v3/auth/tokens", headers={"x-subject-token": token}).status_code == 204
    time.sleep(1.1)  # `refresh_s`
    assert [user.http.get("/networking/v2.0/networks").status_code for _ in range(6)] == [401] * 6


def test_each_role_restarted_under_load(cloud: ManyProcesses, demo: User) -> None:
    """No request is refused, and what was accepted comes to be."""
    load = Load(cloud, UNDER_LOAD)
    load.start()
    try:
        cloud.api.send(signal.SIGHUP)  # its workers, one after the other
        for role in (*cloud.engines, *cloud.hosts, cloud.console):
            assert role.end() == 0
            role.start()
        eventually(lambda: "workers.replaced" in log_of(cloud, "api"), SETTLED_S, why="both workers are new")
    finally:
        load.join()
    assert load.problems == []
    assert len(load.ids) == UNDER_LOAD
    demo.wait_all(set(load.ids), "ACTIVE", 180.0)
    cloud.check_agreement()


class Load(threading.Thread):
    """Asks for servers, one after the other, and notes what was answered otherwise than with 202."""

    def __init__(self, cloud: ManyProcesses, count: int) -> None:
        super().__init__(name="load")
        self.ids: list[str] = []
        self.problems: list[Any] = []
        self._user = cloud.user("demo")
        self._count = count
        admin = cloud.user("admin")
        project = self._user.get("/identity/v3/auth/projects")["projects"][0]["id"]
        limits = {"quota_set": {"instances": 500, "cores": 500, "ram": 500_000}}
        answer = admin.http.put(f"/compute/v2.1/os-quota-sets/{project}", json=limits)
        assert answer.status_code == 200, answer.text

    def run(self) -> None:
        for number in range(self._count):
            began_s = time.monotonic()
            try:
                answer = self._user.create_server(f"load-{number}")
            except httpx.HTTPError as error:
                self.problems.append(repr(error))
                continue
            if answer.status_code == 202:
                self.ids.append(answer.json()["server"]["id"])
            else:
                self.problems.append((answer.status_code, answer.text))
            time.sleep(max(0.0, 0.4 - (time.monotonic() - began_s)))


def log_of(cloud: ManyProcesses, process: str) -> str:
    return (cloud.control / "log" / f"{process}.jsonl").read_text()
