"""OS::Heat::MultipartMime: several configurations in one user data.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::MultipartMime
"""

import email
from collections.abc import Sequence
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

from aerostat.kernel import ids

from ... import model
from ...thing import Thing
from ..property import listing, mapping, text
from ..resource_type import ResourceType
from .software_config import CONFIG, delete_config, find_config, read_config, store_config


class MultipartMime(ResourceType):
    name = "OS::Heat::MultipartMime"
    description = "Assembles a collection of software configurations as a multi-part mime message."
    properties = {
        "parts": listing(
            "Parts belonging to this message.",
            mapping(
                inner={
                    "config": text(
                        "Content of part to attach, either inline or by referencing the ID of another config.",
                        required=True,
                    ),
                    "filename": text("Optional filename to associate with part."),
                    "subtype": text("Optional subtype to specify with the type."),
                    "type": text(
                        "Whether the part content is text or multipart.",
                        default="text",
                        allowed=("text", "multipart"),
                    ),
                }
            ),
        ),
        "group": text(
            "Namespace to group this software config by when delivered to a server.",
            default="Heat::Ungrouped",
        ),
    }
    attributes = {"config": CONFIG}

    async def create(self, thing: Thing) -> str | None:
        message = MIMEMultipart()
        for part in thing.properties["parts"] or ():
            content = await _content(thing, part["config"])
            for piece in _pieces(content, part):
                message.attach(piece)
        return await store_config(thing, message.as_string(), thing.properties["group"], {})

    async def delete(self, thing: Thing) -> None:
        await delete_config(thing)

    async def find_made(self, thing: Thing) -> str | None:
        return await find_config(thing)

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        return await read_config(thing, name, path)


async def _content(thing: Thing, config: str) -> str:
    """The text itself, or that of the stored configuration whose id it is."""
    if ids.is_uuid(config):
        row = await thing.db.find(model.SOFTWARE_CONFIGS, id=config, project_id=thing.stack.project_id)
        if row is not None:
            return str(row.config)
    return config


def _pieces(content: str, part: dict[str, Any]) -> list[Any]:
    if part["type"] == "multipart":
        found = [one for one in email.message_from_string(content).walk() if not one.is_multipart()]
        return [
            _piece(str(one.get_payload()), one.get_content_subtype(), one.get_filename()) for one in found
        ]
    return [_piece(content, part["subtype"] or _subtype(content), part["filename"])]


def _piece(content: str, subtype: str, filename: str | None) -> MIMEText:
    piece = MIMEText(content, subtype, "us-ascii" if content.isascii() else "utf-8")
    if filename:
        piece.add_header("Content-Disposition", "attachment", filename=filename)
    return piece


def _subtype(content: str) -> str:
    """What cloud-init would take it for, by its first line."""
    first = content.lstrip()[:64]
    if first.startswith("#cloud-config"):
        return "cloud-config"
    if first.startswith("#!"):
        return "x-shellscript"
    return "plain"
