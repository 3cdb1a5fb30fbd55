"""Protected properties: who creates, reads, updates and deletes them."""

import os
from pathlib import Path

import pytest

from aerostat.kernel.config import ConfigError
from aerostat.services.image.config import ImageConfig
from aerostat.services.image.protections import Protections, read_sections

from .conftest import SMALL, opened

ROLES = """
[^billing_]
create = admin
read = admin,reader
update = admin
delete = !
[^secret$]
create = admin
read = admin
update = admin
delete = admin
[.*]
create = @
read = @
update = @
delete = @
"""
POLICIES = """
[^billing_]
create = publicize_image
read = @
update = publicize_image
delete = !
[.*]
create = @
read = @
update = @
delete = @
"""


def with_file(folder: Path, text: str, form: str = "roles") -> str:
    file = folder / "protections.conf"
    file.write_text(text)
    return f'{SMALL}property_protection_file = "{file}"\nproperty_protection_rule_format = "{form}"\n'


async def test_roles_say_who_may_do_what(tmp_path: Path) -> None:
    async with opened(tmp_path, with_file(tmp_path, ROLES)) as api:
        root = api("root")
        refused = await api.request("POST", "images", json={"billing_code": "7"})
        assert (refused.status_code, refused.json()["message"]) == (
            403,
            "Attribute 'billing_code' is reserved.",
        )
        image = await root.make(owner="p1", billing_code="7", secret="s", colour="red")
        shown = await api.get(f"images/{image['id']}")
        assert (shown["billing_code"], shown["colour"], "secret" in shown) == ("7", "red", False)
        assert (await root.get(f"images/{image['id']}"))["secret"] == "s"
        assert await api.ids("?secret=s") == set()
        assert await api.ids("?colour=red") == {image["id"]}
        for change, status in (
            ({"op": "replace", "path": "/billing_code", "value": "8"}, 403),
            ({"op": "remove", "path": "/billing_code"}, 403),
            ({"op": "add", "path": "/billing_other", "value": "8"}, 403),
            ({"op": "add", "path": "/secret", "value": "mine"}, 403),
            ({"op": "replace", "path": "/colour", "value": "blue"}, 200),
            ({"op": "remove", "path": "/colour"}, 200),
        ):
            assert (await api.patch(image["id"], change)).status_code == status, change
        assert (await root.patch(image["id"], {"op": "remove", "path": "/billing_code"})).status_code == 403
        changed = await root.patch(image["id"], {"op": "replace", "path": "/billing_code", "value": "9"})
        assert changed.status_code == 200


async def test_the_file_is_read_again(tmp_path: Path) -> None:
    async with opened(tmp_path, with_file(tmp_path, ROLES)) as api:
        file = tmp_path / "protections.conf"
        for text, status in ((ROLES.replace("create = admin", "create = member"), 201), ("nonsense", 201)):
            file.write_text(text)
            os.utime(file, ns=(0, file.stat().st_mtime_ns + 10**9))
            answer = await api.request("POST", "images", json={"billing_code": "7"})
            assert answer.status_code == status


async def test_rules_of_the_policy_file_may_say_it(tmp_path: Path) -> None:
    async with opened(tmp_path, with_file(tmp_path, POLICIES, "policies")) as api:
        assert (await api.request("POST", "images", json={"billing_code": "7"})).status_code == 403
        assert (await api("root").request("POST", "images", json={"billing_code": "7"})).status_code == 201
        assert (await api.request("POST", "images", json={"colour": "red"})).status_code == 201


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[(]\ncreate=@\nread=@\nupdate=@\ndelete=@\n",
        "[a]\ncreate=@\n",
        "[a]\ncreate=@,!\nread=@\nupdate=@\ndelete=@\n",
    ],
)
def test_files_that_make_no_sense(tmp_path: Path, text: str) -> None:
    file = tmp_path / "protections.conf"
    file.write_text(text)
    with pytest.raises(ConfigError):
        Protections(ImageConfig(property_protection_file=file))


def test_two_rules_for_one_operation(tmp_path: Path) -> None:
    file = tmp_path / "protections.conf"
    file.write_text("[a]\ncreate=x,y\nread=@\nupdate=@\ndelete=@\n")
    with pytest.raises(ConfigError):
        read_sections(file, by_policy=True)
