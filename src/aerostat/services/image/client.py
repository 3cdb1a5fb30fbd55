"""The image room, as compute and orchestration ask it."""

from collections.abc import AsyncIterator
from typing import Any

from aerostat.kernel.client import Caller, RoomError


class ImageClient:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def get_image(self, id: str) -> dict[str, Any]:
        return dict(await self._caller.get(f"/v2/images/{id}"))

    async def list_images(self, **query: Any) -> list[dict[str, Any]]:
        """The first page (1,000 at most) of the images that match."""
        return list((await self._caller.get("/v2/images", limit=1000, **query))["images"])

    async def create_image(self, **values: Any) -> dict[str, Any]:
        return dict(await self._caller.post("/v2/images", values))

    async def update_image(self, id: str, changes: list[dict[str, Any]]) -> dict[str, Any]:
        """`changes` are JSON patch operations: `[{"op": "replace", "path": "/name", "value": …}]`."""
        headers = {"content-type": "application/openstack-images-v2.1-json-patch"}
        return dict(await self._caller.patch(f"/v2/images/{id}", changes, headers))

    async def delete_image(self, id: str) -> None:
        await self._caller.delete(f"/v2/images/{id}")

    async def deactivate(self, id: str) -> None:
        await self._caller.post(f"/v2/images/{id}/actions/deactivate")

    async def reactivate(self, id: str) -> None:
        await self._caller.post(f"/v2/images/{id}/actions/reactivate")

    async def import_image(self, id: str, method: str, **given: Any) -> None:
        """Begin to: the image's tasks tell how it goes. `given` belongs to the method, as `uri` to `"web-download"`."""
        await self._caller.post(f"/v2/images/{id}/import", {"method": {"name": method, **given}})

    async def list_tasks(self, id: str) -> list[dict[str, Any]]:
        """The oldest first."""
        return list((await self._caller.get(f"/v2/images/{id}/tasks"))["tasks"])

    async def list_members(self, id: str) -> list[str]:
        """Projects with which a shared image is shared."""
        found = (await self._caller.get(f"/v2/images/{id}/members"))["members"]
        return [one["member_id"] for one in found]

    async def add_member(self, id: str, project_id: str) -> None:
        await self._caller.post(f"/v2/images/{id}/members", {"member": project_id})

    async def remove_member(self, id: str, project_id: str) -> None:
        await self._caller.delete(f"/v2/images/{id}/members/{project_id}")

    async def upload(self, id: str, chunks: AsyncIterator[bytes]) -> None:
        """Give a queued image its data."""
        await self._caller.request(
            "PUT",
            f"/v2/images/{id}/file",
            headers={"content-type": "application/octet-stream"},
            chunks=chunks,
        )

    async def download(self, id: str) -> AsyncIterator[bytes]:
        """The image's data, piece by piece."""
        data = await self._caller.get(f"/v2/images/{id}/file")
        return data if data is not None else _nothing()

    async def read(self, id: str, offset: int, size: int) -> bytes:
        """At most `size` bytes of the image's data from `offset` on; empty at its end."""
        headers = {"range": f"bytes={offset}-{offset + size - 1}"}
        try:
            data = await self._caller.request("GET", f"/v2/images/{id}/file", headers=headers)
        except RoomError as error:
            if error.status == 416:
                return b""
            raise
        return b"".join([chunk async for chunk in data]) if data is not None else b""


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""  # an empty stream, not None
