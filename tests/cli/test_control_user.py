"""Who the control process runs as, what of the state folder is theirs, and how little they can do."""

import grp
import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from aerostat.cli import control_user
from aerostat.cli.confinement import CannotConfine, closed_door, confine, prefix
from aerostat.cli.control_user import (
    ControlUser,
    NoUser,
    ensure_system_user,
    find_sudoer,
    hand_over,
    stay_root,
)
from aerostat.cli.level import level
from aerostat.kernel.config import load
from aerostat.kernel.state_folder import StateFolder

SOMEBODY = ControlUser("somebody", 65_533, 65_533)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to change owners and users")
needs_mounts = pytest.mark.skipif(
    os.geteuid() != 0
    or shutil.which("setpriv") is None
    or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0,
    reason="needs root, setpriv and the right to make mount namespaces",
)


def person(name: str = "ada", uid: int = 1000, gid: int = 1000) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", uid, gid, "", f"/home/{name}", "/bin/sh"))


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    folder = StateFolder(tmp_path / "s")
    folder.create()
    folder.ensure_secrets()
    folder.settings.write_text("[kernel]\nport = 8999\n")
    return folder


def owner(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


# Who


def test_who_typed_sudo_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: person(uid=uid))
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("ada", "x", gid, [])))
    found = find_sudoer({"SUDO_UID": "1000"})
    assert found == ControlUser("ada", 1000, 1000, Path("/home/ada/.cache"))


@pytest.mark.parametrize("members", [["bob"], ["ada", "bob"]])
def test_who_shares_a_group_does_not(monkeypatch: pytest.MonkeyPatch, members: list[str]) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: person(uid=uid))
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("ada", "x", gid, members)))
    assert find_sudoer({"SUDO_UID": "1000"}) is None


@pytest.mark.parametrize("environ", [{}, {"SUDO_UID": "0"}, {"SUDO_UID": "x"}, {"SUDO_UID": "4000000001"}])
def test_plain_root_is_nobody_who_typed_sudo(environ: dict[str, str]) -> None:
    assert find_sudoer(environ) is None


def test_a_person_of_that_name_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwnam", lambda name: person(name))
    with pytest.raises(NoUser, match="is a person"):
        ensure_system_user()


def test_without_a_way_to_make_a_user_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoUser, match="could not be made: "):
        ensure_system_user("no:such:name")
    monkeypatch.setattr(control_user, "PROGRAM_FOLDERS", "/nowhere")
    with pytest.raises(NoUser, match="no useradd"):
        ensure_system_user("as-nobody-made-me")


@needs_root
def test_where_there_is_nobody_it_stays_root_and_says_so(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> ControlUser:
        raise NoUser("there is no useradd")

    monkeypatch.setattr("aerostat.cli.confinement.ensure_system_user", nobody)
    monkeypatch.delenv("SUDO_UID", raising=False)
    confined = confine(load(folder))
    assert confined.words == []
    assert confined.user == stay_root("there is no useradd")
    assert (
        level(confined.user.facts(), fake=False)["rights"]
        == "the control process is ROOT: there is no useradd"
    )


@needs_root
@pytest.mark.parametrize("can_run", [True, False])
def test_who_owns_the_program_is_the_second_choice(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch, can_run: bool
) -> None:
    """Root runs at the next `up` what lies in the sudoer's checkout: a process of theirs could write it."""
    sudoer = ControlUser("ada", 65_532, 65_532)

    def words(_: object, user: ControlUser) -> list[str]:
        if user is SOMEBODY and not can_run:
            raise CannotConfine("the program does not run as somebody")
        return ["as", user.name]

    monkeypatch.setattr("aerostat.cli.confinement.ensure_system_user", lambda: SOMEBODY)
    monkeypatch.setattr("aerostat.cli.confinement.find_sudoer", lambda: sudoer)
    monkeypatch.setattr("aerostat.cli.confinement.prefix", words)
    confined = confine(load(folder))
    assert confined == (SOMEBODY, ["as", "somebody"]) if can_run else (sudoer, ["as", "ada"])
    assert folder.control_user == (confined.user.uid, confined.user.gid)


# What is theirs


@needs_root
def test_the_folder_is_handed_over_and_back(folder: StateFolder) -> None:
    image = folder.images / "uploads" / "one"
    image.parent.mkdir()
    image.write_text("bytes")
    folder.database.write_text("rows")
    control_log, host_log = folder.log / "control.jsonl", folder.log / "host.jsonl"
    for path in (control_log, host_log):
        path.write_text("{}\n")
        path.chmod(0o600)
    for user in (SOMEBODY, SOMEBODY, stay_root("-"), SOMEBODY):
        hand_over(folder, user)
        uid, gid = user.uid, user.gid
        for path in (image, image.parent, folder.database, control_log):
            assert owner(path)[:2] == (uid, gid), path
        assert owner(folder.database.parent) == (uid, gid, 0o700)
        assert owner(folder.secrets_file) == (uid, gid, 0o600)
        assert folder.control_user == (uid, gid)
        assert owner(folder.path) == (0, gid, 0o710)
        assert owner(folder.run) == (0, gid, 0o1770)
        assert owner(folder.settings) == (0, gid, 0o640)
        assert owner(host_log) == (0, 0, 0o600)


@needs_root
def test_what_was_planted_is_not_handed_over(folder: StateFolder, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("root's")
    precious.chmod(0o600)
    (folder.images / "link").symlink_to(precious)
    (folder.images / "twin").hardlink_to(precious)
    (folder.images / "door").symlink_to(tmp_path)
    (folder.log / "control.jsonl").symlink_to(precious)
    hand_over(folder, SOMEBODY)
    assert owner(precious) == (0, 0, 0o600)
    assert owner(tmp_path)[:2] == (0, 0)


# How little they can do


@needs_mounts
@pytest.mark.parametrize(("port", "capabilities"), [(8999, 0), (80, 1 << 10)])
def test_a_confined_command_has_no_rights_and_sees_little(
    folder: StateFolder, tmp_path: Path, port: int, capabilities: int
) -> None:
    tmp_path.chmod(0o700)
    beside = tmp_path / "beside"
    beside.write_text("not for you")
    hand_over(folder, SOMEBODY)
    words = prefix(load(folder, port=port), SOMEBODY)
    script = (
        f"cat /proc/self/status; id -u; ls -A {tmp_path}; cat {folder.secrets_file}; touch {folder.database}"
    )
    done = subprocess.run([*words, "sh", "-ec", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    status = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
    assert status["Uid"].split() == ["65533"] * 4
    assert status["Groups"].split() == []
    assert status["NoNewPrivs"] == "1"
    for which in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[which], 16) == capabilities, which
    assert "\n65533\ns\n" in done.stdout, "the state folder, and nothing else of the closed folder"
    assert "admin_password" in done.stdout
    assert owner(folder.database)[:2] == (65_533, 65_533)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beside", "s"], "nothing changed outside"


@needs_mounts
def test_a_program_that_its_user_cannot_read_is_told_of(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_over(folder, stay_root("-"))
    with pytest.raises(CannotConfine, match=r"does not run as somebody: .*Permission denied"):
        prefix(load(folder), SOMEBODY)


def test_closed_doors(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b" / "c"
    inner.mkdir(parents=True)
    (tmp_path / "a").chmod(0o700)
    mine = ControlUser("me", os.geteuid(), os.getegid())
    assert closed_door(inner, mine) is None
    outermost = next((one for one in reversed(inner.parents) if not one.stat().st_mode & stat.S_IXOTH), None)
    assert closed_door(inner, SOMEBODY) == outermost
