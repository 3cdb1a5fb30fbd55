"""`doctor`: each planted fault is found, named, and has a next step."""

import asyncio
import importlib.util
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time

import pytest

from aerostat import app_own_machine
from aerostat.cli import main
from aerostat.cli.doctor import cloud, examine, host, machine, reach
from aerostat.cli.guests import find_guests
from aerostat.kernel import clock, operation
from aerostat.kernel import model as kernel_model
from aerostat.kernel.db import create_schema, open_store
from aerostat.kernel.state_folder import StateFolder, write_private


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = StateFolder(tmp_path / "s")
    folder.create()
    folder.ensure_secrets()
    return folder


def is_bad(finding, *words: str) -> bool:
    assert finding.verdict == "bad", finding
    assert finding.next_step, "a fault without a next step helps nobody"
    for word in words:
        assert word in finding.words + finding.next_step
    return True


def test_a_healthy_folder_has_no_bad_findings(folder, capsys):
    code = main(["doctor", "--state", str(folder.path), "-o", "json"])
    findings = json.loads(capsys.readouterr().out)
    of_cloud = [finding for finding in findings if finding["name"] in cloud.CHECKS]
    assert {finding["verdict"] for finding in of_cloud} <= {"good", "note"}, of_cloud
    checks = {*machine.CHECKS, *cloud.CHECKS, *reach.CHECKS, *host.CHECKS}
    assert {finding["name"] for finding in findings} == checks
    assert code == any(finding["verdict"] == "bad" for finding in findings)


def test_what_a_joined_machine_lacks_is_told_by_its_package(folder, monkeypatch):
    assert "has not joined" in host.check_host(folder).words
    nowhere = folder.path / "nothing.sock"
    write_private(
        folder.settings,
        '[kernel]\nroles = ["host"]\nhost_name = "node-7"\nbus_url = "amqp://queue.example/"\n'
        f'[network]\nswitch = "unix:{nowhere}"\n'
        f'[compute]\nlibvirt_uri = "qemu+unix:///system?socket={nowhere}"\n',
    )
    finding = host.check_host(folder)
    assert is_bad(finding, f"there is no {nowhere}", "Open vSwitch", "libvirt")
    monkeypatch.setenv("PATH", str(folder.path))
    monkeypatch.setattr(app_own_machine, "ADMIN_FOLDERS", "")
    finding = host.check_host(folder)
    packages = "libvirt-daemon-system openvswitch-switch ovn-host qemu-system-x86 qemu-utils"
    assert is_bad(finding, "not installed: libvirtd, ovn-controller", f"apt-get install {packages}")
    assert "does not run" not in finding.words


def test_a_joined_machine_is_not_told_to_start_a_cloud(folder, monkeypatch):
    write_private(
        folder.settings,
        '[kernel]\nroles = ["host"]\nhost_name = "node-7"\nbus_url = "amqp://a:b@127.0.0.1:1/"\n',
    )
    folder.secrets_file.unlink()  # it has none
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    checks = {**machine.CHECKS, **cloud.CHECKS}
    for name in ("state", "programs", "rights", "binding", "port", "clients", "processes", "passwords"):
        finding = examine(checks[name], name, folder)
        assert finding.verdict != "bad", finding
        assert re.search(r"\bup\b", finding.words + finding.next_step) is None, finding


def test_before_the_first_start_nothing_is_wrong(tmp_path):
    folder = StateFolder(tmp_path / "none")
    assert {check(folder).verdict for check in cloud.CHECKS.values()} <= {"good", "note"}
    assert not folder.path.exists(), "doctor changes nothing"


def test_a_misspelt_setting(folder):
    folder.settings.write_text("[kernel]\nprot = 1\n")
    assert is_bad(cloud.check_settings(folder), "did you mean port?")


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("[object.middleware.encryption]\nroot_secret = 1\n", "unknown field `root_secret`"),
        ("[object.middleware.temp_url]\n", "there is tempurl"),
        ('[[object.policies]]\nindex = 1\nname = "gold"\n', "One policy must have the index 0."),
    ],
)
def test_a_misspelt_setting_of_the_object_store(folder, table, told):
    folder.settings.write_text(table)
    assert is_bad(cloud.check_settings(folder), told)


def test_settings_with_a_password_that_others_may_read(folder, tmp_path):
    folder.settings = tmp_path / "aerostat.toml"
    folder.settings.write_text('[kernel]\nbus_url = "amqp://aerostat:hush@queue.example/"\n')
    folder.settings.chmod(0o644)
    finding = cloud.check_settings(folder)
    assert is_bad(finding, f"chmod 600 {folder.settings}")
    assert "hush" not in finding.words
    folder.settings.chmod(0o600)
    assert cloud.check_settings(folder).verdict == "good"
    folder.settings.write_text("[kernel]\nport = 8781\n")
    folder.settings.chmod(0o644)
    assert cloud.check_settings(folder).verdict == "good", "nothing in it is a secret"


def test_passwords_that_others_may_read(folder):
    folder.secrets_file.chmod(0o644)
    assert is_bad(cloud.check_secrets(folder), f"chmod 600 {folder.secrets_file}")


def test_damaged_passwords(folder):
    write_private(folder.secrets_file, "admin_password = ")
    assert is_bad(cloud.check_secrets(folder), "is damaged")


def test_a_damaged_database(folder):
    connection = sqlite3.connect(folder.database)
    connection.execute("create table t (x)")
    connection.executemany("insert into t values (?)", [("x" * 500,)] * 100)
    connection.commit()
    connection.close()
    assert cloud.check_database(folder).verdict == "good"
    with folder.database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    assert is_bad(cloud.check_database(folder), "is damaged")


def test_a_port_in_use(folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        folder.settings.write_text(f"[kernel]\nport = {other.getsockname()[1]}\n")
        assert is_bad(machine.check_port(folder), "Address already in use", "--port")
    assert machine.check_port(folder).verdict == "good"


def test_a_clock_that_went_back(folder):
    log = folder.log / "control.jsonl"
    log.write_text("")
    os.utime(log, (time.time() + 3600,) * 2)
    assert is_bad(machine.check_clock(folder), "went back")


def test_a_full_disk(folder, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 10**12, 10**8))
    assert is_bad(machine.check_room(folder), "0.1 GiB")


def test_missing_programs_name_their_packages(folder, monkeypatch):
    monkeypatch.setattr(
        shutil, "which", lambda name, path=None: None if name.startswith("ovn") else f"/bin/{name}"
    )
    finding = machine.check_programs(folder)
    assert "ovn-northd, ovn-controller" in finding.words
    assert finding.next_step.endswith("--no-install-recommends ovn-central ovn-host")


def test_a_stale_socket(folder):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder.run / "bus.sock"))
    assert is_bad(cloud.check_leftovers(folder), "bus.sock", "down")


def test_a_guest_without_its_cloud(folder):
    """Guests are known by the file below our folder that stands in their command line."""
    key = f'{{"file":"{folder.path}/libvirt/lib/qemu/domain-1-x/master-key.aes"}}'
    program = "import time; print('runs', flush=True); time.sleep(60)"
    guest = subprocess.Popen([sys.executable, "-c", program, key], stdout=subprocess.PIPE, text=True)
    try:
        assert guest.stdout.readline() == "runs\n"
        assert find_guests(folder) == {guest.pid: folder.path / "libvirt/lib/qemu/domain-1-x/monitor.sock"}
        assert is_bad(cloud.check_leftovers(folder), str(guest.pid))
        assert find_guests(StateFolder(folder.path.parent / "other")) == {}
    finally:
        guest.kill()
        guest.communicate()


def test_a_supervisor_that_does_not_answer(folder):
    lock = folder.lock()
    assert is_bad(cloud.check_processes(folder), f"supervisor {os.getpid()} does not answer")
    lock.release()


def test_a_clouds_yaml_of_another_cloud(folder, tmp_path):
    assert cloud.check_clients(folder).verdict == "note"
    path = tmp_path / "config" / "openstack" / "clouds.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("clouds: {aerostat: {auth: {password: other}}}")
    assert "for another cloud" in cloud.check_clients(folder).words
    path.write_text(f"clouds: {{aerostat: {{auth: {{password: '{folder.secrets().admin_password}'}}}}}}")
    assert cloud.check_clients(folder).verdict == "good"
    path.write_text("clouds: [")
    assert "cannot be read" in cloud.check_clients(folder).words


def test_a_check_that_breaks_is_a_finding(folder, capsys):
    def broken(_):
        raise ZeroDivisionError("oh")

    assert is_bad(examine(broken, "odd", folder), "the check itself broke: ZeroDivisionError('oh')")


AWAY = '[kernel]\ndatabase_url = "postgresql://a:secret@127.0.0.1:1/x"\nbus_url = "amqp://a:secret@127.0.0.1:1/"\n'


def test_settings_that_are_elsewhere_are_the_ones_looked_at(folder, tmp_path, capsys):
    (tmp_path / "elsewhere.toml").write_text(AWAY)
    main(["doctor", "--state", str(folder.path), "--config", str(tmp_path / "elsewhere.toml")])
    text = capsys.readouterr().out
    assert "the database x at 127.0.0.1:1 does not answer" in text
    assert "the message queue at 127.0.0.1:1 does not answer" in text
    assert "secret" not in text
    code = main(["doctor", "--state", str(folder.path), "--config", str(tmp_path / "none.toml")])
    assert code != 0
    assert "there is no settings file" in capsys.readouterr().err


def test_an_api_that_does_not_answer(folder):
    folder.settings.write_text(AWAY + 'public_url = "http://127.0.0.1:1"\n')
    assert is_bad(reach.check_api(folder), "the API at http://127.0.0.1:1 does not answer", "logs")
    assert reach.check_hosts(folder).verdict == "note"


def test_a_host_is_not_asked_for_what_it_does_not_have(folder):
    folder.settings.write_text('[kernel]\nroles = ["host"]\nbus_url = "amqp://a:b@127.0.0.1:1/"\n')
    assert is_bad(reach.check_queue(folder), "does not answer")
    assert is_bad(reach.check_welcome(folder), "cannot join: no connection")
    assert {reach.check_api(folder).verdict, reach.check_work(folder).verdict} == {"good"}


def test_work_that_waits_and_rounds_that_fail(folder):
    async def fill() -> None:
        store = await open_store(f"sqlite:///{folder.database}")
        await create_schema(store, [kernel_model.metadata])
        for number in range(2):
            await store.insert(
                kernel_model.flows,
                id=f"f{number}", name="server.create", subject_kind="s", subject_id=f"s{number}", step="boot",
                data={}, context={}, request_id=f"req-{number}", parallel=False, supersede=False,
                wake_at=clock.now(), deadline_at=clock.now(), created_at=clock.now(),
            )  # fmt: skip
            reason = f"no connection to the message queue at mq:5672 for {number} s: refused"
            await operation.record(
                store, None, "server.create", "retry", request_id=f"req-{number}", subject_id=f"s{number}",
                reason=reason,
            )  # fmt: skip
        await store.insert(kernel_model.leases, name="compute.orphans", next_at=clock.now(), failures=3)
        await operation.record(
            store,
            None,
            "compute.orphans",
            "failed",
            request_id="periodic-compute.orphans",
            reason="no host answers",
        )
        await store.close()

    assert reach.check_work(folder).verdict == "good"
    asyncio.run(fill())
    assert is_bad(
        reach.check_work(folder),
        "2 operations wait: no connection to the message queue at mq:5672: refused",
        "compute.orphans failed 3 times in a row: no host answers",
    )
