"""Images: what servers boot from. Upstream: https://docs.openstack.org/api-ref/image/v2/"""

from aerostat.kernel.house import House
from aerostat.kernel.http import envelopes
from aerostat.kernel.http.paging import Order, Paging, no_links
from aerostat.kernel.service import Service

from . import model
from .caching import ImageCache
from .client import ImageClient
from .config import ImageConfig
from .flows import FLOWS
from .protections import Protections
from .resources.cache import Cache
from .resources.data import ImageData
from .resources.image import Image
from .resources.importing import Import
from .resources.info import Info
from .resources.location import Location
from .resources.member import Member
from .resources.metadef import RESOURCES as METADEFS
from .resources.schema import Schema
from .resources.store import StoreCopy
from .resources.task import Task
from .resources.versions import VersionDocuments
from .stores import Stores
from .sweepers import SWEEPERS
from .trial_image import ensure_test_image
from .versions import VERSIONS


async def start(house: House) -> None:
    """Open the stores of bytes."""
    house.state["image"] = {
        "stores": Stores(house),
        "cache": ImageCache(house),
        "protections": Protections(house.config.section(ImageConfig)),
    }


async def bootstrap(house: House) -> None:
    """A cloud of fakes gets its test image at once; a real one is built by whoever starts the process."""
    if house.config.section(ImageConfig).test_image and house.config.driver("compute", "libvirt") == "fake":
        await ensure_test_image(house, None)


SERVICE = Service(
    "image",
    type="image",
    project="glance",
    prefix="/image",
    catalog="/image",
    versions=VERSIONS,
    envelope=envelopes.image,
    resources=[
        VersionDocuments,
        Info,
        Schema,
        Image,
        ImageData,
        Member,
        Import,
        Location,
        StoreCopy,
        Task,
        Cache,
        *METADEFS,
    ],
    tables=model.TABLES,
    bases=("/v2",),
    client=ImageClient,
    paging=Paging(
        links=no_links,
        default_limit=25,
        max_limit=1000,
        combined_sort="sort",
        default_order=(Order("created_at", True), Order("id", True)),
    ),
    update_method="PATCH",
    invalid="Provided object does not match schema 'image': %(reason)s (%(path)s: %(value)s)",
    forbidden="You are not authorized to complete %(rule)s action.",
    flows=FLOWS,
    sweepers=SWEEPERS,
    config=ImageConfig,
    start=start,
    bootstrap=bootstrap,
    description="What servers boot from",
)
