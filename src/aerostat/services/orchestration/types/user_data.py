"""User data: what a server finds inside when it boots."""

import base64
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from aerostat.kernel import ids

from .. import model
from ..thing import Thing

RAW, SOFTWARE_CONFIG, HEAT_CFNTOOLS = "RAW", "SOFTWARE_CONFIG", "HEAT_CFNTOOLS"


async def encoded_user_data(thing: Thing, text: str | None, form: str) -> str | None:
    """The user data in base64, as compute takes it. `text` may be the id of a software configuration.

    RAW is handed on as it is; the other formats wrap it in MIME, as guests that expect upstream's parts have it.
    """
    if not text:
        return None
    if ids.is_uuid(text):
        row = await thing.db.find(model.SOFTWARE_CONFIGS, id=text, project_id=thing.stack.project_id)
        if row is not None:
            text = str(row.config)
    if form != RAW and "Content-Type: multipart" not in text[:200]:
        text = _wrapped(text)
    return base64.b64encode(text.encode()).decode()


def _wrapped(text: str) -> str:
    """One part, of the type that its first line shows."""
    message = MIMEMultipart()
    part = MIMEText(text, _subtype(text), "us-ascii" if text.isascii() else "utf-8")
    part.add_header("Content-Disposition", "attachment", filename="user-data")
    message.attach(part)
    return message.as_string()


def _subtype(text: str) -> str:
    if text.startswith("#cloud-config"):
        return "cloud-config"
    return "x-shellscript" if text.startswith("#!") else "plain"
