"""An image's copy in one store. https://docs.openstack.org/api-ref/image/v2/#delete-image-from-store"""

from aerostat.kernel.errors import Conflict, Forbidden, NotFound
from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from ..copies import kept_copies, plan_removal, remove_due
from ..stores import stores_of
from .image import Image


class StoreCopy(Resource):
    @route("DELETE", "/stores/{store_id}/{image_id}", status=204)
    async def remove(self, req: Request, store_id: str, image_id: str) -> None:
        if store_id not in [one.name for one in stores_of(req.house).all]:
            raise Conflict(f"The selected store {store_id} is not available on this node.")
        kind = req.service.resource(Image)
        image = await kind.find(req, image_id)
        for rule in ("get_image_location", "delete_image_location"):
            req.check(rule, kind.target(image))
        if image.status != "active":
            raise Conflict("It's not allowed to remove image data from store if image status is not 'active'")
        async with req.db.transaction() as tx:
            # Two at once could each leave the other's copy as the last one.
            await tx.lock(f"image.copies.{image_id}")
            copies = await kept_copies(tx, image_id)
            if not any(copy.store == store_id for copy in copies):
                raise NotFound(f"Image {image_id} is not stored in store {store_id}.")
            if len(copies) == 1:
                raise Forbidden(
                    "Cannot delete image data from the only store containing it. "
                    "Consider deleting the image instead."
                )
            await plan_removal(tx, image_id, store=store_id, state="kept")
        await remove_due(req.house, image_id, only_local=True)
