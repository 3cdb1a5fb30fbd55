"""The state folder: modes, one owner at a time, and honest refusals."""

import os
import signal
import stat
import subprocess
import sys

import pytest

from aerostat.kernel.state_folder import Busy, StateFolder, StateFolderError


@pytest.fixture
def folder(tmp_path):
    folder = StateFolder(tmp_path / "s")
    folder.create()
    return folder


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_may_read_it(folder):
    folder.ensure_secrets()
    assert mode(folder.path) == 0o700
    assert mode(folder.secrets_file) == 0o600


def test_secrets_are_made_once(folder):
    first = folder.ensure_secrets()
    assert folder.ensure_secrets() == first
    assert len(first.admin_password) >= 20
    assert len({first.admin_password, first.demo_password, first.service_password}) == 3


def test_secrets_that_a_newer_version_needs_are_added(folder):
    folder.create()
    folder.secrets_file.write_text('admin_password = "a"\ndemo_password = "b"\nservice_password = "c"\n')
    secrets = folder.ensure_secrets()
    assert secrets.admin_password == "a"
    assert len(secrets.sealing_key) >= 20
    assert folder.secrets() == secrets


def test_a_process_name_is_held_by_one(folder):
    folder.create()
    first = folder.lock_process("engine-1")
    folder.lock_process("engine-2").release()
    with pytest.raises(Busy, match="already runs as engine-1"):
        folder.lock_process("engine-1")
    first.release()
    folder.lock_process("engine-1").release()


def test_the_machine_id_stays(folder):
    folder.create()
    assert folder.machine_id() == folder.machine_id()
    assert len(folder.machine_id()) == 32


def test_secrets_absent_or_damaged_say_so(folder):
    with pytest.raises(StateFolderError, match="no cloud was started"):
        folder.secrets()
    folder.secrets_file.write_text("admin_password = 1")
    with pytest.raises(StateFolderError, match="is damaged"):
        folder.secrets()


def test_a_second_owner_is_told_who_the_first_is(folder):
    lock = folder.lock()
    with pytest.raises(Busy, match=f"process {os.getpid()} already runs a cloud in {folder.path}"):
        folder.lock()
    assert folder.owner_pid() == os.getpid()
    lock.release()
    assert folder.owner_pid() is None
    folder.lock().release()


def test_the_lock_of_a_killed_owner_is_free(folder):
    hold = "import sys,time; from aerostat.kernel.state_folder import StateFolder as S; "
    hold += "lock = S(sys.argv[1]).lock(); print('held', flush=True); time.sleep(60)"
    child = subprocess.Popen(
        [sys.executable, "-c", hold, str(folder.path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "held\n"
    assert folder.owner_pid() == child.pid
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert folder.owner_pid() is None
    folder.lock().release()


def test_prefix_belongs_to_the_folder(tmp_path):
    one, two = StateFolder(tmp_path / "a"), StateFolder(tmp_path / "b")
    assert one.prefix != two.prefix
    assert one.prefix == StateFolder(tmp_path / "x" / ".." / "a").prefix
    assert len(one.prefix) == 9


def test_a_name_too_long_for_sockets_is_refused(tmp_path):
    with pytest.raises(StateFolderError, match="too long"):
        StateFolder(tmp_path / ("x" * 100)).create()


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "s").write_text("")
    with pytest.raises(StateFolderError, match="cannot make the state folder"):
        StateFolder(tmp_path / "s").create()


def test_chosen_prefers_argument_then_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("AEROSTAT_STATE", str(tmp_path / "e"))
    assert StateFolder.chosen(str(tmp_path / "a")).path == tmp_path / "a"
    assert StateFolder.chosen().path == tmp_path / "e"
    monkeypatch.delenv("AEROSTAT_STATE")
    assert StateFolder.chosen().path.parts[-3:] == (".local", "state", "aerostat")
