"""What a cloud stands on is away for a while: who waits is told so, `doctor` and `status` name it, all ends by itself.

The outages are short here; AEROSTAT_OUTAGE_S=90 makes them longer than the tries of any step would last.
"""

import os
import re
import signal
import time

import httpx
import pytest

from tests.metal.many_processes import ManyProcesses, User, created, why_no_queue
from tests.waiting import eventually

pytestmark = [
    pytest.mark.metal,
    pytest.mark.skipif(bool(why_no_queue()), reason=why_no_queue() or "-"),
]

OUTAGE_S = float(os.environ.get("AEROSTAT_OUTAGE_S", "8"))
BACK_S = 60.0  # the longest pause between two tries, and what the tries themselves take
CONSOLE_LOG = {"os-getConsoleOutput": {}}


def check_come_again(answer: httpx.Response, *words: str) -> None:
    assert (answer.status_code, bool(answer.headers.get("retry-after"))) == (503, True), answer.text
    for word in words:
        assert word in answer.text


def doctor(cloud: ManyProcesses) -> str:
    """What `doctor` calls bad, on a control machine with a settings file of its own."""
    done = cloud.command("doctor")
    assert "Traceback" not in done.stderr, done.stderr
    bad = "\n".join(line for line in done.stdout.splitlines() if line.startswith("BAD"))
    assert done.returncode == (1 if bad else 0)
    return bad


def status(cloud: ManyProcesses) -> str:
    done = cloud.command("status")
    assert "Traceback" not in done.stderr, done.stderr
    return "\n".join(line for line in done.stdout.splitlines() if line.startswith("WRONG"))


def check_all_is_well(cloud: ManyProcesses) -> None:
    eventually(lambda: not status(cloud), BACK_S, every_s=1.0, why="nothing is wrong")


def wait_out(began_s: float) -> None:
    time.sleep(max(0.0, OUTAGE_S - (time.monotonic() - began_s)))


def test_the_queue_is_away(cloud: ManyProcesses, demo: User) -> None:
    old, doomed = created(demo.create_server("old")), created(demo.create_server("doomed"))
    demo.wait_all({old, doomed}, "ACTIVE")
    assert doctor(cloud) == ""
    cloud.rabbitmq.stop()
    began_s = time.monotonic()
    try:
        young = created(demo.create_server("young"))
        assert demo.http.delete(f"/compute/v2.1/servers/{doomed}").status_code == 204
        check_come_again(
            demo.http.post(f"/compute/v2.1/servers/{old}/action", json=CONSOLE_LOG), "message queue"
        )
        assert "message queue at 127.0.0.1" in status(cloud)
        told = doctor(cloud)
        assert re.search(r"queue +the message queue at \S+ does not answer", told)
        # Work that began before it, or after hosts had been silent for too long.
        assert re.search(r"work +\d+ operations wait: .*the message queue", told)
        wait_out(began_s)
    finally:
        cloud.rabbitmq.launch()
    demo.wait_all({young}, "ACTIVE", OUTAGE_S + BACK_S)
    eventually(lambda: doomed not in demo.servers(), OUTAGE_S + BACK_S, why="the doomed server is gone")
    assert cloud.sql("select count(*) from kernel_flows where state = 'failed'") == ["0"]
    check_all_is_well(cloud)


def test_the_database_is_away(cloud: ManyProcesses, demo: User) -> None:
    ids = {created(demo.create_server(f"s{number}")) for number in range(3)}  # in the middle of these
    cloud.postgres.stop(signal.SIGINT)
    began_s = time.monotonic()
    try:
        check_come_again(demo.http.get("/compute/v2.1/servers"), "database")
        check_come_again(demo.create_server("refused"))
        told = doctor(cloud)
        assert re.search(r"database +the database \S+ at \S+ does not answer", told)
        assert re.search(r"database: the database \S+ at \S+ does not answer", status(cloud))
        wait_out(began_s)
    finally:
        cloud.postgres.launch()
    # At once: no host was heard of since, and that is no reason to say that there is none.
    eventually(lambda: demo.http.get("/compute/v2.1/servers").status_code == 200, BACK_S, every_s=0.1)
    ids.add(created(demo.create_server("afterwards")))
    demo.wait_all(ids, "ACTIVE", BACK_S)
    assert cloud.sql("select count(*) from kernel_flows where state = 'failed'") == ["0"]
    check_all_is_well(cloud)


def test_the_database_takes_nothing_in(cloud: ManyProcesses, demo: User) -> None:
    """As one does whose disk is full, or that has become a standby."""
    old = created(demo.create_server("old"))
    demo.wait_all({old}, "ACTIVE")
    name = cloud.database_url.rpartition("/")[2]
    leave = f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
    cloud.postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        cloud.postgres.sql(leave)
        eventually(lambda: demo.http.get("/compute/v2.1/servers").status_code == 200, BACK_S, every_s=0.1)
        check_come_again(demo.create_server("refused"), "database")
        check_come_again(demo.http.delete(f"/compute/v2.1/servers/{old}"), "database")
        assert re.search(r"database: the database \S+ at \S+ takes nothing in", status(cloud))
    finally:
        cloud.postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
        cloud.postgres.sql(leave)
    eventually(lambda: demo.http.get("/compute/v2.1/servers").status_code == 200, BACK_S, every_s=0.1)
    demo.wait_all({created(demo.create_server("afterwards"))}, "ACTIVE", BACK_S)
    check_all_is_well(cloud)


def test_a_host_is_away(cloud: ManyProcesses, demo: User) -> None:
    """What it has is let be; what is deleted meanwhile goes when it is back; what is made goes elsewhere."""
    ids = {created(demo.create_server(f"s{number}")) for number in range(4)}
    demo.wait_all(ids, "ACTIVE")
    there = [id for id, host in cloud.guests().items() if host == "node-2"]
    assert there
    away = cloud.hosts[1]
    away.send(signal.SIGSTOP)
    try:
        eventually(
            lambda: "1 of 2 hosts are down: node-2" in doctor(cloud), BACK_S, every_s=1.0, why=doctor(cloud)
        )
        own = cloud.command("status", state=away.state, config=False)
        assert re.search(r"node-2 +suspended", own.stdout), own.stdout
        assert demo.http.delete(f"/compute/v2.1/servers/{there[0]}").status_code == 204
        demo.wait_all({created(demo.create_server(f"t{number}")) for number in range(2)}, "ACTIVE", BACK_S)
        eventually(lambda: there[0] not in demo.servers(), BACK_S, why="the deleted server is gone")
        assert cloud.guests()[there[0]] == "node-2"
        time.sleep(max(0.0, OUTAGE_S - 8.0))
    finally:
        away.send(signal.SIGCONT)
    eventually(lambda: there[0] not in cloud.guests(), BACK_S, why="its guest is gone, too")
    check_all_is_well(cloud)


def test_a_host_is_cut_off_from_the_queue(cloud: ManyProcesses, demo: User) -> None:
    """Its user of the queue is taken away: it says so itself, and comes back with a new token."""
    host = cloud.hosts[1]
    cloud.run("host", "token", host.name, "--renew")
    own = cloud.command("status", state=host.state, config=False).stdout
    assert re.search(r"WRONG +queue: the message queue at \S+ refuses user host-node-2", own), own
    token = cloud.run("host", "token", host.name, "--renew")
    host.end()
    cloud.run("host", "join", state=host.state, config=False, input=token)
    host.start()
    check_all_is_well(cloud)
    demo.wait_all({created(demo.create_server(f"s{number}")) for number in range(2)}, "ACTIVE", BACK_S)
