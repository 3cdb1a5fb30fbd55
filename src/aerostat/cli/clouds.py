"""clouds.yaml: our own below the state folder, and our entries in the user's.

The user's file is theirs: entries of other clouds keep every byte, comments too, and a file that we cannot read or
understand is left alone, and we say so. As it was before we first came in, it stays in `clouds.yaml.before-aerostat`.
"""

import os
import re
from pathlib import Path
from typing import Any

import yaml

from aerostat.cli.env import openrc, variables
from aerostat.kernel.config import Config
from aerostat.kernel.state_folder import write_private

Entry = dict[str, Any]


class MergeRefused(Exception):
    """The user's file was left as it is; the message says why."""


def write_client_files(config: Config) -> None:
    """`clouds.yaml` and `openrc` below the state folder, readable by the owner only."""
    write_private(config.folder.clouds, yaml.safe_dump({"clouds": entries(config)}, sort_keys=False))
    write_private(config.folder.openrc, openrc(config))


def entries(config: Config) -> dict[str, Entry]:
    """Our entries: `aerostat` for the administrator, `aerostat-demo` for the demo user."""
    return {"aerostat": _entry(config, "admin"), "aerostat-demo": _entry(config, "demo")}


def _entry(config: Config, user: str) -> Entry:
    values = variables(config, user)
    return {
        "auth": {
            "auth_url": values["OS_AUTH_URL"],
            "username": values["OS_USERNAME"],
            "password": values["OS_PASSWORD"],
            "project_name": values["OS_PROJECT_NAME"],
            "user_domain_name": values["OS_USER_DOMAIN_NAME"],
            "project_domain_name": values["OS_PROJECT_DOMAIN_NAME"],
        },
        "region_name": values["OS_REGION_NAME"],
        "identity_api_version": "3",
    }


def user_clouds_path() -> Path:
    """Where OpenStack clients look in the user's home."""
    config_home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(config_home).expanduser() / "openstack" / "clouds.yaml"


def merge_into(path: Path, ours: dict[str, Entry]) -> Path | None:
    """Put `ours` among the clouds of the file at `path`; returns the path of the backup, if one was made: the
    first time, and whenever nothing of ours stood in the file.

    Raises `MergeRefused` if the file cannot be read or is not a clouds.yaml.
    """
    try:
        before = path.read_text()
    except FileNotFoundError:
        before = None
    except (OSError, UnicodeDecodeError) as error:
        raise MergeRefused(f"{path} cannot be read ({error}); it was left alone") from None
    if before is None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, yaml.safe_dump({"clouds": ours}, sort_keys=False))
        return None
    after = merged(before, ours, str(path))
    backup = path.with_name(f"{path.name}.before-aerostat")
    needed = not backup.exists() or not _names_any(before, ours)
    return backup if _replace(path, before, after, backup if needed else None) and needed else None


def take_out(path: Path, ours: dict[str, Entry]) -> bool:
    """Take `ours` out of the file at `path`, as far as they still stand there as we wrote them.

    Returns whether anything was changed. Raises `MergeRefused` as `merge_into` does.
    """
    try:
        before = path.read_text()
        data = yaml.safe_load(before)
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MergeRefused(f"{path} cannot be read ({error}); it was left alone") from None
    clouds = data.get("clouds") if isinstance(data, dict) else None
    if not isinstance(clouds, dict):
        return False
    gone = [key for key, entry in ours.items() if clouds.get(key) == entry]
    if not gone:
        return False
    wanted = {**data, "clouds": {key: entry for key, entry in clouds.items() if key not in gone}}
    lines = before.splitlines()
    for key in gone:
        pattern = re.compile(rf"(\s+)['\"]?{re.escape(key)}['\"]?:\s*(#.*)?$")
        found = next(((i, match) for i, line in enumerate(lines) if (match := pattern.match(line))), None)
        if found is not None:
            at, match = found
            del lines[at : _end_of_block(lines, at, len(match[1]))]
    after = "\n".join(lines) + "\n"
    if not wanted["clouds"]:
        # Clients stumble over a `clouds:` with nothing behind it.
        after = re.sub(r"(?m)^clouds:[ \t]*$", "clouds: {}", after, count=1)
    return _replace(path, before, after if _means(after, wanted) else yaml.safe_dump(wanted, sort_keys=False))


def _replace(path: Path, before: str, after: str, backup: Path | None = None) -> bool:
    """Write `after` where `before` stands, with a copy of what was there at `backup`; False: they are the same."""
    if after == before:
        return False
    try:
        if backup is not None:
            write_private(backup, before)
        # A symlink stays one: it is the file behind it that we write.
        write_private(path.resolve(), after)
    except OSError as error:
        raise MergeRefused(f"{path} cannot be written ({error.strerror}); it was left alone") from None
    return True


def _names_any(text: str, ours: dict[str, Entry]) -> bool:
    """Whether one of the names of our entries stands in that clouds.yaml."""
    data = yaml.safe_load(text)
    return bool(data) and not set(ours).isdisjoint(data.get("clouds") or {})


def merged(before: str, ours: dict[str, Entry], name: str = "clouds.yaml") -> str:
    """The text of a clouds.yaml with our entries in it and all else as it was."""
    try:
        data = yaml.safe_load(before)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f" at line {place.line + 1}" if place else ""
        raise MergeRefused(f"{name} is not valid YAML{where}; it was left alone") from None
    data = {} if data is None else data
    clouds = (data.get("clouds") or {}) if isinstance(data, dict) else None
    if not isinstance(clouds, dict):
        raise MergeRefused(f"{name} holds no mapping of clouds; it was left alone")
    if all(clouds.get(key) == entry for key, entry in ours.items()):
        return before
    wanted = {**data, "clouds": {**clouds, **ours}}
    edited = _edited(before, ours)
    if _means(edited, wanted):
        return edited
    # Flow style, anchors across entries and the like: the meaning is kept, the writing is not.
    return yaml.safe_dump(wanted, sort_keys=False)


def _edited(before: str, ours: dict[str, Entry]) -> str:
    """`before` with our entries exchanged in place, or added at the end of its `clouds:` block."""
    lines = before.splitlines()
    start = next((i for i, line in enumerate(lines) if re.match(r"clouds:\s*(#.*|\{\}\s*)?$", line)), None)
    if start is None:
        lines.append("clouds:")
        start = len(lines) - 1
    lines[start] = re.sub(r"\{\}\s*$", "", lines[start]).rstrip()
    end = _end_of_block(lines, start, 0)
    first = next((line for line in lines[start + 1 : end] if line.strip() and not _is_comment(line)), "  x:")
    indent = len(first) - len(first.lstrip())
    for key, entry in ours.items():
        block = yaml.safe_dump({key: entry}, sort_keys=False).splitlines()
        block = [" " * indent + line for line in block]
        end = _end_of_block(lines, start, 0)
        pattern = re.compile(rf"\s{{{indent}}}['\"]?{re.escape(key)}['\"]?:\s*(#.*)?$")
        at = next((i for i in range(start + 1, end) if pattern.match(lines[i])), None)
        if at is None:
            lines[end:end] = block
        else:
            lines[at : _end_of_block(lines, at, indent)] = block
    return "\n".join(lines) + "\n"


def _end_of_block(lines: list[str], start: int, indent: int) -> int:
    """The line after the block begun at `start`; blanks and comments behind it are not its own."""
    end = start + 1
    for number in range(start + 1, len(lines)):
        line = lines[number]
        if not line.strip() or _is_comment(line):
            continue
        if len(line) - len(line.lstrip()) <= indent:
            break
        end = number + 1
    return end


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _means(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return bool(yaml.safe_load(text) == wanted)
    except yaml.YAMLError:
        return False
