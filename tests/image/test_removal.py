"""Bytes of deleted images: kept for a while where that is wanted, and removed once their store lets them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from aerostat.kernel.clock import now
from aerostat.kernel.errors import DriverError
from aerostat.services.image import model
from aerostat.services.image.stores import stores_of
from aerostat.services.image.sweepers.removals import sweep

from .conftest import SMALL, Api, opened


async def make_due(api: Api) -> None:
    long_ago = now() - timedelta(hours=1)
    await api.house.store.update(model.LOCATIONS, {"state": "removing"}, remove_at=long_ago)


async def test_bytes_are_kept_for_as_long_as_the_settings_say(tmp_path: Path) -> None:
    async with opened(tmp_path, f"{SMALL}delete_delay_s = 3600\n") as api:
        image = await api.filled()
        await api.request("DELETE", f"images/{image['id']}")
        assert (await api.request("GET", f"images/{image['id']}")).status_code == 404
        assert await sweep(api.house) == 0
        assert api.kept() == [image["id"]]
        await make_due(api)
        assert await sweep(api.house) == 1
        assert api.kept() == []


async def test_what_cannot_be_removed_now_is_removed_later(api: Api) -> None:
    image = await api.filled()
    driver: Any = stores_of(api.house).driver("file")
    remove = driver.remove_image

    async def broken(image_id: str) -> None:
        raise DriverError("The store is away.", detail="no route to it", retry=True)

    driver.remove_image = broken
    assert (await api.request("DELETE", f"images/{image['id']}")).status_code == 204
    assert await sweep(api.house) == 0
    (row,) = await api.house.store.all(model.LOCATIONS)
    assert (row.state, row.problem) == ("removing", "no route to it")
    driver.remove_image = remove
    assert await sweep(api.house) == 0, "not before it is due again"
    await make_due(api)
    assert await sweep(api.house) == 1
    assert api.kept() == []
    assert await api.house.store.all(model.LOCATIONS) == []


async def test_an_id_that_is_used_again_does_not_lose_its_bytes_to_the_one_before(api: Api) -> None:
    """The older bytes go first, however late."""
    first = await api.filled(b"first")
    await api.house.store.delete(model.IMAGES, id=first["id"])
    await api.house.store.update(
        model.LOCATIONS, {"image_id": first["id"]}, state="removing", remove_at=now()
    )
    again = await api.filled(b"second", id=first["id"])
    await make_due(api)
    await sweep(api.house)
    assert await api.content(again["id"]) == b"second"
