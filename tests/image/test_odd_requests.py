"""Whatever a client sends, the image room has a word for it, and a refusal changes nothing."""

from pathlib import Path

from tests.odd_requests import Generator, Tables, play

from .conftest import BYTES, PATCH, Api

_CHANGE = {
    "type": "object",
    "properties": {
        "op": {"enum": ["add", "replace", "remove", "move"]},
        "path": {
            "enum": ["/name", "/tags", "/visibility", "/min_ram", "/own", "/locations", "/status", "", "/"]
        },
        "value": {"type": ["string", "integer", "array", "null", "object"]},
    },
    "required": ["op", "path", "value"],
}
_NAMED = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "description": {"type": "string"},
        "title": {"type": "string"},
    },
    "required": ["name", "title"],
}
BODIES = {
    "Image.create": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "disk_format": {"enum": ["raw", "qcow2", "iso"]},
            "container_format": {"enum": ["bare", "ovf"]},
            "visibility": {"enum": ["private", "shared", "community", "public"]},
            "min_ram": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "own": {"type": "string"},
        },
    },
    "Image.patch": {"type": "array", "items": _CHANGE},
    "Member.add": {"type": "object", "properties": {"member": {"type": "string"}}, "required": ["member"]},
    "Member.decide": {
        "type": "object",
        "properties": {"status": {"enum": ["accepted", "rejected", "pending"]}},
        "required": ["status"],
    },
    "Import.start": {
        "type": "object",
        "properties": {
            "method": {
                "type": "object",
                "properties": {"name": {"enum": ["glance-direct", "copy-image"]}, "uri": {"type": "string"}},
                "required": ["name"],
            },
            "stores": {"type": "array", "items": {"type": "string"}},
            "all_stores": {"type": "boolean"},
        },
        "required": ["method"],
    },
    **dict.fromkeys(("Object.create_object", "Property.create_property", "Tag.create_tag"), _NAMED),
    "Namespace.create_namespace": {
        "type": "object",
        "properties": {"namespace": {"type": "string"}, "visibility": {"enum": ["public", "private"]}},
        "required": ["namespace"],
    },
}
CONTENT_TYPES = {"Image.patch": PATCH, "ImageData.upload": BYTES, "Import.stage": BYTES}


async def test_odd_requests(api: Api, tmp_path: Path) -> None:
    service = api.house.services["image"]
    generator = Generator(service, bodies=BODIES, content_types=CONTENT_TYPES)
    for one in (await api.make(), await api.filled(), await api.staged()):
        generator.pool.add("image_id", one["id"])
        generator.pool.add("id", one["id"])
    generator.pool.ids["member_id"] = ["p1", "p2"]
    generator.pool.ids["namespace_name"] = ["odd"]
    await api("root").request("POST", "metadefs/namespaces", json={"namespace": "odd"})
    people = [{"x-auth-token": name} for name in ("alice", "root", "bob", "rita", "nomad")]
    tables = Tables(tmp_path / "image.sqlite", service)
    met = await play(api.session, generator, people, tables)
    tables.close()
    assert met[200] > 10
    assert sum(count for status, count in met.items() if status < 300) > 20, met
