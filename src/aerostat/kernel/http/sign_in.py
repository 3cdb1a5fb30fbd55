"""Who asks: from the tokens of a request to its context.

A request may carry two tokens: the user's, and beside it that of a service through which the user asks
(`X-Service-Token`, https://docs.openstack.org/keystonemiddleware/latest/middlewarearchitecture.html). A service
vouches for its user: the user's token may have ended a while ago, because long work outlives tokens, and the token's
access rules are not looked at, because they are about what the user asks for directly.
"""

from typing import TYPE_CHECKING

import msgspec

from ..context import SERVICE_ROLE, Context
from ..errors import Unauthorized, Unavailable
from .request import Request

if TYPE_CHECKING:
    from ..house import Authenticator


async def sign_in(request: Request, *, public: bool) -> None:
    """Set the request's context. Raises `Unauthorized`, unless the endpoint is public: then nobody asks."""
    token = request.headers.get("x-auth-token")
    if not token:
        if public:
            return
        raise _not_signed_in(request)
    authenticate = request.house.authenticate
    if authenticate is None:
        raise Unavailable("No room here can check tokens.")
    try:
        request.context = await _context(request, authenticate, token.strip(), public)
    except Unauthorized:
        if not public:
            raise _not_signed_in(request) from None


async def _context(request: Request, authenticate: "Authenticator", token: str, public: bool) -> Context:
    service_roles: tuple[str, ...] = ()
    beside = request.headers.get("x-service-token")
    if beside:
        service_roles = (await authenticate(beside.strip())).roles
        if SERVICE_ROLE not in service_roles:
            raise Unauthorized("The service token is not a service's.")
    context = await authenticate(token, allow_expired=bool(beside))
    if not (public or beside or context.may_request(request.service.type, request.method, request.path)):
        raise Unauthorized("The token's access rules do not let this request in.")
    return msgspec.structs.replace(context, request_id=request.request_id, service_roles=service_roles)


def _not_signed_in(request: Request) -> Unauthorized:
    error = Unauthorized("The request you have made requires authentication.")
    where = request.base_url + request.house.sign_in_path
    error.headers = {"WWW-Authenticate": f'Keystone uri="{where}"'}
    return error
