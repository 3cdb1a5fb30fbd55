"""Where versions are kept: in a container whose name no client can say, because it begins with NUL.

    container  \\0versions\\0CONTAINER
    object     \\0NAME\\0INVERTED TIME        the newest version of a name sorts first

A version's id is the time at which it was written. What a name stands for now is told by a link, an object without
bytes under that name; see `link.py`.
"""

from ... import timestamp
from ...http.response import Refusal
from ...timestamp import Timestamp

RESERVED = "\0"
LAST: Timestamp = 9_999_999_999_99999
NULL = "null"
"""The id of what was written while there were no versions."""
MARKER_TYPE = "application/x-deleted;swift_versions_deleted=1"
"""The content type of a version that says: deleted."""

ENABLED = "x-container-sysmeta-versions-enabled"
CONTAINER = "x-container-sysmeta-versions-container"


def container_of_versions(container: str) -> str:
    return f"{RESERVED}versions{RESERVED}{container}"


def owner_of(versions: str) -> str:
    """The container whose versions are in that one."""
    return versions[len(container_of_versions("")) :]


def name_of_version(name: str, version: Timestamp) -> str:
    return f"{RESERVED}{name}{RESERVED}{timestamp.write(LAST - version)}"


def parse_name(kept: str) -> tuple[str, str]:
    """Of a version as it is kept: the object's name, and the version's id."""
    name, _, inverted = kept[1:].rpartition(RESERVED)
    return name, timestamp.write(LAST - timestamp.parse(inverted))


def parse_version(text: str) -> Timestamp:
    """Raises `Refusal` 400 for what is no id of a version."""
    try:
        return timestamp.parse(text)
    except ValueError:
        raise Refusal(400, "Invalid version parameter") from None
