"""Containers as web sites, for those who come without a token (or say `X-Web-Mode: true`).

    X-Container-Meta-Web-Index: index.html       what stands for a folder
    X-Container-Meta-Web-Error: error.html       401error.html, 404error.html instead of our own pages
    X-Container-Meta-Web-Listings: true          folders without an index are listed
    X-Container-Meta-Web-Listings-CSS, -Web-Listings-Label, -Web-Directory-Type

https://docs.openstack.org/swift/latest/middleware.html#static-web. Who may read is said by the container's ACL, as for
any other request, or by a temporary URL for a prefix.
"""

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec

from ..config import options_of
from ..http.listing import ObjectRow, SubdirRow
from ..http.request import Handler, Request, is_true, path_of
from ..http.response import HTML, Refusal, Response, refusal
from ..proxy.infos import ContainerInfo
from ..proxy.signatures import TEMPORARY

if TYPE_CHECKING:
    from ..room import ObjectStore

META = "x-container-meta-web-"
GENERATOR = "staticweb"
"""In `x-backend-content-generator`: the answer is a page of ours."""
DIRECTORY = "application/directory"
KEPT_IN_LINKS = ("temp_url_prefix", "temp_url_expires", "temp_url_sig", "temp_url_ip_range")
STYLE = """   h1 {font-size: 1em; font-weight: bold;}
   th {text-align: left; padding: 0px 1em 0px 1em;}
   td {padding: 0px 1em 0px 1em;}
   a {text-decoration: none;}
"""


class Site(msgspec.Struct, frozen=True):
    """What a container says of itself."""

    index: str = ""
    error: str = ""
    listings: str = ""
    css: str = ""
    label: str = ""
    directory_type: str = DIRECTORY

    @classmethod
    def of(cls, info: ContainerInfo | None) -> "Site":
        headers: Mapping[str, str] = info.headers if info is not None else {}

        def said(name: str) -> str:
            return headers.get(META + name, "").strip()

        return cls(
            index=said("index"),
            error=said("error"),
            listings=said("listings"),
            css=said("listings-css"),
            label=said("listings-label"),
            directory_type=said("directory-type") or DIRECTORY,
        )


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.staticweb]`"""

    url_base: str = ""
    """Redirections have its scheme and host; empty: those of the request."""


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        base = urlsplit(options_of(room.settings, "staticweb", Settings).url_base)
        self._base = base.scheme, base.netloc
        self._room = room
        self._next = next

    async def __call__(self, request: Request) -> Response:
        if request.container is None or not request.is_reading or request.authorize is None:
            return await self._next(request)
        if request.user is not None and request.user.name != TEMPORARY and not request.is_true("x-web-mode"):
            return await self._next(request)
        if request.name is None:
            return await self._container(request)
        return await self._object(request)

    async def _site(self, request: Request) -> tuple[ContainerInfo | None, Site]:
        info = await self._room.infos.container(request.account, request.container)
        return info, Site.of(info)

    async def _container(self, request: Request) -> Response:
        info, site = await self._site(request)
        try:
            await request.check(info.read_acl if info is not None else None)
        except Refusal as refused:
            return await self._error(request, site, refused.response())
        if not site.listings and not site.index:
            if request.is_true("x-web-mode"):
                raise Refusal(404)
            return await self._next(request)
        if not request.path.endswith("/"):
            return self._to_folder(request)
        if not site.index:
            return await self._listing(request, site, "")
        response = await self._next(self._sub(request, request.path + site.index))
        if response.status == 404:
            return await self._listing(request, site, "")
        return response if response.status < 400 else await self._error(request, site, response)

    async def _object(self, request: Request) -> Response:
        response = await self._next(request)
        if response.status >= 400 and response.status != 404:
            return response
        if response.status < 400 and (response.entity is None or response.entity.size > 1):
            return response
        _, site = await self._site(request)
        if response.status < 400 and response.headers.get("content-type") != site.directory_type:
            return response
        if not site.listings and not site.index:
            return response if response.status == 404 else await self._replaced(response, refusal(404))
        is_folder = request.path.endswith("/")
        if site.index:
            path = request.path + ("" if is_folder else "/") + site.index
            index = await self._next(self._sub(request, path))
            if index.status < 400:
                await response.close()
                if is_folder:
                    return index
                return await self._replaced(index, self._to_folder(request))
            if index.status != 404:
                return await self._replaced(response, index)
        await response.close()
        name = request.name or ""
        if is_folder:
            return await self._listing(request, site, name)
        found = await self._list(request, {"limit": "1", "delimiter": "/", "prefix": f"{name}/"})
        if found.listing is None or not found.listing.rows:
            return await self._error(request, site, refusal(404))
        return self._to_folder(request)

    # Answers

    async def _replaced(self, response: Response, other: Response) -> Response:
        await response.close()
        return other

    def _to_folder(self, request: Request) -> Response:
        scheme, host = self._base
        path = quote(request.path + "/", errors="surrogateescape")
        location = f"{scheme or request.scheme}://{host or request.host}{path}"
        return refusal(301, None, {"location": location})

    async def _error(self, request: Request, site: Site, response: Response) -> Response:
        """With the site's own page, if it has one for that status."""
        if not site.error:
            return response
        assert request.account is not None
        path = path_of(request.account, request.container, f"{response.status}{site.error}")
        page = await self._next(self._sub(request, path))
        if not page.is_ok:
            return await self._replaced(page, response)
        page.status = response.status
        return await self._replaced(response, page)

    async def _listing(self, request: Request, site: Site, prefix: str) -> Response:
        """Of what is right below a prefix."""
        label = request.path
        if site.label:
            label = "/".join((site.label, *request.path.split("/")[4:]))
        if not is_true(site.listings):
            page = _disabled_page(site, label, prefix)
            return await self._error(request, site, Response(404, {"content-type": HTML}, page.encode()))
        found = await self._list(request, {"delimiter": "/", "prefix": prefix})
        if found.listing is None:
            return await self._error(request, site, found)
        if prefix and not found.listing.rows:
            return await self._error(request, site, refusal(404))
        page = _page(request, site, label, prefix, found.listing.rows)
        headers = {"content-type": HTML, "x-backend-content-generator": GENERATOR}
        return Response(200, headers, page.encode("utf-8", "surrogateescape"))

    async def _list(self, request: Request, query: dict[str, str]) -> Response:
        assert request.account is not None
        asked = self._sub(request, path_of(request.account, request.container))
        asked.method, asked.query = "GET", query
        return await self._next(asked)

    def _sub(self, request: Request, path: str) -> Request:
        """In the name of whoever asks: by the page it comes from, too."""
        headers = {"referer": request.headers["referer"]} if "referer" in request.headers else {}
        return request.sub(request.method, path, headers=headers)

    def info(self) -> Mapping[str, Any]:
        return {"staticweb": {}}


def _head(site: Site, label: str, prefix: str) -> str:
    if site.css.startswith(("/", "http://", "https://")):
        style = f'  <link rel="stylesheet" type="text/css" href="{quote(site.css, ":/")}" />\n'
    elif site.css:
        path = "../" * prefix.count("/") + quote(site.css)
        style = f'  <link rel="stylesheet" type="text/css" href="{path}" />\n'
    else:
        style = f'  <style type="text/css">\n{STYLE}  </style>\n'
    title = f"  <title>Listing of {escape(label)}</title>\n"
    return f"<!DOCTYPE html>\n<html>\n <head>\n{title}{style} </head>\n <body>\n"


def _disabled_page(site: Site, label: str, prefix: str) -> str:
    index = (
        f"  <h1>Index File Not Found</h1>\n  <p>This site has no {escape(site.index)} here.</p>\n"
        if site.index
        else ""
    )
    return (
        f"{_head(site, label, prefix)}"
        "  <h1>Web Listing Disabled</h1>\n"
        "  <p>The owner of this site does not let folders be listed. Owners let them with "
        f"X-Container-Meta-Web-Listings: true.</p>\n{index} </body>\n</html>\n"
    )


def _page(request: Request, site: Site, label: str, prefix: str, rows: Any) -> str:
    """Folders first, then objects."""
    kept, opened = _kept_in_links(request)
    lines = [_row('id="heading"', "Name", "Size", "Date", tag="th")]
    if len(prefix) > len(opened):
        lines.append(_linked("../", kept, "../", "&nbsp;", "&nbsp;", 'id="parent" class="item"'))
    for row in rows:
        if isinstance(row, SubdirRow):
            name = row.subdir[len(prefix) :]
            lines.append(_linked(_relative(name), kept, name, "&nbsp;", "&nbsp;", 'class="item subdir"'))
    lines += [_object_row(row, row.name[len(prefix) :], kept) for row in rows if isinstance(row, ObjectRow)]
    return (
        f'{_head(site, label, prefix)}  <h1 id="title">Listing of {escape(label)}</h1>\n'
        f'  <table id="listing">\n{"".join(lines)}  </table>\n </body>\n</html>\n'
    )


def _object_row(row: ObjectRow, name: str, kept: str) -> str:
    kinds = " ".join("type-" + escape(part.lower()) for part in row.content_type.split("/"))
    date = escape(row.last_modified.split(".")[0].replace("T", " "))
    return _linked(_relative(name), kept, name, readable(row.bytes), date, f'class="item {kinds}"')


def _linked(path: str, kept: str, name: str, size: str, date: str, kind: str) -> str:
    link = f'<a href="{path}{kept}">{escape(name)}</a>'
    return _row(kind, link, size, date)


def _row(kind: str, name: str, size: str, date: str, tag: str = "td") -> str:
    columns = (("colname", name), ("colsize", size), ("coldate", date))
    cells = "".join(f'    <{tag} class="{column}">{text}</{tag}>\n' for column, text in columns)
    return f"   <tr {kind}>\n{cells}   </tr>\n"


def _relative(name: str) -> str:
    """A link that no name makes into one to another folder or site."""
    return "./" + quote(name, errors="surrogateescape").replace(".", "%2E")


def _kept_in_links(request: Request) -> tuple[str, str]:
    """What of a temporary URL links on a page have too, and the prefix that it opens."""
    query = request.query
    if request.user is None or request.user.name != TEMPORARY or "temp_url_prefix" not in query:
        return "", ""
    parts = [
        f"{name}={quote(query[name], errors='surrogateescape')}" for name in KEPT_IN_LINKS if name in query
    ]
    if "inline" in query:
        parts.append("inline")
    return "?" + "&amp;".join(parts), query["temp_url_prefix"]


def readable(size: int) -> str:
    """`10Ki`, `3Gi`."""
    value, units = float(size), ["", *"KMGTPEZY"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{round(value)}{units[0]}{'i' if units[0] else ''}"
