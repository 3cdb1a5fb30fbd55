"""`/crossdomain.xml`."""

from pathlib import Path
from xml.etree import ElementTree

from .kit import opened


async def test_everyone_may_unless_it_is_said_who(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert (await store("GET", "/crossdomain.xml")).status == 412
    async with opened(tmp_path, middleware={"crossdomain": {"enabled": True}}) as store:
        answer = await store("GET", "/crossdomain.xml")
        assert answer.headers["content-type"].startswith("application/xml")
        (element,) = ElementTree.fromstring(answer.text)
        assert element.attrib == {"domain": "*", "secure": "false"}
    options = {"enabled": True, "cross_domain_policy": '<allow-access-from domain="*.example.com" />'}
    async with opened(tmp_path, middleware={"crossdomain": options}) as store:
        assert "*.example.com" in (await store("GET", "/crossdomain.xml")).text
