"""A house with the image room alone, over HTTP, and people known by their tokens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from aerostat.kernel import model as kernel_model
from aerostat.kernel.config import load
from aerostat.kernel.context import Context
from aerostat.kernel.db import create_schema, open_store
from aerostat.kernel.house import House
from aerostat.kernel.http.app import Application
from aerostat.kernel.policy import Rules
from aerostat.kernel.state_folder import StateFolder
from aerostat.kernel.work import Engine
from aerostat.services.image import SERVICE, ImageConfig
from tests.people import sign_in_as

MEMBER, READER = ("member", "reader"), ("reader",)
PEOPLE = {
    "alice": Context(request_id="", user_id="alice", project_id="p1", roles=MEMBER),
    "rita": Context(request_id="", user_id="rita", project_id="p1", roles=READER),
    "bob": Context(request_id="", user_id="bob", project_id="p2", roles=MEMBER),
    "carol": Context(request_id="", user_id="carol", project_id="p3", roles=MEMBER),
    "nomad": Context(request_id="", user_id="nomad"),  # a token without a scope
    "root": Context(request_id="", user_id="root", project_id="p0", roles=("admin", *MEMBER)),
}
PATCH = "application/openstack-images-v2.1-json-patch"
BYTES = "application/octet-stream"


class Api:
    """The image API as one person; `api("bob")` is the same as another."""

    def __init__(self, house: House, session: httpx.AsyncClient, person: str = "alice") -> None:
        self.house = house
        self.session = session
        self.person = person

    def __call__(self, person: str) -> "Api":
        return Api(self.house, self.session, person)

    @property
    def folder(self) -> Path:
        return self.house.config.folder.images

    def kept(self) -> list[str]:
        """Every file below the store's folder."""
        return sorted(path.name for path in self.folder.rglob("*") if path.is_file())

    async def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"x-auth-token": self.person, **more.pop("headers", {})}
        url = path if path.startswith("/image") else f"/image/v2/{path}"
        return await self.session.request(method, url, headers=headers, **more)

    async def get(self, path: str) -> Any:
        answer = await self.request("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def make(self, **values: Any) -> Any:
        """A queued image that is ready for raw data."""
        body = {"disk_format": "raw", "container_format": "bare", **values}
        answer = await self.request("POST", "images", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def upload(self, id: str, data: Any) -> httpx.Response:
        return await self.request("PUT", f"images/{id}/file", content=data, headers={"content-type": BYTES})

    async def filled(self, data: bytes = b"some data", **values: Any) -> Any:
        """An active image."""
        image = await self.make(**values)
        answer = await self.upload(image["id"], data)
        assert answer.status_code == 204, answer.text
        return await self.get(f"images/{image['id']}")

    async def patch(self, id: str, *changes: Any, content_type: str = PATCH) -> httpx.Response:
        return await self.request(
            "PATCH", f"images/{id}", json=list(changes), headers={"content-type": content_type}
        )

    async def staged(self, data: bytes = b"some data", **values: Any) -> Any:
        """An image whose bytes wait for an import."""
        image = await self.make(**values)
        path = f"images/{image['id']}/stage"
        answer = await self.request("PUT", path, content=data, headers={"content-type": BYTES})
        assert answer.status_code == 204, answer.text
        return await self.get(f"images/{image['id']}")

    async def start_import(self, id: str, method: Any = "glance-direct", **more: Any) -> httpx.Response:
        named = {"name": method} if isinstance(method, str) else method
        return await self.request("POST", f"images/{id}/import", json={"method": named, **more})

    async def imported(self, id: str, method: Any = "glance-direct", **more: Any) -> Any:
        """The image after an import has ended, well or not."""
        answer = await self.start_import(id, method, **more)
        assert answer.status_code == 202, answer.text
        await self.house.engine.settle()
        return await self.get(f"images/{id}")

    async def task_of(self, id: str) -> Any:
        return (await self.get(f"images/{id}/tasks"))["tasks"][-1]

    async def content(self, id: str) -> bytes:
        return (await self.request("GET", f"images/{id}/file")).content

    async def share(self, id: str, project: str, status: str | None = None, person: str = "bob") -> None:
        answer = await self.request("POST", f"images/{id}/members", json={"member": project})
        assert answer.status_code == 200, answer.text
        if status is not None:
            path = f"images/{id}/members/{project}"
            decided = await self(person).request("PUT", path, json={"status": status})
            assert decided.status_code == 200, decided.text

    async def ids(self, query: str = "") -> set[str]:
        return {image["id"] for image in (await self.get(f"images{query}"))["images"]}


SMALL = """
[image]
max_image_bytes = 67108864
max_properties = 5
max_tags = 5
max_members = 3
"""


@asynccontextmanager
async def opened(folder: Path, settings: str = SMALL) -> AsyncIterator[Api]:
    """The room alone, with these settings."""
    store = await open_store(f"sqlite:///{folder}/image.sqlite?synchronous=off")
    assert SERVICE.tables is not None
    await create_schema(store, [kernel_model.metadata, SERVICE.tables])
    (folder / "settings.toml").write_text(settings)
    config = load(StateFolder(folder), {"image": ImageConfig}, environ={}, file=folder / "settings.toml")
    house = House(config, store, None, Rules(), "http://cloud.test")  # type: ignore[arg-type]
    house.add(SERVICE)
    house.authenticate = sign_in_as(PEOPLE)
    house.engine = Engine(store, None, house, flows=SERVICE.flows, sweepers=SERVICE.sweepers)
    application = Application(house)
    assert SERVICE.start is not None
    await SERVICE.start(house)
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://cloud.test") as session:
        yield Api(house, session)
    await application.journal.close()
    await store.close()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with opened(tmp_path) as api:
        yield api
