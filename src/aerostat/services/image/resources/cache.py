"""The cache of the machine that answers. https://docs.openstack.org/api-ref/image/v2/#cache-manage"""

from typing import Any

from aerostat.kernel.errors import BadRequest, Conflict, NotFound
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Rule
from aerostat.kernel.resource import Resource, route

from .. import model
from ..caching import ImageCache, cache_of
from ..errors import ImageNotFound
from .image import Image

_RULES = ("cache_image", "cache_list", "cache_delete", "cache_clean", "cache_prune", "list_cached_nodes")


class Cache(Resource):
    extra_rules = (
        Rule(name="manage_image_cache", text="role:admin"),
        *(Rule(name=name, text="role:admin") for name in _RULES),
    )

    @route("GET", "/cache", policy="cache_list")
    async def show_cache(self, req: Request) -> dict[str, Any]:
        cache = _cache(req)
        cached = [
            {
                "image_id": row.image_id,
                "hits": row.hits,
                "last_accessed": row.accessed_at.timestamp(),
                "last_modified": row.created_at.timestamp(),
                "size": row.size,
                "checksum": row.checksum,
            }
            for row in await cache.rows("cached")
        ]
        queued = [row.image_id for row in await cache.rows("queued")]
        return {"cached_images": cached, "queued_images": queued}

    @route("DELETE", "/cache", policy="cache_delete", status=204)
    async def clear(self, req: Request) -> None:
        cache = _cache(req)
        target = req.headers.get("x-image-cache-clear-target", "").lower()
        if target not in ("", "cache", "queue"):
            raise BadRequest(
                "If provided 'x-image-cache-clear-target' must be 'cache', 'queue' or empty string."
            )
        state = {"cache": "cached", "queue": "queued"}.get(target)
        for row in await cache.rows(state):
            await cache.drop(row.image_id)

    @route("POST", "/cache/clean", policy="cache_clean")
    async def clean(self, req: Request) -> None:
        await _cache(req).clean()

    @route("POST", "/cache/prune", policy="cache_prune")
    async def prune(self, req: Request) -> dict[str, int]:
        files, pruned = await _cache(req).prune()
        return {"total_files_pruned": files, "total_bytes_pruned": pruned}

    @route("GET", "/cache/nodes/{image_id}", policy="list_cached_nodes")
    async def list_nodes(self, req: Request, image_id: str) -> list[str]:
        """Every machine that has the image in its cache."""
        _cache(req)
        image = await req.service.resource(Image).find(req, image_id)
        rows = await req.db.all(model.CACHED, {"image_id": image.id, "state": "cached"}, order="node")
        return [row.node for row in rows]

    @route("PUT", "/cache/{image_id}", status=202)
    async def queue(self, req: Request, image_id: str) -> None:
        kind = req.service.resource(Image)
        image = await kind.find(req, image_id)
        req.check("cache_image", kind.target(image))
        if image.status != "active":
            raise BadRequest("Only images with status active can be targeted for queueing")
        if image.size is None:
            raise Conflict(f"Nobody knows how large image {image.id} is.")
        await _cache(req).queue(image.id)

    @route("DELETE", "/cache/{image_id}", policy="cache_delete", status=204)
    async def remove(self, req: Request, image_id: str) -> None:
        if not await _cache(req).drop(image_id) and not await req.db.count(model.IMAGES, id=image_id):
            raise ImageNotFound(id=image_id)


def _cache(req: Request) -> ImageCache:
    cache = cache_of(req.house)
    if not cache.is_on:
        raise NotFound("Caching via API is not supported at this site.")
    return cache
