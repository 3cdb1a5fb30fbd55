"""The metadata service that guests ask at 169.254.169.254, in the layouts of OpenStack and of EC2.

    application = metadata_app(house)("<network id>")       # an ASGI application for one network's listening socket

The network is known by the socket that accepted, the guest by the peer's address: both cannot be forged by what a
guest sends. Nobody signs in here, so nothing is told of any other server than the one that asks.

Layout: https://docs.openstack.org/nova/latest/user/metadata.html
"""

import base64
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import structlog

from aerostat.kernel import ids
from aerostat.kernel.db import Row

from . import metadata, model
from .metadata import EC2_VERSIONS, OPENSTACK_VERSIONS, Content
from .room import room_of

log = structlog.get_logger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_PASSWORD_BYTES = 1020
TEXT, JSON = "text/plain; charset=utf-8", "application/json"

# status, body, content type
Answer = tuple[int, bytes, str]
NOT_FOUND: Answer = (404, b"<html><body><h1>404 Not Found</h1></body></html>\n", "text/html")


def metadata_app(house: Any) -> Callable[[str], Application]:
    """Makes the application of one network: `metadata_app(house)(network_id)`."""

    def for_network(network_id: str) -> Application:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return
            try:
                answer = await _answer(house, network_id, scope, receive)
            except Exception:
                log.exception("metadata request failed", network_id=network_id, path=scope["path"])
                answer = (500, b"The metadata could not be read.\n", TEXT)
            await _send(send, scope["method"], answer)

        return application

    return for_network


async def find_server(house: Any, network_id: str, address: str, request_id: str) -> Row | None:
    """The server that has `address` on this network."""
    admin = room_of(house).network_admin(request_id)
    ports = await admin.list_ports(network_id=network_id, fixed_ips=f"ip_address={address}")
    for port in ports:
        if any(ip["ip_address"] == address for ip in port["fixed_ips"]) and port.get("device_id"):
            server = await house.store.find(model.SERVERS, id=port["device_id"])
            if server is not None and server.state != "deleted":
                found: Row = server
                return found
    return None


async def _answer(house: Any, network_id: str, scope: Scope, receive: Receive) -> Answer:
    request_id = f"req-{ids.new_id()}"
    client = scope.get("client")
    if client is None:
        return NOT_FOUND
    path = [part for part in scope["path"].split("/") if part]
    if not path:
        return _listing([*EC2_VERSIONS])
    server = await find_server(house, network_id, client[0], request_id)
    if server is None:
        log.info("metadata asked by an address without a server", network_id=network_id, address=client[0])
        return NOT_FOUND
    if path[0] == "openstack" and len(path) == 3 and path[2] == "password":
        return await _password(house, server, scope["method"], receive)
    if scope["method"] not in ("GET", "HEAD"):
        return (405, b"405 Method Not Allowed\n", TEXT)
    content = await metadata.content_of(server, room_of(house).network_admin(request_id))
    return openstack(content, path[1:]) if path[0] == "openstack" else ec2(content, path)


def openstack(content: Content, path: list[str]) -> Answer:
    """`/openstack`, `/openstack/<version>`, `/openstack/<version>/<file>`"""
    if not path:
        return _listing([*OPENSTACK_VERSIONS])
    if path[0] not in OPENSTACK_VERSIONS:
        return NOT_FOUND
    files = content.openstack(path[0])
    if len(path) == 1:
        return _listing([*files, "password"])
    if path[1] == "content":
        return _injected(content, path[2:])
    if len(path) > 2 or path[1] not in files:
        return NOT_FOUND
    kind = JSON if path[1].endswith(".json") else "application/octet-stream"
    return (200, files[path[1]], kind)


def ec2(content: Content, path: list[str]) -> Answer:
    """`/<version>`, `/<version>/user-data`, `/<version>/meta-data/…`"""
    if path[0] not in EC2_VERSIONS:
        return NOT_FOUND
    if len(path) == 1:
        return _listing(["meta-data/", *(["user-data"] if content.user_data is not None else [])])
    if path[1] == "user-data" and len(path) == 2:
        if content.user_data is None:
            return NOT_FOUND
        return (200, content.user_data, "application/octet-stream")
    if path[1] != "meta-data":
        return NOT_FOUND
    place: Any = content.ec2()
    for part in path[2:]:
        if not isinstance(place, Mapping) or part not in place or part.startswith("_"):
            return NOT_FOUND
        place = place[part]
    if isinstance(place, Mapping):
        return _listing([_entry(name, value) for name, value in place.items() if not name.startswith("_")])
    return (200, str(place).encode(), TEXT)


def _entry(name: str, value: Any) -> str:
    """One line of a listing: a key is named beside its number, a folder has a slash."""
    if not isinstance(value, Mapping):
        return name
    return f"{name}={value['_name']}" if "_name" in value else f"{name}/"


def _injected(content: Content, path: list[str]) -> Answer:
    """A file that the server's owner sent along when it was made."""
    files = content.server.personality or ()
    if len(path) != 1 or not path[0].isdigit() or int(path[0]) >= len(files):
        return NOT_FOUND
    return (200, base64.b64decode(files[int(path[0])]["contents"]), "application/octet-stream")


async def _password(house: Any, server: Row, method: str, receive: Receive) -> Answer:
    """A guest leaves its password here, encrypted with the owner's key; once."""
    if method in ("GET", "HEAD"):
        return (200, (server.password_data or "").encode(), TEXT)
    if method != "POST":
        return (405, b"405 Method Not Allowed\n", TEXT)
    if server.password_data:
        return (409, b"The password is set already.\n", TEXT)
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_PASSWORD_BYTES:
            return (400, b"The password is too long.\n", TEXT)
        if not message.get("more_body"):
            break
    await house.store.update(
        model.SERVERS, {"id": server.id}, password_data=body.decode("latin-1"), updated_at=server.updated_at
    )
    return (200, b"", TEXT)


def _listing(names: list[str]) -> Answer:
    return (200, "\n".join(names).encode(), TEXT)


async def _send(send: Send, method: str, answer: Answer) -> None:
    status, body, kind = answer
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
