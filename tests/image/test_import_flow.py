"""What an import must withstand: every step twice, dying and failing anywhere, into two stores."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aerostat.services.image import model
from aerostat.services.image.flows.import_image import import_image
from tests.contracts.flow_contract import FlowCase, Trial, trials

from .conftest import Api, opened
from .test_import import STORES, files, serve


@dataclass
class World:
    api: Api
    is_copy: bool = False

    @property
    def store(self) -> Any:
        return self.api.house.store

    @property
    def house(self) -> Any:
        return self.api.house


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path, STORES) as api:
        serve(api, {"a.test/x": b"fetched"})
        yield World(api)


async def start(world: World) -> str:
    image = await world.api.make()
    method = {"name": "web-download", "uri": "http://a.test/x"}
    answer = await world.api.start_import(image["id"], method, stores=["one", "two"])
    assert answer.status_code == 202
    return str(image["id"])


async def describe(world: World) -> Any:
    at_work = await world.store.count(model.IMAGES, status=("importing", "uploading", "saving"))
    filled = await world.store.count(model.IMAGES, status="active")
    waiting = await world.store.count(model.TASKS, status=("pending", "processing"))
    copies = [(row.store, row.state) for row in await world.store.all(model.LOCATIONS)]
    return files(world.api), copies, at_work, filled, waiting


async def worked(world: World, image_id: str) -> None:
    image = await world.api.get(f"images/{image_id}")
    assert (image["status"], image["stores"], image["size"]) == ("active", "two,one", 7)
    assert files(world.api) == [image_id, image_id]
    assert await world.store.count(model.LOCATIONS) == 2
    assert (await world.api.task_of(image_id))["status"] == "success"


CASE = FlowCase(flow=import_image, start=start, describe=describe, worked=worked)


@pytest.mark.parametrize("trial", trials(CASE), ids=str)
async def test_import(trial: Trial, world: World) -> None:
    await trial.run(CASE, world)


@pytest.fixture
async def converting(tmp_path: Path) -> AsyncIterator[World]:
    """A world that wants its images in another format than they come."""
    async with opened(tmp_path, STORES.replace("[image]", '[image]\noutput_format = "qcow2"', 1)) as api:
        serve(api, {"a.test/x": bytes(1000)})
        yield World(api)


async def converted(world: World, image_id: str) -> None:
    image = await world.api.get(f"images/{image_id}")
    assert (image["status"], image["disk_format"], image["virtual_size"]) == ("active", "qcow2", 1024)
    assert files(world.api) == [image_id, image_id]


CONVERTING = FlowCase(flow=import_image, start=start, describe=describe, worked=converted)


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
@pytest.mark.parametrize("trial", [one for one in trials(CONVERTING) if "convert" in str(one)], ids=str)
async def test_an_import_that_converts(trial: Trial, converting: World) -> None:
    await trial.run(CONVERTING, converting)
