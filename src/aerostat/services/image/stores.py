"""The stores of this cloud, by the names that clients know them by."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from aerostat.kernel.config import ConfigError
from aerostat.kernel.context import internal_context
from aerostat.kernel.errors import DriverError
from aerostat.kernel.house import House

from .config import FILE, OBJECT, ImageConfig, StoreSettings, folder_of
from .drivers import open_driver
from .drivers.file.store import FileStore
from .drivers.protocol import ImageStore, StoreOfFiles
from .drivers.web.reader import NotAllowed, WebReader
from .errors import NotFetched, UnknownStore

OWN = "file"
"""The store that lies in the room's own folder, if it is one of files."""
STAGING = "os_glance_staging_store"
"""Where images wait for an import: a store like others, which no client can name."""
CONVERTED = "os_glance_converted_store"
"""And where they wait in another format."""
HIDDEN = (STAGING, CONVERTED)


@dataclass(frozen=True)
class NamedStore:
    name: str
    settings: StoreSettings
    driver: ImageStore | None
    """None: on web servers of others, which are only read."""

    @property
    def is_writable(self) -> bool:
        return self.driver is not None


class Stores:
    """Those that the settings name, opened; beside them the place of staged images, and the web."""

    def __init__(self, house: House) -> None:
        """Raises `ConfigError`."""
        settings = house.config.section(ImageConfig)
        named = dict(settings.stores) or {
            OWN: FILE,
            **({"object": OBJECT} if "object" in house.services else {}),
        }
        folder = folder_of(house.config)
        writable = [name for name, one in named.items() if one.type != "http"]
        self.default = settings.default_store or (writable[0] if writable else "")
        if self.default not in writable:
            raise ConfigError(
                f"image.default_store is {self.default!r}, which is no store that can be written to"
            )

        def objects(project_id: str) -> Any:
            context = internal_context("image-store", "image")
            return house.client("object", msgspec.structs.replace(context, project_id=project_id))

        self._stores: dict[str, NamedStore] = {}
        for name, one in named.items():
            if name.startswith(("os_glance", ".")) or not {",", "/"}.isdisjoint(name) or not name:
                raise ConfigError(f"image.stores: {name!r} cannot be the name of a store")
            own = folder if name == OWN else folder / "stores" / name
            driver = None if one.type == "http" else open_driver(one, own, objects)
            self._stores[name] = NamedStore(name, one, driver)
        self._hidden = {
            STAGING: NamedStore(STAGING, FILE, FileStore(folder / "staging")),
            CONVERTED: NamedStore(CONVERTED, FILE, FileStore(folder / "converted")),
        }
        self.web = WebReader(settings.web)

    @property
    def all(self) -> list[NamedStore]:
        return list(self._stores.values())

    @property
    def writable(self) -> list[str]:
        return [one.name for one in self.all if one.is_writable]

    @property
    def on_the_web(self) -> str | None:
        """The store whose images lie on web servers of others, where there is one."""
        return next((one.name for one in self.all if not one.is_writable), None)

    def get(self, name: str) -> NamedStore:
        """One that clients may name. Raises `UnknownStore`."""
        found = self._stores.get(name)
        if found is None:
            raise UnknownStore(name=name)
        return found

    def check_writable(self, name: str) -> None:
        """Raises `UnknownStore` for one that is only read as well."""
        if not self.get(name).is_writable:
            raise UnknownStore(name=name)

    def check_uri(self, uri: object, what: str = "web-download") -> None:
        """Raises `NotFetched` for an address from which nothing is fetched, as far as it shows."""
        try:
            if not isinstance(uri, str):
                raise NotAllowed("It is no text.")
            self.web.check(uri)
        except NotAllowed as error:
            raise NotFetched(what=what, uri=str(uri)[:255], reason=error.message) from None

    def find(self, name: str) -> NamedStore | None:
        """Whatever a row may name."""
        return self._hidden.get(name) or self._stores.get(name)

    def driver(self, name: str) -> ImageStore:
        """Raises `UnknownStore`."""
        found = self.find(name)
        if found is None or found.driver is None:
            raise UnknownStore(name=name)
        return found.driver

    def path(self, name: str, image_id: str) -> Path:
        """The file of an image. Raises `DriverError` where it is none of this machine."""
        driver = self.driver(name)
        if not isinstance(driver, StoreOfFiles):
            raise DriverError(f"Images in store {name} are no files.")
        return driver.path(image_id).absolute()


def stores_of(house: House) -> Stores:
    stores: Stores = house.state["image"]["stores"]
    return stores
