"""Tasks of an image: none, since what is imported here is done within the request or by the image's own state.

Wire: /v2/images/{image_id}/tasks, https://docs.openstack.org/api-ref/image/v2/#show-tasks-associated-with-image
Clients that made an image ask for them before they believe that it is whole.
"""

from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from .image import Image


class ImageTasks(Resource):
    @route("GET", "/images/{image_id}/tasks")
    async def list_tasks(self, req: Request, image_id: str) -> dict[str, Any]:
        await req.service.resource(Image).find(req, image_id)
        return {"tasks": []}
