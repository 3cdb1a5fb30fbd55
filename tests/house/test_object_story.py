"""Objects in a cloud: its users, other rooms, and stacks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from aerostat.kernel.client import RoomError
from aerostat.kernel.context import Context
from aerostat.testing import Cloud

from .test_stack_story import stack_in

EXAMPLE = Path(__file__).parents[2] / "examples" / "container.yaml"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud(log_level="error") as cloud:
        yield cloud


def context_of(cloud: Cloud, user: str) -> Context:
    connection = cloud.connect(user)
    return Context(
        request_id="req-story",
        user_id=connection.current_user_id,
        user_name=user,
        project_id=connection.current_project_id,
        project_name=user,
        roles=("member",),
    )


def test_nothing_is_made_before_somebody_asks(tmp_path: Path) -> None:
    with Cloud(state=tmp_path, log_level="error") as cloud:
        assert list((tmp_path / "object").iterdir()) == []
        demo = cloud.connect("demo").object_store
        demo.create_container(name="kept")
        demo.upload_object("kept", "a", data=b"bytes")
    with Cloud(state=tmp_path, log_level="error") as cloud:
        assert cloud.connect("demo").object_store.download_object("a", container="kept") == b"bytes"


SETTINGS = """
[object]
public_url = "http://objects.test:8080"

[object.middleware.domain_remap]
storage_domain = ["example.net"]
"""


def test_hosts_of_its_own(tmp_path: Path) -> None:
    """Under a host that names an account all paths are names of its; where only the store is, no path is unknown."""
    (tmp_path / "aerostat.toml").write_text(SETTINGS)
    (tmp_path / "aerostat.toml").chmod(0o600)
    with Cloud(state=tmp_path, log_level="error") as cloud:
        demo = cloud.connect("demo")
        token = {"x-auth-token": demo.session.get_token()}

        def ask(host: str, path: str, method: str = "GET", **about: Any) -> httpx.Response:
            return httpx.request(method, cloud.url + path, headers={**token, "host": host}, **about)

        account = f"auth-{demo.current_project_id}.EXAMPLE.net:80"
        assert ask(account, "/c", "PUT").status_code == 201
        assert ask(f"c.{account}", "/compute/v2.1", "PUT", content=b"bytes").status_code == 201
        assert ask(f"c.{account}", "/compute/v2.1").content == b"bytes"
        assert ask("objects.test:8080", f"/v1/AUTH_{demo.current_project_id}/c").text == "compute/v2.1\n"
        assert ask("objects.test:8080", "/info and more").status_code == 412
        assert ask("objects.test:8080", "/identity/v3").status_code == 200
        assert ask("elsewhere.test", "/info and more").status_code == 404


def test_users_by_their_own_client(cloud: Cloud) -> None:
    demo, admin = cloud.connect("demo"), cloud.connect("admin")
    store = demo.object_store
    store.create_container(name="c")
    store.upload_object("c", "folder/ü", data=b"x" * 100_000)
    assert [one.name for one in store.objects("c")] == ["folder/ü"]
    assert store.download_object("folder/ü", container="c") == b"x" * 100_000
    url = f"{cloud.url}/v1/AUTH_{demo.current_project_id}/c"
    assert store.get_endpoint() == url.removesuffix("/c")
    token = {"X-Auth-Token": admin.session.get_token()}
    assert httpx.get(f"{url}/folder/ü").status_code == 401
    assert httpx.get(f"{url}/folder/ü", headers=token).status_code == 403
    store.set_container_metadata("c", read_ACL=f"{admin.current_project_id}:*")
    assert httpx.get(f"{url}/folder/ü", headers=token).content == b"x" * 100_000
    assert httpx.put(f"{url}/other", headers=token, content=b"").status_code == 403
    assert "keystoneauth" in httpx.get(f"{cloud.url}/info").json()
    store.delete_object("folder/ü", container="c")
    store.delete_container("c")


def test_other_rooms_use_it_as_the_user_who_asks(cloud: Cloud) -> None:
    client = cloud.house.client("object", context_of(cloud, "demo"))

    async def story() -> None:
        await client.ensure_container("backups", {"x-container-meta-of": "volumes"})
        headers = await client.find_container("backups")
        assert headers is not None
        assert headers["x-container-meta-of"] == "volumes"
        assert await client.find_container("nowhere") is None

        async def pieces() -> Any:
            for _ in range(4):
                yield b"p" * 50_000

        assert await client.upload("backups", "small", b"0123456789") == "781e5e245d69b566979b86e28d23f2c7"
        await client.upload("backups", "large", pieces(), {"x-object-meta-a": "1"})
        assert (
            b"".join([piece async for piece in await client.download("backups", "large")]) == b"p" * 200_000
        )
        assert await client.read("backups", "small", 3, 4) == b"3456"
        assert await client.read("backups", "small", 30, 4) == b""
        assert [one["name"] for one in await client.list_objects("backups")] == ["large", "small"]
        assert (await client.find_object("backups", "large"))["x-object-meta-a"] == "1"
        with pytest.raises(RoomError) as refused:
            await client.remove_container("backups")
        assert refused.value.status == 409
        url = await client.temp_url("backups", "small", lifetime_s=60)
        async with httpx.AsyncClient() as visitor:
            assert (await visitor.get(url)).content == b"0123456789"
            assert (await visitor.get(url.replace("small", "large"))).status_code == 401
        for name in ("large", "small", "small"):
            await client.remove_object("backups", name)
        await client.remove_container("backups")
        await client.remove_container("backups")

    cloud.call(story())
    stranger = cloud.house.client("object", Context(request_id="r", user_id="u", roles=("member",)))
    with pytest.raises(Exception, match="belong to a project"):
        cloud.call(stranger.find_container("c"))


def test_containers_of_stacks(cloud: Cloud) -> None:
    demo = cloud.connect("demo")
    heat, store = demo.orchestration, demo.object_store
    template = yaml.load(EXAMPLE.read_text(), yaml.BaseLoader)
    template["outputs"]["head"] = {"value": {"get_attr": ["files", "HeadContainer"]}}
    template["outputs"]["domain"] = {"value": {"get_attr": ["files", "DomainName"]}}
    made = heat.create_stack(name="files", template=template, parameters={"owner": "me"})
    path = f"/stacks/files/{made.id}"
    shown = stack_in(heat, path, "CREATE_COMPLETE")
    outputs = {one["output_key"]: one["output_value"] for one in shown["outputs"]}
    assert outputs["files"] == "0"
    assert outputs["domain"] == "127.0.0.1"
    assert outputs["head"]["x-container-meta-owner"] == "me"
    name = outputs["url"].rpartition("/")[2]
    for n in range(3):
        store.upload_object(name, f"o{n}", data=b"x")
    assert httpx.get(outputs["url"]).text == "o0\no1\no2\n"
    heat.delete(path)
    stack_in(heat, path, "DELETE_COMPLETE")
    assert httpx.get(outputs["url"]).status_code == 401


def test_a_container_with_objects_stays_unless_it_is_to_be_purged(cloud: Cloud) -> None:
    demo = cloud.connect("demo")
    heat, store = demo.orchestration, demo.object_store
    template = {
        "heat_template_version": "2018-08-31",
        "resources": {"c": {"type": "OS::Swift::Container", "properties": {"name": "kept"}}},
    }
    made = heat.create_stack(name="kept", template=template)
    path = f"/stacks/kept/{made.id}"
    stack_in(heat, path, "CREATE_COMPLETE")
    store.upload_object("kept", "o", data=b"x")
    heat.delete(path)
    assert "non-empty" in stack_in(heat, path, "DELETE_FAILED")["stack_status_reason"]
    store.delete_object("o", container="kept")
    heat.delete(path)
    stack_in(heat, path, "DELETE_COMPLETE")
