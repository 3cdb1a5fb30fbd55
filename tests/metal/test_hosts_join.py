"""Hosts come and go: tokens, rights on the queue, and every way in which joining goes wrong."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aio_pika
import msgspec
import pytest
from aiormq.exceptions import ChannelAccessRefused

from aerostat.cli.host.token import Token
from aerostat.kernel import clock
from aerostat.kernel.bus import Bus, BusRefused
from aerostat.kernel.bus.amqp import open_amqp_bus
from aerostat.kernel.config import load
from aerostat.kernel.state_folder import StateFolder
from aerostat.services.compute.host.orders import CONTROL_TOPIC, HELLO_VERB, PROTOCOL, Hello, Welcome
from tests.metal.many_processes import ManyProcesses, Role, many_processes, why_no_queue
from tests.servers import Postgres
from tests.waiting import eventually

pytestmark = [
    pytest.mark.metal,
    pytest.mark.skipif(bool(why_no_queue()), reason=why_no_queue() or "-"),
]


@pytest.fixture(scope="module")
def cloud(postgres: Postgres) -> Iterator[ManyProcesses]:
    """With one engine and the API, over TLS; hosts are each test's own."""
    with many_processes(postgres, tls=True) as cloud:
        cloud.run("migrate")
        cloud.run("bootstrap")
        cloud.engines[0].start(wait=False)
        cloud.api.start(wait=False)
        cloud.engines[0].wait_ready()
        cloud.api.wait_ready()
        yield cloud


@pytest.fixture
def host(cloud: ManyProcesses) -> Iterator[Role]:
    name = f"h-{secrets.token_hex(3)}"
    host = Role(cloud, name, cloud.path / name, None, ["--role", "host"])
    yield host
    host.end()


def test_a_host_lives(cloud: ManyProcesses, host: Role) -> None:
    """It joins, carries a server, is drained, is not let go while it carries one, and is gone when it may."""
    cloud.join(host)
    host.start()
    admin = cloud.user("admin")
    eventually(lambda: f"{host.name} " in cloud.run("host", "list"), 20)
    made = admin.create_server("one").json()["server"]["id"]
    admin.wait_all({made}, "ACTIVE")
    assert "gets no new servers; 1 are there" in cloud.run("host", "drain", host.name, "--stop")
    admin.wait_all({made}, "SHUTOFF")
    assert re.search(rf"{host.name} +up +no +1 .*drained", cloud.run("host", "list"))
    refused = cloud.command("host", "remove", host.name)
    assert refused.returncode == 1
    assert "1 servers are on" in refused.stderr
    admin.delete_servers()
    assert "out of the cloud" in cloud.run("host", "remove", host.name)
    assert host.name not in cloud.run("host", "list")


def test_a_lost_host_is_removed_by_force(cloud: ManyProcesses, host: Role) -> None:
    cloud.join(host)
    host.start()
    admin = cloud.user("admin")
    made = admin.create_server("lost").json()["server"]["id"]
    admin.wait_all({made}, "ACTIVE")
    refused = cloud.command("host", "remove", host.name, "--force")
    assert (refused.returncode, "is not lost" in refused.stderr) == (1, True)
    host.end()
    eventually(lambda: f"{host.name} down" in " ".join(cloud.run("host", "list").split()), 20)
    assert "lost their host" in cloud.run("host", "remove", host.name, "--force")
    server = admin.servers()[made]
    assert server["status"] == "ERROR"
    assert "taken out of the cloud" in server["fault"]["message"]
    admin.delete_servers()
    assert cloud.sql("select count(*) from placement_allocations") == ["0"]


def test_joining_twice(cloud: ManyProcesses, host: Role) -> None:
    token = cloud.run("host", "token", host.name)
    again = cloud.command("host", "token", host.name)
    assert "has a token already" in again.stderr
    cloud.run("host", "join", state=host.state, config=False, input=token)
    settings = (host.state / "aerostat.toml").read_text()
    assert "has joined before" in cloud.run("host", "join", state=host.state, config=False, input=token)
    assert (host.state / "aerostat.toml").read_text() == settings
    cloud.choose_fakes(host)
    host.start()
    eventually(lambda: f"{host.name} " in cloud.run("host", "list"), 20)
    elsewhere = cloud.path / "elsewhere"
    second = cloud.command("host", "join", state=elsewhere, config=False, input=token)
    assert second.returncode == 1
    assert f"another machine serves as {host.name}" in second.stderr
    assert not (elsewhere / "aerostat.toml").exists()
    other_name = cloud.command("host", "join", "other", state=host.state, config=False, input=token)
    assert "is for" in other_name.stderr


def test_bad_tokens(cloud: ManyProcesses, host: Role) -> None:
    def said(text: str) -> str:
        done = cloud.command("host", "join", state=host.state, config=False, input=text)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert not (host.state / "aerostat.toml").exists()
        return str(done.stderr)

    token = cloud.run("host", "token", host.name)
    assert "no token on standard input" in said("")
    assert "is no token" in said("hello")
    assert "not whole" in said(token[:40])
    cloud.run("host", "token", host.name, "--renew")
    assert "refuses user" in said(token)
    known = Token.unpack(token)
    nowhere = Token(name=known.name, bus_url="amqp://host-x:y@127.0.0.1:1/")
    assert "no connection to the message queue at 127.0.0.1:1" in said(nowhere.pack())


@asynccontextmanager
async def bus_of(token: Token) -> AsyncIterator[Bus]:
    bus = await open_amqp_bus(token.bus_url, founds=False)
    try:
        yield bus
    finally:
        await bus.close()


def token_for(cloud: ManyProcesses, name: str) -> Token:
    token = Token.unpack(cloud.run("host", "token", name, "--renew"))
    assert "BEGIN CERTIFICATE" in token.queue_ca
    url = f"{token.bus_url}?cafile={cloud.rabbitmq.authority}"
    return msgspec.structs.replace(token, bus_url=url)


def hello(name: str, **other: object) -> Hello:
    return Hello(**{"name": name, "machine_id": "m", "at": clock.now(), "version": "0.1", **other})  # type: ignore[arg-type]


def test_hosts_that_are_greeted_otherwise(cloud: ManyProcesses, host: Role) -> None:
    token = token_for(cloud, host.name)

    async def greet(who: Hello) -> Welcome:
        async with bus_of(token) as bus:
            return await bus.call(CONTROL_TOPIC, HELLO_VERB, who, timeout_s=10, into=Welcome)

    welcome = asyncio.run(greet(hello(host.name)))
    assert (welcome.refusal, welcome.warning) == ("", "")
    late = asyncio.run(greet(hello(host.name, at=clock.now() - timedelta(hours=1))))
    assert not late.refusal
    assert re.search(r"36\d\d s behind", late.warning)
    assert "upgrade the host" in asyncio.run(greet(hello(host.name, protocol=0))).refusal
    assert (
        "upgrade the control plane first"
        in asyncio.run(greet(hello(host.name, protocol=PROTOCOL + 1))).refusal
    )
    assert "belongs to another host" in asyncio.run(greet(hello("somebody-else"))).refusal


def test_a_host_may_do_its_own_and_no_more(cloud: ManyProcesses, host: Role) -> None:
    token = token_for(cloud, host.name)

    async def attempt(what: str) -> None:
        connection = await aio_pika.connect(token.bus_url)
        try:
            channel = await connection.channel()
            calls = await channel.get_exchange("aerostat.calls", ensure=False)
            events = await channel.get_exchange("aerostat.events", ensure=False)
            message = aio_pika.Message(b"x")
            match what:
                case "another host's queue":
                    await channel.declare_queue("aerostat.host.other", durable=True)
                case "another host's calls":
                    queue = await channel.declare_queue(
                        f"aerostat.host.{host.name}", durable=True, arguments={"x-queue-type": "quorum"}
                    )
                    await queue.bind(calls, "host.other")
                case "the engine's wake-up":
                    await calls.publish(message, "engine-wake")
                case "orders to another host":
                    await calls.publish(message, "host.other")
                case "past the exchange":
                    await channel.default_exchange.publish(message, "aerostat.engine-wake")
                case "other events":
                    await events.publish(message, "network.ports_changed")
                case "hearing events":
                    name = f"aerostat.inbox.host-{host.name}.{secrets.token_hex(16)}"
                    queue = await channel.declare_queue(name, exclusive=True)
                    await queue.bind(events, "#")
                case "speaking as another":
                    await calls.publish(aio_pika.Message(b"x", user_id="guest"), CONTROL_TOPIC)
            await asyncio.sleep(0.3)
            assert channel.is_closed, what
        finally:
            await connection.close()

    for what in (
        "another host's queue",
        "another host's calls",
        "the engine's wake-up",
        "orders to another host",
        "past the exchange",
        "other events",
        "hearing events",
        "speaking as another",
    ):
        try:
            asyncio.run(attempt(what))
        except (
            ChannelAccessRefused,
            aio_pika.exceptions.ChannelClosed,
            aio_pika.exceptions.ChannelPreconditionFailed,
        ):
            continue


def test_a_removed_host_is_shut_out(cloud: ManyProcesses, host: Role) -> None:
    cloud.join(host)
    host.start()
    eventually(lambda: f"{host.name} " in cloud.run("host", "list"), 20)
    token = Token(name=host.name, bus_url=load(StateFolder(host.state)).kernel.bus_url)
    cloud.run("host", "remove", host.name)
    with pytest.raises(BusRefused):
        asyncio.run(open_and_close(token))
    eventually(lambda: host.name not in cloud.run("host", "list"), 5)


async def open_and_close(token: Token) -> None:
    async with bus_of(token):
        pass


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("database_url", "postgresql://nobody:x@127.0.0.1:{postgres}/x", "refuses us"),
        ("database_url", "postgresql://aerostat:wrong@127.0.0.1:{postgres}/postgres", "refuses us"),
        ("database_url", "mysql://127.0.0.1/x", "it can start with"),
        ("bus_url", "amqp://guest:wrong@127.0.0.1:{rabbitmq}/", "refuses user guest"),
        ("bus_url", "amqp://guest:guest@127.0.0.1:{rabbitmq}/nowhere", "refuses user guest"),
        ("bus_url", "http://127.0.0.1/", "it can start with"),
        ("bus_url", "amqps://guest:guest@127.0.0.1:{tls}/?cafile=/nonexistent.pem", "/nonexistent.pem"),
        ("secrets_file", "/nonexistent/secrets.toml", "the same secrets file"),
    ],
)
def test_wrong_addresses_are_told(
    cloud: ManyProcesses, tmp_path: Path, setting: str, value: str, said: str
) -> None:
    ports = {"postgres": cloud.postgres.port, "rabbitmq": cloud.rabbitmq.port, "tls": cloud.rabbitmq.tls_port}
    own = ManyProcesses(tmp_path, cloud.postgres, cloud.database_url, cloud.rabbitmq)
    own.secrets = cloud.secrets
    own.write_settings(**{setting: value.format(**ports)})
    done = own.command("serve", "--role", "api")
    assert done.returncode == 1, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert ":wrong@" not in done.stderr, "a password is shown"


def test_status_names_what_refuses_us(cloud: ManyProcesses, tmp_path: Path) -> None:
    own = ManyProcesses(tmp_path, cloud.postgres, cloud.database_url, cloud.rabbitmq)
    own.secrets = cloud.secrets
    own.write_settings(
        database_url=f"postgresql://aerostat:wrong@127.0.0.1:{cloud.postgres.port}/postgres",
        bus_url=f"amqp://guest:wrong@127.0.0.1:{cloud.rabbitmq.port}/",
    )
    said = own.command("status").stdout
    assert re.search(r"WRONG +database: the database postgres at \S+ refuses us", said), said
    assert re.search(r"WRONG +queue: the message queue at \S+ refuses user guest", said), said
    assert ":wrong@" not in said


def test_other_secrets_and_an_empty_database(
    cloud: ManyProcesses, fresh_postgres_url: str, tmp_path: Path
) -> None:
    own = ManyProcesses(tmp_path, cloud.postgres, cloud.database_url, cloud.rabbitmq)
    own.secrets.write_text(
        'admin_password = "a"\ndemo_password = "b"\nservice_password = "c"\nsealing_key = "another"\n'
    )
    assert "is not the one that the database was written with" in own.command("serve", "--role", "api").stderr
    assert "is not the one that the database was written with" in own.command("bootstrap").stderr
    own.write_settings(database_url=fresh_postgres_url)
    assert "aerostat migrate" in own.command("serve", "--role", "api").stderr
    own.run("migrate")
    assert "aerostat bootstrap" in own.command("serve", "--role", "api").stderr


def test_two_that_bootstrap_at_once(cloud: ManyProcesses, fresh_postgres_url: str, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    own = ManyProcesses(tmp_path, cloud.postgres, fresh_postgres_url, cloud.rabbitmq)
    own.run("migrate")
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda _: own.run("bootstrap"), range(2)))
    assert sorted("has its first users" in one for one in said) == [False, True]
    assert own.sql("select name from network_networks order by name") == ["private", "public"]
    assert own.sql("select count(*) from identity_users") == ["2"]
