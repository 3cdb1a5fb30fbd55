"""Bytes from a web server of somebody else's, fetched with care: which addresses, how many redirects, how long.

A name is resolved once, every address that must not be reached is dropped, and the connection goes to the address that
was checked: a name server that answers otherwise the next moment changes nothing. Each redirect is checked as the first
address was. https://docs.openstack.org/glance/latest/admin/interoperable-image-import.html tells of the lists.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from aerostat.kernel.errors import DriverError

from .settings import WebSettings

CHUNK_BYTES = 256 * 1024
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PORTS = {"http": 80, "https": 443}
LONGEST_URL = 2048
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Any]


class NotAllowed(DriverError):
    """The address is one from which nothing is fetched. The words name the rule, and no address that a name has."""


class Target(NamedTuple):
    scheme: str
    host: str
    port: int
    path: str


class Answer(NamedTuple):
    size: int | None
    """In bytes, as far as the server says it."""
    chunks: AsyncIterator[bytes]


def check_url(url: str, limits: WebSettings) -> Target:
    """What can be said of an address by looking at it. Raises `NotAllowed`."""
    if len(url) > LONGEST_URL or any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
        raise NotAllowed("The URL is too long, or has blanks in it.")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise NotAllowed(f"The URL cannot be read: {error}") from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS or not _passes(scheme, limits.allowed_schemes, limits.disallowed_schemes):
        raise NotAllowed(f"Nothing is fetched by {scheme or 'no scheme'}.")
    if not host or parts.username is not None or parts.password is not None:
        raise NotAllowed("The URL must name a host, and no user.")
    port = port or PORTS[scheme]
    if not _passes(host, limits.allowed_hosts, limits.disallowed_hosts):
        raise NotAllowed("Nothing is fetched from this host.")
    if not _passes(port, limits.allowed_ports, limits.disallowed_ports):
        raise NotAllowed(f"Nothing is fetched from port {port}.")
    if (address := _literal(host)) is not None:
        _check_address(address, limits)
    return Target(scheme, host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


class WebReader:
    """`resolve(host, port)` answers as `loop.getaddrinfo` does; `transport` is another way to the server."""

    def __init__(self, limits: WebSettings, resolve: Resolve | None = None, transport: Any = None) -> None:
        self._limits = limits
        self._resolve = resolve
        self._transport = transport

    def check(self, url: str) -> None:
        """Raises `NotAllowed`; what a name's addresses are is looked at when it is fetched."""
        check_url(url, self._limits)

    @asynccontextmanager
    async def open(self, url: str, start: int = 0, length: int | None = None) -> AsyncIterator[Answer]:
        """The bytes behind `url`, from `start` on. Raises `DriverError`, `NotAllowed`."""
        import httpx  # not at the start: 60 ms, for those who fetch

        limits = self._limits
        timeout = httpx.Timeout(limits.silence_timeout_s, connect=limits.connect_timeout_s)
        headers = {"accept-encoding": "identity", "user-agent": "aerostat-image"}
        is_part = bool(start) or length is not None
        if is_part:
            headers["range"] = f"bytes={start}-{'' if length is None else start + length - 1}"
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(asyncio.timeout(limits.timeout_s))
                client = await stack.enter_async_context(
                    httpx.AsyncClient(
                        timeout=timeout, verify=self._trust(), trust_env=False, transport=self._transport
                    )
                )
                response = await self._follow(client, stack, url, headers)
                if response.status_code not in (200, 206):
                    raise DriverError(
                        f"The server answered {response.status_code}.",
                        retry=response.status_code in (429, 502, 503, 504),
                    )
                size = response.headers.get("content-length", "")
                skip = start if is_part and response.status_code == 200 else 0
                chunks = _pieces(response.aiter_raw(CHUNK_BYTES), skip, length)
                yield Answer(int(size) if size.isdecimal() else None, chunks)
            except TimeoutError as error:
                raise DriverError(f"The image was not there after {limits.timeout_s:g} s.") from error
            except httpx.TimeoutException as error:
                raise DriverError("The server does not answer in time.", retry=True) from error
            except (httpx.HTTPError, ssl.SSLError, OSError) as error:
                raise DriverError(
                    "The server cannot be reached, or broke off.", detail=repr(error), retry=True
                ) from error

    async def read(self, url: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        async with self.open(url, start, length) as answer:
            async for chunk in answer.chunks:
                yield chunk

    async def _follow(self, client: Any, stack: AsyncExitStack, url: str, headers: dict[str, str]) -> Any:
        import httpx

        for _ in range(self._limits.max_redirects + 1):
            target = check_url(url, self._limits)
            address = await self._address(target)
            named = f"[{target.host}]" if ":" in target.host else target.host
            default = target.port == PORTS[target.scheme]
            request = client.build_request(
                "GET",
                httpx.URL(url).copy_with(host=str(address), port=target.port, fragment=None),
                headers={**headers, "host": named if default else f"{named}:{target.port}"},
                extensions={"sni_hostname": target.host},
            )
            response = await client.send(request, stream=True, follow_redirects=False)
            if response.status_code not in REDIRECTS or "location" not in response.headers:
                stack.push_async_callback(response.aclose)
                return response
            await response.aclose()
            url = urljoin(url, response.headers["location"])
        raise DriverError(f"The server sent us on more than {self._limits.max_redirects} times.")

    async def _address(self, target: Target) -> Address:
        """One that the host has and that may be reached."""
        resolve = self._resolve or _getaddrinfo
        try:
            async with asyncio.timeout(self._limits.connect_timeout_s):
                found = await resolve(target.host, target.port)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise DriverError("The host's name is not known.", detail=str(error)) from error
        refused: NotAllowed | None = None
        for *_, place in found:
            address = ipaddress.ip_address(place[0].partition("%")[0])
            try:
                _check_address(address, self._limits)
                return address
            except NotAllowed as error:
                refused = error
        raise refused or DriverError("The host's name is not known.")

    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._limits.ca_file is not None:
            context.load_verify_locations(self._limits.ca_file)
        return context


def _getaddrinfo(host: str, port: int) -> Any:
    return asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _passes(value: Any, allowed: Sequence[Any], disallowed: Sequence[Any]) -> bool:
    return value in allowed if allowed else value not in disallowed


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _check_address(address: Address, limits: WebSettings) -> None:
    """Raises `NotAllowed` for what is not of the public internet, in whichever way it is written."""
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or address
    if not _passes(str(address), (), limits.disallowed_hosts):
        raise NotAllowed("Nothing is fetched from this host.")
    if address.is_multicast or address.is_unspecified:
        raise NotAllowed("Nothing is fetched from this host.")
    if not address.is_global and not limits.private_addresses:
        raise NotAllowed("Nothing is fetched from hosts that are not of the public internet.")


async def _pieces(chunks: AsyncIterator[bytes], skip: int, length: int | None) -> AsyncIterator[bytes]:
    """Of a server that knows no ranges, the part that was asked for."""
    left = length
    async for chunk in chunks:
        if skip:
            skip, chunk = max(0, skip - len(chunk)), chunk[skip:]
        if left is not None:
            chunk = chunk[:left]
            left -= len(chunk)
        if chunk:
            yield chunk
        if left == 0:
            return
