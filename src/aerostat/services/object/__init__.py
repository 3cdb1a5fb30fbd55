"""Objects: accounts, containers and objects. Upstream: https://docs.openstack.org/api-ref/object-store/

What a cloud needs of it (`SERVICE`) is loaded when a cloud asks for it: a store that stands alone has no use for the
database, the policies and the resources of other services, which are a third of its memory.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "SERVICE":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .door import SERVICE

    return SERVICE
