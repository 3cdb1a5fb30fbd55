"""The object store as a service of a cloud."""

from typing import Any
from urllib.parse import urlsplit

from aerostat.kernel.config import Config
from aerostat.kernel.house import House
from aerostat.kernel.http import envelopes
from aerostat.kernel.service import Service

from .client import ObjectClient
from .config import ObjectConfig
from .housed import HEALTH, Housed, check
from .versions import VERSIONS


async def start(house: House) -> None:
    check(house.config.section(ObjectConfig))
    house.state["object"] = housed = Housed(house)
    if not house.roles or "object" in house.roles:
        housed.start()


async def stop(house: House) -> None:
    await house.state["object"].close()


async def answer(house: House, scope: Any, receive: Any, send: Any) -> None:
    await house.state["object"].answer(scope, receive, send)


def base_url(config: Config) -> str:
    return config.section(ObjectConfig).public_url


def own_hosts(config: Config) -> list[str]:
    """Where the proxies are, if that is not where the API is too, and the domains whose hosts name accounts."""
    settings = config.section(ObjectConfig)
    hosts = {urlsplit(settings.public_url).netloc} - {urlsplit(config.kernel.public_url).netloc, ""}
    if "domain_remap" in settings.middleware:
        from .middleware.domain_remap import domains_of

        hosts.update(domains_of(settings))
    return sorted(hosts)


SERVICE = Service(
    "object",
    type="object-store",
    project="swift",
    prefix="/v1",
    catalog="/v1/AUTH_%(project_id)s",
    versions=VERSIONS,
    envelope=envelopes.plain,
    resources=[],
    client=ObjectClient,
    config=ObjectConfig,
    start=start,
    stop=stop,
    own_paths=("/v1", "/v1.0", "/info", "/auth", "/endpoints", "/crossdomain.xml", "/recon", HEALTH),
    own_hosts=own_hosts,
    own_app=answer,
    own_role="object",
    base_url=base_url,
    description="Objects in containers",
)
