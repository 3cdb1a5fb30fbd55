"""User data: what a server finds inside when it boots."""

import base64
import json
from collections.abc import Mapping
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.parser import Parser
from typing import Any

from aerostat.kernel import ids

from .. import model
from ..thing import Thing

RAW, SOFTWARE_CONFIG, HEAT_CFNTOOLS = "RAW", "SOFTWARE_CONFIG", "HEAT_CFNTOOLS"

# cloud-init gives a part of this type to the handler, which lays it where the agent looks for its settings.
_SETTINGS_TYPE, _SETTINGS_FILE = "x-cfninitdata", "cfn-init-data"
_PART_HANDLER = f"""#part-handler
import os

FOLDERS = ("/var/lib/heat-cfntools", "/var/lib/cloud/data")


def list_types():
    return ["text/{_SETTINGS_TYPE}"]


def handle_part(data, content_type, filename, payload):
    if content_type in ("__begin__", "__end__"):
        return
    for folder in FOLDERS:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        path = os.path.join(folder, os.path.basename(filename))
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(payload if isinstance(payload, str) else payload.decode())
"""


async def encoded_user_data(
    thing: Thing, text: str | None, form: str, settings: Mapping[str, Any] | None = None
) -> str | None:
    """The user data in base64, as compute takes it. `text` may be the id of a software configuration.

    RAW is handed on as it is; the other formats wrap it in MIME, as guests that expect upstream's parts have it.
    `settings` are what the agent for software deployments needs, if there is to be one.
    """
    if text and ids.is_uuid(text):
        row = await thing.db.find(model.SOFTWARE_CONFIGS, id=text, project_id=thing.stack.project_id)
        if row is not None:
            text = str(row.config)
    if form == SOFTWARE_CONFIG and settings is not None:
        text = _with_settings(text or "", settings)
    elif not text:
        return None
    elif form != RAW and not _is_multipart(text):
        text = _whole([_part(text, "user-data")])
    return base64.b64encode(text.encode()).decode()


def _with_settings(text: str, settings: Mapping[str, Any]) -> str:
    """The user's parts, one or many, and those by which the agent gets its settings."""
    parts: list[Message] = [_part(_PART_HANDLER, "part-handler.py", "part-handler")]
    if _is_multipart(text):
        parts += [part for part in Parser().parsestr(text).walk() if not part.is_multipart()]
    elif text:
        parts.append(_part(text, "user-data"))
    told = json.dumps({"os-collect-config": settings, "deployments": []})
    return _whole([*parts, _part(told, _SETTINGS_FILE, _SETTINGS_TYPE)])


def _whole(parts: list[Message]) -> str:
    message = MIMEMultipart()
    for part in parts:
        message.attach(part)
    return message.as_string()


def _part(text: str, filename: str, subtype: str | None = None) -> MIMEText:
    """One part, of the type that its first line shows unless it is said."""
    part = MIMEText(text, subtype or _subtype(text), "us-ascii" if text.isascii() else "utf-8")
    part.add_header("Content-Disposition", "attachment", filename=filename)
    return part


def _is_multipart(text: str) -> bool:
    return "Content-Type: multipart" in text[:200]


def _subtype(text: str) -> str:
    if text.startswith("#cloud-config"):
        return "cloud-config"
    return "x-shellscript" if text.startswith("#!") else "plain"
