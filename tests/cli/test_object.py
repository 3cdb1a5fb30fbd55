"""`aerostat object`: a store of its own, its rings, and where things are."""

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import msgspec
import pytest

from aerostat.cli import main
from aerostat.cli.object import up
from aerostat.cli.parts import own_environment
from aerostat.cli.settings import settings_of
from aerostat.cli.up import find_free_port
from aerostat.kernel.state_folder import StateFolder
from aerostat.services.object.config import ObjectConfig
from aerostat.services.object.daemons.progress import Report
from aerostat.services.object.places import Places
from aerostat.services.object.ring import RingError
from aerostat.services.object.stores.object_file import Damaged
from aerostat.services.object.stores.objects import Objects
from tests.object.kit import opened


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A founded store of three devices, not running."""
    monkeypatch.setenv("AEROSTAT_STATE", str(tmp_path / "cloud"))
    places = Places(tmp_path / "s" / "object")
    places.found(ObjectConfig(part_power=4, replicas=2), ["d1", "d2", "d3"])
    return tmp_path / "s"


def test_a_device_comes_and_goes(folder, tmp_path, capsys):
    assert (
        main(["object", "ring", "add", "d4", "--folder", str(tmp_path / "disk"), "--state", str(folder)]) == 0
    )
    assert "copies of partitions move" in capsys.readouterr().out
    places = Places(folder / "object")
    assert {one.name for one in places.ring("object").devices.values()} == {"d1", "d2", "d3", "d4"}
    assert (folder / "object" / "devices" / "d4").resolve() == tmp_path / "disk"
    assert main(["object", "ring", "weight", "d1", "0", "--now", "--state", str(folder)]) == 0
    ring = places.ring("object")
    assert all("d1" not in {one.name for one in ring.holders(part)} for part in range(ring.parts))
    assert main(["object", "ring", "remove", "d1", "--ring", "object", "--state", str(folder)]) == 0
    assert "d1" not in {one.name for one in places.ring("object").devices.values()}
    assert "d1" in {one.name for one in places.ring("account").devices.values()}
    capsys.readouterr()
    assert main(["object", "ring", "--state", str(folder)]) == 0
    assert "object: 16 partitions, 2 copies" in capsys.readouterr().out


def test_a_policy_that_is_new_gets_a_ring(folder, capsys):
    assert main(["object", "ring", "weight", "d2", "50", "--state", str(folder)]) == 0
    (folder / "aerostat.toml").write_text(
        '[[object.policies]]\nindex = 0\nname = "p"\nis_default = true\n\n'
        '[[object.policies]]\nindex = 1\nname = "coded"\nkind = "erasure"\nec_data = 2\nec_parity = 1\n'
    )
    assert main(["object", "ring", "make", "--state", str(folder)]) == 0
    ring = Places(folder / "object").ring("object-1")
    assert (ring.replicas, ring.parts) == (3, 16)
    assert {device.name: device.weight for device in ring.devices.values()} == {
        "d1": 100,
        "d2": 50,
        "d3": 100,
    }
    capsys.readouterr()
    assert main(["object", "ring", "make", "--state", str(folder)]) == 0
    assert capsys.readouterr().out == "every policy has its ring\n"


def test_how_many_fragments_there_are_is_no_matter_of_copies(tmp_path, capsys):
    coded = {"index": 1, "name": "coded", "kind": "erasure", "ec_data": 2, "ec_parity": 1}
    settings = msgspec.convert(
        {"part_power": 4, "policies": [{"index": 0, "name": "p", "is_default": True}, coded]}, ObjectConfig
    )
    places = Places(tmp_path / "object")
    places.found(settings, ["d1", "d2", "d3"])
    (tmp_path / "aerostat.toml").write_text(
        '[[object.policies]]\nindex = 0\nname = "p"\nis_default = true\n\n'
        '[[object.policies]]\nindex = 1\nname = "coded"\nkind = "erasure"\nec_data = 2\nec_parity = 1\n'
    )
    words = ["object", "ring", "replicas", "2", "--state", str(tmp_path)]
    assert main(words) == 0
    assert {name: places.ring(name).replicas for name in ("account", "object", "object-1")} == {
        "account": 2,
        "object": 2,
        "object-1": 3,
    }
    assert main([*words, "--ring", "object-1"]) == 1
    assert "object-1 holds fragments" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["remove", "d9"], "No device of the ring is called d9."),
        (["weight", "d1", "heavy"], "heavy is no number"),
        (["add", "d1"], "is in the ring already"),
        (["add", "../d"], "is no name for a device"),
        (["--ring", "objekt"], "there is no ring objekt"),
        (["replicas"], "what shall be done?"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(folder, capsys, words, told):
    before = (folder / "object" / "rings" / "object.ring").read_bytes()
    assert main(["object", "ring", *words, "--state", str(folder)]) == 1
    assert told in capsys.readouterr().err
    assert (folder / "object" / "rings" / "object.ring").read_bytes() == before


def test_where_a_path_is(folder, capsys):
    assert main(["object", "nodes", "AUTH_a/c/o/p", "--state", str(folder)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("object AUTH_a/c/o/p: partition ")
    assert out.count("  holder   ") == 2
    assert out.count("  handoff  ") == 1
    assert "nothing there" in out


async def test_where_the_fragments_of_an_object_are(tmp_path, capsys):
    """They lie in a store of their own."""
    coded = {"index": 0, "name": "coded", "kind": "erasure", "ec_data": 2, "ec_parity": 1}
    async with opened(tmp_path / "object", devices=3, policies=[coded]) as store:
        await store.put("/v1/AUTH_a/c")
        await store.put("/v1/AUTH_a/c/o", b"bytes")
    (tmp_path / "aerostat.toml").write_text(
        '[[object.policies]]\nindex = 0\nname = "coded"\nkind = "erasure"\nec_data = 2\nec_parity = 1\n'
    )
    assert main(["object", "nodes", "AUTH_a/c/o", "--state", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.count(".durable") == 3
    assert "nothing there" not in out


def test_a_store_of_another_version_is_refused(tmp_path, capsys):
    state = tmp_path / "s"
    places = Places(state / "object")
    places.found(ObjectConfig(part_power=4), ["d1"])
    (places.device("d1") / "device-id").write_text("0123456789abcdef0123456789abcdef\n")
    for words in (["up", "--detach", "--port", "0"], ["serve"], ["verify"]):
        assert main(["object", *words, "--state", str(state)]) == 1
        assert "was written by an older version (its format is 1" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["replication", "erasure"])
async def test_an_object_is_found_whatever_its_policy(tmp_path, capsys, kind):
    policies = [
        {"index": 0, "name": "one", "replicas": 1, "is_default": True},
        {"index": 1, "name": "other", "kind": kind, "replicas": 2, "ec_data": 2, "ec_parity": 1},
    ]
    async with opened(tmp_path / "object", devices=4, policies=policies) as store:
        await store.put("/v1/A/c", x_storage_policy="other")
        await store.put("/v1/A/c/o", b"bytes")
    tables = [
        "[[object.policies]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in policy.items())
        for policy in policies
    ]
    (tmp_path / "aerostat.toml").write_text("".join(tables))
    for more in ([], ["--policy", "other"]):
        assert main(["object", "nodes", "A/c/o", "--state", str(tmp_path), *more]) == 0
        out = capsys.readouterr().out
        assert out.startswith("object A/c/o of policy other: partition ")
        assert out.count(" bytes)") == (2 if kind == "replication" else 3)
    assert main(["object", "nodes", "A/c/none", "--state", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("object A/c/none of policy one: partition ")


def test_more_copies_than_devices_are_refused(tmp_path, capsys):
    assert main(["object", "up", "--replicas", "3", "--state", str(tmp_path / "s")]) == 1
    assert "3 copies need as many devices" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


USER = '[object.middleware.tempauth.users."a:a"]\nkey = "k"\n'


def written(tmp_path, settings):
    """A folder with these settings and nothing else."""
    folder = tmp_path / "wrong"
    folder.mkdir()
    (folder / "aerostat.toml").write_text(settings + USER)
    return folder


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("[object]\nreplicas = 0\n", "Policy-0 needs a replica at least."),
        ("[object]\npart_power = 99\n", "A ring has 2**0 to 2**32 partitions."),
        ('[[object.policies]]\nindex = 1\nname = "x"\n', "One policy must have the index 0."),
        ('[[object.policies]]\nindex = 0\nname = "x y"\n', "'x y' is no name of a policy"),
        ('[[object.policies]]\nindex = 0\nname = "x"\nkind = "erasure"\n', "x needs 6 devices: --devices D1"),
        ("[object.daemons]\nauditer = 1\n", "unknown field `auditer`"),
        ("[object.limits]\nmax_files = 1\n", "unknown field `max_files`"),
    ],
)
def test_settings_of_which_no_store_can_be_made(tmp_path, capsys, settings, told):
    folder = written(tmp_path, settings)
    assert main(["object", "up", "--detach", "--port", "0", "--state", str(folder)]) == 1
    assert told in capsys.readouterr().err
    assert not (folder / "object" / "rings" / "account.ring").exists()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            "[object.middleware.tmpauth]\n",
            "[object.middleware.tmpauth]: there is no such middleware; there is tempauth",
        ),
        (
            '[object.middleware.tempurl]\nmethod = ["GET"]\n',
            "[object.middleware.tempurl]: Object contains unknown",
        ),
        ('[object.middleware.tempauth.users."b"]\nkey = "k"\n', "a user is ACCOUNT:USER and has a key: 'b'"),
        ('[object]\nnode = "elsewhere"\n', "object.node = 'elsewhere' is no HOST:PORT"),
        ('[object]\nnode = "192.0.2.1:6201"\n', "cannot listen on 192.0.2.1:6201"),
    ],
)
def test_why_a_store_does_not_start_is_told_at_the_terminal(tmp_path, capsys, settings, told):
    folder = written(tmp_path, settings)
    assert main(["object", "up", "--detach", "--port", "0", "--state", str(folder)]) == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if "did not start" in line]
    assert told in line


def test_a_policy_that_comes_later_gets_a_ring(folder, capsys):
    def asked(*policies):
        settings = msgspec.convert({"policies": policies}, ObjectConfig)
        Places(folder / "object").add_missing_rings(settings)

    first = {"index": 0, "name": "two", "replicas": 2, "is_default": True}
    asked(first, {"index": 3, "name": "three", "replicas": 3})
    ring = Places(folder / "object").ring("object-3")
    assert (ring.replicas, {one.name for one in ring.devices.values()}) == (3, {"d1", "d2", "d3"})
    asked(first, {"index": 3, "name": "three", "replicas": 1})  # it is as it was made
    assert Places(folder / "object").ring("object-3").replicas == 3
    with pytest.raises(RingError, match="needs 6 devices; there are 3"):
        asked(first, {"index": 4, "name": "coded", "kind": "erasure"})


def test_a_change_of_the_rings_is_whole_when_nobody_reads_of_it(folder, monkeypatch):
    class Gone:
        def write(self, text):
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    with contextlib.suppress(BrokenPipeError):
        main(["object", "ring", "replicas", "3", "--state", str(folder)])
    places = Places(folder / "object")
    assert {places.ring(name).replicas for name in ("account", "container", "object")} == {3}


def test_the_line_to_try_is_one_for_a_shell(tmp_path):
    (tmp_path / "aerostat.toml").write_text('[object.middleware.tempauth.users."a:b c"]\nkey = "it\'s $5"\n')
    args = argparse.Namespace(state=str(tmp_path), config=None)
    [line] = [line for line in up.closing_words(settings_of(args)) if line.startswith("  try ")]
    words = shlex.split(line)
    assert (words[5], words[7]) == ("a:b c", "it's $5")


def test_a_store_starts_answers_and_stops(tmp_path, capsys):
    state, port = tmp_path / "s", find_free_port("127.0.0.1")
    words = ["--state", str(state)]
    assert main(["object", "up", "--detach", "--port", str(port), "--workers", "2", *words]) == 0
    try:
        out = capsys.readouterr().out
        assert f"http://127.0.0.1:{port}/auth/v1.0" in out
        assert "swift -A" in out
        assert main(["object", "info", *words]) == 0
        assert "max_object_name_length" in capsys.readouterr().out
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=10) as answer:
            assert answer.read() == b"OK"
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/nothing", timeout=10)
    finally:
        assert main(["object", "down", *words]) == 0
    capsys.readouterr()
    assert main(["object", "down", *words]) == 1
    assert "no object store runs" in capsys.readouterr().err


async def test_damage_is_named(folder, capsys):
    async with opened(folder / "object", devices=3, replicas=2) as store:
        await store.put("/v1/A/c")
        await store.put("/v1/A/c/o", b"x" * 1000)
    assert main(["object", "verify", "--state", str(folder)]) == 0
    assert "2 files" in capsys.readouterr().err
    path = next((folder / "object" / "devices").glob("*/objects/*/*/*"))
    path.write_bytes(b"y" + path.read_bytes()[1:])
    assert main(["object", "verify", "--state", str(folder)]) == 1
    captured = capsys.readouterr()
    assert captured.out == f"{path}: its bytes have another MD5\n"
    assert "1 damaged" in captured.err
    async with opened(folder / "object", devices=3, replicas=2) as store:
        await store.put("/v1/A/c/o", os.urandom(600_000))
    path = max((folder / "object" / "devices").glob("*/objects/*/*/*"), key=lambda path: path.stat().st_size)
    path.write_bytes(b"y" * 10 + path.read_bytes()[10:])
    part, hashed = int(path.parts[-3]), path.name
    with Objects(path.parents[3]).find(part, hashed) as found, pytest.raises(Damaged):
        found.read(0, 10)
    assert not path.exists()
    assert main(["object", "verify", "--state", str(folder)]) == 1
    named = capsys.readouterr().out.splitlines()[-1]
    assert named.endswith(": its bytes from 0 on are not those that were written")
    assert main(["object", "nodes", "A/c/o", "--state", str(folder)]) == 0
    assert named.partition(":")[0] in capsys.readouterr().out
    assert main(["object", "verify", "d9", "--state", str(folder)]) == 1
    assert "there is no device d9 here" in capsys.readouterr().err


def test_a_device_that_is_away_is_named_and_the_others_are_read(folder, tmp_path, capsys):
    device = folder / "object" / "devices" / "d1"
    device.rename(tmp_path / "gone")
    device.symlink_to(tmp_path / "not mounted")
    assert main(["object", "verify", "--state", str(folder)]) == 1
    said = capsys.readouterr()
    assert "devices/d1: cannot be read: No such file or directory" in said.out
    assert "0 damaged, 1 devices not read" in said.err


async def test_what_daemons_did_is_told(folder, capsys):
    async with opened(folder / "object", devices=3, replicas=2) as store:
        await store.put("/v1/A/c")
    root = folder / "object" / "devices" / "d1"
    (root / "recon").mkdir(exist_ok=True)
    report = Report(
        daemon="replicator", device="d1", rounds=2, ended_at=time.time() - 5, took_s=1.5, last={"sent": 3}
    )
    (root / "recon" / "replicator.json").write_bytes(msgspec.json.encode(report))
    assert main(["object", "recon", "--state", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "replicator     round 2 ended 5 s ago, took 1.5 s: 3 sent" in out
    assert "GiB free" in out
    assert main(["object", "recon", "--json", "--state", str(folder)]) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["d1"][0]["rounds"] == 2


def test_rings_are_taken_to_other_nodes(folder, tmp_path, capsys):
    file, other = tmp_path / "pack", tmp_path / "other"
    assert main(["object", "ring", "pack", str(file), "--state", str(folder)]) == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert main(["object", "ring", "take", str(file), "--state", str(other)]) == 0
    places = Places(other / "object")
    assert places.secret() == Places(folder / "object").secret()
    assert places.ring("object").devices == Places(folder / "object").ring("object").devices
    stranger = tmp_path / "stranger"
    Places(stranger / "object").found(ObjectConfig(part_power=4), ["d1"])
    before = Places(stranger / "object").secret()
    assert main(["object", "ring", "take", str(file), "--state", str(stranger)]) == 1
    assert "another cluster" in capsys.readouterr().err
    assert Places(stranger / "object").secret() == before
    file.write_bytes(b"rubbish")
    assert main(["object", "ring", "take", str(file), "--state", str(other)]) == 1
    assert "was not made by ring pack" in capsys.readouterr().err


def test_settings_of_ones_own_are_left_alone(tmp_path):
    settings = tmp_path / "own.toml"
    settings.write_text("[kernel]\nport = 8123\n")
    folder = StateFolder(tmp_path / "state")
    folder.create()
    args = argparse.Namespace(config=str(settings), state=str(folder.path), port=None)
    assert up.prepared(args, folder).kernel.port == 8123
    assert not folder.settings.exists()


def test_a_store_that_asks_nobody_who_they_are_is_not_served(folder, capsys):
    port = find_free_port("127.0.0.1")
    (folder / "aerostat.toml").write_text(f"[kernel]\nport = {port}\n")
    assert main(["object", "serve", "--role", "proxy", "--state", str(folder)]) == 1
    assert "anybody could do anything here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('[object.middleware.encryption]\nroot_secret = {a = "b"}', "unknown field `root_secret`"),
        ('[object.middleware.encryption]\nroot_secrets = {a = "b"}', "The root secret a is not base64."),
        ('[[object.policies]]\nindex = 1\nname = "gold"', "One policy must have the index 0."),
    ],
)
def test_settings_that_make_no_sense_are_told_in_a_sentence(folder, capsys, table, told):
    (folder / "aerostat.toml").write_text(table)
    port = find_free_port("127.0.0.1")
    assert main(["object", "serve", "--role", "proxy", "--port", str(port), "--state", str(folder)]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_store_in_the_foreground_ends_with_its_command(tmp_path, number):
    port = find_free_port("127.0.0.1")
    words = ["--state", str(tmp_path / "s"), "--port", str(port)]
    command = [sys.executable, "-m", "aerostat", "object", "up", *words]
    shell = subprocess.Popen(command, env=own_environment(), stdout=subprocess.PIPE, text=True)
    assert shell.stdout.readline() == "The object store is ready.\n"
    assert main(["object", "up", *words]) == 1
    shell.send_signal(number)
    shell.wait(20)
    give_up_at = time.monotonic() + 20
    while StateFolder(tmp_path / "s").owner_pid("object") is not None:
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    shell.stdout.close()
