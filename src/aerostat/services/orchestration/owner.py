"""Who a stack belongs to, when nobody that may do much is asking: an alarm, a guest.

What such a call sets going is done in the name of the stack's owner, with the roles that the owner has at that
moment: whoever lost the project, or the account, has no stack that grows.
"""

from aerostat.kernel.client import RoomError
from aerostat.kernel.context import Context, internal_context
from aerostat.kernel.db import Row
from aerostat.kernel.errors import Forbidden
from aerostat.kernel.house import House

_WITHOUT_IDENTITY = ("member", "reader")


async def stack_owner(house: House, stack: Row, request_id: str) -> Context:
    """The owner, as if signed in to the stack's project. Raises `Forbidden`, `RoomError`."""
    if "identity" not in house.services:  # a room by itself knows nobody
        return Context(
            request_id=request_id,
            user_id=stack.user_id,
            user_name=stack.user_name,
            project_id=stack.project_id,
            roles=_WITHOUT_IDENTITY,
        )
    identity = house.client("identity", internal_context(request_id, "orchestration"))
    try:
        user = await identity.get_user(stack.user_id)
        project = await identity.get_project(stack.project_id)
    except RoomError as error:
        if error.status == 404:
            raise Forbidden("The owner of the stack is not there any more.") from None
        raise
    roles = await identity.list_role_names(user["id"], project["id"])
    if not (user["enabled"] and project["enabled"] and roles):
        raise Forbidden("The owner of the stack has no role on its project any more.")
    return Context(
        request_id=request_id,
        user_id=user["id"],
        user_name=user["name"],
        user_domain_id=user["domain_id"],
        project_id=project["id"],
        project_name=project["name"],
        project_domain_id=project["domain_id"],
        roles=tuple(roles),
    )
