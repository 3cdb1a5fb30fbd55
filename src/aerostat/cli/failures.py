"""What stops a process from starting, in words for the person at the terminal."""

import contextlib
from collections.abc import Iterator

from aerostat.cli import CommandError
from aerostat.kernel.bus import BusRefused
from aerostat.kernel.config import Config
from aerostat.kernel.db import SchemaDiffers, SealBroken, StoreRefused, StoreUnavailable, name_of_database
from aerostat.kernel.errors import DriverError


@contextlib.contextmanager
def told(config: Config) -> Iterator[None]:
    """Turn errors of a start that the person can do something about into `CommandError`."""
    database = name_of_database(config.kernel.database_url)
    try:
        yield
    except StoreRefused as error:
        raise CommandError(f"{database} refuses us: {error}. See kernel.database_url") from None
    except StoreUnavailable as error:
        raise CommandError(f"{database} does not answer: {error}. See kernel.database_url") from None
    except BusRefused as error:
        raise CommandError(f"{error.message}. See kernel.bus_url") from None
    except (SchemaDiffers, SealBroken) as error:
        raise CommandError(str(error)) from None
    except DriverError as error:
        raise CommandError(f"{error.message}" + (f" ({error.detail})" if error.detail else "")) from None
    except ModuleNotFoundError as error:
        if error.name != "libvirt":
            raise
        raise CommandError(
            "libvirt's Python binding is not installed, and hosts with real guests need it:"
            " pip install 'aerostat[metal]'"
        ) from None
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        raise CommandError(f"cannot start: {error}") from None
