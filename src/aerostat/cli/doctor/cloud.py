"""Checks of one cloud: its settings and secrets, its database, its processes, what it may have left behind."""

import sqlite3
import stat
from pathlib import Path
from urllib.parse import urlsplit

from aerostat.cli import typed
from aerostat.cli.ask import Unreachable, ask
from aerostat.cli.clouds import user_clouds_path
from aerostat.cli.doctor.finding import Check, Finding, bad, good, note
from aerostat.cli.doctor.reach import look_at_postgres
from aerostat.cli.doctor.settings import has_joined
from aerostat.cli.guests import find_guests
from aerostat.cli.served import served
from aerostat.cli.settings import room_sections
from aerostat.kernel.config import ConfigError, load
from aerostat.kernel.processes import boot_id, find_start_ticks
from aerostat.kernel.state_folder import StateFolder, StateFolderError
from aerostat.kernel.supervise import read_status

BIND_LOW_PORTS = 1 << 10  # CAP_NET_BIND_SERVICE, kept where the API has a port below 1024


def check_folder(folder: StateFolder) -> Finding:
    if has_joined(folder):
        return good(str(folder.path))
    if not folder.path.exists():
        return note(f"{folder.path} is not there yet", f"{typed()} up makes it")
    if not folder.exists:
        return note(f"no cloud was started in {folder.path} yet", f"{typed()} up")
    return good(str(folder.path))


def check_settings(folder: StateFolder) -> Finding:
    from aerostat.services.object.config import ObjectConfig
    from aerostat.services.object.housed import check

    try:
        check(load(folder, room_sections()).section(ObjectConfig))
    except ConfigError as error:
        return bad(str(error), "correct the setting; every key that nobody reads is refused")
    if _is_public_password(folder):
        return bad(
            f"others may read {folder.settings}, and a password is in it", f"chmod 600 {folder.settings}"
        )
    return good(
        f"{folder.settings.name} is understood" if folder.settings.exists() else "all at their defaults"
    )


def _is_public_password(folder: StateFolder) -> bool:
    """Whether a settings file outside the state folder, which is closed, shows all the world how to log in."""
    if folder.settings.parent == folder.path or not folder.settings.stat().st_mode & stat.S_IROTH:
        return False
    kernel = load(folder).kernel
    return any(urlsplit(url).password for url in (kernel.database_url, kernel.bus_url, kernel.bus_admin_url))


def check_secrets(folder: StateFolder) -> Finding:
    """The password files must be whole and for their owner only."""
    if not folder.exists:
        return good("no passwords yet")
    open_to_all = [
        path
        for path in (folder.secrets_file, folder.clouds, folder.openrc)
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    if open_to_all:
        names = " ".join(str(path) for path in open_to_all)
        return bad("others may read the passwords", f"chmod 600 {names}")
    try:
        folder.secrets()
    except StateFolderError as error:
        return bad(str(error), "restore it from a backup; without it `env` does not know the passwords")
    return good("passwords are there and private")


def check_database(folder: StateFolder) -> Finding:
    """SQLite's own check; a server is asked whether it answers, is ours, and takes things in."""
    try:
        url = load(folder).kernel.database_url
    except ConfigError:
        return note("the settings cannot be read, so the database was not looked at")
    if not url.startswith("sqlite:"):
        return look_at_postgres(url)
    path = Path(url.removeprefix("sqlite:///"))
    if not path.exists():
        return good("no database yet")
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
        try:
            (verdict,) = connection.execute("pragma quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        verdict = str(error)
    if verdict != "ok":
        return bad(f"{path} is damaged: {verdict}", "stop the cloud and restore the file from a backup")
    return good(f"{path.name} is whole, {path.stat().st_size / 2**20:.1f} MiB")


def check_processes(folder: StateFolder) -> Finding:
    """A supervisor that answers, or nobody at all."""
    pid = folder.owner_pid()
    left = [child for child in read_status(folder.path) if child.pid and find_start_ticks(child.pid)]
    if pid is None and left and _same_boot(folder):
        names = ", ".join(f"{child.name} ({child.pid})" for child in left)
        return bad(
            f"no supervisor, but processes of this cloud: {names}", f"{typed()} down ends them, up takes over"
        )
    if pid is None:
        return _check_served(folder)
    try:
        answer = ask(folder, "status")
    except Unreachable as error:
        return bad(f"supervisor {pid} does not answer: {error}", f"kill {pid}, then {typed()} down")
    weak = [child["name"] for child in answer["processes"] if child["state"] not in ("running", "stopped")]
    if weak:
        return bad(f"not running: {', '.join(weak)}", f"{typed()} status, {typed()} logs")
    return good(f"the cloud is {answer['state']}, {len(answer['processes'])} processes")


def _check_served(folder: StateFolder) -> Finding:
    """Processes that no supervisor of ours keeps."""
    states = {one["name"]: one["state"] for one in served(folder)}
    if not states:
        return good("the cloud does not run here")
    weak = [f"{name} ({state})" for name, state in states.items() if state != "running"]
    if weak:
        return bad(
            f"not running: {', '.join(weak)}",
            "start it again with serve; one that is suspended goes on at a SIGCONT",
        )
    return good(f"{len(states)} processes run here, without a supervisor: {', '.join(states)}")


def check_control(folder: StateFolder) -> Finding:
    """The control process must not be root, by the kernel's word, and can give the reason if it is."""
    try:
        answer = ask(folder, "status") if folder.owner_pid() is not None else {"processes": []}
    except Unreachable:
        return note("the supervisor does not answer, so the control process was not looked at")
    pid = next((one["pid"] for one in answer["processes"] if one["name"] == "control"), None)
    if pid is None:
        return good("no control process of its own runs")
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    user = answer["facts"].get("control_user", "")
    if status["Uid"].split()[0] == "0":
        reason = answer["facts"].get("control_user_reason") or "nobody else was chosen"
        return note(
            f"the control process runs as root: {reason}", "make that possible, then down and up again"
        )
    if status["NoNewPrivs"] != "1" or int(status["CapPrm"], 16) & ~BIND_LOW_PORTS:
        return bad(f"the control process has more rights than {user} needs", f"{typed()} down, then up")
    return good(f"the control process runs as {user}, without privileges")


def check_leftovers(folder: StateFolder) -> Finding:
    """Namespaces, guests and sockets of a cloud that does not run."""
    if folder.owner_pid() is not None or any(one["state"] == "running" for one in served(folder)):
        return good("the cloud runs; what there is belongs to it")
    if has_joined(folder):
        return good("what there is belongs to the cloud elsewhere: guests run on without the host's process")
    spaces = [path.name for path in Path("/run/netns").glob(f"{folder.prefix}-*")]
    guests = [str(pid) for pid in find_guests(folder)]
    sockets = [path.name for path in folder.run.glob("*.sock")] if folder.run.is_dir() else []
    found = [
        f"{what} {' '.join(names)}"
        for what, names in (("namespaces", spaces), ("guests", guests), ("sockets", sockets))
        if names
    ]
    if found:
        return bad(f"left behind: {'; '.join(found)}", f"{typed()} down removes them")
    return good("nothing is left behind")


def check_clients(folder: StateFolder) -> Finding:
    """Whether OpenStack clients know this cloud by name."""
    if has_joined(folder):
        return good("clients ask the cloud that this host is of")
    import yaml

    path = user_clouds_path()
    try:
        data = yaml.safe_load(path.read_text())
        entry = data["clouds"]["aerostat"]["auth"]["password"]
    except FileNotFoundError:
        return note(f"{path} is not there", f'{typed()} up writes it; or: eval "$({typed()} env)"')
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return note(f"{path} cannot be read ({type(error).__name__})", f'use: eval "$({typed()} env)"')
    except (KeyError, TypeError):
        return note(f"{path} has no entry aerostat", f'{typed()} up adds it; or: eval "$({typed()} env)"')
    if folder.exists and entry != folder.secrets().admin_password:
        return note(f"the entry aerostat of {path} is for another cloud", f'use: eval "$({typed()} env)"')
    return good("OS_CLOUD=aerostat works")


def _same_boot(folder: StateFolder) -> bool:
    """Pids in a record of an earlier boot say nothing."""
    record = folder.path / "children.json"
    return record.exists() and boot_id() in record.read_text()


CHECKS: dict[str, Check] = {
    "state": check_folder,
    "settings": check_settings,
    "passwords": check_secrets,
    "database": check_database,
    "processes": check_processes,
    "control": check_control,
    "leftovers": check_leftovers,
    "clients": check_clients,
}
