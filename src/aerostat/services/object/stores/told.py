"""What a container is told of an object: worked out from its facts, so that it can be told again from the file."""

from .container_db import Entry
from .object_file import Facts

OVERRIDE = "x-object-sysmeta-container-update-override-"
"""`…etag`, `…size`, `…content-type`: what a listing shows instead, of an object that stands for another."""


def told(name: str, facts: Facts) -> Entry:
    """`name`: of the object in its container."""
    if facts.is_gone:
        return Entry(name=name, timestamp=facts.timestamp, is_gone=True)
    headers = facts.headers
    size = headers.get(OVERRIDE + "size")
    return Entry(
        name=name,
        timestamp=facts.written_at or facts.timestamp,
        size=int(size) if size is not None else facts.size,
        etag=headers.get(OVERRIDE + "etag", facts.etag),
        content_type=headers.get(OVERRIDE + "content-type", facts.content_type),
        type_at=facts.timestamp,
        meta_at=facts.timestamp,
    )
